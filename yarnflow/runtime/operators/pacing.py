"""Cuts batches into pieces that take a bounded time.

Between two calls into a task its worker looks at messages (cancel), sockets and buffer timeouts. A function that
takes 10 ms per record would need 40 s for a batch of 4096: no result, and no end, before that. So the time per
record is measured and a batch goes on piece by piece. Columns are not cut: functions on columns want them whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.runtime.network.output import slice_batch

#: Seconds that a piece should take at most.
PIECE_TIME = 0.05

#: Records of the first piece, when their cost is not known yet, and by how much a piece may exceed the one before.
FIRST_PIECE = 8
GROWTH = 8


class Pacer:
    """Passes on batches in pieces; one batch at a time.

    Args:
        clock: monotonic seconds.

    Attributes:
        waiting: there is more of the last batch: call `go_on` before the next `offer`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.waiting = False
        self._clock = clock
        self._size = FIRST_PIECE
        self._batch: Batch = RowBatch([])
        self._offset = 0
        self._process: Callable[[Batch], None] = _nothing

    def offer(self, batch: Batch, process: Callable[[Batch], None]) -> None:
        """Give a batch, or its first piece, to `process`."""
        if isinstance(batch, RowBatch) and len(batch.rows) > self._size:
            self._batch, self._offset, self._process = batch, 0, process
            self.waiting = True
            self.go_on()
        else:
            self._run(batch, process)

    def go_on(self) -> None:
        """Process the next piece."""
        batch, process, start = self._batch, self._process, self._offset
        length = min(self._size, len(batch) - start)
        self._offset = start + length
        if self._offset == len(batch):
            self.drop()
        self._run(slice_batch(batch, start, length), process)

    def rest(self) -> Batch:
        """A copy of what waits."""
        return slice_batch(self._batch, self._offset, len(self._batch) - self._offset)

    def drop(self) -> None:
        """Forget what waits."""
        self._batch, self._process, self.waiting = RowBatch([]), _nothing, False

    def _run(self, batch: Batch, process: Callable[[Batch], None]) -> None:
        length = len(batch)
        start = self._clock()
        process(batch)
        spent = self._clock() - start
        if isinstance(batch, RowBatch) and length:
            largest = GROWTH * max(self._size, length)
            self._size = max(1, min(largest, int(length * PIECE_TIME / spent))) if spent > 0 else largest


def _nothing(batch: Batch) -> None:
    """Takes what does not exist."""
