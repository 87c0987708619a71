"""Workers die at seeded moments; what a program leaves behind is complete and right all the same."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.waiting import eventually
from yarnflow.common.watermark_strategy import WatermarkStrategy
from yarnflow.datastream import DataStream, MapFunction, RuntimeExecutionMode, StreamExecutionEnvironment
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.errors import JobCancelledError
from yarnflow.runtime.minicluster import MiniCluster
from yarnflow.runtime.states import ExecutionState
from yarnflow.testing import mini_cluster

pytestmark = pytest.mark.cluster

COUNT = 20_000
KEYS = 50


@pytest.fixture(scope="module")
def cluster() -> Iterator[MiniCluster]:
    with mini_cluster({"task.cancellation.timeout": "1 s"}, slots=1, taskmanagers=2) as running:
        yield running


def environment(mode: RuntimeExecutionMode) -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(mode)
    env._config.set_string("restart-strategy.type", "fixed-delay")
    env._config.set_string("restart-strategy.fixed-delay.attempts", "20")
    env._config.set_string("restart-strategy.fixed-delay.delay", "20 ms")
    return env


def numbers(env: StreamExecutionEnvironment, count: int) -> DataStream:
    return env.from_source(NumberSequenceSource(1, count), WatermarkStrategy.no_watermarks(), "numbers")


class Fault(MapFunction):
    """Ends its worker, or only its task, when certain records come; each once, whatever restarts."""

    def __init__(self, folder: Path, faults: dict[int, str]) -> None:
        self._folder = str(folder)
        self._faults = faults

    def map(self, value: int) -> int:
        kind = self._faults.get(value)
        if kind is not None and self._first(value):
            if kind == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif kind == "exit":
                os._exit(7)
            else:
                raise ValueError(f"the fault at {value}")
        return value

    def _first(self, value: int) -> bool:
        try:
            os.close(os.open(f"{self._folder}/fault-{value}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


@pytest.mark.parametrize("mode", [RuntimeExecutionMode.STREAMING, RuntimeExecutionMode.BATCH])
@pytest.mark.parametrize("seed", range(5))
def test_counts_are_right_after_random_faults(
    cluster: MiniCluster, tmp_path: Path, mode: RuntimeExecutionMode, seed: int
) -> None:
    chance = random.Random(seed)
    folder = tmp_path / "counts"
    folder.mkdir()

    def faults() -> Fault:
        places = chance.sample(range(1, COUNT + 1), chance.randint(0, 2))
        return Fault(tmp_path, {place: chance.choice(["kill", "exit", "raise"]) for place in places})

    def note(pair: tuple[int, int]) -> bool:
        with open(f"{folder}/{pair[0]}-{pair[1]}", "w"):
            return False

    env = environment(mode)
    source = numbers(env, COUNT).map(faults())
    left = source.rebalance().map(faults()).map(lambda value: (value % KEYS, 1))
    right = source.map(lambda value: (value % KEYS, 1)).disable_chaining()
    total = 2 * COUNT // KEYS
    counted = left.union(right).key_by(lambda pair: pair[0]).reduce(lambda a, b: (a[0], a[1] + b[1]))
    counted.filter(lambda pair: pair[1] >= total).filter(note).print()
    env.execute(f"faults {seed}")
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{key}-{total}" for key in range(KEYS))


class Awaiting(MapFunction):
    """The first subtask waits for a file before its first record."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def open(self, runtime_context: Any) -> None:
        self._waits = runtime_context.get_index_of_this_subtask() == 0

    def map(self, value: int) -> int:
        deadline = time.monotonic() + 60
        while self._waits and not os.path.exists(self._path):
            assert time.monotonic() < deadline, "nobody let the subtask go on"
            time.sleep(0.01)
        return value


def test_finished_results_that_die_with_their_worker_are_made_again(cluster: MiniCluster, tmp_path: Path) -> None:
    gate, folder = tmp_path / "gate", tmp_path / "found"
    folder.mkdir()
    env = environment(RuntimeExecutionMode.BATCH)
    quick = numbers(env, 1000).map(lambda value: value).name("quick")
    late = numbers(env, 1000).map(Awaiting(gate)).name("late").map(lambda value: -value)

    def note(value: int) -> bool:
        with open(f"{folder}/{value}", "w"):
            return False

    quick.union(late).rebalance().filter(note).print()
    client = env.execute_async("lost results")
    job_id = str(client.get_job_id())

    def finished() -> list[str]:
        """TaskManagers where only finished tasks are, although the job goes on."""
        busy, done = set(), set()
        for vertex in cluster.call(cluster.dispatcher.job(job_id)).vertices[:2]:
            for subtask in vertex.subtasks:
                ended = subtask.current.state is ExecutionState.FINISHED
                (done if ended else busy).add(subtask.current.taskmanager_id)
        return sorted(done - busy)

    # The slot of the waiting subtask is silent; the other one has finished both of its tasks.
    eventually(lambda: len(finished()) == 1)
    place = ["local", "local-1"].index(finished()[0])
    os.kill(cluster.worker_pids()[place], signal.SIGKILL)
    eventually(lambda: cluster.call(cluster.dispatcher.job(job_id)).restart_count == 1)
    gate.touch()
    client.get_job_execution_result().result()
    assert sorted(int(path.name) for path in folder.iterdir()) == [n for n in range(-1000, 1001) if n]


def test_a_frozen_worker_does_not_keep_a_job_from_being_cancelled(cluster: MiniCluster) -> None:
    env = environment(RuntimeExecutionMode.STREAMING)
    numbers(env, 10**12).rebalance().filter(lambda value: False).print()
    client = env.execute_async("frozen")
    job_id = str(client.get_job_id())

    def running() -> bool:
        vertices = cluster.call(cluster.dispatcher.job(job_id)).vertices
        return all(vertex.status is ExecutionState.RUNNING for vertex in vertices)

    eventually(running)
    pid = cluster.worker_pids()[0]
    os.kill(pid, signal.SIGSTOP)
    client.cancel().result()
    with pytest.raises(JobCancelledError):
        client.get_job_execution_result().result()
    eventually(lambda: pid not in cluster.worker_pids())


@pytest.mark.parametrize("records", [0, 1, 10])
def test_cancel_while_functions_are_opened_or_blocked(cluster: MiniCluster, tmp_path: Path, records: int) -> None:
    marker = tmp_path / "reached"

    class Blocking(MapFunction):
        def open(self, runtime_context: Any) -> None:
            if records == 0:
                self.block()

        def map(self, value: int) -> int:
            if value == records:
                self.block()
            return value

        def block(self) -> None:
            marker.touch()
            while True:
                time.sleep(0.05)

    env = environment(RuntimeExecutionMode.STREAMING)
    numbers(env, 1000).map(Blocking()).print()
    client = env.execute_async("blocked")
    eventually(marker.exists)
    client.cancel().result()
    with pytest.raises(JobCancelledError):
        client.get_job_execution_result().result()
