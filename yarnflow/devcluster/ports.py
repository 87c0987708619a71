"""Ports of a devcluster's own: free when chosen, remembered afterwards (see `state`).

They lie below the kernel's ephemeral range, so that no outgoing connection takes one while the devcluster is
stopped, and the search starts at a random place, so that two devclusters started together do not meet.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from yarnflow.errors import DevClusterError

LOWEST = 10_000
#: Linux's default start of the ephemeral range, when the kernel does not tell.
DEFAULT_EPHEMERAL_START = 32_768
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def names_for(nodes: int, zookeeper: bool) -> tuple[str, ...]:
    """Return the names of all ports that a devcluster of `nodes` NodeManagers needs.

    >>> names_for(1, zookeeper=True)[-4:]
    ('zookeeper-client', 'nodemanager-0-rpc', 'nodemanager-0-localizer', 'nodemanager-0-web')
    """
    names = ["namenode-rpc", "namenode-web", "datanode-data", "datanode-ipc", "datanode-web"]
    names += [f"resourcemanager-{use}" for use in ("rpc", "scheduler", "tracker", "admin", "web")]
    if zookeeper:
        names.append("zookeeper-client")
    names += [f"nodemanager-{index}-{use}" for index in range(nodes) for use in ("rpc", "localizer", "web")]
    return tuple(names)


def is_free(port: int) -> bool:
    """Whether a server can bind `port` now, on every address (a listener on one address blocks it too)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java's servers do: a connection in TIME_WAIT left by the previous run does not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def choose(names: Iterable[str], known: Mapping[str, int]) -> dict[str, int]:
    """Return a port for each of `names`: the one in `known`, else a free one that `known` does not use.

    Raises:
        DevClusterError: there are not enough free ports.
    """
    chosen = dict(known)
    taken = set(known.values())
    candidates = _candidates()
    for name in names:
        if name in chosen:
            continue
        for port in candidates:
            if port not in taken and is_free(port):
                chosen[name] = port
                taken.add(port)
                break
        else:
            raise DevClusterError(
                f"no free port is left for {name} between {LOWEST} and {_highest()}: stop some servers first"
            )
    return chosen


def _candidates() -> Iterable[int]:
    size = _highest() - LOWEST
    start = random.randrange(size)
    return iter([LOWEST + (start + offset) % size for offset in range(size)])


def _highest() -> int:
    try:
        start = int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        start = DEFAULT_EPHEMERAL_START
    # A machine whose ephemeral range starts lower than ours leaves nothing below it: share its range then.
    return start if start > LOWEST + 1000 else DEFAULT_EPHEMERAL_START
