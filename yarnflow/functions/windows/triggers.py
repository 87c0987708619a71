"""The triggers there are. DeltaTrigger is Flink's; PyFlink has all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from yarnflow.common.time import Duration, Time, millis
from yarnflow.common.typeinfo import TypeInformation, Types
from yarnflow.errors import ProgramError
from yarnflow.functions.state import ReducingState, ReducingStateDescriptor, ValueState, ValueStateDescriptor
from yarnflow.functions.windows.trigger import Trigger, TriggerResult
from yarnflow.functions.windows.window import Window

__all__ = [
    "ContinuousEventTimeTrigger",
    "ContinuousProcessingTimeTrigger",
    "CountTrigger",
    "DeltaTrigger",
    "EventTimeTrigger",
    "NeverTrigger",
    "ProcessingTimeTrigger",
    "PurgingTrigger",
]

Context = Trigger.TriggerContext
MergeContext = Trigger.OnMergeContext

_CONTINUE = TriggerResult.CONTINUE
_FIRE = TriggerResult.FIRE


class _Quiet(Trigger[Any, Any]):
    """Does nothing by itself; triggers override what concerns them."""

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: Context) -> TriggerResult:
        return _CONTINUE

    def on_processing_time(self, time: int, window: Window, ctx: Context) -> TriggerResult:
        return _CONTINUE

    def on_event_time(self, time: int, window: Window, ctx: Context) -> TriggerResult:
        return _CONTINUE

    def clear(self, window: Window, ctx: Context) -> None:
        """Nothing is kept."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class NeverTrigger(_Quiet):
    """Never fires: the default of GlobalWindows."""


class EventTimeTrigger(_Quiet):
    """Fires when the watermark passes the end of the window, and at once for records that come later still."""

    @staticmethod
    def create() -> EventTimeTrigger:
        """The same as the constructor."""
        return EventTimeTrigger()

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: Context) -> TriggerResult:
        end = window.max_timestamp()
        if end <= ctx.get_current_watermark():
            return _FIRE
        ctx.register_event_time_timer(end)
        return _CONTINUE

    def on_event_time(self, time: int, window: Window, ctx: Context) -> TriggerResult:
        return _FIRE if time == window.max_timestamp() else _CONTINUE

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Window, ctx: MergeContext) -> None:
        if window.max_timestamp() > ctx.get_current_watermark():
            ctx.register_event_time_timer(window.max_timestamp())

    def clear(self, window: Window, ctx: Context) -> None:
        ctx.delete_event_time_timer(window.max_timestamp())


class ProcessingTimeTrigger(_Quiet):
    """Fires when the machine's clock passes the end of the window."""

    @staticmethod
    def create() -> ProcessingTimeTrigger:
        """The same as the constructor."""
        return ProcessingTimeTrigger()

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: Context) -> TriggerResult:
        ctx.register_processing_time_timer(window.max_timestamp())
        return _CONTINUE

    def on_processing_time(self, time: int, window: Window, ctx: Context) -> TriggerResult:
        return _FIRE

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Window, ctx: MergeContext) -> None:
        if window.max_timestamp() > ctx.get_current_processing_time():
            ctx.register_processing_time_timer(window.max_timestamp())

    def clear(self, window: Window, ctx: Context) -> None:
        ctx.delete_processing_time_timer(window.max_timestamp())


class _Continuous(_Quiet):
    """Fires every `interval` ms of its kind of time, counted from the epoch, as long as the window is there."""

    def __init__(self, interval: int) -> None:
        if interval <= 0:
            raise ProgramError(f"{type(self).__name__}: the interval must be greater than 0 ms, not {interval}")
        self.interval = interval
        self.state_desc = ReducingStateDescriptor("fire-time", min, Types.LONG())

    def _next_fire(self, ctx: Context) -> ReducingState[int]:
        return cast("ReducingState[int]", ctx.get_partitioned_state(self.state_desc))

    def _after(self, time: int, window: Window) -> int:
        return min(time + self.interval, window.max_timestamp())

    def can_merge(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.interval})"


class ContinuousEventTimeTrigger(_Continuous):
    """Fires every `interval` ms of event time, and at the end of the window."""

    @staticmethod
    def of(interval: Time | Duration) -> ContinuousEventTimeTrigger:
        """As the constructor, for a Time or Duration."""
        return ContinuousEventTimeTrigger(millis(interval))

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: Context) -> TriggerResult:
        end = window.max_timestamp()
        if end <= ctx.get_current_watermark():
            return _FIRE
        ctx.register_event_time_timer(end)
        state = self._next_fire(ctx)
        if state.get() is None:
            self._register(state, timestamp - timestamp % self.interval, window, ctx)
        return _CONTINUE

    def on_event_time(self, time: int, window: Window, ctx: Context) -> TriggerResult:
        if time == window.max_timestamp():
            return _FIRE
        state = self._next_fire(ctx)
        if state.get() != time:
            return _CONTINUE
        state.clear()
        self._register(state, time, window, ctx)
        return _FIRE

    def _register(self, state: ReducingState[int], time: int, window: Window, ctx: Context) -> None:
        fire = self._after(time, window)
        state.add(fire)
        ctx.register_event_time_timer(fire)

    def on_merge(self, window: Window, ctx: MergeContext) -> None:
        ctx.merge_partitioned_state(self.state_desc)
        fire = self._next_fire(ctx).get()
        if fire is not None:
            ctx.register_event_time_timer(fire)

    def clear(self, window: Window, ctx: Context) -> None:
        state = self._next_fire(ctx)
        fire = state.get()
        if fire is not None:
            ctx.delete_event_time_timer(fire)
            state.clear()


class ContinuousProcessingTimeTrigger(_Continuous):
    """Fires every `interval` ms by the machine's clock."""

    @staticmethod
    def of(interval: Time | Duration) -> ContinuousProcessingTimeTrigger:
        """As the constructor, for a Time or Duration."""
        return ContinuousProcessingTimeTrigger(millis(interval))

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: Context) -> TriggerResult:
        state = self._next_fire(ctx)
        if state.get() is None:
            now = ctx.get_current_processing_time()
            self._register(state, now - now % self.interval, window, ctx)
        return _CONTINUE

    def on_processing_time(self, time: int, window: Window, ctx: Context) -> TriggerResult:
        state = self._next_fire(ctx)
        if state.get() != time:
            return _CONTINUE
        state.clear()
        self._register(state, time, window, ctx)
        return _FIRE

    def _register(self, state: ReducingState[int], time: int, window: Window, ctx: Context) -> None:
        fire = self._after(time, window)
        state.add(fire)
        ctx.register_processing_time_timer(fire)

    def on_merge(self, window: Window, ctx: MergeContext) -> None:
        ctx.merge_partitioned_state(self.state_desc)
        fire = self._next_fire(ctx).get()
        if fire is not None:
            ctx.register_processing_time_timer(fire)

    def clear(self, window: Window, ctx: Context) -> None:
        state = self._next_fire(ctx)
        fire = state.get()
        if fire is not None:
            ctx.delete_processing_time_timer(fire)
            state.clear()


class CountTrigger(_Quiet):
    """Fires when `window_size` records have come since it last fired.

    Attributes:
        window_size: the number of records.
    """

    def __init__(self, window_size: int) -> None:
        if window_size < 1:
            raise ProgramError(f"CountTrigger counts to 1 or more, not {window_size}")
        self.window_size = window_size
        self._count_state_descriptor = ReducingStateDescriptor("count", _add, Types.LONG())

    @staticmethod
    def of(window_size: int) -> CountTrigger:
        """The same as the constructor."""
        return CountTrigger(window_size)

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: Context) -> TriggerResult:
        count = cast("ReducingState[int]", ctx.get_partitioned_state(self._count_state_descriptor))
        count.add(1)
        if count.get() < self.window_size:
            return _CONTINUE
        count.clear()
        return _FIRE

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Window, ctx: MergeContext) -> None:
        ctx.merge_partitioned_state(self._count_state_descriptor)

    def clear(self, window: Window, ctx: Context) -> None:
        ctx.get_partitioned_state(self._count_state_descriptor).clear()

    def __repr__(self) -> str:
        return f"CountTrigger({self.window_size})"


def _add(left: int, right: int) -> int:
    return left + right


class DeltaTrigger(_Quiet):
    """Fires when a record differs by more than `threshold` from the one at which it last fired (or the first).

    Args:
        threshold: in the unit of `delta_function`.
        delta_function: (old record, new record) -> how far they are apart.
        element_type: of the records.
    """

    def __init__(
        self,
        threshold: float,
        delta_function: Callable[[Any, Any], float],
        element_type: TypeInformation | None = None,
    ) -> None:
        self._threshold = threshold
        self._delta = delta_function
        self._state_descriptor = ValueStateDescriptor("last-element", element_type)

    @staticmethod
    def of(
        threshold: float,
        delta_function: Callable[[Any, Any], float],
        element_type: TypeInformation | None = None,
    ) -> DeltaTrigger:
        """The same as the constructor."""
        return DeltaTrigger(threshold, delta_function, element_type)

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: Context) -> TriggerResult:
        last = cast("ValueState[Any]", ctx.get_partitioned_state(self._state_descriptor))
        before = last.value()
        if before is None:
            last.update(element)
            return _CONTINUE
        if self._delta(before, element) <= self._threshold:
            return _CONTINUE
        last.update(element)
        return _FIRE

    def clear(self, window: Window, ctx: Context) -> None:
        ctx.get_partitioned_state(self._state_descriptor).clear()

    def __repr__(self) -> str:
        return f"DeltaTrigger({self._threshold})"


class PurgingTrigger(Trigger[Any, Any]):
    """Fires when another trigger does, and then forgets what is in the window."""

    def __init__(self, nested_trigger: Trigger[Any, Any]) -> None:
        if not isinstance(nested_trigger, Trigger):
            raise TypeError(f"PurgingTrigger.of() needs a trigger, not {nested_trigger!r}")
        self.nested_trigger = nested_trigger

    @staticmethod
    def of(nested_trigger: Trigger[Any, Any]) -> PurgingTrigger:
        """The same as the constructor."""
        return PurgingTrigger(nested_trigger)

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: Context) -> TriggerResult:
        return _purging(self.nested_trigger.on_element(element, timestamp, window, ctx))

    def on_processing_time(self, time: int, window: Window, ctx: Context) -> TriggerResult:
        return _purging(self.nested_trigger.on_processing_time(time, window, ctx))

    def on_event_time(self, time: int, window: Window, ctx: Context) -> TriggerResult:
        return _purging(self.nested_trigger.on_event_time(time, window, ctx))

    def can_merge(self) -> bool:
        return self.nested_trigger.can_merge()

    def on_merge(self, window: Window, ctx: MergeContext) -> None:
        self.nested_trigger.on_merge(window, ctx)

    def clear(self, window: Window, ctx: Context) -> None:
        self.nested_trigger.clear(window, ctx)

    def __repr__(self) -> str:
        return f"PurgingTrigger({self.nested_trigger!r})"


def _purging(result: TriggerResult) -> TriggerResult:
    return TriggerResult.FIRE_AND_PURGE if result.is_fire() else result
