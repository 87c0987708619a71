"""Kill, pause and cut off slot workers while a job runs: what it commits is exactly right, in every round."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.faults import Chaos
from tests.chaos.numbered_job import build, committed, expected
from yarnflow.common.configuration import Configuration
from yarnflow.common.job_client import JobClient
from yarnflow.datastream import StreamExecutionEnvironment
from yarnflow.errors import CheckpointError
from yarnflow.runtime.minicluster import MiniCluster
from yarnflow.testing import mini_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(400)]

COUNT = 1_000_000
SMALLER = 300_000

#: Records per second: slow enough that faults strike in the middle.
RATE = 80_000

SEED = int(os.environ.get("YARNFLOW_CHAOS_SEED") or random.randrange(1 << 32))


@pytest.fixture
def cluster() -> Iterator[MiniCluster]:
    with mini_cluster({"task.cancellation.timeout": "2 s"}, slots=1, taskmanagers=3, parallelism=2) as running:
        yield running


def environment(folder: Path, parallelism: int, backend: str, unaligned: bool, **more: str) -> Any:
    config = Configuration()
    for key, value in {
        "execution.checkpointing.interval": "300 ms",
        "execution.checkpointing.dir": (folder / "checkpoints").as_uri(),
        "execution.checkpointing.unaligned.enabled": str(unaligned).lower(),
        "execution.checkpointing.tolerable-failed-checkpoints": "1000",
        "execution.checkpointing.incremental": "true",
        "state.backend.type": backend,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "1000",
        "restart-strategy.fixed-delay.delay": "50 ms",
        **more,
    }.items():
        config.set_string(key, value)
    env = StreamExecutionEnvironment.get_execution_environment(config)
    env.set_parallelism(parallelism)
    return env


def is_running(job: JobClient) -> bool:
    return job.get_job_status().result().name in ("INITIALIZING", "CREATED", "RUNNING", "RESTARTING")


def stopped(job: JobClient, directory: str) -> str:
    """Stop a job with a savepoint and return its path; tries again while a fault is being recovered from."""
    deadline = time.monotonic() + 60
    while True:
        try:
            savepoint = job.stop_with_savepoint(False, directory).result()
        except CheckpointError as error:
            print(f"once more: {error}")
            assert time.monotonic() < deadline, "no savepoint could be taken"
            time.sleep(0.2)
        else:
            job.get_job_execution_result().result()
            return savepoint


def difference(found: Counter[str], wanted: Counter[str]) -> str:
    """The first lines that are missing or too many."""
    lost, twice = wanted - found, found - wanted
    return f"lost {sum(lost.values())}: {sorted(lost)[:5]}; too many {sum(twice.values())}: {sorted(twice)[:5]}"


@pytest.mark.parametrize(
    ("backend", "unaligned", "count"),
    [
        ("hashmap", False, COUNT),
        ("hashmap", True, SMALLER),
        ("rocksdb", False, SMALLER),
        ("rocksdb", True, SMALLER),
    ],
)
def test_faults_lose_nothing_and_repeat_nothing(
    cluster: MiniCluster, tmp_path: Path, backend: str, unaligned: bool, count: int
) -> None:
    env = environment(tmp_path, 2, backend, unaligned)
    build(env, count, RATE, tmp_path / "out")
    job = env.execute_async("chaos")
    chaos = Chaos(cluster, SEED)
    chaos.strike(12 if count == COUNT else 6, lambda: is_running(job))
    job.get_job_execution_result().result()
    print("struck:", chaos.struck)
    found, wanted = committed(tmp_path / "out"), expected(count)
    assert found == wanted, difference(found, wanted)


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("unaligned", [False, True])
def test_rescaling_between_faults(cluster: MiniCluster, tmp_path: Path, backend: str, unaligned: bool) -> None:
    chaos = Chaos(cluster, SEED + 1)
    savepoint: str | None = None
    for parallelism, last in ((1, False), (2, False), (3, False), (1, True)):
        start = {} if savepoint is None else {"execution.state-recovery.path": savepoint}
        env = environment(tmp_path, parallelism, backend, unaligned, **start)
        env.set_max_parallelism(60)
        build(env, SMALLER, 40_000, tmp_path / "out")
        job = env.execute_async(f"chaos at {parallelism}")
        chaos.strike(2, lambda job=job: is_running(job), between=0.6)  # type: ignore[misc]
        if last:
            job.get_job_execution_result().result()
        else:
            savepoint = stopped(job, str(tmp_path / "savepoints"))
    print("struck:", chaos.struck)
    found, wanted = committed(tmp_path / "out"), expected(SMALLER)
    assert found == wanted, difference(found, wanted)


def test_without_faults(cluster: MiniCluster, tmp_path: Path) -> None:
    """The arithmetic and an undisturbed run agree."""
    env = environment(tmp_path, 2, "hashmap", False)
    build(env, 100_000, 1e9, tmp_path / "out")
    env.execute("undisturbed")
    found, wanted = committed(tmp_path / "out"), expected(100_000)
    assert found == wanted, difference(found, wanted)
