"""The head of a pipeline: reads the splits of a source that belong to this subtask."""

from __future__ import annotations

import logging
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from yarnflow.common.watermark_strategy import WatermarkAlignment
from yarnflow.errors import FileMissingError, ProgramError, RestoreError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.source import Availability, Source, Split, SplitReader
from yarnflow.graph.operators import Operator, SourceSpec
from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.keyed import shorten
from yarnflow.runtime.operators.pacing import Pacer
from yarnflow.runtime.operators.timestamps import assign, assigner_of, keeps_columns
from yarnflow.runtime.operators.watermarks import EventTime, InputTime
from yarnflow.runtime.rpc.checkpoint_messages import WatermarkReported
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot

log = logging.getLogger(__name__)

#: Name of the operator state.
STATE = "source"


@dataclass(frozen=True)
class SplitState:
    """Where a split stands.

    Attributes:
        split: the position.
        started: it is being read.
        watermark: its event time.
        rest: what was read before the position and has not been emitted: a RowBatch with its timestamps.
    """

    split: Split
    started: bool = False
    watermark: int = MIN_WATERMARK
    rest: Batch | None = None


@dataclass(frozen=True)
class SourceState:
    """What a subtask stores.

    Attributes:
        subtask: its index.
        splits: those that are not at their end.
        known: ids of all splits that this subtask has found, also of those that were read.
        source: class of the source, whose splits another one does not understand.
    """

    subtask: int
    splits: tuple[SplitState, ...]
    known: frozenset[str]
    source: str


def assigned_splits(source: Source, subtask_index: int, parallelism: int) -> list[Split]:
    """The splits of one subtask: every p-th from the i-th on.

    A source that looks for new splits may name more of them to a subtask that asks later, so positions
    would not agree between subtasks; there the split's id decides alone.
    """
    splits = source.splits(parallelism)
    if not isinstance(splits, Sequence):
        raise ProgramError(
            f"splits() of {type(source).__name__} returned {shorten(splits)}: it must return a list of splits"
        )
    if source.discovery_interval() is None:
        return list(splits[subtask_index::parallelism])
    return [split for split in splits if _belongs(split.split_id, subtask_index, parallelism)]


def dealt_splits(states: Sequence[SourceState], subtask_index: int, parallelism: int) -> list[SplitState]:
    """A subtask's share of stored splits: those that are being read are spread evenly, then the others."""
    found = [split for state in states for split in state.splits]
    found.sort(key=lambda state: (not state.started, state.split.split_id))
    return found[subtask_index::parallelism]


def _belongs(split_id: str, subtask_index: int, parallelism: int) -> bool:
    return zlib.crc32(split_id.encode()) % parallelism == subtask_index


class _Reading:
    """A split that is being read. `rest`: see SplitState; after a restore it is emitted before anything else."""

    def __init__(self, reader: SplitReader, split_id: str, time: InputTime, rest: Batch | None) -> None:
        self.reader = reader
        self.split_id = split_id
        self.time = time
        self.rest = rest


class SourceOperator(StreamOperator):
    """Polls split readers: bounded splits one after the other, unbounded ones in turns. Splits that were being
    read when the restored checkpoint was taken are all read in turns, so that none of them makes the others late.

    Instead of `process_batch` the task calls `poll`, which emits at most one batch, or a piece of one when what
    follows is slow. While `waiting`, the readers' positions are ahead of what was emitted.

    The stored splits are the truth: after a restore the source is asked for splits only where it looks for new
    ones.
    """

    def __init__(
        self, operator: Operator, context: OperatorContext, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(operator, context)
        spec = operator.spec
        assert isinstance(spec, SourceSpec)
        self._source = spec.source
        self._assigner = assigner_of(spec.watermarks)
        self._clock = clock
        self._pacer = Pacer(clock)
        self._time = EventTime(spec.watermarks, self, spec.final_only)
        self._alignment: WatermarkAlignment | None = None
        if not spec.final_only:
            self._alignment = getattr(spec.watermarks, "alignment", None)
        self._limit = MAX_WATERMARK
        self._reported: int | None = None
        self._next_report = 0
        self._waiting: deque[SplitState] = deque()
        self._readings: deque[_Reading] = deque()
        #: Whose batch the pacer has.
        self._pacing: _Reading | None = None
        self._known: set[str] = set()
        self._restored = False
        self._suspended = False
        self._discovery = self._source.discovery_interval()
        self._next_discovery = 0.0
        #: True when every split has been read to its end and no more can come.
        self.ended = False

    def restore(self, restored: RestoredOperator) -> None:
        if restored.restore is None:
            return  # the checkpoint does not know this source
        # A subtask that took no checkpoint after its end has stored nothing.
        states: list[Any] = restored.items(STATE, StateKind.UNION)
        other = next((state.source for state in states if state.source != type(self._source).__qualname__), None)
        if other is not None:
            raise RestoreError(
                f"the checkpoint has positions of a {other} for '{self.operator.name}', which now reads a "
                f"{type(self._source).__qualname__}: give the new source a uid of its own, and allow state that "
                "belongs to no operator (-n), or start without the checkpoint"
            )
        self._restored = True
        index, parallelism = self.context.subtask_index, self.context.parallelism
        if restored.rescaled:
            self._waiting.extend(dealt_splits(states, index, parallelism))
        else:
            # Its own: subtasks of other regions may not have been restarted, and go on with theirs.
            self._waiting.extend(split for state in states if state.subtask == index for split in state.splits)
        self._known = {name for state in states for name in state.known if _belongs(name, index, parallelism)}

    def open(self) -> None:
        if not self._restored:
            self._discover()
        self._start_waiting()

    def prefer_columns(self) -> None:
        """The consumer takes columns: a source that can emit them does, unless times are read from records."""
        if self._source.columnar and keeps_columns(self._assigner):
            self._source.emit_columns = True

    def poll(self) -> bool:
        """Emit the next batch if there is one. Returns whether anything happened."""
        if self._suspended or self.ended:
            return self.ended
        if self._pacer.waiting:
            self._pacer.go_on()
            return True
        if self._discovery is not None and self._clock() >= self._next_discovery:
            self._discover()
        self._start_waiting()
        limit = self._event_time_limit()
        for _ in range(len(self._readings)):
            reading = self._readings[0]
            if reading.time.current > limit:
                reading.time.quiet_since = None
                self._readings.rotate(-1)
                continue
            result: Batch | Availability
            if reading.rest is not None:
                result, reading.rest = reading.rest, None
                self._readings.rotate(-1)
                self._hand_on(reading, result)
                return True
            result = reading.reader.poll()
            if result is Availability.END_OF_SPLIT:
                self._readings.popleft()
                self._time.remove(reading.split_id)
                reading.reader.close()
                return True
            self._readings.rotate(-1)
            if isinstance(result, Availability):
                self._time.quiet(reading.time)
            elif not isinstance(result, (RowBatch, ColumnBatch)):
                raise ProgramError(
                    f"poll() of {type(reading.reader).__name__} returned {shorten(result)}: it must return a "
                    "RowBatch, a ColumnBatch or an Availability"
                )
            elif len(result):
                self._hand_on(reading, result if self._assigner is None else assign(self._assigner, result))
                return True
            else:
                return True
        if not self._readings and not self._waiting and self._discovery is None:
            self.end_now()
        return self.ended

    @property
    def waiting(self) -> bool:
        """There is more of a batch that was read."""
        return self._pacer.waiting and not self._suspended and not self.ended

    def filenos(self) -> list[int] | None:
        """Descriptors that become readable when there may be more; None when some reader has none and
        must be polled."""
        descriptors: list[int] = []
        if self._suspended:
            return descriptors
        limit = self._event_time_limit()
        for reading in self._readings:
            if reading.time.current > limit:
                continue
            descriptor = reading.reader.fileno()
            if descriptor is None:
                return None
            descriptors.append(descriptor)
        return descriptors

    def next_wakeup(self) -> float | None:
        """Clock time at which to poll again although no descriptor is readable, or None."""
        return None if self._discovery is None or self._suspended else self._next_discovery

    # -- event time ------------------------------------------------------------------------------------------

    def next_timer(self) -> int | None:
        if self._suspended or self.ended:
            return None
        timer = self._time.next_timer()
        if self._alignment is None:
            return timer
        return self._next_report if timer is None else min(timer, self._next_report)

    def advance_clock(self, now: int) -> None:
        if self._suspended or self.ended:
            return
        self._time.advance(now)
        if self._alignment is not None and now >= self._next_report:
            self._next_report = now + max(1, self._alignment.update_interval.to_millis())
            self._report()

    def limit_event_time(self, limit: int) -> None:
        """Splits whose event time is beyond `limit` ms wait for the other sources of their group."""
        self._limit = limit

    def _event_time_limit(self) -> int:
        """What splits may not have passed to be read: set by other tasks, and by the slowest split here."""
        if self._alignment is None or len(self._readings) < 2:
            return self._limit
        return min(self._limit, self._time.reached() + self._alignment.max_drift.to_millis())

    def _report(self) -> None:
        """Tell the JobMaster where this subtask's event time stands, if that is news."""
        assert self._alignment is not None
        reached = self._time.reached() if self._readings or self._waiting else MAX_WATERMARK
        if reached != self._reported:
            self._reported = reached
            group, drift = self._alignment.group, self._alignment.max_drift.to_millis()
            self.context.send(WatermarkReported(self.context.execution_id, group, reached, drift))

    # -- checkpoints and the end -----------------------------------------------------------------------------

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        splits = [
            SplitState(reading.reader.split(), True, reading.time.watermark, self._rest_of(reading))
            for reading in self._readings
        ]
        state = SourceState(
            self.context.subtask_index,
            (*splits, *self._waiting),
            frozenset(self._known),
            type(self._source).__qualname__,
        )
        snapshot.add_list(self.operator.operator_id, STATE, [state], StateKind.UNION)

    def suspend(self) -> None:
        """Read and emit nothing until `resume`: what follows would not belong to the savepoint."""
        self._suspended = True

    def resume(self) -> None:
        """The savepoint has failed: go on."""
        self._suspended = False

    def end_now(self) -> None:
        """There is no more input, or the job is drained: event time is over, whatever has not been read. The
        positions stay, for the savepoint."""
        if self.ended:
            return
        self.ended = True
        self._time.finish()
        if self._alignment is not None:
            self._report()

    def close(self) -> None:
        self._pacer.drop()
        while self._readings:
            self._readings.popleft().reader.close()

    def _rest_of(self, reading: _Reading) -> Batch | None:
        if self._pacer.waiting and self._pacing is reading:
            return self._pacer.rest()
        return reading.rest

    # -- splits ----------------------------------------------------------------------------------------------

    def _hand_on(self, reading: _Reading, batch: Batch) -> None:
        self._pacing = reading
        self._pacer.offer(batch, partial(self._time.pass_on, reading.time))

    def _start_waiting(self) -> None:
        """Open those splits whose turn it is. What is read in turns starts together, before event time advances: a
        split that started later would be late."""
        while self._waiting and (
            not self._readings or not self._source.bounded or self._waiting[0].started
        ):
            state = self._waiting.popleft()
            reader = self._source.open(state.split)
            input_time = self._time.add(state.split.split_id, state.watermark)
            self._readings.append(_Reading(reader, state.split.split_id, input_time, state.rest))

    def _discover(self) -> None:
        context = self.context
        if self._discovery is not None:
            self._next_discovery = self._clock() + self._discovery
        try:
            splits = assigned_splits(self._source, context.subtask_index, context.parallelism)
        except FileMissingError as error:
            if self._known:
                raise
            # It never was there: a restart would look for it again, and again.
            raise ProgramError(f"the input of '{self.operator.name}' is not there: {error}") from error
        fresh = [split for split in splits if split.split_id not in self._known]
        if fresh and self._known:
            log.info("%s: %d new splits", self.operator.name, len(fresh))
        self._known.update(split.split_id for split in fresh)
        self._waiting.extend(map(SplitState, fresh))
