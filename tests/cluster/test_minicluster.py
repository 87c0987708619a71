"""Programs on a MiniCluster with real worker processes."""

from __future__ import annotations

import os
import signal

import pytest

from tests.cluster.waiting import eventually
from yarnflow.common import Types
from yarnflow.common.watermark_strategy import WatermarkStrategy
from yarnflow.datastream import (
    MapFunction,
    OutputTag,
    ProcessFunction,
    RuntimeExecutionMode,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.errors import JobCancelledError, JobFailedError
from yarnflow.functions.accumulators import IntCounter
from yarnflow.functions.collection_source import CollectionSource
from yarnflow.testing import FailingSource, FaultKind, FaultPlan

pytestmark = pytest.mark.cluster

TEXT = ["to be or not to be", "that is the question", "to sleep to dream"]


def environment(**config: str) -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    for key, value in config.items():
        env._config.set_string(key.replace("_", "."), value)
    return env


def sequence(env, count):
    return env.from_source(NumberSequenceSource(1, count), WatermarkStrategy.no_watermarks(), "numbers")


def counts(env) -> dict[str, int]:
    stream = (
        env.from_collection(TEXT)
        .flat_map(lambda line: [(word, 1) for word in line.split()])
        .key_by(lambda pair: pair[0])
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
    )
    with stream.execute_and_collect() as results:
        found: dict[str, int] = {}
        for word, count in results:
            found[word] = max(count, found.get(word, 0))
    return found


def test_word_count_over_two_taskmanagers(cluster):
    found = counts(environment())
    assert found["to"] == 4
    assert found["be"] == 2
    details = cluster.call(cluster.dispatcher.jobs())
    detail = cluster.call(cluster.dispatcher.job(details[0].job_id))
    used = {s.current.taskmanager_id for v in detail.vertices for s in v.subtasks}
    assert used == {"local", "local-1"}


def test_several_jobs_one_after_the_other_get_fresh_processes(cluster):
    pids = set()
    for _ in range(3):
        pids.update(cluster.worker_pids())
        assert counts(environment())["to"] == 4
    assert len(pids) > 2


def test_a_user_error_comes_back_with_traceback_operator_and_place(cluster):
    def explode(value):
        return 10 // (value - value)

    env = environment()
    sequence(env, 10).map(explode).name("explosive").print()
    with pytest.raises(JobFailedError) as caught:
        env.execute("failing")
    text = str(caught.value)
    assert "explosive" in text
    assert "ZeroDivisionError" in text
    assert "in explode" in text
    assert "return 10 // (value - value)" in text
    assert "slot" in text
    assert "yarnflow/runtime" not in text


@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_job_restarts_after_faults_and_finishes(cluster, tmp_path, kind):
    env = environment()
    env._config.set_string("restart-strategy.type", "fixed-delay")
    env._config.set_string("restart-strategy.fixed-delay.attempts", "10")
    env._config.set_string("restart-strategy.fixed-delay.delay", "10 ms")
    plan = FaultPlan(str(tmp_path), after=(5, 3), kind=kind)
    source = FailingSource(CollectionSource(list(range(20))), plan)
    out = tmp_path / "out"
    out.mkdir()
    write = lambda value: (out / str(value)).touch()  # noqa: E731
    env.from_source(source, WatermarkStrategy.no_watermarks(), "failing").map(write).name("write").print()
    result = env.execute("restarting")
    assert sorted(int(path.name) for path in out.iterdir()) == list(range(20))
    detail = cluster.call(cluster.dispatcher.job(str(result.get_job_id())))
    assert detail.restart_count >= 2
    wanted = "InjectedFault" if kind is FaultKind.RAISE else "killed by signal 9"
    assert any(wanted in entry.failure.message for entry in detail.exceptions)


def test_a_killed_worker_without_restarts_fails_the_job_and_says_how(cluster):
    env = environment()
    sequence(env, 10**12).map(lambda value: value).filter(lambda value: value < 0).print()
    client = env.execute_async("endless")
    job_id = str(client.get_job_id())

    def running() -> bool:
        detail = cluster.call(cluster.dispatcher.job(job_id))
        return all(vertex.status.value == "RUNNING" for vertex in detail.vertices)

    eventually(running)
    os.kill(cluster.worker_pids()[0], signal.SIGKILL)
    with pytest.raises(JobFailedError, match="killed by signal 9"):
        client.get_job_execution_result().result()
    # The slot has a new worker, and the cluster goes on.
    assert counts(environment())["to"] == 4


def test_cancel_ends_an_unbounded_job(cluster):
    env = environment()
    sequence(env, 10**12).filter(lambda value: value < 0).print()
    client = env.execute_async("endless")
    client.cancel().result()
    with pytest.raises(JobCancelledError):
        client.get_job_execution_result().result()


def test_a_task_that_ignores_its_cancel_loses_its_worker(tmp_path):
    from yarnflow.testing import mini_cluster

    marker = tmp_path / "stuck"

    def stuck(value):
        marker.touch()
        while True:
            pass

    with mini_cluster({"task.cancellation.timeout": "200 ms"}, slots=1):
        env = environment()
        sequence(env, 10).map(stuck).print()
        client = env.execute_async("stuck")
        eventually(marker.exists)
        client.cancel().result()
        with pytest.raises(JobCancelledError):
            client.get_job_execution_result().result()


class Counting(MapFunction):
    def open(self, runtime_context):
        self.seen = IntCounter()
        runtime_context.add_accumulator("seen", self.seen)

    def map(self, value):
        self.seen.add(1)
        return value


def test_accumulators_are_merged(cluster):
    env = environment()
    sequence(env, 1000).map(Counting()).filter(lambda value: False).print()
    result = env.execute("counting")
    assert result.get_accumulator_result("seen") == 1000


def test_collecting_an_unbounded_stream_and_closing_cancels(cluster):
    env = environment()
    results = sequence(env, 10**12).map(lambda value: value * 2).execute_and_collect()
    first = [next(results) for _ in range(100)]
    assert all(value % 2 == 0 for value in first)
    results.close()
    eventually(lambda: all(view.status.terminal for view in cluster.call(cluster.dispatcher.jobs())), seconds=20)


def test_collecting_more_than_fits_in_flight(cluster):
    env = environment()
    with sequence(env, 300_000).execute_and_collect() as results:
        assert sum(1 for _ in results) == 300_000


class Split(ProcessFunction):
    odd = OutputTag("odd", Types.LONG())

    def process_element(self, value, ctx):
        if value % 2:
            yield self.odd, value
        else:
            yield value


def test_side_outputs(cluster):
    env = environment()
    main = sequence(env, 10).process(Split())
    with main.get_side_output(Split.odd).execute_and_collect() as results:
        assert sorted(results) == [1, 3, 5, 7, 9]


def test_a_blocking_exchange_in_batch_mode(cluster):
    env = environment()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    stream = (
        sequence(env, 1000)
        .map(lambda value: (value % 10, 1))
        .key_by(lambda pair: pair[0])
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
    )
    with stream.execute_and_collect() as results:
        assert sorted(results) == [(key, 100) for key in range(10)]
    (view,) = cluster.call(cluster.dispatcher.jobs())
    detail = cluster.call(cluster.dispatcher.job(view.job_id))
    assert len(detail.vertices) >= 2
    first, second = detail.vertices[0], detail.vertices[1]
    assert first.end_time <= min(subtask.current.start_time for subtask in second.subtasks)


def test_a_job_that_needs_more_slots_gets_them(cluster):
    env = environment()
    env.set_parallelism(4)
    with sequence(env, 100).map(lambda value: value).execute_and_collect() as results:
        assert sorted(results) == list(range(1, 101))


def test_closing_the_cluster_leaves_no_process():
    from yarnflow.runtime.minicluster import MiniCluster

    with MiniCluster(slots=2) as cluster:
        eventually(lambda: len(cluster.worker_pids()) == 2)
        pids = cluster.worker_pids()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
