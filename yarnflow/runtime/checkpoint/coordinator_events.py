"""What can happen to a job's checkpoints, and what their coordinator wants done: the vocabulary of
coordinator_machine. Messages of tasks (rpc/checkpoint_messages.py) are events, too."""

from __future__ import annotations

from dataclasses import dataclass

from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint
from yarnflow.runtime.rpc.checkpoint_messages import StopMode
from yarnflow.runtime.rpc.messages import Message
from yarnflow.runtime.states import ExecutionState, JobStatus

# -- events ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CoordinatorEvent:
    """Base of what can happen to checkpoints."""


@dataclass(frozen=True)
class TaskMoved(CoordinatorEvent):
    """The current attempt of a subtask has entered a state."""

    vertex_id: str
    index: int
    execution_id: str
    state: ExecutionState


@dataclass(frozen=True)
class JobMoved(CoordinatorEvent):
    """The job has entered a state."""

    status: JobStatus


@dataclass(frozen=True)
class TimePassed(CoordinatorEvent):
    """A moment asked for by WakeAt has come."""


@dataclass(frozen=True)
class SnapshotRequested(CoordinatorEvent):
    """Somebody wants a checkpoint or savepoint now.

    Attributes:
        request_id: under which its outcome is asked for.
        savepoint: else a checkpoint.
        directory: URI of the savepoint's own directory; "" for a checkpoint.
        stop: whether the job ends with it.
        cancel: cancel the job when the savepoint is there.
    """

    request_id: str
    savepoint: bool
    directory: str = ""
    stop: StopMode = StopMode.NO
    cancel: bool = False


@dataclass(frozen=True)
class DirectoryMade(CoordinatorEvent):
    """Tasks may write."""

    checkpoint_id: int


@dataclass(frozen=True)
class Published(CoordinatorEvent):
    """The metadata is stored. `checkpoint`: as it stands there."""

    checkpoint: CompletedCheckpoint


@dataclass(frozen=True)
class StorageFailed(CoordinatorEvent):
    """The directory could not be made, or the metadata not be written."""

    checkpoint_id: int
    reason: str


@dataclass(frozen=True)
class RestoreFailed(CoordinatorEvent):
    """An attempt could not read the state it was given: a file is missing or damaged."""

    execution_id: str
    reason: str


# -- effects ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CoordinatorEffect:
    """Base of what the shell shall do."""


@dataclass(frozen=True)
class MakeDirectory(CoordinatorEffect):
    """Make a directory; answered by DirectoryMade or StorageFailed."""

    checkpoint_id: int
    directory: str


@dataclass(frozen=True)
class Publish(CoordinatorEffect):
    """Write the metadata; answered by Published or StorageFailed. Files of a savepoint that lie elsewhere are
    copied into its directory first, so that it can be moved."""

    checkpoint: CompletedCheckpoint


@dataclass(frozen=True)
class Delete(CoordinatorEffect):
    """Delete directories with all they hold, and files. Failures are only logged."""

    directories: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class SendToTask(CoordinatorEffect):
    """Send to the worker that runs an attempt."""

    execution_id: str
    message: Message


@dataclass(frozen=True)
class WakeAt(CoordinatorEffect):
    """Send TimePassed at this time."""

    time: float


@dataclass(frozen=True)
class CheckpointDone(CoordinatorEffect):
    """A checkpoint is complete: what was collected before its barriers can never be taken back."""

    checkpoint_id: int


@dataclass(frozen=True)
class FailJob(CoordinatorEffect):
    """The job shall fail over as a whole, if its restart strategy allows; without `retryable` it ends."""

    reason: str
    retryable: bool = True


@dataclass(frozen=True)
class CancelJob(CoordinatorEffect):
    """The savepoint is there: cancel the job."""


@dataclass(frozen=True)
class Note(CoordinatorEffect):
    """Something for the job's log of transitions."""

    what: str
    cause: str
