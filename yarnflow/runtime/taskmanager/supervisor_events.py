"""What can happen in a TaskManager, and what its supervisor shall do: the vocabulary of supervisor_machine."""

from __future__ import annotations

from dataclasses import dataclass

from yarnflow.runtime.rpc.checkpoint_messages import (
    CheckpointAborted,
    CheckpointAcknowledged,
    CheckpointCompleted,
    CheckpointDeclined,
    InputEnded,
    TriggerCheckpoint,
    WatermarkLimit,
    WatermarkReported,
)
from yarnflow.runtime.rpc.messages import CollectAcknowledged, CollectedRows, Message, ReserveSlot, TaskFailure

#: What passes between the JobManager and a task as it is.
FOR_TASKS = (CollectAcknowledged, TriggerCheckpoint, CheckpointCompleted, CheckpointAborted, WatermarkLimit)
OF_TASKS = (CollectedRows, CheckpointAcknowledged, CheckpointDeclined, InputEnded, WatermarkReported)

# -- events ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SupervisorEvent:
    """Base of what can happen in a TaskManager."""


@dataclass(frozen=True)
class Begin(SupervisorEvent):
    """The supervisor starts: workers may be started."""


@dataclass(frozen=True)
class JobManagerSaid(SupervisorEvent):
    """A message about slots or tasks."""

    message: Message


@dataclass(frozen=True)
class JobManagerLost(SupervisorEvent):
    """No leader any more: everything that runs is stopped."""

    reason: str


@dataclass(frozen=True)
class WorkerSaid(SupervisorEvent):
    """A message of a worker process."""

    slot_index: int
    generation: int
    message: Message


@dataclass(frozen=True)
class WorkerEnded(SupervisorEvent):
    """A worker process is gone. `how`: "exited with code 1", "was killed by signal 9 ..."."""

    slot_index: int
    generation: int
    how: str
    log_tail: str


@dataclass(frozen=True)
class JobLayout:
    """Where a job's files are on this machine.

    Attributes:
        python_path: goes in front of sys.path.
        working_directory: of the workers.
        executable: interpreter that the job wants, "" for the default one.
    """

    python_path: tuple[str, ...]
    working_directory: str
    executable: str = ""


@dataclass(frozen=True)
class FilesReady(SupervisorEvent):
    """The job's files are in place."""

    slot_index: int
    allocation_id: str
    layout: JobLayout


@dataclass(frozen=True)
class FilesFailed(SupervisorEvent):
    """The job's files cannot be put in place."""

    slot_index: int
    allocation_id: str
    failure: TaskFailure


@dataclass(frozen=True)
class Tick(SupervisorEvent):
    """A moment asked for by WakeAt has come."""


# -- effects ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SupervisorEffect:
    """Base of what the shell shall do."""


@dataclass(frozen=True)
class StartWorker(SupervisorEffect):
    """Spawn a worker process. `executable`: "" for the default interpreter."""

    slot_index: int
    generation: int
    executable: str


@dataclass(frozen=True)
class StopWorker(SupervisorEffect):
    """End a worker process: at once (SIGKILL), or politely and by force after a moment."""

    slot_index: int
    generation: int
    at_once: bool


@dataclass(frozen=True)
class ToWorker(SupervisorEffect):
    """Send a message to the slot's worker."""

    slot_index: int
    message: Message


@dataclass(frozen=True)
class ToJobManager(SupervisorEffect):
    """Send a message to the leader."""

    message: Message


@dataclass(frozen=True)
class PrepareFiles(SupervisorEffect):
    """Fetch and unpack what the job ships; answer with FilesReady or FilesFailed."""

    reservation: ReserveSlot


@dataclass(frozen=True)
class ReleaseFiles(SupervisorEffect):
    """No slot here serves this job any more."""

    job_id: str


@dataclass(frozen=True)
class WakeAt(SupervisorEffect):
    """Send Tick at this time."""

    time: float
