"""What JobManager and tasks say to each other about checkpoints and event time; see messages.py.

TriggerCheckpoint --> sources --barriers--> all tasks --> CheckpointAcknowledged | CheckpointDeclined
all acknowledged, metadata published: CheckpointCompleted --> all tasks        else: CheckpointAborted
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from yarnflow.runtime.checkpoint.handles import SubtaskState
from yarnflow.runtime.rpc.messages import Message


class StopMode(Enum):
    """Whether a savepoint ends the job."""

    #: It goes on.
    NO = "no"
    #: Sources stop; nothing is emitted that would not have been emitted anyway.
    SUSPEND = "suspend"
    #: As if the input had ended: all timers and windows fire.
    DRAIN = "drain"


@dataclass(frozen=True)
class TriggerCheckpoint(Message):
    """To a source task: store your state and send a barrier.

    Attributes:
        timestamp: ms since the epoch.
        directory: URI of this checkpoint's directory, exists already; "" when state must travel inline.
    """

    execution_id: str
    checkpoint_id: int
    timestamp: int
    directory: str
    savepoint: bool = False
    unaligned: bool = False
    stop: StopMode = StopMode.NO


@dataclass(frozen=True)
class CheckpointTimes:
    """How long the parts of a subtask's checkpoint took, in ms, and how much it stored, in bytes."""

    start_delay: int = 0
    alignment: int = 0
    synchronous: int = 0
    asynchronous: int = 0
    size: int = 0
    uploaded: int = 0
    in_flight: int = 0


@dataclass(frozen=True)
class CheckpointAcknowledged(Message):
    """From a task: its part is stored."""

    execution_id: str
    checkpoint_id: int
    state: SubtaskState
    times: CheckpointTimes = field(default_factory=CheckpointTimes)


@dataclass(frozen=True)
class CheckpointDeclined(Message):
    """From a task: its part could not be stored; the task goes on.

    Attributes:
        retryable: else the next one will not be stored, either, and a restart would not help.
        subsumed: nothing is wrong, a newer checkpoint has overtaken this one.
    """

    execution_id: str
    checkpoint_id: int
    reason: str
    retryable: bool = True
    subsumed: bool = False


@dataclass(frozen=True)
class CheckpointCompleted(Message):
    """To every task: all parts are stored and the checkpoint is published."""

    execution_id: str
    checkpoint_id: int


@dataclass(frozen=True)
class CheckpointAborted(Message):
    """To every task: this checkpoint will not complete. Stopped sources go on."""

    execution_id: str
    checkpoint_id: int
    reason: str


@dataclass(frozen=True)
class InputEnded(Message):
    """From a task: it has read all of its input and waits for a checkpoint that covers its end."""

    execution_id: str


@dataclass(frozen=True)
class WatermarkReported(Message):
    """From a task whose sources are aligned with others: where their event time stands (ms)."""

    execution_id: str
    group: str
    watermark: int
    max_drift_ms: int


@dataclass(frozen=True)
class WatermarkLimit(Message):
    """To such a task: splits whose event time is beyond `limit` (ms) wait."""

    execution_id: str
    group: str
    limit: int
