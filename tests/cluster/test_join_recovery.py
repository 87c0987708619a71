"""Joins and asynchronous functions after failures: every result once, whatever was in state or under way."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.recovering import environment, script, slowly, stream
from tests.cluster.waiting import eventually
from yarnflow.common import Time, WatermarkStrategy
from yarnflow.datastream import (
    AsyncDataStream,
    AsyncFunction,
    ProcessJoinFunction,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.window import TumblingEventTimeWindows
from yarnflow.functions.connectors.number_sequence import NumberSequenceSource
from yarnflow.testing import At, FailingSource, FaultKind, ScriptedSource
from yarnflow.testing.scripted_source import watermark_per_batch

pytestmark = pytest.mark.cluster


class Pairs(ProcessJoinFunction):
    def process_element(self, left: Any, right: Any, ctx: ProcessJoinFunction.Context) -> Any:
        yield left, right


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("kind", [FaultKind.RAISE, FaultKind.KILL])
def test_interval_joins(cluster, plan, tmp_path, backend, kind):
    env = environment(tmp_path, backend)
    lefts, rights = [script(1, 500), script(2, 500)], [script(3, 500), script(4, 500)]
    left = stream(env, lefts, "left", plan("left faults", kind, 100)).key_by(0)
    right = stream(env, rights, "right", plan("right faults", kind, 120)).key_by(0)
    joined = left.interval_join(right).between(Time.milliseconds(-150), Time.milliseconds(50)).process(Pairs())
    with joined.execute_and_collect() as results:
        found = sorted(results)
    assert found == sorted(
        (one.value, other.value)
        for one in (*lefts[0], *lefts[1])
        for other in (*rights[0], *rights[1])
        if one.value[0] == other.value[0] and -150 <= other.timestamp - one.timestamp <= 50
    )


def test_window_joins(cluster, plan, tmp_path):
    env = environment(tmp_path)
    lefts, rights = [script(1, 500), script(2, 500)], [script(3, 500), script(4, 500)]
    joined = (
        stream(env, lefts, "left", plan("left faults", FaultKind.RAISE, 100))
        .join(stream(env, rights, "right", plan("right faults", FaultKind.KILL, 120)))
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
def test_asynchronous_functions(cluster, plan, tmp_path, ordered, kind):
    env = environment(tmp_path)
    source = FailingSource(NumberSequenceSource(1, 3000), plan("faults", kind, 300, 700))
    numbers = env.from_source(source, watermark_per_batch(), "numbers").map(slowly)
    wait = AsyncDataStream.ordered_wait if ordered else AsyncDataStream.unordered_wait
    with wait(numbers, Jitter(), Time.seconds(60), 40).execute_and_collect() as results:
        assert sorted(results) == sorted(value for n in range(1, 3001) for value in (n, -n))


class Gate(AsyncFunction):
    """Keeps odd numbers until a file is there."""

    def __init__(self, gate: Path) -> None:
        self.gate = str(gate)

    async def async_invoke(self, value: int) -> list[int]:
        while value % 2 and not os.path.exists(self.gate):  # noqa: ASYNC110, ASYNC240 - the gate is a file
            await asyncio.sleep(0.01)
        return [value]


class Write:
    """Writes each record to a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __call__(self, value: int) -> int:
        with open(f"{self.folder}/{value}", "a") as file:
            file.write("x")
        return value


def written(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir()}


@pytest.mark.parametrize("drain", [False, True])
def test_what_is_under_way_when_a_job_is_stopped(cluster, tmp_path, drain):
    """A drained job waits for the answers; a suspended one stores the questions and asks again, here on another
    number of subtasks."""
    numbers, gate, folder = set(range(101)), tmp_path / "gate", tmp_path / "out"
    folder.mkdir()
    source = ScriptedSource([At(number, number) for number in numbers], bounded=False)

    def start(parallelism: int, savepoint: str = "") -> Any:
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_parallelism(parallelism)
        if savepoint:
            env._config.set_string("execution.state-recovery.path", savepoint)
        stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers").uid("numbers")
        stream.set_parallelism(1)
        answers = AsyncDataStream.unordered_wait(stream.rebalance(), Gate(gate), Time.seconds(60)).uid("ask")
        answers.map(Write(folder)).print()
        return env.execute_async("stopped")

    client = start(2)
    # The last number is even: all have been asked about.
    eventually(lambda: written(folder) == set(range(0, 101, 2)))
    stopping = client.stop_with_savepoint(drain, str(tmp_path / "savepoints"))
    if drain:
        gate.touch()
    savepoint = stopping.result()
    client.get_job_execution_result().result()
    if not drain:
        assert not any(number % 2 for number in written(folder))
        gate.touch()
        client = start(1, savepoint)
        eventually(lambda: written(folder) == numbers)
        client.stop_with_savepoint(True, str(tmp_path / "savepoints")).result()
    assert written(folder) == numbers
    assert [path.stat().st_size for path in folder.iterdir()] == [1] * len(numbers)
