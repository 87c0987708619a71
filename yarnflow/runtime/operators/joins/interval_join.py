"""The interval join: pairs of records of two keyed inputs whose times differ by a bounded amount.

A record meets all records of the other input that are there already. Those that come later find it, until the
watermark says that none will come.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.join_functions import ProcessJoinFunction, handed_out
from yarnflow.graph.operators import IntervalJoinSpec, Operator
from yarnflow.runtime.network.elements import MIN_WATERMARK
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.joins.interval_buffer import IntervalBuffer
from yarnflow.runtime.operators.keyed import check_key, check_selector
from yarnflow.runtime.operators.processing.process import RESULTS, KeyedFunctionOperator
from yarnflow.runtime.operators.timestamps import missing_timestamp
from yarnflow.runtime.operators.user_functions import bind_key
from yarnflow.runtime.state.backend import KeyedStateBackend
from yarnflow.runtime.state.restore import RestoredOperator

#: Names of the state tables.
TABLES = ("interval-join-left", "interval-join-right")


class PairContext(ProcessJoinFunction.Context):
    """The context of process_element, used for every pair.

    Attributes:
        times: of the record that came, and of the one that it met.
        left: which of the two is the left one: 0 or 1.
    """

    def __init__(self) -> None:
        self.times = (0, 0)
        self.left = 0

    def get_left_timestamp(self) -> int:
        return self.times[self.left]

    def get_right_timestamp(self) -> int:
        return self.times[1 - self.left]

    def get_timestamp(self) -> int:
        return max(self.times)


class IntervalJoinOperator(KeyedFunctionOperator):
    """Joins left and right records of one key with left + lower <= right <= left + upper.

    A record before the watermark is late: it goes to the side output of its input, if there is one, and meets
    nothing. Unlike Flink, which may have forgotten a record at exactly the watermark, all other pairs are found.
    """

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        spec = operator.spec
        assert isinstance(spec, IntervalJoinSpec)
        super().__init__(operator, context, spec.function, spec.keys)
        self._call = spec.function.process_element
        self._keys = [bind_key(selector) for selector in spec.keys]
        self._late_tags = spec.late_tags
        self._buffers = (
            IntervalBuffer(self.backend, TABLES[0], spec.lower, spec.upper),
            IntervalBuffer(self.backend, TABLES[1], -spec.upper, -spec.lower),
        )
        self._context: Any = PairContext()

    def restore(self, restored: RestoredOperator) -> None:
        super().restore(restored)
        for buffer in self._buffers:
            buffer.restored()

    def process_watermark(self, timestamp: int) -> None:
        if timestamp > self.watermark:  # a restored one may be ahead of what comes first
            self.watermark = timestamp
            for buffer in self._buffers:
                buffer.expire(timestamp)
        self.emit_watermark(timestamp)

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        if not batch.rows:
            return
        times = batch.timestamps
        if times is None:
            raise missing_timestamp(self.operator.name, batch.rows[0])
        first = min(times)
        if first == MIN_WATERMARK:
            raise missing_timestamp(self.operator.name, batch.rows[times.index(first)])
        check_selector(self.operator.name, self.context, self._keys[input_index], batch.rows[0])
        if first < self.watermark:
            batch = self._without_late(batch.rows, times, input_index)
        self._join(batch, input_index)
        self.backend.current_key = KeyedStateBackend.NO_KEY

    def _join(self, batch: RowBatch, input_index: int) -> None:
        assert batch.timestamps is not None
        backend, context, call, key = self.backend, self._context, self._call, self._keys[input_index]
        own, other = self._buffers[input_index], self._buffers[1 - input_index]
        add, first, last, width, buckets = own.add, own.first, own.last, other.width, other.buckets
        wanted_from = self.watermark - last
        swapped = context.left = input_index
        rows: list[Any] = []
        stamps: list[int] = []
        record = selected = results = None
        try:
            for record, time in zip(batch.rows, batch.timestamps, strict=True):
                backend.current_key = selected = key(record)
                if time >= wanted_from:
                    add(selected, time, record)
                low, high = time + first, time + last
                for number in range(low // width, high // width + 1):
                    if number not in buckets or (series := buckets[number].get(selected)) is None:
                        continue
                    met_times, met = series
                    for at in range(bisect_left(met_times, low), bisect_right(met_times, high)):
                        met_time = met_times[at]
                        context.times = (time, met_time)
                        mine, others = handed_out(record), handed_out(met[at])
                        results = call(others, mine, context) if swapped else call(mine, others, context)
                        if results is not None:
                            rows.extend(results)
                            stamps += [time if time > met_time else met_time] * (len(rows) - len(stamps))
                if len(rows) >= RESULTS:
                    self.hand_on(rows, stamps)
                    rows, stamps = [], []
        except TypeError as error:
            check_key(self.operator.name, error, selected, record)
            self.explain_results(error, results, "process_element", record)
            raise
        self.hand_on(rows, stamps)

    def _without_late(self, rows: list[Any], times: list[int], input_index: int) -> RowBatch:
        """What is not late; the rest goes to its side output."""
        watermark = self.watermark
        emit = self.side_outputs.get(self._late_tags[input_index])
        if emit is not None:
            late = [at for at, time in enumerate(times) if time < watermark]
            emit(RowBatch([rows[at] for at in late], [times[at] for at in late]))
        kept = [at for at, time in enumerate(times) if time >= watermark]
        return RowBatch([rows[at] for at in kept], [times[at] for at in kept])
