"""What is to run on YARN, in the terms of no backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True)
class ContainerFile:
    """A file that YARN puts into a container's folder before the process starts.

    Attributes:
        source: a local path, or a URI on the cluster's default file system.
        archive: unpack it (.zip, .tar.gz, .tgz) into a folder of the target's name.
        shared: keep the localised copy on the node for the same user's next application. Only for a `source`
            on the cluster whose content never changes.
    """

    source: str
    archive: bool = False
    shared: bool = False


@dataclass(frozen=True)
class ProcessSpecification:
    """One kind of container.

    Attributes:
        memory_mb: of the container.
        vcores: of the container.
        script: for bash; ends in `exec`, so that signals reach the process.
        files: by name in the container's folder.
        env: variables to set. Everyone who may view the application can read them: no secrets.
        node_label: where to run; "" as the application.
    """

    memory_mb: int
    vcores: int
    script: str
    files: Mapping[str, ContainerFile]
    env: Mapping[str, str] = field(default_factory=dict)
    node_label: str = ""


@dataclass(frozen=True)
class AccessList:
    """Users and groups; "*" among the users stands for everybody."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class ApplicationSpecification:
    """An application: a master and workers of one size.

    Attributes:
        queue: "" is the cluster's default.
        initial_workers: how many to request while the master is still starting.
        max_attempts: how often YARN starts the master.
        file_systems: URIs of further file systems that containers need tokens for.
        view, modify: who may besides the owner; None leaves YARN's access control off.
    """

    name: str
    queue: str
    master: ProcessSpecification
    worker: ProcessSpecification
    initial_workers: int = 0
    max_attempts: int = 1
    node_label: str = ""
    tags: frozenset[str] = frozenset()
    file_systems: tuple[str, ...] = ()
    view: AccessList | None = None
    modify: AccessList | None = None


class ApplicationState(Enum):
    """YARN's states of an application."""

    NEW = "NEW"
    NEW_SAVING = "NEW_SAVING"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"

    @property
    def ended(self) -> bool:
        """Whether it will never run again."""
        return self in (ApplicationState.FINISHED, ApplicationState.FAILED, ApplicationState.KILLED)


@dataclass(frozen=True)
class ApplicationReport:
    """What YARN says about an application.

    Attributes:
        final_status: SUCCEEDED, FAILED, KILLED, or UNDEFINED while it runs.
        tracking_url: its page behind YARN's proxy.
        rpc_address: "host:port" of skein's ApplicationMaster; "" before it has registered.
        master_container: node ("host:port" of its web server) and id of the container of the newest attempt's
            master; empty when unknown.
    """

    application_id: str
    name: str
    user: str
    queue: str
    state: ApplicationState
    final_status: str
    diagnostics: str
    tracking_url: str
    tags: frozenset[str]
    rpc_address: str = ""
    started_ms: int = 0
    finished_ms: int = 0
    master_node: str = ""
    master_container: str = ""
