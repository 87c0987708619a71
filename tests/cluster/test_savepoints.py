"""What a job starts from: a savepoint at another parallelism, a retained checkpoint, one before a damaged one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.waiting import eventually
from yarnflow.common import Configuration, Types
from yarnflow.common.watermark_strategy import WatermarkStrategy
from yarnflow.datastream import (
    ExternalizedCheckpointRetention,
    KeyedProcessFunction,
    MapFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.datastream.state import ValueStateDescriptor
from yarnflow.errors import JobCancelledError, JobFailedError, JobSubmissionError
from yarnflow.runtime.checkpoint.pending import RequestOutcome
from yarnflow.runtime.minicluster import MiniCluster
from yarnflow.runtime.rpc.checkpoint_messages import StopMode
from yarnflow.runtime.states import ExecutionState, JobStatus
from yarnflow.testing import mini_cluster

pytestmark = pytest.mark.cluster

SUSPEND = StopMode.SUSPEND
COUNT = 4_000
KEYS = 20


@pytest.fixture(scope="module")
def cluster() -> Iterator[MiniCluster]:
    options = {"task.cancellation.timeout": "1 s", "heartbeat.interval": "500 ms", "heartbeat.timeout": "5 s"}
    with mini_cluster(options, slots=3, taskmanagers=1) as running:
        yield running


class Slow(MapFunction):
    """Lets tests do something meanwhile."""

    def map(self, value: Any) -> Any:
        time.sleep(0.001)
        return value


class Counter(KeyedProcessFunction):
    """Emits (key, how often it has come)."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        count = (self._count.value() or 0) + 1
        self._count.update(count)
        yield value % KEYS, count


def environment(folder: Path, parallelism: int = 2, start: str = "", **options: str) -> StreamExecutionEnvironment:
    settings = {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "5",
        "restart-strategy.fixed-delay.delay": "20 ms",
        # Only those that a test asks for, and the last one.
        "execution.checkpointing.interval": "1 h",
        "execution.checkpointing.data-inline-threshold": "0b",
        "execution.checkpointing.num-retained": "2",
        "execution.checkpointing.dir": (folder / "checkpoints").as_uri(),
        "execution.checkpointing.savepoint-dir": (folder / "savepoints").as_uri(),
        **{key.replace("__", "-").replace("_", "."): value for key, value in options.items()},
    }
    if start:
        settings["execution.state-recovery.path"] = start
    env = StreamExecutionEnvironment.get_execution_environment(Configuration(settings))
    env.set_parallelism(parallelism)
    return env


def counted(env: StreamExecutionEnvironment, uid: str = "counter") -> Any:
    source = NumberSequenceSource(1, COUNT)
    numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers").uid("numbers")
    return numbers.map(Slow()).uid("slow").key_by(lambda value: value % KEYS).process(Counter()).uid(uid)


EXPECTED = [(key, count) for key in range(KEYS) for count in range(1, COUNT // KEYS + 1)]


def running_job(cluster: MiniCluster) -> str:
    """The id of the job that runs, once all of its tasks do."""

    def running() -> list[str]:
        return [
            job.job_id
            for job in cluster.call(cluster.dispatcher.jobs())
            if job.status is JobStatus.RUNNING and set(job.task_counts) == {ExecutionState.RUNNING}
        ]

    eventually(lambda: bool(running()))
    (job_id,) = running()
    return job_id


def take_checkpoint(cluster: MiniCluster, job_id: str) -> Path:
    """Take one and return its directory."""
    request = cluster.call(cluster.dispatcher.trigger_checkpoint(job_id))

    eventually(lambda: outcome(cluster, job_id, request).done)
    done = outcome(cluster, job_id, request)
    assert done.failure == ""
    return Path(done.location.removeprefix("file://"))


def outcome(cluster: MiniCluster, job_id: str, request: str) -> RequestOutcome:
    found = cluster.call(cluster.dispatcher.snapshot_outcome(job_id, request))
    return found or RequestOutcome()


def state_files(directory: Path) -> list[Path]:
    files = [path for path in directory.iterdir() if path.name != "_metadata"]
    assert files, "state was expected in files"
    return files


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_of_a_damaged_checkpoint_the_one_before_is_used(cluster: MiniCluster, tmp_path: Path, damage: str) -> None:
    with counted(environment(tmp_path)).execute_and_collect() as results:
        job_id = running_job(cluster)
        before = take_checkpoint(cluster, job_id)
        newest = take_checkpoint(cluster, job_id)
        for path in state_files(newest):
            if damage == "missing":
                path.unlink()
            else:
                content = bytearray(path.read_bytes())
                content[len(content) // 2] ^= 1
                path.write_bytes(content)
        os.kill(cluster.worker_pids()[0], signal.SIGKILL)
        # What was committed with the damaged checkpoint comes once more; that cannot be taken back.
        assert sorted(set(results)) == EXPECTED
    detail = cluster.call(cluster.dispatcher.job(job_id))
    (entry,) = [each for each in detail.transitions if "going back" in each[1]]
    assert str(newest) in entry[1]
    assert str(before) in entry[1]
    assert any(str(newest) in each.failure.message for each in detail.exceptions), "the damaged file is named"


def test_when_no_checkpoint_is_left_the_job_fails_and_says_why(cluster: MiniCluster, tmp_path: Path) -> None:
    env = environment(tmp_path, execution_checkpointing_num__retained="1")
    with counted(env).execute_and_collect() as results:
        newest = take_checkpoint(cluster, running_job(cluster))
        for path in state_files(newest):
            path.unlink()
        os.kill(cluster.worker_pids()[0], signal.SIGKILL)
        with pytest.raises(JobFailedError, match=r"cannot be read, and no earlier one is retained"):
            list(results)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2), (2, 2)])
def test_a_stopped_job_goes_on_at_another_parallelism(
    cluster: MiniCluster, tmp_path: Path, before: int, after: int
) -> None:
    env = environment(tmp_path, before)
    first: list[Any] = []
    with counted(env).execute_and_collect() as results:
        job_id = running_job(cluster)
        request = cluster.call(cluster.dispatcher.trigger_savepoint(job_id, stop=SUSPEND))
        first += list(results)
    path = outcome(cluster, job_id, request).location
    assert 0 < len(first) < COUNT
    with counted(environment(tmp_path, after, path)).execute_and_collect() as results:
        assert sorted([*first, *results]) == EXPECTED


def test_a_cancelled_job_goes_on_from_its_newest_retained_checkpoint(cluster: MiniCluster, tmp_path: Path) -> None:
    env = environment(tmp_path)
    env.get_checkpoint_config().set_externalized_checkpoint_retention(
        ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION
    )
    first: list[Any] = []
    with counted(env).execute_and_collect() as results:
        job_id = running_job(cluster)
        directory = take_checkpoint(cluster, job_id)
        cluster.call(cluster.dispatcher.cancel(job_id))
        with pytest.raises(JobCancelledError):
            first.extend(results)
    assert directory.exists()
    # Named is the directory of all of the job's checkpoints.
    with counted(environment(tmp_path, 3, str(directory.parent))).execute_and_collect() as results:
        assert sorted([*first, *results]) == EXPECTED


def test_state_that_nobody_claims_is_an_error_unless_allowed(cluster: MiniCluster, tmp_path: Path) -> None:
    with counted(environment(tmp_path)).execute_and_collect() as results:
        job_id = running_job(cluster)
        request = cluster.call(cluster.dispatcher.trigger_savepoint(job_id, stop=SUSPEND))
        assert len(list(results)) < COUNT
    path = outcome(cluster, job_id, request).location
    with pytest.raises(JobSubmissionError, match=r"uid 'counter'.*-n"):
        counted(environment(tmp_path, 2, path), uid="renamed").execute_and_collect()
    allowed = environment(tmp_path, 2, path, execution_state__recovery_ignore__unclaimed__state="true")
    with counted(allowed, uid="renamed").execute_and_collect() as results:
        assert 0 < len(list(results)) < COUNT, "the source goes on, the counts begin anew"
