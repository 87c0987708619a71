"""Windows of any assigner, trigger and evictor: record by record, with timers per key and window.

What a window holds is in one state table; windows that merge keep it under one of the windows they were made of,
the *state window*, so that a merge moves as little as possible (windows/merging.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NoReturn

from yarnflow.common.constants import MAX_LONG_VALUE, MIN_LONG_VALUE
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.metrics import MetricGroup
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.functions.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    ReducingStateDescriptor,
    State,
    StateDescriptor,
)
from yarnflow.functions.windows.assigner import MergingWindowAssigner, WindowAssigner
from yarnflow.functions.windows.evictors import Evictor
from yarnflow.functions.windows.trigger import Trigger, TriggerResult
from yarnflow.functions.windows.window import Window
from yarnflow.graph.operators import Operator
from yarnflow.runtime.network.elements import MAX_WATERMARK
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.isolation import own
from yarnflow.runtime.operators.keyed import check_key, shorten
from yarnflow.runtime.operators.windows.base import FiringWindow, WindowingOperator
from yarnflow.runtime.operators.windows.contents import MISSING, TimedList
from yarnflow.runtime.operators.windows.merging import MergingWindows
from yarnflow.runtime.state.backend import KeyedStateBackend
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.state.timers import TimerQueue

_MERGEABLE = (ReducingStateDescriptor, AggregatingStateDescriptor, ListStateDescriptor)

_EVENT_TIMERS = "window-event-time"
_CLOCK_TIMERS = "window-processing-time"


class WindowOperator(WindowingOperator):
    """The general operator.

    Attributes:
        event_timers, clock_timers: by (key, window); the trigger's, and one that ends the window.
        trigger_context: of the key and window in hand.
    """

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        spec = self.spec
        self._assigner: WindowAssigner[Any, Any] = spec.assigner
        self._trigger: Trigger[Any, Any] = spec.trigger or spec.assigner.get_default_trigger(None)
        self._evictor: Evictor | None = spec.evictor
        #: What is kept; with an evictor all records, which `self.contents` then combines when a window fires.
        self._kept = TimedList(operator.name, spec.key) if spec.evictor is not None else self.contents
        self.event_timers = TimerQueue()
        self.clock_timers = TimerQueue()
        self._cleanup_timers = self.event_timers if self.in_event_time else self.clock_timers
        self.trigger_context = TriggerContext(self)
        self._assigner_context = AssignerContext(self)
        self._merging: MergingWindows | None = None
        if isinstance(self._assigner, MergingWindowAssigner):
            self._merging = MergingWindows(self._assigner, self.backend.table("merging-windows"))

    def layout(self) -> str:
        # Whoever has assigned a window, its timers know when it ends.
        return f"windows with timers and {self._kept.kept}"

    def restore(self, restored: RestoredOperator) -> None:
        super().restore(restored)
        self.event_timers.restore(restored, _EVENT_TIMERS)
        self.clock_timers.restore(restored, _CLOCK_TIMERS)

    def open(self) -> None:
        super().open()
        states = OneHandle(self.backend)
        self._assigner_context.runtime_context = self.context.runtime_context.with_keyed_state(states)

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        super().snapshot(snapshot)
        self.event_timers.snapshot(snapshot, self.operator.operator_id, _EVENT_TIMERS)
        self.clock_timers.snapshot(snapshot, self.operator.operator_id, _CLOCK_TIMERS)

    # -- records ---------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        if not batch.rows:
            return
        self.check_keys(batch.rows)
        if self.in_event_time:
            times: Iterable[int] = self.needs_time(batch)
        else:
            times = batch.timestamps or [MIN_LONG_VALUE] * len(batch.rows)
        assign, context, backend, select = (
            self._assigner.assign_windows,
            self._assigner_context,
            self.backend,
            self.contents.key,
        )
        take = self._take_into_merging if self._merging is not None else self._take
        key = record = None
        windows: Collection[Any] = ()
        try:
            for record, time in zip(batch.rows, times, strict=True):
                key = select(record)
                backend.current_key = key
                windows = assign(record, time, context)
                if not take(key, record, time, windows):
                    self._skipped(record, time)
        except TypeError as error:
            check_key(self.operator.name, error, key, record)
            if not isinstance(windows, Collection):
                raise ProgramError(
                    f"'{self.operator.name}': assign_windows() of {type(self._assigner).__name__} returned "
                    f"{shorten(windows)} for the record {shorten(record)}: it must return a list of windows"
                ) from error
            raise
        backend.current_key = KeyedStateBackend.NO_KEY
        self.emit_results()

    def _take(self, key: Any, record: Any, time: int, windows: Collection[Any]) -> bool:
        """Add a record to its windows; False if all of them have gone."""
        taken = False
        for window in windows:
            cleanup = self._cleanup_time(window)
            if not self.in_event_time or cleanup > self.watermark:
                taken = True
                self._add(key, record, time, window, window, cleanup)
        return taken

    def _take_into_merging(self, key: Any, record: Any, time: int, windows: Collection[Any]) -> bool:
        assert self._merging is not None
        taken = False
        for window in windows:
            actual, merge = self._merging.add(key, window)
            if merge is not None:
                self._merge(key, actual, merge.merged, merge.state_window, merge.state_windows)
            cleanup = self._cleanup_time(actual)
            if self.in_event_time and cleanup <= self.watermark:
                self._merging.retire(key, actual)
                continue
            taken = True
            self._add(key, record, time, actual, self._merging.state_window(key, actual), cleanup)
        return taken

    def _add(
        self, key: Any, record: Any, time: int, window: Window, state_window: Window, cleanup: int
    ) -> None:
        state = self.windows.of(state_window)
        state[key] = self._kept.add(
            state.get(key, MISSING), record, None if time == MIN_LONG_VALUE else time
        )
        context = self.trigger_context
        context.enter(key, window)
        result = self._trigger.on_element(record, time, window, context)
        if result is not TriggerResult.CONTINUE:
            self._act(result, key, window, state_window)
        if cleanup != MAX_LONG_VALUE:
            self._cleanup_timers.add(cleanup, key, window)

    def _skipped(self, record: Any, time: int) -> None:
        if self.in_event_time and time + self.lateness <= self.watermark:
            self.late([record], [time])

    # -- firing ----------------------------------------------------------------------------------------------

    def _act(self, result: TriggerResult, key: Any, window: Window, state_window: Window) -> None:
        """Do what the trigger says."""
        if result is TriggerResult.CONTINUE:
            return
        if not isinstance(result, TriggerResult):
            raise ProgramError(
                f"'{self.operator.name}': {self._trigger!r} returned {shorten(result)}: a trigger's methods "
                "return a TriggerResult"
            )
        state = self.windows.of(state_window)
        if result.is_fire():
            known = state.get(key, MISSING)
            if known is not MISSING:
                stays = not result.is_purge()
                if self._evictor is None:
                    self.evaluate_key(window, key, known, stays)
                else:
                    self._evict(self._evictor, key, window, state, known)
        if result.is_purge():
            state.pop(key, None)

    def _evict(self, evictor: Evictor, key: Any, window: Window, state: Any, known: list[Any]) -> None:
        elements = list(known)
        context = self.trigger_context
        context.enter(key, window)
        evictor.evict_before(elements, len(elements), window, context)
        contents, values = self.contents, [element.value for element in elements]
        if not contents.incremental:
            self.call_function(window, key, values)
        elif values:
            combined = MISSING
            for value in values:
                combined = contents.add(combined, own(value), None)  # the records stay
            self.evaluate_key(window, key, combined, stays=True)
        evictor.evict_after(elements, len(elements), window, context)
        if elements:
            state[key] = elements
        else:
            del state[key]

    def advance_event_time(self, timestamp: int) -> None:
        on_event_time, cleanup = self._trigger.on_event_time, self.in_event_time
        for time, key, window in self.event_timers.due(timestamp):
            self._on_timer(on_event_time, time, key, window, cleanup)

    def next_timer(self) -> int | None:
        first = self.clock_timers.first()
        return None if first is None else first + 1

    def advance_clock(self, now: int) -> None:
        self._fire_clock_timers(now - 1)  # the clock is past all times before `now`

    def _fire_clock_timers(self, limit: int) -> None:
        on_processing_time, cleanup = self._trigger.on_processing_time, not self.in_event_time
        for time, key, window in self.clock_timers.due(limit):
            self._on_timer(on_processing_time, time, key, window, cleanup)
        self.emit_results()

    def finish(self) -> None:
        # As in Flink: timers by the clock do not fire any more when the input ends, except in BATCH mode.
        if self.spec.final_only:
            self._fire_clock_timers(MAX_WATERMARK)

    def _on_timer(self, call: Any, time: int, key: Any, window: Window, cleanup: bool) -> None:
        state_window: Window | None = window
        self.backend.current_key = key
        if self._merging is not None:
            state_window = self._merging.state_window(key, window)
            if state_window is None:
                return  # the window was merged into another; its trigger left a timer
        assert state_window is not None
        context = self.trigger_context
        context.enter(key, window)
        record = FiringWindow(window, key)  # noqa: F841  # error messages show what `record` is
        self._act(call(time, window, context), key, window, state_window)
        if cleanup and time == self._cleanup_time(window):
            self._forget(key, window, state_window)

    # -- the end of windows ----------------------------------------------------------------------------------

    def _cleanup_time(self, window: Window) -> int:
        time = window.max_timestamp() + self.lateness
        return time if time < MAX_LONG_VALUE else MAX_LONG_VALUE

    def _forget(self, key: Any, window: Window, state_window: Window) -> None:
        """The window is gone for good."""
        state = self.windows.of(state_window)
        state.pop(key, None)
        context = self.trigger_context
        context.enter(key, window)
        self._trigger.clear(window, context)
        self.clear_key(window, key)
        if self._merging is not None:
            self._merging.retire(key, window)
        self._drop_empty(state_window, state)
        if window != state_window:
            self.window_states.forget_empty(window)

    def _drop_empty(self, window: Window, state: Any) -> None:
        if not state:
            self.windows.drop(window)
            self.window_states.forget_empty(window)

    def _merge(
        self, key: Any, result: Window, merged: Collection[Window], into: Window, others: Collection[Window]
    ) -> None:
        """Windows of a key have become `result`."""
        limit = self.watermark if self.in_event_time else self.context.processing_time()
        if self._cleanup_time(result) <= limit:
            raise ProgramError(
                f"'{self.operator.name}': {self._assigner!r} merged windows into {result!r}, which has ended "
                f"already (at {limit}): merged windows must end with the last of their parts"
            )
        context = self.trigger_context
        context.enter(key, result)
        context.merged = merged
        self._trigger.on_merge(result, context)
        for window in merged:
            context.enter(key, window)
            self._trigger.clear(window, context)
            self._cleanup_timers.remove(self._cleanup_time(window), key, window)
            self.window_states.forget_empty(window)
        target = self.windows.of(into)
        for window in others:
            state = self.windows.of(window)
            more = state.pop(key, MISSING)
            if more is not MISSING:
                known = target.get(key, MISSING)
                target[key] = more if known is MISSING else self._kept.merge(known, more)
            self._drop_empty(window, state)


class TriggerContext(Trigger.OnMergeContext, Evictor.EvictorContext):
    """The context of triggers and evictors, reused.

    Attributes:
        window: in hand; the key is the backend's.
        merged: the windows that were merged, during on_merge.
    """

    def __init__(self, operator: WindowOperator) -> None:
        self._operator = operator
        self._backend = operator.backend
        self.window: Any = None
        self.merged: Collection[Window] = ()

    def enter(self, key: Any, window: Window) -> None:
        """Set what the next calls are about."""
        self._backend.current_key = key
        self._backend.namespace = window
        self.window = window

    def get_current_processing_time(self) -> int:
        return self._operator.context.processing_time()

    def get_metric_group(self) -> MetricGroup:
        return self._operator.context.runtime_context.get_metrics_group()

    def get_current_watermark(self) -> int:
        return self._operator.watermark

    def register_processing_time_timer(self, time: int) -> None:
        self._operator.clock_timers.add(time, self._backend.current_key, self.window)

    def register_event_time_timer(self, time: int) -> None:
        self._operator.event_timers.add(time, self._backend.current_key, self.window)

    def delete_processing_time_timer(self, time: int) -> None:
        self._operator.clock_timers.remove(time, self._backend.current_key, self.window)

    def delete_event_time_timer(self, time: int) -> None:
        self._operator.event_timers.remove(time, self._backend.current_key, self.window)

    def get_partitioned_state(self, state_descriptor: StateDescriptor) -> State:
        return self._operator.window_states.state(state_descriptor)

    def merge_partitioned_state(self, state_descriptor: StateDescriptor) -> None:
        state: Any = self.get_partitioned_state(state_descriptor)
        if not isinstance(state_descriptor, _MERGEABLE):
            self._refuse(state_descriptor)
        backend, key, window = self._backend, self._backend.current_key, self.window
        for merged in self.merged:
            if merged == window:
                continue
            backend.namespace = merged
            if isinstance(state_descriptor, AggregatingStateDescriptor):
                more = state.mapping.pop(key, None)
                backend.namespace = window
                if more is not None:
                    known = state.mapping.get(key)
                    merge = state_descriptor.get_agg_function().merge
                    state.mapping[key] = more if known is None else merge(known, more)
                continue
            more = state.get()
            state.clear()
            backend.namespace = window
            if hasattr(state, "add_all"):
                state.add_all(list(more))
            elif more is not None:
                state.add(more)
        backend.namespace = window

    def _refuse(self, descriptor: StateDescriptor) -> NoReturn:
        raise ProgramError(
            f"merge_partitioned_state(): {type(descriptor).__name__} {descriptor.name!r} describes no state that "
            "can be merged: use a reducing, aggregating or list state"
        )


class AssignerContext(WindowAssigner.WindowAssignerContext):
    """What assigners can ask for."""

    def __init__(self, operator: WindowOperator) -> None:
        self._operator = operator
        self.runtime_context: RuntimeContext = operator.context.runtime_context

    def get_current_processing_time(self) -> int:
        return self._operator.context.processing_time()

    def get_runtime_context(self) -> RuntimeContext:
        return self.runtime_context


class OneHandle:
    """Makes each handle once: an assigner asks for its state with every record."""

    def __init__(self, backend: KeyedStateBackend) -> None:
        self._backend = backend
        self._handles: dict[str, State] = {}

    def state(self, descriptor: StateDescriptor) -> State:
        """The handle for a descriptor."""
        handle = self._handles.get(descriptor.name)
        if handle is None:
            handle = self._handles[descriptor.name] = self._backend.state(descriptor)
        return handle
