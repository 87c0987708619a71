"""Windows on real worker processes: rows and columns, several subtasks, batch mode, PyFlink's own imports."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from yarnflow.common import Duration, Row, Time, Types, WatermarkStrategy
from yarnflow.common.watermark_strategy import TimestampAssigner
from yarnflow.datastream import (
    AggregateFunction,
    OutputTag,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    RuntimeExecutionMode,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.datastream.expressions import col, count, window_start
from yarnflow.datastream.window import (
    CountTrigger,
    EventTimeSessionWindows,
    GlobalWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)

pytestmark = pytest.mark.cluster


class Second(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int | None) -> int:
        return int(value[1])


class Sum(AggregateFunction):
    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator + int(value[1])

    def get_result(self, accumulator: int) -> int:
        return accumulator

    def merge(self, acc_a: int, acc_b: int) -> int:
        return acc_a + acc_b


class Bounds(ProcessWindowFunction[Any, Any, Any, Any]):
    def process(self, key: Any, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        yield key, context.window().start, context.window().end, sum(1 for _ in elements)


class Total(ProcessAllWindowFunction[Any, Any, Any]):
    def process(self, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        yield context.window().start, sum(number for _, number in elements)


RECORDS = [(f"k{number % 7}", number) for number in range(2000)]


@pytest.fixture(params=[1, 2])
def env(request: pytest.FixtureRequest) -> StreamExecutionEnvironment:
    environment = StreamExecutionEnvironment.get_execution_environment()
    environment.set_parallelism(request.param)
    return environment


def timed(env: StreamExecutionEnvironment, delay: int = 0) -> Any:
    """RECORDS with their numbers as times; with a delay, out of order by as much."""
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(delay))
    records = sorted(RECORDS, key=lambda record: record[1] + random.Random(record[1]).randrange(delay + 1))
    stream = env.from_collection(records, Types.TUPLE([Types.STRING(), Types.LONG()]))
    return stream.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(Second()))


@pytest.mark.parametrize("delay", [0, 150])
def test_tumbling_and_sliding_aggregates(env: StreamExecutionEnvironment, delay: int) -> None:
    keyed = timed(env, delay).key_by(lambda record: record[0])
    for size, slide in ((100, 100), (100, 20)):
        assigner: Any = SlidingEventTimeWindows.of(Time.milliseconds(size), Time.milliseconds(slide))
        if size == slide:
            assigner = TumblingEventTimeWindows.of(Time.milliseconds(size))
        found = Counter(keyed.window(assigner).aggregate(Sum()).execute_and_collect())
        expected: Counter[int] = Counter()
        for start in range(slide - size, 2000, slide):
            sums: Counter[str] = Counter()
            for key, number in RECORDS[max(start, 0) : start + size]:
                sums[key] += number
            expected.update(sums.values())
        expected[0] = found[0]  # a Counter has no zero of its own
        assert found == expected


def test_the_same_on_columns(env: StreamExecutionEnvironment) -> None:
    source = env.from_source(NumberSequenceSource(0, 1999), WatermarkStrategy.no_watermarks(), "numbers")
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(2000))
    windows = (
        source.select(key=col("value") % 7, time=col("value"))
        .assign_timestamps_and_watermarks(strategy.with_timestamp_column("time"))
        .key_by("key")
        .window(SlidingEventTimeWindows.of(Time.milliseconds(100), Time.milliseconds(50)))
    )
    found = windows.aggregate(start=window_start(), records=count(), total=col("time").sum())
    expected = [
        Row(key=key, start=start, records=len(inside), total=sum(inside))
        for start in range(-50, 2000, 50)
        for key in range(7)
        if (inside := [n for n in range(max(start, 0), min(start + 100, 2000)) if n % 7 == key])
    ]
    assert sorted(map(str, found.execute_and_collect())) == sorted(map(str, expected))


def test_sessions_lateness_and_late_records(env: StreamExecutionEnvironment) -> None:
    records = [("a", 1), ("a", 5), ("b", 30), ("a", 100), ("b", 101)]
    stream = env.from_collection(records).assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    )
    keyed = stream.key_by(lambda record: record[0])
    windows = keyed.window(EventTimeSessionWindows.with_gap(Time.milliseconds(10)))
    found = windows.allowed_lateness(5).side_output_late_data(OutputTag("late")).process(Bounds())
    assert sorted(found.execute_and_collect()) == [
        ("a", 1, 15, 2), ("a", 100, 110, 1), ("b", 30, 40, 1), ("b", 101, 111, 1),
    ]  # fmt: skip


def test_windows_of_all_records(env: StreamExecutionEnvironment) -> None:
    found = timed(env, 50).window_all(TumblingEventTimeWindows.of(Time.milliseconds(500))).process(Total())
    assert sorted(found.execute_and_collect()) == [
        (start, sum(range(start, start + 500))) for start in range(0, 2000, 500)
    ]


def test_count_windows(env: StreamExecutionEnvironment) -> None:
    found = env.from_collection(RECORDS).key_by(lambda record: record[0]).count_window(100).aggregate(Sum())
    assert len(list(found.execute_and_collect())) == 7 * 2
    pairs = (
        env.from_collection([(1, 1), (1, 2), (1, 3)])
        .key_by(lambda record: record[0])
        .window(GlobalWindows.create())
        .trigger(CountTrigger.of(2))
        .reduce(lambda left, right: (1, left[1] + right[1]))
    )
    assert list(pairs.execute_and_collect()) == [(1, 3)]


def test_batch_mode_gives_each_window_once(env: StreamExecutionEnvironment) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    records = [("a", 500), ("a", 1), ("a", 499), ("b", 2), ("a", 3)]
    stream = env.from_collection(records).assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    )
    keyed = stream.key_by(lambda record: record[0])
    found = keyed.window(TumblingEventTimeWindows.of(Time.milliseconds(100))).process(Bounds())
    assert sorted(found.execute_and_collect()) == [
        ("a", 0, 100, 2), ("a", 400, 500, 1), ("a", 500, 600, 1), ("b", 0, 100, 1),
    ]  # fmt: skip
    by_clock = keyed.window(TumblingProcessingTimeWindows.of(Time.days(1))).aggregate(Sum())
    assert sorted(by_clock.execute_and_collect()) == [2, 1003]
