"""What all operators on windows share: the window function and its context, results, late records, snapshots.

    windows/time.py       tumbling and sliding windows that fire when time passes their end
    windows/sliding.py    the same for windows that overlap, by panes that they share
    windows/session.py    sessions with the assigner's own trigger
    windows/count.py      count windows
    windows/operator.py   everything else: other triggers, assigners of users, evictors
    columns/window.py   tumbling and sliding windows of built-in aggregates, on columns

make_window (windows/factory.py) chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.runtime_context import KeyedStateStore, RuntimeContext
from yarnflow.functions.state import State, StateDescriptor
from yarnflow.functions.windows.window import Window
from yarnflow.functions.windows.window_functions import (
    AllWindowFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
)
from yarnflow.graph.operators import Operator, WindowSpec
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.isolation import own
from yarnflow.runtime.operators.keyed import check_selector
from yarnflow.runtime.operators.processing.process import RESULTS, KeyedFunctionOperator
from yarnflow.runtime.operators.timestamps import missing_timestamp
from yarnflow.runtime.operators.windows.contents import contents_of
from yarnflow.runtime.operators.windows.layout import check_layout, store_layout
from yarnflow.runtime.state.backend import KeyedStateBackend
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot

#: Names under which state is stored.
CONTENTS = "window-contents"

#: Flink's name of the metric.
LATE_METRIC = "numLateRecordsDropped"

#: What a window function takes.
Call = Callable[[Any, Window, list[Any]], Any]


class FiringWindow(NamedTuple):
    """A window that fires, as error messages show it."""

    window: Window
    key: Any


class WindowStates:
    """Gives handles on the state of the window in hand, each of them once."""

    def __init__(self, backend: KeyedStateBackend) -> None:
        self._backend = backend
        self._handles: dict[str, State] = {}

    def state(self, descriptor: StateDescriptor) -> State:
        """The handle for a descriptor."""
        handle = self._handles.get(descriptor.name)
        if handle is None:
            handle = self._handles[descriptor.name] = self._backend.window_state(descriptor)
        return handle

    def forget(self, window: Window) -> None:
        """Drop the states of a window for all keys."""
        for name in self._handles:
            self._backend.table(name).drop(window)

    def forget_empty(self, window: Window) -> None:
        """Drop the states of a window in which no key has anything."""
        for name in self._handles:
            table = self._backend.table(name)
            if not table.of(window):
                table.drop(window)


class WindowingOperator(KeyedFunctionOperator):
    """Base of operators on windows.

    Attributes:
        spec: what they do.
        contents: how records are kept.
        windows: the state table with the contents of windows (or panes) by window.
        window_states: state of single windows for window functions and triggers.
        lateness: allowed_lateness, ms; 0 in processing time.
    """

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        spec = operator.spec
        assert isinstance(spec, WindowSpec)
        functions = [
            function
            for function in (spec.key, spec.reduce, spec.aggregate)
            if not isinstance(function, (int, str, type(None)))
        ]
        super().__init__(operator, context, spec.window_function, functions)
        self.spec = spec
        self.contents = contents_of(operator.name, spec)
        self.windows = self.backend.table(CONTENTS)
        self.window_states = WindowStates(self.backend)
        self.in_event_time: bool = spec.assigner.is_event_time()
        self.lateness = spec.allowed_lateness if self.in_event_time else 0
        self._context = WindowContext(self)
        self._call = None if spec.window_function is None else _caller(spec.window_function, self._context)
        self.has_clear = _overrides_clear(spec.window_function)
        self._rows: list[Any] = []
        self._times: list[int] = []
        self._late_dropped: Any = None

    # -- life ------------------------------------------------------------------------------------------------

    def layout(self) -> str:
        """What decides how windows are stored, in words: see windows/layout.py."""
        return f"{self.spec.assigner!r} with {self.contents.kept}"

    def restore(self, restored: RestoredOperator) -> None:
        check_layout(restored, self, self.layout())
        super().restore(restored)

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        super().snapshot(snapshot)
        store_layout(snapshot, self, self.layout())

    def open(self) -> None:
        context = self.context.runtime_context
        self._context.open(context)
        self._late_dropped = context.get_metrics_group().counter(LATE_METRIC)
        super().open()

    # -- records ---------------------------------------------------------------------------------------------

    def check_keys(self, records: list[Any]) -> None:
        """Look whether the first record of a batch belongs here."""
        if self.spec.key is not None:
            check_selector(self.operator.name, self.context, self.contents.key, records[0])

    def needs_time(self, batch: RowBatch) -> list[int]:
        """The event times of a batch. Raises ProgramError when it has none."""
        if batch.timestamps is None:
            raise missing_timestamp(self.operator.name, batch.rows[0])
        return batch.timestamps

    # -- time ------------------------------------------------------------------------------------------------

    def process_watermark(self, timestamp: int) -> None:
        if timestamp > self.watermark:  # a restored one may be ahead of what comes first
            self.watermark = timestamp
            self.advance_event_time(timestamp)
            self.emit_results()
        self.emit_watermark(timestamp)

    def advance_event_time(self, timestamp: int) -> None:
        """Fire what is due. Results are emitted afterwards."""

    # -- late records ----------------------------------------------------------------------------------------

    def late(self, records: list[Any], times: list[int]) -> None:
        """These records come after all of their windows have gone."""
        tag = self.spec.late_tag
        if tag is None:
            self._late_dropped.inc(len(records))
        elif tag in self.side_outputs:
            self.side_outputs[tag](RowBatch(records, times))

    # -- results ---------------------------------------------------------------------------------------------

    def evaluate(self, window: Window, state: Mapping[Any, Any], stays: bool) -> None:
        """Make the results of a window for all its keys. `stays`: the contents are needed again."""
        if self._call is not None:
            for key, known in list(state.items()) if stays else state.items():
                self.evaluate_key(window, key, known, stays)
            return
        known = map(own, state.values()) if stays else state.values()
        before = len(self._rows)
        self._rows.extend(map(self.contents.result, known))
        self._times.extend([window.max_timestamp()] * (len(self._rows) - before))
        if len(self._rows) >= RESULTS:
            self.emit_results()

    def evaluate_key(self, window: Window, key: Any, known: Any, stays: bool) -> None:
        """Make the results of a window for one key."""
        contents = self.contents
        if contents.incremental:
            result = contents.result(own(known) if stays else known)
            if self._call is None:
                self._rows.append(result)
                self._times.append(window.max_timestamp())
                return
            elements = [result]
        else:
            elements = list(contents.result(known)) if stays else contents.result(known)
        self.call_function(window, key, elements)

    def call_function(self, window: Window, key: Any, elements: list[Any]) -> None:
        """Call the window function, or reduce what a window with an evictor has left."""
        assert self._call is not None
        self.backend.current_key = key
        self.backend.namespace = window
        results = None
        before = len(self._rows)
        try:
            results = self._call(key, window, elements)
            if results is not None:
                self._rows.extend(results)
        except Exception as error:
            record = FiringWindow(window, key)  # error messages show what `record` is
            if isinstance(error, TypeError):
                self.explain_results(error, results, _method(self.function), record)
            raise
        self._times.extend([window.max_timestamp()] * (len(self._rows) - before))
        if len(self._rows) >= RESULTS:
            self.emit_results()

    def clear_key(self, window: Window, key: Any) -> None:
        """The window is gone for good: let the function forget its state."""
        if self.has_clear:
            self.backend.current_key = key
            self.backend.namespace = window
            self._context.firing = window
            self.function.clear(self._context)

    def emit_results(self) -> None:
        """Hand on what has been made."""
        if not self._rows:
            return
        rows, times = self._rows, self._times
        self._rows, self._times = [], []
        self.backend.current_key = KeyedStateBackend.NO_KEY
        for start in range(0, len(rows), RESULTS):
            self.hand_on(rows[start : start + RESULTS], times[start : start + RESULTS])


class FiredByTimeOperator(WindowingOperator):
    """Base of operators whose windows fire when time passes their ends, all by themselves.

    Attributes:
        now: all times up to here have passed: the watermark, or 1 ms before the time of the clock.
    """

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        self.now = MIN_WATERMARK

    def restore(self, restored: RestoredOperator) -> None:
        super().restore(restored)
        if self.in_event_time:
            self.now = self.watermark

    def fire_due(self) -> None:
        """Fire the windows that have ended by `now`, in order of their ends, and drop those that have gone."""
        raise NotImplementedError

    def advance_event_time(self, timestamp: int) -> None:
        if self.in_event_time:
            self.now = timestamp
            self.fire_due()

    def advance_clock(self, now: int) -> None:
        if not self.in_event_time:
            self.read_clock()
            self.emit_results()

    def read_clock(self) -> int:
        """Fire what is due by the clock; returns the time of records that come now."""
        self.now = max(self.now, self.context.processing_time() - 1)
        self.fire_due()
        return self.now + 1

    def finish(self) -> None:
        # As in Flink: windows by the clock that have not ended give nothing when the input ends, except in BATCH
        # mode, where all that comes out comes out at the end.
        if not self.in_event_time and self.spec.final_only:
            self.now = MAX_WATERMARK
            self.fire_due()
            self.emit_results()


class WindowContext(ProcessWindowFunction.Context[Any], ProcessAllWindowFunction.Context[Any]):
    """The context of window functions, reused.

    Attributes:
        firing: the window in hand.
    """

    def __init__(self, operator: WindowingOperator) -> None:
        self.firing: Any = None
        self._operator = operator
        self._window_state: KeyedStateStore | None = None
        self._global_state: KeyedStateStore | None = None

    def open(self, context: RuntimeContext) -> None:
        """Make the stores."""
        self._window_state = context.with_keyed_state(self._operator.window_states)
        self._global_state = context.with_keyed_state(self._operator.backend)

    def window(self) -> Any:
        return self.firing

    def current_processing_time(self) -> int:
        return self._operator.context.processing_time()

    def current_watermark(self) -> int:
        return self._operator.watermark

    def window_state(self) -> KeyedStateStore:
        if hasattr(self._operator.spec.assigner, "merge_windows"):
            raise ProgramError(
                f"'{self._operator.operator.name}': windows that merge have no state of their own, because it "
                "could not be merged: use global_state(), which belongs to the key"
            )
        assert self._window_state is not None
        return self._window_state

    def global_state(self) -> KeyedStateStore:
        assert self._global_state is not None
        return self._global_state


def _caller(function: Any, context: WindowContext) -> Call:
    if isinstance(function, WindowFunction):
        return function.apply
    if isinstance(function, AllWindowFunction):
        return lambda key, window, elements: function.apply(window, elements)
    if isinstance(function, ProcessWindowFunction):

        def process(key: Any, window: Window, elements: list[Any]) -> Any:
            context.firing = window
            return function.process(key, context, elements)

        return process
    assert isinstance(function, ProcessAllWindowFunction)

    def process_all(key: Any, window: Window, elements: list[Any]) -> Any:
        context.firing = window
        return function.process(context, elements)

    return process_all


def _method(function: Any) -> Any:
    return function.apply if isinstance(function, (WindowFunction, AllWindowFunction)) else function.process


def _overrides_clear(function: Any) -> bool:
    clear = getattr(type(function), "clear", None)
    return clear not in (None, ProcessWindowFunction.clear, ProcessAllWindowFunction.clear)
