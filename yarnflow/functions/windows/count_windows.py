"""Assigners of windows that time does not end: windows of so many records, and the one window of all."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from yarnflow.common.typeinfo import Types
from yarnflow.errors import ProgramError
from yarnflow.functions.state import ValueStateDescriptor
from yarnflow.functions.windows.assigner import WindowAssigner
from yarnflow.functions.windows.trigger import Trigger
from yarnflow.functions.windows.triggers import CountTrigger, NeverTrigger, PurgingTrigger
from yarnflow.functions.windows.window import (
    CountWindow,
    CountWindowSerializer,
    GlobalWindow,
    GlobalWindowSerializer,
)

__all__ = ["CountSlidingWindowAssigner", "CountTumblingWindowAssigner", "GlobalWindows"]


class _CountWindows(WindowAssigner[Any, CountWindow]):
    """Numbers the records of each key, and from that the windows.

    A window fires once, with its last record, and is forgotten then (PyFlink leaves its records in the state).

    Attributes:
        window_size, window_slide: in records.
    """

    def __init__(self, window_size: int, window_slide: int) -> None:
        if window_size < 1 or window_slide < 1:
            raise ProgramError(
                f"a count window has 1 or more records and slides by 1 or more, not {window_size} and "
                f"{window_slide}"
            )
        self.window_size = window_size
        self.window_slide = window_slide
        self._count_descriptor = ValueStateDescriptor("window-count", Types.LONG())

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[CountWindow]:
        state = context.get_runtime_context().get_state(self._count_descriptor)
        number = state.value() or 0
        state.update(number + 1)
        last = number // self.window_slide
        first = max(0, -(-(number - self.window_size + 1) // self.window_slide))
        return [CountWindow(window) for window in range(last, first - 1, -1)]

    def get_default_trigger(self, env: Any) -> Trigger[Any, Any]:
        return PurgingTrigger(CountTrigger(self.window_size))

    def get_window_serializer(self) -> CountWindowSerializer:
        return CountWindowSerializer()

    def is_event_time(self) -> bool:
        return False


class CountTumblingWindowAssigner(_CountWindows):
    """Windows of `window_size` records of a key, one after the other."""

    def __init__(self, window_size: int) -> None:
        super().__init__(window_size, window_size)

    @staticmethod
    def of(window_size: int) -> CountTumblingWindowAssigner:
        """The same as the constructor."""
        return CountTumblingWindowAssigner(window_size)

    def __repr__(self) -> str:
        return f"CountTumblingWindowAssigner({self.window_size})"


class CountSlidingWindowAssigner(_CountWindows):
    """Windows of `window_size` records of a key that start every `window_slide` records."""

    @staticmethod
    def of(window_size: int, window_slide: int) -> CountSlidingWindowAssigner:
        """The same as the constructor."""
        return CountSlidingWindowAssigner(window_size, window_slide)

    def __repr__(self) -> str:
        return f"CountSlidingWindowAssigner({self.window_size}, {self.window_slide})"


class GlobalWindows(WindowAssigner[Any, GlobalWindow]):
    """One window of all records of a key. It fires when a trigger says so; the default one never does."""

    @staticmethod
    def create() -> GlobalWindows:
        """The same as the constructor."""
        return GlobalWindows()

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[GlobalWindow]:
        return (GlobalWindow.get(),)

    def get_default_trigger(self, env: Any) -> Trigger[Any, Any]:
        return NeverTrigger()

    def get_window_serializer(self) -> GlobalWindowSerializer:
        return GlobalWindowSerializer()

    def is_event_time(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "GlobalWindows()"
