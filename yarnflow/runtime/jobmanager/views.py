"""What the JobManager shows: the frozen records that REST, the command line and tests read.

Made by the machines (job_views, slot_manager_machine) on demand; nothing here refers to live state, so a
view can be kept, compared and sent anywhere. Times are seconds since the epoch (float), 0.0 for "not yet";
the REST layer turns them into Flink's milliseconds. User values stay pickled bytes (see messages).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from yarnflow.graph.job_graph import OperatorInfo
from yarnflow.runtime.rpc.messages import TaskFailure, TaskMetrics
from yarnflow.runtime.states import ExecutionState, JobStatus

# -- jobs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttemptView:
    """One attempt of one subtask.

    Attributes:
        execution_id: unique for this attempt.
        attempt: 0 for the first.
        taskmanager_id: where it runs or ran; "" before it has a slot.
        host: of that TaskManager.
        slot_index: slot on that TaskManager; -1 before it has one.
        timestamps: when each state was entered.
        failure: why it failed, if it did.
    """

    execution_id: str
    attempt: int
    state: ExecutionState
    taskmanager_id: str = ""
    host: str = ""
    slot_index: int = -1
    timestamps: dict[ExecutionState, float] = field(default_factory=dict)
    metrics: TaskMetrics = field(default_factory=TaskMetrics)
    failure: TaskFailure | None = None

    @property
    def start_time(self) -> float:
        """When it was deployed; 0.0 if it was not."""
        return self.timestamps.get(ExecutionState.DEPLOYING, 0.0)

    @property
    def end_time(self) -> float:
        """When it reached its terminal state; 0.0 while it has none."""
        return self.timestamps[self.state] if self.state.terminal else 0.0


@dataclass(frozen=True)
class SubtaskView:
    """One subtask: its current attempt and the earlier ones, newest first (bounded)."""

    index: int
    current: AttemptView
    earlier: tuple[AttemptView, ...] = ()


@dataclass(frozen=True)
class VertexView:
    """One vertex with its subtasks.

    Attributes:
        status: the state that stands for all subtasks, as Flink shows it.
        task_counts: number of subtasks in each state (current attempts).
        metrics: summed over current attempts.
    """

    vertex_id: str
    name: str
    parallelism: int
    max_parallelism: int
    slot_sharing_group: str
    operators: tuple[OperatorInfo, ...]
    status: ExecutionState
    start_time: float
    end_time: float
    task_counts: dict[ExecutionState, int]
    metrics: TaskMetrics
    subtasks: tuple[SubtaskView, ...]


@dataclass(frozen=True)
class ExceptionView:
    """One entry of the exception history: a failure and what failed along with it.

    Attributes:
        failure: the root cause: the first failure that is not just the echo of a lost peer.
        vertex_name: of the failed subtask; "" for a failure of the whole job (no slots, for example).
        subtask_index: 0-based; -1 for a failure of the whole job.
        concurrent: further failures while the same region was being cancelled.
    """

    timestamp: float
    failure: TaskFailure
    vertex_name: str = ""
    subtask_index: int = -1
    attempt: int = 0
    execution_id: str = ""
    taskmanager_id: str = ""
    host: str = ""
    concurrent: tuple[ExceptionView, ...] = ()


@dataclass(frozen=True)
class JobOverview:
    """One line per job.

    Attributes:
        end_time: 0.0 while the job runs.
        last_modification: the newest state change of the job or any of its executions.
        task_counts: number of subtasks in each state (current attempts).
    """

    job_id: str
    name: str
    status: JobStatus
    start_time: float
    end_time: float
    last_modification: float
    task_counts: dict[ExecutionState, int]


@dataclass(frozen=True)
class JobDetail:
    """Everything about one job.

    Attributes:
        timestamps: when each job state was (last) entered.
        exceptions: newest first, bounded; the first is the root cause of a failed job.
        accumulators: pickled {name: value} of each subtask that has ended (current attempts); see
            runtime.accumulators for reading and merging them.
        transitions: bounded log of what happened and why, oldest first: (time, what, cause).
        plan: the JSON plan as submitted.
        config: the job's own configuration (raw strings).
        restart_count: failovers so far.
        restarts: the newest notices, oldest first: (number of the restart, why it was).
        slots_needed: slots the job asks for.
        slots_assigned: slots it has.
    """

    overview: JobOverview
    timestamps: dict[JobStatus, float]
    vertices: tuple[VertexView, ...]
    exceptions: tuple[ExceptionView, ...]
    accumulators: tuple[bytes, ...] = field(repr=False)
    transitions: tuple[tuple[float, str, str], ...]
    plan: dict[str, Any] = field(repr=False)
    config: dict[str, str] = field(repr=False)
    restart_strategy: str = ""
    restart_count: int = 0
    restarts: tuple[tuple[int, str], ...] = ()
    slots_needed: int = 0
    slots_assigned: int = 0


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    Attributes:
        status: FINISHED, FAILED or CANCELED.
        net_runtime: seconds from CREATED to the end.
        accumulators: as in JobDetail.
        root_cause: of a FAILED job.
    """

    job_id: str
    name: str
    status: JobStatus
    net_runtime: float
    accumulators: tuple[bytes, ...] = field(default=(), repr=False)
    root_cause: ExceptionView | None = None


@dataclass(frozen=True)
class CollectedPage:
    """Answer to one fetch of execute_and_collect results.

    Attributes:
        token: pass it to the next fetch; that acknowledges everything in this page.
        batches: pickled lists of records, in order within one subtask; may be empty.
        ended: no more will come: the job has ended and everything was handed out. Ask `result` how.
    """

    token: int
    batches: tuple[bytes, ...] = field(repr=False)
    ended: bool = False


# -- the cluster -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClusterOverview:
    """Totals, as in Flink's /overview.

    Attributes:
        workers_pending: TaskManagers requested from the driver that have not registered yet.
        jobs: number of jobs in each state (archived ones included).
    """

    taskmanagers: int
    slots_total: int
    slots_available: int
    workers_pending: int
    jobs: dict[JobStatus, int]
    version: str
    start_time: float


@dataclass(frozen=True)
class SlotView:
    """One slot. `state` is FREE, PENDING (its worker process is being prepared) or ALLOCATED."""

    index: int
    state: str
    allocation_id: str = ""
    job_id: str = ""


@dataclass(frozen=True)
class TaskManagerView:
    """One registered TaskManager.

    Attributes:
        address: of its RPC peer ("host:port" as seen by the JobManager, or "in-process").
        registered_at: seconds since the epoch.
        last_heartbeat: likewise.
        memory_used: bytes, of the supervisor and its workers, from the newest heartbeat.
    """

    taskmanager_id: str
    host: str
    address: str
    pid: int
    cores: int
    memory_bytes: int
    memory_used: int
    registered_at: float
    last_heartbeat: float
    log_directory: str
    slots: tuple[SlotView, ...]

    @property
    def slots_free(self) -> int:
        """Slots that no job holds."""
        return sum(slot.state == "FREE" for slot in self.slots)


@dataclass(frozen=True)
class LogFile:
    """A log file's name (without folder), size in bytes and time of the last change."""

    name: str
    size: int
    modified: float = 0.0
