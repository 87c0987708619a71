"""Joins and asynchronous functions after failures: every result once, whatever was in state or under way."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import pytest

from yarnflow.common import Time
from yarnflow.datastream import (
    AsyncDataStream,
    AsyncFunction,
    DataStream,
    ProcessJoinFunction,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.window import TumblingEventTimeWindows
from yarnflow.functions.connectors.number_sequence import NumberSequenceSource
from yarnflow.testing import At, FailingSource, FaultKind, FaultPlan, ScriptedSource
from yarnflow.testing.scripted_source import watermark_per_batch

pytestmark = pytest.mark.cluster

#: How far records are out of order at most, in ms.
DISORDER = 200
KEYS = 5


def environment(tmp_path: Path, backend: str = "hashmap") -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.enable_checkpointing(50)
    for key, value in {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "20",
        "restart-strategy.fixed-delay.delay": "10 ms",
        "state.backend.type": backend,
        "execution.checkpointing.dir": (tmp_path / "checkpoints").as_uri(),
    }.items():
        env._config.set_string(key, value)
    return env


def slowly(value: Any) -> Any:
    time.sleep(0.0005)  # gives checkpoints the time to happen
    return value


def plan(tmp_path: Path, name: str, kind: FaultKind, *after: int) -> FaultPlan:
    folder = tmp_path / name
    folder.mkdir()
    return FaultPlan(str(folder), after, kind)


def script(seed: int, count: int) -> list[At]:
    """Records (key, seed, number) with out-of-order times."""
    generator = random.Random(seed)
    return [At(10 * n + generator.randrange(DISORDER), (n % KEYS, seed, n)) for n in range(count)]


def stream(env: StreamExecutionEnvironment, scripts: list[list[At]], name: str, faults: FaultPlan) -> DataStream:
    source = ScriptedSource(*scripts, batch_size=10, bounded=False, ends=True)
    return env.from_source(FailingSource(source, faults), watermark_per_batch(DISORDER), name).map(slowly)


class Pairs(ProcessJoinFunction):
    def process_element(self, left: Any, right: Any, ctx: ProcessJoinFunction.Context) -> Any:
        yield left, right


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("kind", [FaultKind.RAISE, FaultKind.KILL])
def test_interval_joins(cluster, tmp_path, backend, kind):
    env = environment(tmp_path, backend)
    lefts, rights = [script(1, 500), script(2, 500)], [script(3, 500), script(4, 500)]
    left = stream(env, lefts, "left", plan(tmp_path, "left faults", kind, 150)).key_by(0)
    right = stream(env, rights, "right", plan(tmp_path, "right faults", kind, 320)).key_by(0)
    joined = left.interval_join(right).between(Time.milliseconds(-150), Time.milliseconds(50)).process(Pairs())
    with joined.execute_and_collect() as results:
        found = sorted(results)
    assert found == sorted(
        (one.value, other.value)
        for one in (*lefts[0], *lefts[1])
        for other in (*rights[0], *rights[1])
        if one.value[0] == other.value[0] and -150 <= other.timestamp - one.timestamp <= 50
    )


def test_window_joins(cluster, tmp_path):
    env = environment(tmp_path)
    lefts, rights = [script(1, 500), script(2, 500)], [script(3, 500), script(4, 500)]
    joined = (
        stream(env, lefts, "left", plan(tmp_path, "left faults", FaultKind.RAISE, 150))
        .join(stream(env, rights, "right", plan(tmp_path, "right faults", FaultKind.KILL, 320)))
        .where(lambda record: record[0])
        .equal_to(lambda record: record[0])
        .window(TumblingEventTimeWindows.of(Time.milliseconds(200)))
        .apply(lambda one, other: (one, other))
    )
    with joined.execute_and_collect() as results:
        found = sorted(results)
    assert found == sorted(
        (one.value, other.value)
        for one in (*lefts[0], *lefts[1])
        for other in (*rights[0], *rights[1])
        if one.value[0] == other.value[0] and one.timestamp // 200 == other.timestamp // 200
    )


class Jitter(AsyncFunction):
    async def async_invoke(self, value: int) -> list[int]:
        await asyncio.sleep(0.002 * (value % 11))
        return [value, -value]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("kind", [FaultKind.RAISE, FaultKind.KILL])
def test_asynchronous_functions(cluster, tmp_path, ordered, kind):
    env = environment(tmp_path)
    source = FailingSource(NumberSequenceSource(1, 3000), plan(tmp_path, "faults", kind, 300, 700))
    numbers = env.from_source(source, watermark_per_batch(), "numbers").map(slowly)
    wait = AsyncDataStream.ordered_wait if ordered else AsyncDataStream.unordered_wait
    with wait(numbers, Jitter(), Time.seconds(60), 40).execute_and_collect() as results:
        assert sorted(results) == sorted(value for n in range(1, 3001) for value in (n, -n))
