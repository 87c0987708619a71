"""Assigners of windows in time: tumbling, sliding, session; by event time and by the machine's clock."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable
from math import gcd
from typing import Any

from yarnflow.common.time import Duration, Time, millis
from yarnflow.errors import ProgramError
from yarnflow.functions.windows.assigner import (
    MergingWindowAssigner,
    SessionWindowTimeGapExtractor,
    WindowAssigner,
)
from yarnflow.functions.windows.trigger import Trigger
from yarnflow.functions.windows.triggers import EventTimeTrigger, ProcessingTimeTrigger
from yarnflow.functions.windows.window import TimeWindow, TimeWindowSerializer

__all__ = [
    "DynamicEventTimeSessionWindows",
    "DynamicProcessingTimeSessionWindows",
    "EventTimeSessionWindows",
    "ProcessingTimeSessionWindows",
    "SlidingEventTimeWindows",
    "SlidingProcessingTimeWindows",
    "TumblingEventTimeWindows",
    "TumblingProcessingTimeWindows",
]


class _EventTime(WindowAssigner[Any, TimeWindow]):
    def get_default_trigger(self, env: Any) -> Trigger[Any, Any]:
        return EventTimeTrigger()

    def get_window_serializer(self) -> TimeWindowSerializer:
        return TimeWindowSerializer()

    def is_event_time(self) -> bool:
        return True


class _ProcessingTime(WindowAssigner[Any, TimeWindow]):
    def get_default_trigger(self, env: Any) -> Trigger[Any, Any]:
        return ProcessingTimeTrigger()

    def get_window_serializer(self) -> TimeWindowSerializer:
        return TimeWindowSerializer()

    def is_event_time(self) -> bool:
        return False


class PanedWindows(WindowAssigner[Any, TimeWindow]):
    """Base of tumbling and sliding windows: time is cut into panes, and each window is a row of whole panes.

    Attributes:
        size: of a window, ms.
        slide: from the start of one window to that of the next, ms; `size` when they tumble.
        offset: windows start at `offset` + a multiple of `slide`, ms.
        pane: the length of a pane, ms: divides size and slide.
    """

    def __init__(self, size: int, slide: int, offset: int) -> None:
        name = type(self).__name__
        if size <= 0 or slide <= 0:
            raise ProgramError(f"{name}: size and slide must be greater than 0 ms; they are {size} and {slide}")
        if abs(offset) >= slide:
            raise ProgramError(f"{name}: the offset, {offset} ms, must be less than {slide} ms, either way")
        self.size = size
        self.slide = slide
        self.offset = offset
        self.pane = gcd(size, slide)

    def windows_at(self, time: int) -> list[TimeWindow]:
        """The windows that hold `time`, the latest first."""
        last = time - (time - self.offset) % self.slide
        return [TimeWindow(start, start + self.size) for start in range(last, time - self.size, -self.slide)]

    def __repr__(self) -> str:
        if self.slide == self.size:
            return f"{type(self).__name__}({self.size}, {self.offset})"
        return f"{type(self).__name__}({self.size}, {self.slide}, {self.offset})"


class TumblingEventTimeWindows(_EventTime, PanedWindows):
    """Windows of `size` ms, one after the other, by event time."""

    def __init__(self, size: int, offset: int = 0) -> None:
        super().__init__(size, size, offset)

    @staticmethod
    def of(size: Time | Duration, offset: Time | Duration | None = None) -> TumblingEventTimeWindows:
        """Windows start at `offset` after the epoch + a multiple of `size`. Days of the time zone UTC+8:
        `of(Time.days(1), Time.hours(-8))`."""
        return TumblingEventTimeWindows(millis(size), 0 if offset is None else millis(offset))

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        return self.windows_at(timestamp)


class SlidingEventTimeWindows(_EventTime, PanedWindows):
    """Windows of `size` ms that start every `slide` ms, by event time."""

    def __init__(self, size: int, slide: int, offset: int = 0) -> None:
        super().__init__(size, slide, offset)

    @staticmethod
    def of(
        size: Time | Duration, slide: Time | Duration, offset: Time | Duration | None = None
    ) -> SlidingEventTimeWindows:
        """As the constructor, for Time or Duration."""
        return SlidingEventTimeWindows(millis(size), millis(slide), 0 if offset is None else millis(offset))

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        return self.windows_at(timestamp)


class TumblingProcessingTimeWindows(_ProcessingTime, PanedWindows):
    """Windows of `size` ms, one after the other, by the machine's clock."""

    def __init__(self, size: int, offset: int = 0) -> None:
        super().__init__(size, size, offset)

    @staticmethod
    def of(size: Time | Duration, offset: Time | Duration | None = None) -> TumblingProcessingTimeWindows:
        """As TumblingEventTimeWindows.of."""
        return TumblingProcessingTimeWindows(millis(size), 0 if offset is None else millis(offset))

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        return self.windows_at(context.get_current_processing_time())


class SlidingProcessingTimeWindows(_ProcessingTime, PanedWindows):
    """Windows of `size` ms that start every `slide` ms, by the machine's clock."""

    def __init__(self, size: int, slide: int, offset: int = 0) -> None:
        super().__init__(size, slide, offset)

    @staticmethod
    def of(
        size: Time | Duration, slide: Time | Duration, offset: Time | Duration | None = None
    ) -> SlidingProcessingTimeWindows:
        """As the constructor, for Time or Duration."""
        return SlidingProcessingTimeWindows(millis(size), millis(slide), 0 if offset is None else millis(offset))

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        return self.windows_at(context.get_current_processing_time())


class SessionWindows(MergingWindowAssigner[Any, TimeWindow]):
    """Each record opens a window of its gap; windows that overlap or touch merge.

    Attributes:
        fixed_gap: ms; 0 when each record says its own.
    """

    fixed_gap = 0

    @abstractmethod
    def gap_of(self, element: Any) -> int:
        """The gap of a record, ms. Raises ProgramError when it is not greater than 0."""

    def merge_windows(
        self, windows: Iterable[TimeWindow], callback: MergingWindowAssigner.MergeCallback[TimeWindow]
    ) -> None:
        TimeWindow.merge_windows(windows, callback)


class _FixedGap(SessionWindows):
    def __init__(self, session_gap: int) -> None:
        if session_gap <= 0:
            raise ProgramError(f"{type(self).__name__}: the gap must be greater than 0 ms, not {session_gap}")
        self.fixed_gap = session_gap

    def gap_of(self, element: Any) -> int:
        return self.fixed_gap

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.fixed_gap})"


class _DynamicGap(SessionWindows):
    def __init__(self, session_window_time_gap_extractor: SessionWindowTimeGapExtractor) -> None:
        if not callable(getattr(session_window_time_gap_extractor, "extract", None)):
            raise TypeError(
                f"{type(self).__name__} needs a SessionWindowTimeGapExtractor, not "
                f"{session_window_time_gap_extractor!r}"
            )
        self._extractor = session_window_time_gap_extractor

    def gap_of(self, element: Any) -> int:
        gap: int = self._extractor.extract(element)
        if gap <= 0:
            raise ProgramError(
                f"{type(self._extractor).__name__}.extract() returned {gap!r} for the record {element!r}: a gap "
                "is greater than 0 ms"
            )
        return gap

    @abstractmethod
    def is_event_time(self) -> bool: ...

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class EventTimeSessionWindows(_EventTime, _FixedGap):
    """Windows of a key that end when no record comes for `session_gap` ms of event time."""

    @staticmethod
    def with_gap(size: Time | Duration) -> EventTimeSessionWindows:
        """As the constructor, for a Time or Duration."""
        return EventTimeSessionWindows(millis(size))

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicEventTimeSessionWindows:
        """Sessions whose gap each record says."""
        return DynamicEventTimeSessionWindows(extractor)

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        return [TimeWindow(timestamp, timestamp + self.fixed_gap)]


class ProcessingTimeSessionWindows(_ProcessingTime, _FixedGap):
    """Windows of a key that end when no record comes for `session_gap` ms by the machine's clock."""

    @staticmethod
    def with_gap(size: Time | Duration) -> ProcessingTimeSessionWindows:
        """As the constructor, for a Time or Duration."""
        return ProcessingTimeSessionWindows(millis(size))

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicProcessingTimeSessionWindows:
        """Sessions whose gap each record says."""
        return DynamicProcessingTimeSessionWindows(extractor)

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        now = context.get_current_processing_time()
        return [TimeWindow(now, now + self.fixed_gap)]


class DynamicEventTimeSessionWindows(_EventTime, _DynamicGap):
    """Event-time sessions whose gap each record says."""

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicEventTimeSessionWindows:
        """The same as the constructor."""
        return DynamicEventTimeSessionWindows(extractor)

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        return [TimeWindow(timestamp, timestamp + self.gap_of(element))]


class DynamicProcessingTimeSessionWindows(_ProcessingTime, _DynamicGap):
    """Processing-time sessions whose gap each record says."""

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicProcessingTimeSessionWindows:
        """The same as the constructor."""
        return DynamicProcessingTimeSessionWindows(extractor)

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        now = context.get_current_processing_time()
        return [TimeWindow(now, now + self.gap_of(element))]
