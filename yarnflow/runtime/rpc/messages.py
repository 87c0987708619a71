"""Everything that JobManager, TaskManager (supervisor) and slot worker say to each other.

    JobManager  <-- authenticated channel (rpc) -->  supervisor  <-- socket pair -->  slot worker

Frozen records of plain data; user code and user values appear only as bytes that just a worker (or the
client) opens. The channel adds the leader's epoch to every message and refuses stale ones, so handlers
never see them. A message that the supervisor passes on unchanged is used on both legs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from yarnflow.graph.job_graph import Artifact, Exchange, Partitioning
from yarnflow.runtime.checkpoint.handles import CheckpointPlan, TaskRestore
from yarnflow.runtime.states import ExecutionState


@dataclass(frozen=True)
class Message:
    """Base of all messages."""


# -- what is deployed ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DataAddress:
    """Where a slot worker accepts data connections.

    Attributes:
        host: name or address that other hosts can reach.
        port: TCP port.
        socket_path: Unix socket of the same listener, for workers on the same machine; "" if none.
        machine_id: equal for workers that can use each other's Unix sockets.
    """

    host: str
    port: int
    socket_path: str
    machine_id: str


@dataclass(frozen=True)
class Channel:
    """One producer subtask feeding one consumer subtask.

    Attributes:
        channel_id: unique for this pair of attempts: "<edge>:<producer execution>:<consumer execution>".
        peer: address of the worker at the other end.
        peer_subtask: the subtask index at the other end.
    """

    channel_id: str
    peer: DataAddress
    peer_subtask: int


@dataclass(frozen=True)
class InputGate:
    """All channels of one edge into a subtask; its data arrives at `input_index` of the head operator."""

    edge_id: int
    input_index: int
    partitioning: Partitioning
    exchange: Exchange
    channels: tuple[Channel, ...]


@dataclass(frozen=True)
class ResultPartition:
    """All channels of one edge out of a subtask, by consumer subtask index.

    `max_parallelism` is the consumer's number of key groups; 0 stands for the producer's own.
    """

    edge_id: int
    partitioning: Partitioning
    exchange: Exchange
    channels: tuple[Channel, ...]
    max_parallelism: int = 0


@dataclass(frozen=True)
class TaskDeployment:
    """One attempt of one subtask.

    Attributes:
        execution_id: unique for this attempt.
        vertex_name: as shown; `subtask_index` is 0-based.
        attempt: 0 for the first.
        code: cloudpickle of graph.operators.OperatorChain.
        config: the job's effective configuration (raw strings).
        restore: the state to start from, or None.
        checkpoints: where and how checkpoints of this job are written; None when none can be taken.
    """

    job_id: str
    job_name: str
    vertex_id: str
    vertex_name: str
    execution_id: str
    subtask_index: int
    parallelism: int
    max_parallelism: int
    attempt: int
    code: bytes = field(repr=False)
    inputs: tuple[InputGate, ...] = ()
    outputs: tuple[ResultPartition, ...] = ()
    config: dict[str, str] = field(default_factory=dict)
    restore: TaskRestore | None = None
    checkpoints: CheckpointPlan | None = None


@dataclass(frozen=True)
class TaskFailure:
    """Why an execution failed, fit to be shown to the user.

    Attributes:
        message: one line: exception class and text.
        traceback: the user's own frames first to last, without the runtime's, ending in `message`.
        operator_name: the operator whose code raised, or "" when the runtime itself failed.
        log_tail: last lines of the worker's log.
        retryable: False when a restart cannot help (code that cannot be loaded).
        where: "taskmanager id @ host, slot n", filled in by the supervisor.
        secondary: True when this only follows from the loss of a peer (a connection broke); the peer's own
            failure is then shown as the cause.
    """

    message: str
    traceback: str
    operator_name: str = ""
    log_tail: str = ""
    retryable: bool = True
    where: str = ""
    secondary: bool = False


@dataclass(frozen=True)
class TaskMetrics:
    """Counters of one execution since it started; times in ms."""

    records_in: int = 0
    records_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    busy_ms: int = 0
    idle_ms: int = 0
    backpressured_ms: int = 0


# -- registration and heartbeats -------------------------------------------------------------------------


@dataclass(frozen=True)
class RegisterTaskManager(Message):
    """First message of a TaskManager.

    Attributes:
        taskmanager_id: the driver's worker id (a container id on YARN), or a generated one.
        host: as shown to people.
        pid: of the supervisor.
        slots: number of slots.
        memory_bytes: of the whole TaskManager.
        cores: CPUs that the host has.
        log_directory: where its logs are.
    """

    taskmanager_id: str
    host: str
    pid: int
    slots: int
    memory_bytes: int
    cores: int
    log_directory: str


@dataclass(frozen=True)
class Registered(Message):
    """Accepted. The TaskManager gives its JobManager up after `heartbeat_timeout` seconds of silence."""

    heartbeat_timeout: float


@dataclass(frozen=True)
class RegistrationRefused(Message):
    """Not accepted; the TaskManager ends itself with this reason."""

    reason: str


@dataclass(frozen=True)
class Heartbeat(Message):
    """JobManager to TaskManager."""


@dataclass(frozen=True)
class HeartbeatReply(Message):
    """TaskManager to JobManager: alive, with the newest counters by execution id, memory in bytes."""

    metrics: dict[str, TaskMetrics]
    memory_used: int


@dataclass(frozen=True)
class Disconnect(Message):
    """Either side ends the connection on purpose; a TaskManager that gets it stops all tasks and exits
    when `exit` is true, else tries to register anew."""

    reason: str
    exit: bool = False


# -- slots -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReserveSlot(Message):
    """Give slot `slot_index` to a job. The supervisor makes the job's artifacts available and answers
    with SlotReserved when a fresh worker process can run its tasks, or SlotLost."""

    slot_index: int
    allocation_id: str
    job_id: str
    artifacts: tuple[Artifact, ...]
    config: dict[str, str]


@dataclass(frozen=True)
class SlotReserved(Message):
    """The slot's worker process is up."""

    slot_index: int
    allocation_id: str
    address: DataAddress


@dataclass(frozen=True)
class FreeSlot(Message):
    """The job is done with the slot: its worker process is replaced by a fresh one."""

    slot_index: int
    allocation_id: str


@dataclass(frozen=True)
class SlotLost(Message):
    """The slot's worker process ended or could not be prepared; every execution in it has failed.

    `failure.message` says how (exit code, signal, artifact that could not be fetched)."""

    slot_index: int
    allocation_id: str
    failure: TaskFailure


# -- tasks -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeployTask(Message):
    """Run this attempt in the allocated slot."""

    allocation_id: str
    deployment: TaskDeployment


@dataclass(frozen=True)
class CancelTask(Message):
    """Stop an execution; answered by TaskStateChanged CANCELED (or what it reached before)."""

    execution_id: str


@dataclass(frozen=True)
class TaskStateChanged(Message):
    """An execution moved on. `accumulators` (cloudpickle of {name: value}) on terminal states."""

    execution_id: str
    state: ExecutionState
    failure: TaskFailure | None = None
    metrics: TaskMetrics = field(default_factory=TaskMetrics)
    accumulators: bytes = b""


@dataclass(frozen=True)
class CollectedRows(Message):
    """Records for the client that called execute_and_collect: `rows` is a pickled list.

    `sequence` counts up from 0 in one execution; a worker keeps at most a few unacknowledged. `checkpoint_id` is
    the last barrier that passed before these records, 0 for none (of the restored checkpoint after a restore).
    """

    job_id: str
    collect_id: str
    execution_id: str
    sequence: int
    rows: bytes = field(repr=False)
    checkpoint_id: int = 0


@dataclass(frozen=True)
class CollectAcknowledged(Message):
    """The client has taken everything up to and including `sequence`."""

    execution_id: str
    sequence: int


@dataclass(frozen=True)
class TasksReport(Message):
    """Worker to supervisor, every second: newest counters by execution id."""

    metrics: dict[str, TaskMetrics]


# -- logs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ListLogs(Message):
    """Ask for the names and sizes of a TaskManager's log files."""

    request_id: int


@dataclass(frozen=True)
class LogList(Message):
    """Answer: (name, bytes) pairs."""

    request_id: int
    files: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class FetchLog(Message):
    """Ask for up to `length` bytes of a log file from `offset` (negative: from the end)."""

    request_id: int
    name: str
    offset: int
    length: int


@dataclass(frozen=True)
class LogChunk(Message):
    """Answer: `data` b"" with `error` "" is the end."""

    request_id: int
    data: bytes
    error: str = ""


# -- supervisor and worker -------------------------------------------------------------------------------


@dataclass(frozen=True)
class WorkerSetup(Message):
    """First message to a fresh worker process, over the socket pair it inherits.

    Attributes:
        secret: proves to other workers that this one belongs to the cluster. Never shown.
        host: address to bind and to advertise.
        data_port_range: "0" for any, "50100-50200", or one port.
        socket_directory: private folder for the Unix socket.
    """

    secret: bytes = field(repr=False)
    host: str
    data_port_range: str
    socket_directory: str
    machine_id: str
    taskmanager_id: str
    slot_index: int
    config: dict[str, str]


@dataclass(frozen=True)
class WorkerReady(Message):
    """The worker listens here and can take a job."""

    address: DataAddress
    pid: int


@dataclass(frozen=True)
class PrepareJob(Message):
    """The worker's one job: extend sys.path, change into its folder. Sent before any DeployTask."""

    job_id: str
    python_path: tuple[str, ...]
    working_directory: str
    config: dict[str, str]


@dataclass(frozen=True)
class WorkerExit(Message):
    """End the worker process."""
