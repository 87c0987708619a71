from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from yarnflow.common import Configuration, JobStatus, RestartStrategies
from yarnflow.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from yarnflow.errors import JobFailedError, ProgramError
from yarnflow.functions.collection_source import CollectionSource
from yarnflow.graph import executor
from yarnflow.graph.job_graph import JobGraph
from yarnflow.graph.operators import CollectSpec


class Job:
    """A submitted job that answers at once and yields prepared records."""

    def __init__(self, graph: JobGraph, batches: list[Any]) -> None:
        self.graph = graph
        self.batches = batches
        self.job_id = graph.job_id
        self.cancelled = False

    def status(self) -> str:
        return "RUNNING"

    def cancel(self) -> None:
        self.cancelled = True

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        return {"net_runtime_ms": 5, "accumulators": {"n": 1}}

    def collect(self, collect_id: str) -> Iterator[list[Any]]:
        for batch in self.batches:
            if isinstance(batch, Exception):
                raise batch
            yield batch


class Recorder:
    """An executor that runs nothing."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.configs: list[Configuration] = []
        self.batches: list[Any] = []

    def submit(self, job: JobGraph, config: Configuration) -> Job:
        self.jobs.append(Job(job, self.batches))
        self.configs.append(config)
        return self.jobs[-1]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    executor.install(
        recorder, Configuration({"execution.attached": "true", "rest.port": "9", "parallelism.default": "3"})
    )
    yield recorder
    executor.install(None)


def environment(settings: dict[str, str] | None = None) -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment(Configuration(settings) if settings else None)


def test_execute_submits_what_was_built_and_waits(recorder: Recorder) -> None:
    env = environment()
    env.from_collection([1]).print()
    result = env.execute("my job")
    assert (result.get_net_runtime(), result.get_all_accumulator_results()) == (5, {"n": 1})
    (job,) = recorder.jobs
    assert (job.graph.name, str(result.get_job_id())) == ("my job", job.job_id)
    assert recorder.configs[0].get_string("rest.port", "") == "9"
    assert "rest.port" not in job.graph.config, "what concerns the cluster is no part of the job"
    assert job.graph.config["parallelism.default"] == "3"


def test_each_execution_begins_anew(recorder: Recorder) -> None:
    env = environment()
    numbers = env.from_collection([1])
    numbers.print()
    env.execute()
    numbers.map(str).print()
    env.execute_async()
    assert [len(job.graph.vertices) for job in recorder.jobs] == [2, 2]
    assert recorder.jobs[1].graph.vertices[1].name == "Map -> Sink: Print to Std. Out"
    assert recorder.jobs[0].job_id != recorder.jobs[1].job_id
    with pytest.raises(ProgramError, match="defines no operators"):
        env.execute()


def test_a_source_alone_is_no_program(recorder: Recorder) -> None:
    env = environment()
    env.from_collection([1])
    with pytest.raises(ProgramError, match="nothing to execute"):
        env.execute()


def test_a_detached_launcher_does_not_wait(recorder: Recorder) -> None:
    executor.install(recorder, Configuration({"execution.attached": "false"}))
    env = environment()
    env.from_collection([1]).print()
    result = env.execute()
    with pytest.raises(RuntimeError, match="detached"):
        result.get_net_runtime()


def test_execute_async_gives_a_handle(recorder: Recorder) -> None:
    env = environment()
    env.from_collection([1]).print()
    client = env.execute_async("later")
    assert client.get_job_status().result(10) is JobStatus.RUNNING
    client.cancel().result(10)
    assert recorder.jobs[0].cancelled
    assert recorder.jobs[0].graph.name == "later"


def test_collect_iterates_over_batches(recorder: Recorder) -> None:
    recorder.batches = [[1, 2], [], [3]]
    env = environment()
    with env.from_collection([1]).execute_and_collect("c") as records:
        assert list(records) == [1, 2, 3]
    (job,) = recorder.jobs
    assert not job.cancelled
    assert job.graph.vertices[-1].name == "Collect Stream Sink"


def test_leaving_early_cancels_the_job(recorder: Recorder) -> None:
    recorder.batches = [[1, 2], [3]]
    env = environment()
    with env.from_collection([1]).execute_and_collect() as records:
        assert next(records) == 1
    assert recorder.jobs[0].cancelled
    assert list(records) == []
    assert env.from_collection([1]).execute_and_collect(limit=2) == [1, 2]
    assert recorder.jobs[1].cancelled


def test_a_failure_is_raised_where_the_records_are_read(recorder: Recorder) -> None:
    recorder.batches = [[1], JobFailedError("boom")]
    env = environment()
    with env.from_collection([1]).execute_and_collect() as records:
        assert next(records) == 1
        with pytest.raises(JobFailedError, match="boom"):
            next(records)
    assert not recorder.jobs[0].cancelled


def test_a_collect_sink_is_forgotten_when_the_program_is_wrong(recorder: Recorder) -> None:
    env = environment()
    stream = env.from_collection([1]).uid("a")
    bad = stream.map(str).uid("a")
    with pytest.raises(ProgramError, match="same uid"):
        stream.execute_and_collect()
    bad.uid("b")
    assert not [node for node in env.get_stream_graph().nodes.values() if isinstance(node.spec, CollectSpec)]


def test_parallelism_comes_from_program_launcher_or_machine(recorder: Recorder) -> None:
    assert environment().get_parallelism() == 3
    assert environment({"parallelism.default": "5"}).get_parallelism() == 5
    executor.install(recorder)
    assert environment().get_parallelism() == 1
    executor.install(None)
    assert environment().get_parallelism() == len(os.sched_getaffinity(0))
    with pytest.raises(ProgramError, match="from 1 up, not 0"):
        environment().set_parallelism(0)


def test_the_parallelism_counts_when_an_operator_is_added(recorder: Recorder) -> None:
    env = environment()
    stream = env.set_parallelism(4).from_collection([1]).map(str)
    env.set_parallelism(2)
    stream.filter(bool)
    assert [node.parallelism for node in env.get_stream_graph().nodes.values()] == [1, 4, 2]


def test_settings_are_flinks_options(recorder: Recorder) -> None:
    env = environment()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH).set_buffer_timeout(20).disable_operator_chaining()
    env.set_max_parallelism(64).set_restart_strategy(RestartStrategies.fixed_delay_restart(2, 500))
    env.add_python_file("/a.py")
    env.add_python_files("/b.zip", "/c")
    env.set_python_requirements("/requirements.txt", "/cache")
    env.add_python_archive("/data.zip", "data")
    env.set_python_executable("data/bin/python")
    env.register_cached_file("/words.txt", "words")
    env.configure(Configuration({"pipeline.name": "named", "my.secret.token": "x"}))
    env.from_collection([1]).print()
    graph = env.get_job_graph()
    assert graph.name == "named"
    assert graph.config == {
        "execution.attached": "true",
        "parallelism.default": "3",
        "execution.runtime-mode": "BATCH",
        "execution.buffer-timeout.enabled": "true",
        "execution.buffer-timeout.interval": "20 ms",
        "pipeline.operator-chaining.enabled": "false",
        "pipeline.max-parallelism": "64",
        "pipeline.name": "named",
        "pipeline.cached-files": graph.config["pipeline.cached-files"],
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "2",
        "restart-strategy.fixed-delay.delay": "500 ms",
        "python.files": "/a.py,/b.zip,/c",
        "python.requirements": "/requirements.txt#/cache",
        "python.archives": "/data.zip#data",
        "python.executable": "data/bin/python",
    }
    assert "words" in graph.config["pipeline.cached-files"]
    assert env.set_buffer_timeout(-1).get_buffer_timeout() == -1
    assert env.set_buffer_timeout(0).get_buffer_timeout() == 0
    with pytest.raises(ProgramError, match="buffer timeout"):
        env.set_buffer_timeout(-2)


def test_jars_are_accepted_with_a_warning(recorder: Recorder) -> None:
    with pytest.warns(UserWarning, match=r"add_jars\(file:///x.jar\) has no effect"):
        environment().add_jars("file:///x.jar")


def test_a_source_must_be_one(recorder: Recorder) -> None:
    with pytest.raises(TypeError, match=r"from_source\(\) needs a source"):
        environment().from_source([1], None, "n")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"from_source\(\) needs a WatermarkStrategy"):
        environment().from_source(CollectionSource([1]), "name", "n")  # type: ignore[arg-type]
