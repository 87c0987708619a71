"""The seam between the ResourceManager and whatever can start TaskManagers.

Drivers: `local` (spawns processes on this machine), `standalone` (none: TaskManagers come by themselves)
and, in am/, YARN. No driver type shows through: a worker is known by the id that its TaskManager will
register with (a container id on YARN).

Ordering: for one worker a driver calls `worker_started` at most once and `worker_ended` exactly once
after that; a request that will never be fulfilled ends in `request_failed`. All callbacks come on the
JobManager's event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


@dataclass(frozen=True)
class WorkerSpec:
    """What a TaskManager needs.

    Attributes:
        memory_bytes: of the whole TaskManager (taskmanager.memory.process.size).
        cores: virtual cores.
        slots: number of slots it will offer.
    """

    memory_bytes: int
    cores: int
    slots: int


class FinalStatus(Enum):
    """How an application ends, as YARN shows it."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class DriverListener(Protocol):
    """What the ResourceManager wants to hear."""

    def worker_started(self, request_id: str | None, worker_id: str) -> None:
        """A worker is starting for a request (None: one that was pre-requested at submission)."""

    def worker_ended(self, worker_id: str, diagnostics: str) -> None:
        """A worker's process or container is gone. `diagnostics`: exit code or message, node, log place."""

    def request_failed(self, request_id: str, diagnostics: str) -> None:
        """A request can never be fulfilled, for example because it exceeds the scheduler's maximum."""

    def fatal(self, diagnostics: str) -> None:
        """The driver cannot go on (connection to YARN lost for good): the JobManager ends."""


class ResourceDriver(Protocol):
    """Gets and returns workers."""

    async def start(self, listener: DriverListener) -> None:
        """Begin; callbacks may come from now on."""

    def request_worker(self, request_id: str, spec: WorkerSpec) -> None:
        """Ask for one more worker. Returns at once."""

    def cancel_request(self, request_id: str) -> None:
        """The worker is not needed any more, if it has not started."""

    def release_worker(self, worker_id: str) -> None:
        """Stop a worker; `worker_ended` follows."""

    async def close(self, status: FinalStatus, diagnostics: str) -> None:
        """End everything and report how it went."""
