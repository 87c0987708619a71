"""What can happen to slots and workers, and what the slot manager wants done: the vocabulary of
slot_manager_machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from yarnflow.graph.job_graph import Artifact
from yarnflow.runtime.jobmanager.execution_graph import GrantedSlot
from yarnflow.runtime.rpc.messages import DataAddress, RegisterTaskManager, ReserveSlot, TaskFailure

# -- events ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SlotManagerEvent:
    """Base of what can happen to slots and workers."""


@dataclass(frozen=True)
class SlotsDeclared(SlotManagerEvent):
    """A job needs so many slots in total (0: none any more); starts its slot.request.timeout anew."""

    job_id: str
    job_name: str
    count: int
    artifacts: tuple[Artifact, ...] = ()
    config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SlotReturned(SlotManagerEvent):
    """A job is done with a slot."""

    allocation_id: str


@dataclass(frozen=True)
class TaskManagerRegistered(SlotManagerEvent):
    """A TaskManager has come. One that is known already has lost what it ran."""

    info: RegisterTaskManager


@dataclass(frozen=True)
class TaskManagerLost(SlotManagerEvent):
    """The connection broke, the heartbeat timed out, or it said goodbye."""

    taskmanager_id: str
    reason: str


@dataclass(frozen=True)
class SlotPrepared(SlotManagerEvent):
    """The slot's worker process is ready."""

    taskmanager_id: str
    slot_index: int
    allocation_id: str
    address: DataAddress


@dataclass(frozen=True)
class SlotFailed(SlotManagerEvent):
    """The slot's worker process ended or could not be prepared; the supervisor replaces it."""

    taskmanager_id: str
    allocation_id: str
    failure: TaskFailure


@dataclass(frozen=True)
class WorkerStarted(SlotManagerEvent):
    """The driver started a worker (request_id None: pre-requested at submission)."""

    request_id: str | None
    worker_id: str


@dataclass(frozen=True)
class WorkerEnded(SlotManagerEvent):
    """A worker's container or process is gone."""

    worker_id: str
    diagnostics: str


@dataclass(frozen=True)
class RequestFailed(SlotManagerEvent):
    """The driver can never fulfil this request."""

    request_id: str
    diagnostics: str


@dataclass(frozen=True)
class Tick(SlotManagerEvent):
    """A moment asked for by WakeAt has come."""


# -- effects ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SlotManagerEffect:
    """Base of what the shell shall do."""


@dataclass(frozen=True)
class Reserve(SlotManagerEffect):
    """Tell the TaskManager to prepare a slot."""

    taskmanager_id: str
    message: ReserveSlot


@dataclass(frozen=True)
class Free(SlotManagerEffect):
    """Tell the TaskManager that a slot is free."""

    taskmanager_id: str
    slot_index: int
    allocation_id: str


@dataclass(frozen=True)
class Grant(SlotManagerEffect):
    """Give a ready slot to the job."""

    job_id: str
    slot: GrantedSlot


@dataclass(frozen=True)
class TellSlotsGone(SlotManagerEffect):
    """The job has lost these slots."""

    job_id: str
    allocation_ids: tuple[str, ...]
    failure: TaskFailure


@dataclass(frozen=True)
class TellResourcesMissing(SlotManagerEffect):
    """The job cannot have its missing slots."""

    job_id: str
    explanation: str


@dataclass(frozen=True)
class RequestWorker(SlotManagerEffect):
    """Ask the driver for a worker."""

    request_id: str


@dataclass(frozen=True)
class CancelRequest(SlotManagerEffect):
    """Tell the driver that a request is not needed any more."""

    request_id: str


@dataclass(frozen=True)
class ReleaseWorker(SlotManagerEffect):
    """Give a worker back to the driver."""

    worker_id: str
    reason: str


@dataclass(frozen=True)
class RefuseTaskManager(SlotManagerEffect):
    """Do not let it in."""

    taskmanager_id: str
    reason: str


@dataclass(frozen=True)
class WakeAt(SlotManagerEffect):
    """Send Tick at this time."""

    time: float
