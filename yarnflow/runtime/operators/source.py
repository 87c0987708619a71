"""The head of a pipeline: reads the splits of a source that belong to this subtask."""

from __future__ import annotations

import logging
import time
import zlib
from collections import deque
from collections.abc import Callable

from yarnflow.functions.batch import Batch
from yarnflow.functions.source import Availability, Source, Split, SplitReader
from yarnflow.graph.operators import Operator, SourceSpec
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator, as_rows
from yarnflow.runtime.operators.pacing import Pacer
from yarnflow.runtime.operators.timestamps import assign, assigner_of

log = logging.getLogger(__name__)


def assigned_splits(source: Source, subtask_index: int, parallelism: int) -> list[Split]:
    """The splits of one subtask: every p-th from the i-th on.

    A source that looks for new splits may name more of them to a subtask that asks later, so positions
    would not agree between subtasks; there the split's id decides alone.
    """
    splits = source.splits(parallelism)
    if source.discovery_interval() is None:
        return list(splits[subtask_index::parallelism])
    return [split for split in splits if zlib.crc32(split.split_id.encode()) % parallelism == subtask_index]


class SourceOperator(StreamOperator):
    """Polls split readers: bounded splits one after the other, unbounded ones in turns.

    Instead of `process_batch` the task calls `poll`, which emits at most one batch, or a piece of one when what
    follows is slow. While `waiting`, the readers' positions are ahead of what was emitted.
    """

    def __init__(
        self, operator: Operator, context: OperatorContext, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, SourceSpec)
        self._source = operator.spec.source
        self._assigner = assigner_of(operator.spec.watermarks)
        self._clock = clock
        self._pacer = Pacer(clock)
        self._waiting: deque[Split] = deque()
        self._readers: deque[SplitReader] = deque()
        self._known: set[str] = set()
        self._discovery = self._source.discovery_interval()
        self._next_discovery = 0.0
        #: True when every split has been read to its end and no more can come.
        self.ended = False

    def open(self) -> None:
        self._discover()

    def prefer_columns(self) -> None:
        """The consumer takes columns: a source that can emit them does, unless times are read from records."""
        if self._source.columnar and self._assigner is None:
            self._source.emit_columns = True

    def poll(self) -> bool:
        """Emit the next batch if there is one. Returns whether anything happened."""
        if self._pacer.waiting:
            self._pacer.go_on()
            return True
        if self._discovery is not None and self._clock() >= self._next_discovery:
            self._discover()
        if self._waiting and (not self._readers or not self._source.bounded):
            self._readers.append(self._source.open(self._waiting.popleft()))
        for _ in range(len(self._readers)):
            reader = self._readers[0]
            result = reader.poll()
            if result is Availability.END_OF_SPLIT:
                self._readers.popleft()
                reader.close()
                return True
            self._readers.rotate(-1)
            if result is not Availability.NOTHING_YET:
                self._hand_on(result)
                return True
        if not self._readers and not self._waiting and self._discovery is None:
            self.ended = True
        return self.ended

    @property
    def waiting(self) -> bool:
        """There is more of a batch that was read."""
        return self._pacer.waiting

    def filenos(self) -> list[int] | None:
        """Descriptors that become readable when there may be more; None when some reader has none and
        must be polled."""
        descriptors = []
        for reader in self._readers:
            descriptor = reader.fileno()
            if descriptor is None:
                return None
            descriptors.append(descriptor)
        return descriptors

    def next_wakeup(self) -> float | None:
        """Clock time at which to poll again although no descriptor is readable, or None."""
        return None if self._discovery is None else self._next_discovery

    def close(self) -> None:
        self._pacer.drop()
        while self._readers:
            self._readers.popleft().close()

    def _hand_on(self, batch: Batch) -> None:
        if not len(batch):
            return
        if self._assigner is not None:
            batch = as_rows(batch)
            assign(self._assigner, batch)
        self._pacer.offer(batch, self.emit)

    def _discover(self) -> None:
        context = self.context
        if self._discovery is not None:
            self._next_discovery = self._clock() + self._discovery
        fresh = [
            split
            for split in assigned_splits(self._source, context.subtask_index, context.parallelism)
            if split.split_id not in self._known
        ]
        if fresh and self._known:
            log.info("%s: %d new splits", self.operator.name, len(fresh))
        self._known.update(split.split_id for split in fresh)
        self._waiting.extend(fresh)
