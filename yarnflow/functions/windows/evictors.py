"""What is taken out of a window before, or after, its function is called on it. PyFlink has no evictors; names and
meaning are those of Flink's Java API.

With an evictor all records of a window are kept, also when it ends in reduce() or aggregate().
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from yarnflow.common.time import Duration, Time, millis
from yarnflow.errors import ProgramError
from yarnflow.functions.windows.window import Window

__all__ = ["CountEvictor", "DeltaEvictor", "Evictor", "TimeEvictor", "TimestampedValue"]


class TimestampedValue(NamedTuple):
    """A record in a window and its event time, ms since the epoch (None: it has none)."""

    value: Any
    timestamp: int | None


class Evictor(ABC):
    """Takes records out of a window, by changing the list it gets in place."""

    class EvictorContext(ABC):
        """Valid during the call only."""

        @abstractmethod
        def get_current_processing_time(self) -> int:
            """The machine's clock, ms since the epoch."""

        @abstractmethod
        def get_current_watermark(self) -> int:
            """Event time, ms since the epoch; MIN_LONG_VALUE before the first watermark."""

    @abstractmethod
    def evict_before(
        self, elements: list[TimestampedValue], size: int, window: Window, ctx: Evictor.EvictorContext
    ) -> None:
        """The window fires: remove from `elements`, in order of arrival, what its function shall not see.
        `size` is their number."""

    @abstractmethod
    def evict_after(
        self, elements: list[TimestampedValue], size: int, window: Window, ctx: Evictor.EvictorContext
    ) -> None:
        """The function has been called: remove what the next firing shall not see."""


class _BuiltIn(Evictor):
    """Evicts either before or after the function."""

    def __init__(self, do_evict_after: bool) -> None:
        self._after = do_evict_after

    def evict_before(
        self, elements: list[TimestampedValue], size: int, window: Window, ctx: Evictor.EvictorContext
    ) -> None:
        if not self._after:
            self._evict(elements)

    def evict_after(
        self, elements: list[TimestampedValue], size: int, window: Window, ctx: Evictor.EvictorContext
    ) -> None:
        if self._after:
            self._evict(elements)

    @abstractmethod
    def _evict(self, elements: list[TimestampedValue]) -> None: ...


class CountEvictor(_BuiltIn):
    """Keeps the newest `max_count` records."""

    def __init__(self, max_count: int, do_evict_after: bool = False) -> None:
        super().__init__(do_evict_after)
        if max_count < 0:
            raise ProgramError(f"CountEvictor keeps 0 or more records, not {max_count}")
        self._max_count = max_count

    @staticmethod
    def of(max_count: int, do_evict_after: bool = False) -> CountEvictor:
        """The same as the constructor."""
        return CountEvictor(max_count, do_evict_after)

    def _evict(self, elements: list[TimestampedValue]) -> None:
        if len(elements) > self._max_count:
            del elements[: len(elements) - self._max_count]


class TimeEvictor(_BuiltIn):
    """Keeps the records that are less than `window_size` ms older than the newest; records without time stay."""

    def __init__(self, window_size: int, do_evict_after: bool = False) -> None:
        super().__init__(do_evict_after)
        self._window_size = window_size

    @staticmethod
    def of(window_size: Time | Duration, do_evict_after: bool = False) -> TimeEvictor:
        """The same as the constructor, for a Time or Duration."""
        return TimeEvictor(millis(window_size), do_evict_after)

    def _evict(self, elements: list[TimestampedValue]) -> None:
        times = [element.timestamp for element in elements if element.timestamp is not None]
        if times:
            oldest = max(times) - self._window_size
            elements[:] = [e for e in elements if e.timestamp is None or e.timestamp > oldest]


class DeltaEvictor(_BuiltIn):
    """Keeps the records whose `delta_function(record, newest record)` is below the threshold."""

    def __init__(
        self, threshold: float, delta_function: Callable[[Any, Any], float], do_evict_after: bool = False
    ) -> None:
        super().__init__(do_evict_after)
        self._threshold = threshold
        self._delta = delta_function

    @staticmethod
    def of(
        threshold: float, delta_function: Callable[[Any, Any], float], do_evict_after: bool = False
    ) -> DeltaEvictor:
        """The same as the constructor."""
        return DeltaEvictor(threshold, delta_function, do_evict_after)

    def _evict(self, elements: list[TimestampedValue]) -> None:
        if elements:
            newest = elements[-1].value
            elements[:] = [e for e in elements if self._delta(e.value, newest) < self._threshold]
