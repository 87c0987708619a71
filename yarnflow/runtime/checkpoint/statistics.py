"""What is shown of a job's checkpoints: counts, the newest of each kind, a bounded history."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum

from yarnflow.runtime.rpc.checkpoint_messages import CheckpointTimes

#: A subtask: vertex id and index.
TaskKey = tuple[str, int]


class CheckpointStatus(Enum):
    """How far a checkpoint has come."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class SubtaskRecord:
    """What one subtask reported. `acknowledged`: seconds since the epoch."""

    acknowledged: float
    times: CheckpointTimes
    ended: bool


@dataclass(frozen=True)
class CheckpointRecord:
    """One checkpoint or savepoint. Times in seconds since the epoch, sizes in bytes.

    Attributes:
        tasks: subtasks per vertex that take part.
        size: of all state, 0 until known.
        uploaded: written for this checkpoint alone.
        path: of what was published, "" for none.
        discarded: it was deleted or given up.
    """

    checkpoint_id: int
    status: CheckpointStatus
    savepoint: bool
    unaligned: bool
    triggered: float
    tasks: dict[str, int]
    subtasks: dict[TaskKey, SubtaskRecord] = field(default_factory=dict)
    ended: float = 0.0
    size: int = 0
    uploaded: int = 0
    path: str = ""
    failure: str = ""
    discarded: bool = False

    @property
    def latest_acknowledgement(self) -> float:
        """0.0 before the first."""
        return max((each.acknowledged for each in self.subtasks.values()), default=0.0)


@dataclass(frozen=True)
class RestoredRecord:
    """What the job was last restored from, and when."""

    checkpoint_id: int
    time: float
    savepoint: bool
    path: str


@dataclass(frozen=True)
class CheckpointsView:
    """Everything about a job's checkpoints; `history` is newest first."""

    restored_count: int
    completed_count: int
    failed_count: int
    history: tuple[CheckpointRecord, ...]
    latest_completed: CheckpointRecord | None
    latest_savepoint: CheckpointRecord | None
    latest_failed: CheckpointRecord | None
    restored: RestoredRecord | None

    @property
    def in_progress_count(self) -> int:
        """Those under way."""
        return sum(record.status is CheckpointStatus.IN_PROGRESS for record in self.history)

    def find(self, checkpoint_id: int) -> CheckpointRecord | None:
        """The checkpoint of that id, as long as it is remembered."""
        records = (*self.history, self.latest_completed, self.latest_savepoint, self.latest_failed)
        return next((each for each in records if each is not None and each.checkpoint_id == checkpoint_id), None)


class CheckpointStatistics:
    """Collects the records.

    Args:
        history: how many ended ones are remembered.
    """

    def __init__(self, history: int) -> None:
        self._running: dict[int, CheckpointRecord] = {}
        self._ended: deque[CheckpointRecord] = deque(maxlen=history)
        self._latest: dict[str, CheckpointRecord] = {}
        self._completed = 0
        self._failed = 0
        self._restored = 0
        self._restored_from: RestoredRecord | None = None

    def started(self, record: CheckpointRecord) -> None:
        """A checkpoint was begun."""
        self._running[record.checkpoint_id] = record

    def acknowledged(self, checkpoint_id: int, key: TaskKey, subtask: SubtaskRecord) -> None:
        """A subtask has stored its part."""
        record = self._running[checkpoint_id]
        record.subtasks[key] = subtask
        self._running[checkpoint_id] = replace(
            record,
            size=record.size + subtask.times.size,
            uploaded=record.uploaded + subtask.times.uploaded,
        )

    def completed(self, checkpoint_id: int, now: float, size: int, path: str) -> None:
        """It is published."""
        record = replace(
            self._running.pop(checkpoint_id),
            status=CheckpointStatus.COMPLETED,
            ended=now,
            size=size,
            path=path,
        )
        self._completed += 1
        self._ended.appendleft(record)
        self._latest["savepoint" if record.savepoint else "completed"] = record

    def failed(self, checkpoint_id: int, now: float, reason: str) -> None:
        """It was given up."""
        record = replace(
            self._running.pop(checkpoint_id), status=CheckpointStatus.FAILED, ended=now, failure=reason
        )
        self._failed += 1
        self._ended.appendleft(record)
        self._latest["failed"] = record

    def discarded(self, checkpoint_id: int) -> None:
        """It is no longer there to restore from."""
        for position, record in enumerate(self._ended):
            if record.checkpoint_id == checkpoint_id:
                self._ended[position] = replace(record, discarded=True)
        for kind, record in self._latest.items():
            if record.checkpoint_id == checkpoint_id:
                self._latest[kind] = replace(record, discarded=True)

    def restored(self, record: RestoredRecord) -> None:
        """Tasks start from a checkpoint."""
        self._restored += 1
        self._restored_from = record

    def view(self) -> CheckpointsView:
        """What is known now."""
        running = sorted(self._running.values(), key=lambda record: -record.checkpoint_id)
        return CheckpointsView(
            restored_count=self._restored,
            completed_count=self._completed,
            failed_count=self._failed,
            history=(*running, *self._ended),
            latest_completed=self._latest.get("completed"),
            latest_savepoint=self._latest.get("savepoint"),
            latest_failed=self._latest.get("failed"),
            restored=self._restored_from,
        )
