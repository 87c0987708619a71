"""Assigners and evictors by themselves."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import pytest

from yarnflow.common.constants import MAX_LONG_VALUE
from yarnflow.common.time import Duration, Time
from yarnflow.errors import ProgramError
from yarnflow.functions.windows.assigner import (
    MergingWindowAssigner,
    SessionWindowTimeGapExtractor,
    WindowAssigner,
)
from yarnflow.functions.windows.count_windows import (
    CountSlidingWindowAssigner,
    CountTumblingWindowAssigner,
    GlobalWindows,
)
from yarnflow.functions.windows.evictors import CountEvictor, DeltaEvictor, TimeEvictor, TimestampedValue
from yarnflow.functions.windows.time_windows import (
    EventTimeSessionWindows,
    ProcessingTimeSessionWindows,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from yarnflow.functions.windows.triggers import (
    EventTimeTrigger,
    NeverTrigger,
    ProcessingTimeTrigger,
    PurgingTrigger,
)
from yarnflow.functions.windows.window import (
    CountWindow,
    CountWindowSerializer,
    GlobalWindow,
    GlobalWindowSerializer,
    TimeWindow,
    TimeWindowSerializer,
)


class Now(WindowAssigner.WindowAssignerContext):
    def __init__(self, now: int) -> None:
        self.now = now

    def get_current_processing_time(self) -> int:
        return self.now

    def get_runtime_context(self) -> Any:
        raise AssertionError("not for time windows")


def windows(assigner: WindowAssigner[Any, Any], time: int, now: int = 0, element: Any = None) -> list[Any]:
    return [(window.start, window.end) for window in assigner.assign_windows(element, time, Now(now))]


def test_tumbling_windows_start_at_multiples_of_their_size() -> None:
    assigner = TumblingEventTimeWindows.of(Time.seconds(5))
    assert windows(assigner, 0) == [(0, 5000)]
    assert windows(assigner, 4999) == [(0, 5000)]
    assert windows(assigner, 5000) == [(5000, 10000)]
    assert windows(assigner, -1) == [(-5000, 0)]
    assert repr(assigner) == "TumblingEventTimeWindows(5000, 0)"


def test_an_offset_moves_windows_either_way() -> None:
    day = 86_400_000
    assert windows(TumblingEventTimeWindows.of(Time.milliseconds(10), Time.milliseconds(3)), 2) == [(-7, 3)]
    china = TumblingEventTimeWindows.of(Time.days(1), Time.hours(-8))
    assert windows(china, 0) == [(-8 * 3_600_000, day - 8 * 3_600_000)]
    assert windows(TumblingEventTimeWindows.of(Duration.of_seconds(1)), 1500) == [(1000, 2000)]


def test_sliding_windows_overlap_the_latest_first() -> None:
    assigner = SlidingEventTimeWindows.of(Time.milliseconds(10), Time.milliseconds(5))
    assert windows(assigner, 12) == [(10, 20), (5, 15)]
    assert windows(SlidingEventTimeWindows(10, 4, 1), 12) == [(9, 19), (5, 15)]
    assert windows(SlidingEventTimeWindows(4, 10), 12) == [(10, 14)]
    assert windows(SlidingEventTimeWindows(4, 10), 15) == []
    assert SlidingEventTimeWindows(60_000, 1000).pane == 1000
    assert SlidingEventTimeWindows(10, 4).pane == 2


def test_windows_by_the_clock_ignore_event_time() -> None:
    assert windows(TumblingProcessingTimeWindows.of(Time.milliseconds(10)), 99, now=12) == [(10, 20)]
    assert windows(SlidingProcessingTimeWindows(10, 5), 99, now=12) == [(10, 20), (5, 15)]
    assert windows(ProcessingTimeSessionWindows.with_gap(Time.milliseconds(7)), 99, now=12) == [(12, 19)]


class Gap(SessionWindowTimeGapExtractor):
    def extract(self, element: Any) -> int:
        return int(element)


def test_sessions_open_windows_of_their_gap() -> None:
    assert windows(EventTimeSessionWindows.with_gap(Time.milliseconds(7)), 5) == [(5, 12)]
    dynamic = EventTimeSessionWindows.with_dynamic_gap(Gap())
    assert windows(dynamic, 5, element=3) == [(5, 8)]
    assert dynamic.is_event_time()
    by_clock = ProcessingTimeSessionWindows.with_dynamic_gap(Gap())
    assert windows(by_clock, 5, now=20, element=3) == [(20, 23)]
    assert not by_clock.is_event_time()
    with pytest.raises(ProgramError, match=r"Gap.extract\(\) returned 0 for the record 0"):
        windows(dynamic, 5, element=0)


class Merges(MergingWindowAssigner.MergeCallback[TimeWindow]):
    def __init__(self) -> None:
        self.found: list[Any] = []

    def merge(self, to_be_merged: Iterable[TimeWindow], merge_result: TimeWindow) -> None:
        self.found.append((sorted(to_be_merged), merge_result))


def test_windows_that_overlap_or_touch_merge() -> None:
    a, b, c, d = TimeWindow(0, 5), TimeWindow(5, 8), TimeWindow(20, 30), TimeWindow(9, 12)
    merges = Merges()
    TimeWindow.merge_windows([c, b, a, d], merges)
    assert merges.found == [([a, b], TimeWindow(0, 8))]


def test_default_triggers() -> None:
    assert isinstance(TumblingEventTimeWindows(5).get_default_trigger(None), EventTimeTrigger)
    assert isinstance(ProcessingTimeSessionWindows(5).get_default_trigger(None), ProcessingTimeTrigger)
    assert isinstance(GlobalWindows.create().get_default_trigger(None), NeverTrigger)
    assert isinstance(CountTumblingWindowAssigner.of(3).get_default_trigger(None), PurgingTrigger)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TumblingEventTimeWindows(0), "size and slide must be greater than 0"),
        (lambda: TumblingEventTimeWindows(5, 5), "the offset, 5 ms, must be less than 5 ms"),
        (lambda: SlidingEventTimeWindows(5, 2, -2), "the offset, -2 ms, must be less than 2 ms"),
        (lambda: EventTimeSessionWindows(0), "the gap must be greater than 0 ms"),
        (lambda: CountSlidingWindowAssigner.of(0, 1), "1 or more records"),
        (lambda: CountEvictor.of(-1), "0 or more records"),
    ],
)
def test_parameters_are_checked(make: Any, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        make()


def test_sizes_are_times() -> None:
    with pytest.raises(TypeError, match="a time is made by Time or Duration"):
        TumblingEventTimeWindows.of(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("window", "serializer", "end"),
    [
        (TimeWindow(-5, 7), TimeWindowSerializer(), 6),
        (CountWindow(3), CountWindowSerializer(), MAX_LONG_VALUE),
        (GlobalWindow.get(), GlobalWindowSerializer(), MAX_LONG_VALUE),
    ],
)
def test_windows_are_values(window: Any, serializer: Any, end: int) -> None:
    copy = pickle.loads(pickle.dumps(window))
    assert copy == window
    assert hash(copy) == hash(window)
    assert window.max_timestamp() == end
    stream = BytesIO()
    serializer.serialize(window, stream)
    stream.seek(0)
    assert serializer.deserialize(stream) == window


def evicted(evictor: Any, elements: list[tuple[Any, int | None]], after: bool = False) -> list[Any]:
    values = [TimestampedValue(*element) for element in elements]
    window = GlobalWindow.get()
    (evictor.evict_after if after else evictor.evict_before)(values, len(values), window, None)
    return [value.value for value in values]


def test_count_evictor_keeps_the_newest() -> None:
    elements = [(number, None) for number in range(5)]
    assert evicted(CountEvictor.of(2), elements) == [3, 4]
    assert evicted(CountEvictor.of(9), elements) == [0, 1, 2, 3, 4]
    assert evicted(CountEvictor.of(2), elements, after=True) == [0, 1, 2, 3, 4]
    assert evicted(CountEvictor.of(2, True), elements, after=True) == [3, 4]


def test_time_evictor_keeps_what_is_near_the_newest_time() -> None:
    elements = [("a", 100), ("b", 60), ("c", 91), ("d", 90), ("e", None)]
    assert evicted(TimeEvictor.of(Time.milliseconds(10)), elements) == ["a", "c", "e"]


def test_delta_evictor_keeps_what_is_near_the_newest_record() -> None:
    elements = [(1, None), (8, None), (5, None), (7, None)]
    assert evicted(DeltaEvictor.of(2, lambda old, new: abs(new - old)), elements) == [8, 7]
