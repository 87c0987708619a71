"""Event time through tasks, exchanges and the JobMaster, on real worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.waiting import eventually
from yarnflow.common import Duration, WatermarkStrategy
from yarnflow.datastream import KeyedProcessFunction, RuntimeExecutionMode, StreamExecutionEnvironment
from yarnflow.testing import At, ScriptedSource, Until, watermark_per_batch

pytestmark = pytest.mark.cluster


class Alarm(KeyedProcessFunction):
    """Sets a timer at the time of each record; tells records and timers, with the watermark it sees."""

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any]:
        ctx.timer_service().register_event_time_timer(ctx.timestamp())
        yield "record", ctx.timestamp()

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[Any]:
        yield "timer", timestamp


class Touch:
    """Leaves a file per record."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __call__(self, value: Any) -> Any:
        (Path(self.folder) / "-".join(map(str, value))).touch()
        return value


def alarms(env: StreamExecutionEnvironment, source: ScriptedSource, strategy: WatermarkStrategy) -> Any:
    return env.from_source(source, strategy, "script").rebalance().key_by(lambda value: value % 4).process(Alarm())


@pytest.mark.parametrize("mode", [RuntimeExecutionMode.STREAMING, RuntimeExecutionMode.BATCH])
def test_all_timers_fire_at_the_end_of_bounded_input(cluster, mode):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(mode)
    source = ScriptedSource([At(1000 * n, n) for n in range(20)], [At(500 * n, n) for n in range(20)])
    with alarms(env, source, WatermarkStrategy.no_watermarks()).execute_and_collect() as results:
        found = list(results)
    times = sorted(1000 * n for n in range(20)) + sorted(500 * n for n in range(20))
    assert sorted(time for what, time in found if what == "record") == sorted(times)
    keyed = {(n % 4, 1000 * n) for n in range(20)} | {(n % 4, 500 * n) for n in range(20)}
    assert sorted(time for what, time in found if what == "timer") == sorted(time for _, time in keyed)


def test_an_idle_split_does_not_hold_event_time_back(cluster, tmp_path):
    """One of two sources never says anything, and the other goes on: through a rebalance to two tasks."""
    env = StreamExecutionEnvironment.get_execution_environment()
    source = ScriptedSource([At(1000, 1), At(5000, 2)], [Until(str(tmp_path / "go")), At(9000, 3)], bounded=False)
    strategy = watermark_per_batch().with_idleness(Duration.of_millis(200))
    alarms(env, source, strategy).map(Touch(tmp_path)).print()
    client = env.execute_async("idle")
    eventually((tmp_path / "timer-1000").exists)
    assert not (tmp_path / "timer-5000").exists()
    # The silent one speaks, and takes event time further for both.
    (tmp_path / "go").touch()
    eventually((tmp_path / "timer-5000").exists)
    client.cancel().result()


def test_an_aligned_source_waits_for_the_slower_one(cluster, tmp_path):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    strategy = watermark_per_batch().with_watermark_alignment(
        "group", Duration.of_seconds(100), Duration.of_millis(20)
    )
    last = 30_000
    gate, progress = tmp_path / "gate", tmp_path / "progress"
    progress.write_bytes(bytes(8))

    def note(value: int) -> int:
        with open(progress, "r+b") as file:
            os.pwrite(file.fileno(), value.to_bytes(8, "little"), 0)
        return value

    def reached() -> int:
        return int.from_bytes(progress.read_bytes(), "little")

    fast = ScriptedSource([At(1000 * n, n) for n in range(1, last + 1)])
    slow = ScriptedSource([At(1000, 1), Until(str(gate)), At(1000 * last, last)])
    env.from_source(fast, strategy, "fast").map(note).print()
    env.from_source(slow, strategy, "slow").print()
    client = env.execute_async("aligned")
    seen: list[int] = []

    def stands_still() -> bool:
        seen.append(reached())
        return len(seen) > 25 and seen[-1] > 0 and len(set(seen[-25:])) == 1

    eventually(stands_still)
    assert reached() < last
    gate.touch()
    client.get_job_execution_result().result()
    assert reached() == last


@pytest.mark.parametrize("drain", [False, True])
def test_only_a_drained_job_fires_its_timers_when_it_is_stopped(cluster, tmp_path, drain):
    env = StreamExecutionEnvironment.get_execution_environment()
    folder = tmp_path / "out"
    folder.mkdir()
    source = ScriptedSource([At(1000, 1), At(5000, 2)], [At(3000, 3)], bounded=False)
    alarms(env, source, WatermarkStrategy.no_watermarks()).map(Touch(folder)).print()
    client = env.execute_async("stopped")
    eventually(lambda: len(list(folder.iterdir())) == 3)
    client.stop_with_savepoint(drain, str(tmp_path)).result()
    client.get_job_execution_result().result()
    timers = {path.name for path in folder.iterdir() if path.name.startswith("timer")}
    assert timers == ({"timer-1000", "timer-3000", "timer-5000"} if drain else set())
