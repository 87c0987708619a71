"""What `status` tells of a devcluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DaemonStatus:
    """One daemon."""

    role: str
    running: bool
    #: None when it does not run.
    pid: int | None
    #: By use: `rpc`, `web`, ...
    ports: Mapping[str, int]
    #: Its web pages; None for those that have none.
    web: str | None
    log: Path
    #: Resident memory in bytes; 0 when it does not run.
    memory: int


@dataclass(frozen=True)
class ClusterStatus:
    """The whole devcluster."""

    directory: Path
    #: `running` (everything answers), `degraded` (some daemon is missing or does not answer), `stopped`.
    state: str
    #: Why it is degraded, one sentence each; empty otherwise.
    problems: tuple[str, ...]
    #: The addresses are None when no devcluster was ever started in the folder.
    hdfs_uri: str | None
    rm_web_address: str | None
    zookeeper_quorum: str | None
    daemons: tuple[DaemonStatus, ...]
    #: Processes of the devcluster that are no daemon: containers of running applications.
    containers: tuple[int, ...] = ()
