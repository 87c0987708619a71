"""What can happen to a job, and what its job master wants done: the vocabulary of job_master_machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from yarnflow.runtime.jobmanager.execution_graph import GrantedSlot
from yarnflow.runtime.rpc.messages import TaskDeployment, TaskFailure, TaskMetrics
from yarnflow.runtime.states import ExecutionState, JobStatus

# -- events ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobMasterEvent:
    """Base of what can happen to a job."""


@dataclass(frozen=True)
class JobStarted(JobMasterEvent):
    """The job was accepted."""


@dataclass(frozen=True)
class SlotGranted(JobMasterEvent):
    """A slot is ready for this job."""

    slot: GrantedSlot


@dataclass(frozen=True)
class SlotsGone(JobMasterEvent):
    """Slots of this job were lost together (one worker, or a whole TaskManager), with the reason.

    May name a slot that was reserved but never granted: then its preparation failed."""

    allocation_ids: tuple[str, ...]
    failure: TaskFailure


@dataclass(frozen=True)
class ResourcesMissing(JobMasterEvent):
    """The slots that are still missing cannot be had (in time)."""

    explanation: str


@dataclass(frozen=True)
class ExecutionReported(JobMasterEvent):
    """A worker says that an execution moved on."""

    execution_id: str
    state: ExecutionState
    failure: TaskFailure | None = None
    metrics: TaskMetrics = field(default_factory=TaskMetrics)
    accumulators: bytes = b""


@dataclass(frozen=True)
class MetricsReported(JobMasterEvent):
    """Newest counters by execution id."""

    metrics: dict[str, TaskMetrics]


@dataclass(frozen=True)
class CancelRequested(JobMasterEvent):
    """Somebody wants the job to end."""


@dataclass(frozen=True)
class JobBroken(JobMasterEvent):
    """The job cannot go on for a reason outside its tasks (too many checkpoints failed, its results cannot be
    delivered exactly once). It restarts as a whole when the failure is retryable and the strategy allows."""

    failure: TaskFailure


@dataclass(frozen=True)
class WakeUp(JobMasterEvent):
    """A moment asked for by WakeAt has come."""


# -- effects ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobMasterEffect:
    """Base of what the shell shall do."""


@dataclass(frozen=True)
class StatusMoved(JobMasterEffect):
    """The job has entered a state: news for the coordinator of its checkpoints."""

    status: JobStatus


@dataclass(frozen=True)
class ExecutionMoved(JobMasterEffect):
    """The current attempt of a subtask has entered a state: likewise."""

    vertex_id: str
    subtask_index: int
    execution_id: str
    state: ExecutionState


@dataclass(frozen=True)
class DeclareSlots(JobMasterEffect):
    """The job needs so many slots from now on, counting those it has. Repeating it starts the time
    allowed for getting them anew."""

    count: int


@dataclass(frozen=True)
class ReturnSlot(JobMasterEffect):
    """The job is done with this slot."""

    allocation_id: str


@dataclass(frozen=True)
class Deploy(JobMasterEffect):
    """Send the attempt to its worker."""

    slot: GrantedSlot
    deployment: TaskDeployment


@dataclass(frozen=True)
class CancelExecution(JobMasterEffect):
    """Tell the worker to stop the attempt."""

    slot: GrantedSlot
    execution_id: str


@dataclass(frozen=True)
class ForgetResults(JobMasterEffect):
    """These attempts will never be continued: what they collected for the client must not be mixed with what
    their successors send."""

    execution_ids: tuple[str, ...]


@dataclass(frozen=True)
class WakeAt(JobMasterEffect):
    """Send WakeUp at this time."""

    time: float


@dataclass(frozen=True)
class JobEnded(JobMasterEffect):
    """The job has reached a terminal state and holds nothing any more."""

    status: JobStatus
