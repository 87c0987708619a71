"""Slow consumers: memory stays bounded, nothing stands still, results and cancels come at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.waiting import eventually
from yarnflow.common.watermark_strategy import WatermarkStrategy
from yarnflow.datastream import (
    CoMapFunction,
    DataStream,
    OutputTag,
    ProcessFunction,
    RuntimeExecutionMode,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.errors import JobCancelledError
from yarnflow.runtime.minicluster import MiniCluster
from yarnflow.testing import mini_cluster

pytestmark = pytest.mark.cluster

ENDLESS = 10**12

#: A worker that has started has some 25 MB; channels may hold a few MB more.
WORKER_BYTES = 150 << 20


@pytest.fixture(scope="module")
def cluster() -> Iterator[MiniCluster]:
    with mini_cluster({"heartbeat.interval": "300 ms"}, slots=1, taskmanagers=2) as running:
        yield running


def numbers(count: int, parallelism: int = 2) -> DataStream:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    return env.from_source(NumberSequenceSource(1, count), WatermarkStrategy.no_watermarks(), "numbers")


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory")


def slow(value: Any) -> Any:
    """Not blocked for good: a slot is one thread, and a function that blocks it silences its reports as well."""
    time.sleep(0.02)
    return value


@pytest.mark.parametrize("keyed", [False, True], ids=["rebalance", "key_by"])
def test_a_fast_source_waits_for_a_slow_sink_in_bounded_memory(cluster: MiniCluster, keyed: bool) -> None:
    made = numbers(ENDLESS).map(lambda value: (value % 100, str(value) + "x" * 1000)).name("make")
    spread = made.key_by(lambda pair: pair[0]) if keyed else made.rebalance()
    through = spread.process(Through()) if keyed else spread.map(lambda pair: pair)
    through.map(slow).filter(lambda pair: False).print()
    client = made.get_execution_environment().execute_async("slow sink")
    job_id = str(client.get_job_id())

    def waits() -> bool:
        source = cluster.call(cluster.dispatcher.job(job_id)).vertices[0]
        return source.metrics.backpressured_ms > 1000

    eventually(waits, seconds=30)
    written = cluster.call(cluster.dispatcher.job(job_id)).vertices[0].metrics.records_out
    assert written * 1000 < WORKER_BYTES
    for pid in cluster.worker_pids():
        assert resident_bytes(pid) < WORKER_BYTES
    client.cancel().result()
    with pytest.raises(JobCancelledError):
        client.get_job_execution_result().result()


class Through(ProcessFunction):
    def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Iterator[Any]:
        yield value


@pytest.mark.parametrize("exchange", [False, True], ids=["chained", "over an exchange"])
def test_a_slow_function_gives_results_and_is_cancelled_before_its_batch_is_over(
    cluster: MiniCluster, exchange: bool
) -> None:
    # One batch of the source would take minutes.
    source = numbers(ENDLESS, 1)
    stream = (source.rebalance() if exchange else source).map(slow)
    results = stream.execute_and_collect("slow")
    started = time.monotonic()
    assert next(results) >= 1
    results.close()
    eventually(lambda: all(view.status.terminal for view in cluster.call(cluster.dispatcher.jobs())), seconds=20)
    assert time.monotonic() - started < 40


class Uneven(ProcessFunction):
    """Much on the main output, little on the side."""

    rare = OutputTag("rare")

    def process_element(self, value: int, ctx: ProcessFunction.Context) -> Iterator[Any]:
        for copy in range(3):
            yield value, copy
        if value % 1000 == 0:
            yield self.rare, (value, -1)


class Join(CoMapFunction):
    def map1(self, value: Any) -> Any:
        return value

    def map2(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize("mode", [RuntimeExecutionMode.STREAMING, RuntimeExecutionMode.BATCH])
@pytest.mark.parametrize("group", ["default", "other"])
def test_branches_of_different_weight_meet_again(
    cluster: MiniCluster, mode: RuntimeExecutionMode, group: str
) -> None:
    source = numbers(30_000)
    source.get_execution_environment().set_runtime_mode(mode)
    split = source.process(Uneven())
    heavy = split.rebalance().map(lambda pair: (*pair, "x" * 50)).slot_sharing_group(group)
    light = split.get_side_output(Uneven.rare).broadcast().map(lambda pair: (*pair, ""))
    met = heavy.connect(light).map(Join()).slot_sharing_group("default")
    again = met.union(split.global_().map(lambda pair: (*pair, "z"))).rescale().map(lambda item: item[1])
    with again.execute_and_collect("diamond") as results:
        found = list(results)
    # Both branches have all of the main output; the rare ones went to both subtasks.
    assert {copy: found.count(copy) for copy in set(found)} == {0: 60_000, 1: 60_000, 2: 60_000, -1: 60}


def test_many_sinks_behind_one_stream(cluster: MiniCluster, tmp_path: Path) -> None:
    stream = numbers(2000).map(lambda value: value)
    folder = str(tmp_path)
    for number in range(50):

        def last(value: int, number: int = number) -> bool:
            if value == 2000:
                with open(f"{folder}/{number}", "x"):
                    pass
            return False

        (stream.rebalance() if number % 2 else stream).filter(last).print()
    stream.get_execution_environment().execute("50 sinks")
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(50))
