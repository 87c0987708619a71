"""Asynchronous functions: AsyncDataStream.

The task's thread keeps the queue of records and emits; the coroutines run in a thread of their own
(calls.py). A checkpoint stores the records whose results have not been emitted; after a restore they are asked
about again.
"""

from __future__ import annotations

import inspect
import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from yarnflow.common.types import Row
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.graph.operators import AsyncSpec, Operator
from yarnflow.runtime.network.elements import Element, Watermark, WatermarkStatus
from yarnflow.runtime.operators.asynchronous.calls import STOP_TIMEOUT, Calls, LoopThread
from yarnflow.runtime.operators.asynchronous.queue import Call, OrderedQueue, UnorderedQueue
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.keyed import shorten

if TYPE_CHECKING:
    from yarnflow.runtime.state.restore import RestoredOperator
    from yarnflow.runtime.state.snapshot import TaskSnapshot

log = logging.getLogger(__name__)

#: Name of the list state.
IN_FLIGHT = "async-in-flight"

#: Iterable, but never meant as several results.
_ONE_VALUE = (str, bytes, dict, Row)


class AsyncWaitOperator(StreamOperator):
    """Calls an AsyncFunction for each record, many at a time, and emits what it returns."""

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, AsyncSpec)
        self._spec = operator.spec
        self._function = operator.spec.function
        self._queue: OrderedQueue | UnorderedQueue = OrderedQueue() if operator.spec.ordered else UnorderedQueue()
        #: In the queue, not started because the capacity is used up.
        self._waiting: deque[Call] = deque()
        #: What has ended, and waits until those behind can take more.
        self._ended: list[Call] = []
        self._started = 0
        self._thread: LoopThread | None = None
        self._calls: Calls | None = None
        declared = operator.output_type
        self._convert = None if declared is None else declared.converter()

    def restore(self, restored: RestoredOperator) -> None:
        self._put([Call(record, time) for record, time in restored.items(IN_FLIGHT)])

    def open(self) -> None:
        self._thread = thread = LoopThread(f"async {self.operator.name} ({self.context.subtask_index + 1})")
        self._call_function(thread, "open", self.context.runtime_context)
        spec = self._spec
        self._calls = Calls(thread.loop, self._function, spec.timeout / 1000, spec.retry, self._hand_over)
        self._start_more()

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        if batch.timestamps is None:
            self._put([Call(record, None) for record in batch.rows])
        else:
            self._put(list(map(Call, batch.rows, batch.timestamps)))
        self._start_more()

    def process_watermark(self, timestamp: int) -> None:
        self.watermark = timestamp
        self._put_element(Watermark(timestamp))

    def process_status(self, idle: bool) -> None:
        self._put_element(WatermarkStatus(idle))

    def has_room(self) -> bool:
        return not self._waiting

    def can_finish(self) -> bool:
        return not len(self._queue)

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        items = [(call.record, call.time) for call in self._queue.calls()]
        if items:
            snapshot.add_list(self.operator.operator_id, IN_FLIGHT, items)

    def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        ended = thread.cancel()
        if not ended:
            log.warning(
                "%s: a coroutine did not end within %s s of being cancelled", self.operator.name, STOP_TIMEOUT
            )
        try:
            if ended or not inspect.iscoroutinefunction(self._function.close):
                self._call_function(thread, "close")
        finally:
            thread.stop()

    # -- the way in ------------------------------------------------------------------------------------------

    def _put(self, calls: Sequence[Call]) -> None:
        self._queue.put(calls)
        self._waiting.extend(calls)

    def _put_element(self, element: Element) -> None:
        self._queue.put_element(element)
        self._emit(self._queue.take(()))

    def _start_more(self) -> None:
        room = min(self._spec.capacity - self._started, len(self._waiting))
        if room > 0:
            assert self._thread is not None
            assert self._calls is not None
            waiting = self._waiting
            started = [waiting.popleft() for _ in range(room)]
            self._started += room
            self._thread.submit(self._calls.start, started)

    # -- the way out -----------------------------------------------------------------------------------------

    def _hand_over(self, ended: list[Call]) -> None:
        """Called by the event loop."""
        self.context.call_soon(partial(self._take, ended))

    def _take(self, ended: list[Call]) -> None:
        for call in ended:
            if call.error is not None:
                record = call.record  # noqa: F841 - error messages show it
                raise call.error
        self._ended += ended
        if self.room():
            self.emit_waiting()

    def wants_room(self) -> bool:
        return bool(self._ended)

    def emit_waiting(self) -> None:
        ended, self._ended = self._ended, []
        ready = self._queue.take(ended)
        self._started -= sum(1 for item in ready if isinstance(item, Call))
        self._start_more()
        self._emit(ready)

    def _emit(self, ready: Sequence[Call | Element]) -> None:
        rows: list[Any] = []
        times: list[int] = []
        for item in ready:
            if isinstance(item, Call):
                results = item.results
                if results.__class__ is not list:
                    record = item.record
                    results = self._checked(record, results)
                rows += results
                if item.time is not None:
                    times += [item.time] * (len(rows) - len(times))
            else:
                self._emit_rows(rows, times)
                rows, times = [], []
                if isinstance(item, Watermark):
                    self.emit_watermark(item.timestamp)
                else:
                    assert isinstance(item, WatermarkStatus)
                    self.emit_status(item.idle)
        self._emit_rows(rows, times)

    def _emit_rows(self, rows: list[Any], times: list[int]) -> None:
        if rows:
            if self._convert is not None:
                rows = list(map(self._convert, rows))
            self.emit(RowBatch(rows, times if len(times) == len(rows) else None))

    def _checked(self, record: Any, results: Any) -> list[Any]:
        if isinstance(results, _ONE_VALUE) or not hasattr(results, "__iter__"):
            raise ProgramError(
                f"async_invoke() and timeout() of {type(self._function).__name__} must return a list of records, "
                f"not {shorten(results)} ({type(results).__name__}), for the record {shorten(record)}"
            )
        return list(results)

    # -- the function ----------------------------------------------------------------------------------------

    def _call_function(self, thread: LoopThread, method: str, *arguments: Any) -> None:
        """Call `open` or `close`, in the loop when it is a coroutine."""
        called = getattr(self._function, method)(*arguments)
        if inspect.iscoroutine(called):
            thread.run(called)
