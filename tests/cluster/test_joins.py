"""Joins of two streams on real workers."""

from __future__ import annotations

import random
from typing import Any

import pytest

from yarnflow.common import Time
from yarnflow.datastream import DataStream, OutputTag, RuntimeExecutionMode, StreamExecutionEnvironment
from yarnflow.datastream.window import TumblingEventTimeWindows
from yarnflow.functions.join_functions import ProcessJoinFunction
from yarnflow.testing.scripted_source import At, ScriptedSource, watermark_per_batch

pytestmark = pytest.mark.cluster

#: How far records are out of order at most, in ms.
DISORDER = 500

Record = tuple[str, int]


def records(seed: int, count: int) -> list[At]:
    """Records (key, number) with out-of-order times."""
    generator = random.Random(seed)
    return [At(20 * n + generator.randrange(DISORDER), (generator.choice("abcd"), n)) for n in range(count)]


def stream(env: StreamExecutionEnvironment, script: list[At], name: str) -> DataStream:
    half = len(script) // 2
    source = ScriptedSource(script[:half], script[half:], batch_size=16)
    return env.from_source(source, watermark_per_batch(DISORDER), name)


def test_joins_in_batch_mode(cluster):
    """Watermarks come at the end only: nothing is late, whatever the order."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    left, right = records(1, 200), records(2, 200)
    one, other = (
        stream(env, script, name).key_by(lambda record: record[0])
        for script, name in ((left, "left"), (right, "right"))
    )
    by_interval = (
        one.interval_join(other)
        .between(Time.milliseconds(-100), Time.milliseconds(100))
        .process(Pairs())
        .map(lambda found: found[:2])
    )
    by_window = (
        one.co_group(other)
        .where(lambda record: record[0])
        .equal_to(lambda record: record[0])
        .window(TumblingEventTimeWindows.of(Time.seconds(1)))
        .apply(lambda firsts, seconds: [("grouped", len(firsts), len(seconds))])
    )
    with by_interval.union(by_window).execute_and_collect() as results:
        found = list(results)
    grouped = [row for row in found if row[0] == "grouped"]
    assert sum(row[1] for row in grouped) == sum(row[2] for row in grouped) == 200
    assert len(grouped) == len({(step.value[0], step.timestamp // 1000) for step in (*left, *right)})
    assert sorted(row for row in found if row[0] != "grouped") == sorted(
        (first.value, second.value)
        for first in left
        for second in right
        if first.value[0] == second.value[0] and abs(second.timestamp - first.timestamp) <= 100
    )


class Pairs(ProcessJoinFunction):
    def process_element(self, left: Any, right: Any, ctx: ProcessJoinFunction.Context) -> Any:
        yield left, right, ctx.get_timestamp()


@pytest.mark.parametrize("parallelism", [1, 2])
def test_window_joins_find_every_pair(cluster, parallelism):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    left, right = records(1, 200), records(2, 200)
    size = 1000
    joined = (
        stream(env, left, "left")
        .join(stream(env, right, "right"))
        .where(lambda record: record[0])
        .equal_to(0)
        .window(TumblingEventTimeWindows.of(Time.milliseconds(size)))
        .apply(lambda one, other: (one, other))
    )
    with joined.execute_and_collect() as results:
        found = sorted(results)
    assert found == sorted(
        (one.value, other.value)
        for one in left
        for other in right
        if one.value[0] == other.value[0] and one.timestamp // size == other.timestamp // size
    )


@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize(("lower", "upper"), [(-300, 200), (100, 400)])
def test_interval_joins_find_every_pair(cluster, parallelism, lower, upper):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    left, right = records(1, 400), records(2, 400)
    late = OutputTag("late")
    joined = (
        stream(env, left, "left")
        .key_by(lambda record: record[0])
        .interval_join(stream(env, right, "right").key_by(lambda record: record[0]))
        .between(Time.milliseconds(lower), Time.milliseconds(upper))
        .upper_bound_exclusive()
        .side_output_left_late_data(late)
        .process(Pairs())
    )
    united = joined.union(joined.get_side_output(late))
    with united.execute_and_collect() as results:
        found = sorted(results)
    assert found == sorted(
        (one.value, other.value, max(one.timestamp, other.timestamp))
        for one in left
        for other in right
        if one.value[0] == other.value[0] and lower <= other.timestamp - one.timestamp < upper
    )
