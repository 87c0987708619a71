"""Process functions on keyed streams: one input or two, keyed state, timers.

Per record the loop assigns `backend.current_key` and calls the function; everything else (results, their types,
side outputs) is done per batch. Both loops exist twice, with event times and without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.process_functions import KeyedCoProcessFunction, KeyedProcessFunction
from yarnflow.functions.timers import NO_TIMESTAMP, TimeDomain
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.keyed import check_key, check_selector
from yarnflow.runtime.operators.processing.process import RESULTS, KeyedFunctionOperator
from yarnflow.runtime.operators.processing.timer_service import KeyedTimers
from yarnflow.runtime.operators.user_functions import bind, bind_key
from yarnflow.runtime.state.backend import KeyedStateBackend
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot


class RecordContext(KeyedProcessFunction.Context, KeyedCoProcessFunction.Context):
    """The context of process_element, used for every record.

    Attributes:
        element_timestamp: of the record in hand.
    """

    def __init__(self, backend: KeyedStateBackend, timers: KeyedTimers) -> None:
        self.element_timestamp = NO_TIMESTAMP
        self._backend = backend
        self._timers = timers

    def timestamp(self) -> int:
        return self.element_timestamp

    def timer_service(self) -> KeyedTimers:
        return self._timers

    def get_current_key(self) -> Any:
        return self._backend.current_key


class TimerContext(RecordContext, KeyedProcessFunction.OnTimerContext, KeyedCoProcessFunction.OnTimerContext):
    """The context of on_timer; `element_timestamp` is the timer's.

    Attributes:
        domain: of the timer that fires.
    """

    domain = TimeDomain.EVENT_TIME

    def time_domain(self) -> TimeDomain:
        return self.domain


class Timer(NamedTuple):
    """A timer that fires, as error messages show it."""

    time: int
    key: Any


class KeyedProcessOperator(KeyedFunctionOperator):
    """Calls a method per keyed input, and `on_timer`.

    Args:
        operator: what it is.
        context: where it runs.
        function: the user's.
        keys: key selectors, by input.
        methods: of the function, by input.

    Attributes:
        timers: of both domains.
        record_context, timer_context: what methods and `on_timer` get.
    """

    def __init__(
        self,
        operator: Operator,
        context: OperatorContext,
        function: Any,
        keys: Sequence[Any],
        methods: Sequence[str],
    ) -> None:
        super().__init__(operator, context, function, keys)
        self.timers = KeyedTimers(self.backend, context.processing_time)
        self.record_context: Any = RecordContext(self.backend, self.timers)
        self.timer_context: Any = TimerContext(self.backend, self.timers)
        self._keys = [bind_key(key) for key in keys]
        self._calls: list[Callable[..., Any]] = [bind(function, method) for method in methods]
        # A CoProcessFunction may run on keyed streams, and has no timers.
        self._on_timer = getattr(function, "on_timer", _ignore_timer)

    def restore(self, restored: RestoredOperator) -> None:
        super().restore(restored)
        self.timers.restore(restored)
        self.timers.watermark = self.watermark

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        super().snapshot(snapshot)
        self.timers.snapshot(snapshot, self.operator.operator_id)

    # -- records ---------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        if not batch.rows:
            return
        check_selector(self.operator.name, self.context, self._keys[input_index], batch.rows[0])
        if batch.timestamps is None:
            self._untimed(batch.rows, input_index)
        else:
            self._timed(batch.rows, batch.timestamps, input_index)
        self.backend.current_key = KeyedStateBackend.NO_KEY

    def _untimed(self, records: list[Any], input_index: int) -> None:
        backend, key, call = self.backend, self._keys[input_index], self._calls[input_index]
        context = self.record_context
        context.element_timestamp = NO_TIMESTAMP
        rows: list[Any] = []
        extend = rows.extend
        record = results = None
        try:
            for record in records:
                backend.current_key = key(record)
                results = call(record, context)
                if results is not None:
                    extend(results)
        except TypeError as error:
            self._explain(error, results, record, input_index)
            raise
        self.hand_on(rows, None)

    def _timed(self, records: list[Any], times: list[int], input_index: int) -> None:
        backend, key, call = self.backend, self._keys[input_index], self._calls[input_index]
        context = self.record_context
        rows: list[Any] = []
        ends: list[int] = []
        extend, end = rows.extend, ends.append
        record = results = None
        try:
            for record, context.element_timestamp in zip(records, times, strict=True):
                backend.current_key = key(record)
                results = call(record, context)
                if results is not None:
                    extend(results)
                end(len(rows))
        except TypeError as error:
            self._explain(error, results, record, input_index)
            raise
        self.hand_on(rows, _stamps(times, ends))

    def _explain(self, error: TypeError, results: Any, record: Any, input_index: int) -> None:
        check_key(self.operator.name, error, self.backend.current_key, record)
        self.explain_results(error, results, self._calls[input_index], record)

    # -- timers ----------------------------------------------------------------------------------------------

    def process_watermark(self, timestamp: int) -> None:
        if timestamp > self.watermark:  # a restored one may be ahead of what comes first
            self.watermark = self.timers.watermark = timestamp
            self._fire(self.timers.event.due(timestamp), TimeDomain.EVENT_TIME)
        self.emit_watermark(timestamp)

    def next_timer(self) -> int | None:
        return self.timers.next_wakeup()

    def advance_clock(self, now: int) -> None:
        # At `now` the clock is past all times before it.
        self._fire(self.timers.processing.due(now - 1), TimeDomain.PROCESSING_TIME)

    def _fire(self, due: Iterator[tuple[int, Any, Any]], domain: TimeDomain) -> None:
        """Call on_timer for timers that are due. Results have the timer's time, in both domains as in PyFlink."""
        backend, context, on_timer = self.backend, self.timer_context, self._on_timer
        context.domain = domain
        rows: list[Any] = []
        stamps: list[int] = []
        results = time = key = None
        try:
            for time, key, _ in due:
                backend.current_key = key
                context.element_timestamp = time
                results = on_timer(time, context)
                if results is not None:
                    rows.extend(results)
                    stamps.extend([time] * (len(rows) - len(stamps)))
                    if len(rows) >= RESULTS:
                        self.hand_on(rows, stamps)
                        rows, stamps = [], []
        except Exception as error:
            assert time is not None
            record = Timer(time, key)  # error messages show what `record` is
            if isinstance(error, TypeError):
                self.explain_results(error, results, on_timer, record)
            raise
        backend.current_key = KeyedStateBackend.NO_KEY
        self.hand_on(rows, stamps)


def _stamps(times: list[int], ends: list[int]) -> list[int]:
    """The time of each result, when `ends` says how many results there were after each record."""
    if ends == list(range(1, len(times) + 1)):  # the usual case: one each
        return times
    stamps: list[int] = []
    before = 0
    for time, end in zip(times, ends, strict=True):
        if end != before:
            stamps += [time] * (end - before)
            before = end
    return stamps


def _ignore_timer(timestamp: int, context: Any) -> None:
    """The `on_timer` of a function that has none."""
