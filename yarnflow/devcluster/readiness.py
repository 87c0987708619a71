"""Asking the daemons whether they work: each check returns None, or the reason why not yet.

The reasons end up in the message of a start that gave up, so they say what was seen.
"""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

#: A daemon that is up answers in milliseconds; on a busy machine give it a little longer.
_PROBE_SECONDS = 3.0
#: Straight to this machine, whatever proxy the environment names.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))

_NAMENODE_BEAN = "Hadoop:service=NameNode,name=FSNamesystemState"


def hdfs(namenode_web: str) -> str | None:
    """Ask the NameNode at host:port whether files can be written: out of safe mode, a DataNode alive."""
    try:
        return judge_namenode(_get(f"http://{namenode_web}/jmx?qry={_NAMENODE_BEAN}"))
    except OSError as error:
        return f"the NameNode does not answer at {namenode_web} ({error})"
    except ValueError:
        return f"the NameNode at {namenode_web} answers with something else than its state"


def yarn(resourcemanager_web: str, expected: Mapping[str, float]) -> str | None:
    """Ask the ResourceManager at host:port whether the expected nodes run.

    Args:
        resourcemanager_web: host:port of its web end.
        expected: node id -> Unix time in seconds since which it must have been heard of. A node that was
            killed and started again would otherwise count before it has registered anew.
    """
    try:
        answer = _get(f"http://{resourcemanager_web}/ws/v1/cluster/nodes?states=RUNNING")
    except OSError as error:
        return f"the ResourceManager does not answer at {resourcemanager_web} ({error})"
    except ValueError:
        return f"the ResourceManager at {resourcemanager_web} answers with something else than its nodes"
    missing = sorted(set(expected) - running_nodes(answer, expected))
    return f"NodeManager {', '.join(missing)} has not registered" if missing else None


def zookeeper(host: str, port: int) -> str | None:
    """Ask a ZooKeeper server for its state (four-letter word srvr)."""
    try:
        with socket.create_connection((host, port), timeout=_PROBE_SECONDS) as connection:
            connection.sendall(b"srvr")
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
    except OSError as error:
        return f"ZooKeeper does not answer at {host}:{port} ({error})"
    return judge_zookeeper(answer.decode(errors="replace"))


def judge_namenode(answer: Mapping[str, Any]) -> str | None:
    """Judge the NameNode's FSNamesystemState bean."""
    beans = answer.get("beans") or []
    if not beans:
        return "the NameNode is still loading its names"
    if beans[0].get("FSState") != "Operational":
        return "the NameNode is in safe mode"
    if not beans[0].get("NumLiveDataNodes"):
        return "no DataNode has registered"
    return None


def running_nodes(answer: Mapping[str, Any], since: Mapping[str, float]) -> set[str]:
    """Return the ids of the nodes that the ResourceManager's answer shows alive since the given times."""
    nodes = (answer.get("nodes") or {}).get("node") or []
    return {
        node["id"]
        for node in nodes
        if node.get("state") == "RUNNING" and node.get("lastHealthUpdate", 0) / 1000 >= since.get(node["id"], 0)
    }


def judge_zookeeper(answer: str) -> str | None:
    """Judge the answer to srvr: a serving ZooKeeper names its mode."""
    if any(line.startswith("Mode:") for line in answer.splitlines()):
        return None
    return f"ZooKeeper does not serve yet ({answer.strip()[:80] or 'no answer'})"


def _get(url: str) -> dict[str, Any]:
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 always http
    with OPENER.open(request, timeout=_PROBE_SECONDS) as response:
        answer = json.load(response)
    if not isinstance(answer, dict):
        raise ValueError(f"{url} answered {type(answer).__name__}, not an object")
    return answer
