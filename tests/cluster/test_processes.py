"""JobManager and TaskManagers as processes of their own, over gRPC, driven through REST."""

from __future__ import annotations

import os
import signal

import pytest

from tests.cluster.processes import ProcessCluster
from tests.cluster.waiting import eventually
from yarnflow.common.watermark_strategy import WatermarkStrategy
from yarnflow.config.configuration import Configuration
from yarnflow.datastream import StreamExecutionEnvironment
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.errors import JobFailedError
from yarnflow.graph import executor
from yarnflow.runtime.rpc.secret import write_secret
from yarnflow.session.remote_job import RemoteJob

pytestmark = pytest.mark.cluster


class Remote:
    """Submits through REST."""

    def __init__(self, cluster: ProcessCluster) -> None:
        self._client = cluster.client()

    def submit(self, job, config) -> RemoteJob:
        self._client.submit(job, {})
        return RemoteJob(self._client, job.job_id)


@pytest.fixture
def processes(tmp_path):
    cluster = ProcessCluster(
        tmp_path,
        {
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "5",
            "restart-strategy.fixed-delay.delay": "100 ms",
            "taskmanager.registration.timeout": "20 s",
            "heartbeat.interval": "200 ms",
            "heartbeat.timeout": "2 s",
        },
    )
    cluster.start_jobmanager()
    executor.install(Remote(cluster), Configuration({"execution.attached": "true", "parallelism.default": "2"}))
    try:
        yield cluster
    finally:
        executor.install(None)
        cluster.close()


def taskmanagers(cluster: ProcessCluster) -> list[dict]:
    return cluster.client()._get("/taskmanagers")["taskmanagers"]


def start_two(cluster: ProcessCluster) -> None:
    for name in ("tm-a", "tm-b"):
        cluster.start_taskmanager(name)
    eventually(lambda: len(taskmanagers(cluster)) == 2)


def sequence(env, count):
    return env.from_source(NumberSequenceSource(1, count), WatermarkStrategy.no_watermarks(), "numbers")


def count_keys(cluster) -> list:
    env = StreamExecutionEnvironment.get_execution_environment()
    stream = (
        sequence(env, 1000)
        .map(lambda value: (value % 7, 1))
        .key_by(lambda pair: pair[0])
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
    )
    with stream.execute_and_collect() as results:
        best: dict[int, int] = {}
        for key, count in results:
            best[key] = max(count, best.get(key, 0))
    return sorted(best.items())


EXPECTED = [(key, 143 if key in range(1, 7) else 142) for key in range(7)]


def test_a_job_runs_over_two_taskmanagers(processes):
    start_two(processes)
    assert count_keys(processes) == EXPECTED


def test_a_user_error_crosses_all_processes(processes):
    start_two(processes)
    env = StreamExecutionEnvironment.get_execution_environment()
    env._config.set_string("restart-strategy.type", "none")
    sequence(env, 10).map(lambda value: {}["missing"]).name("lookup").print()
    with pytest.raises(JobFailedError) as caught:
        env.execute()
    assert "KeyError: 'missing'" in str(caught.value)
    assert "lookup" in str(caught.value)
    assert "tm-" in str(caught.value)


def test_a_killed_taskmanager_is_replaced_by_a_spare_one(processes, tmp_path):
    start_two(processes)
    env = StreamExecutionEnvironment.get_execution_environment()
    sequence(env, 10**12).filter(lambda value: value < 0).print()
    client = env.execute_async()
    job_id = str(client.get_job_id())
    detail = lambda: processes.client()._get(f"/jobs/{job_id}")  # noqa: E731
    eventually(lambda: all(vertex["status"] == "RUNNING" for vertex in detail()["vertices"]))
    processes.start_taskmanager("tm-c")
    eventually(lambda: len(taskmanagers(processes)) == 3)
    pids = worker_pids(processes.process("tm-a").pid)
    processes.kill("tm-a")
    eventually(lambda: len(taskmanagers(processes)) == 2)
    eventually(
        lambda: (
            detail()["state"] == "RUNNING"
            and all(vertex["status"] == "RUNNING" for vertex in detail()["vertices"])
        )
    )
    exceptions = processes.client()._get(f"/jobs/{job_id}/exceptions")
    assert "TaskManager tm-a" in str(exceptions)
    # Workers do not outlive their supervisor, even when it had no time to stop them.
    eventually(lambda: not any(alive(pid) for pid in pids))
    client.cancel().result()


def worker_pids(supervisor: int) -> list[int]:
    with open(f"/proc/{supervisor}/task/{supervisor}/children") as file:
        pids = [int(pid) for pid in file.read().split()]
    assert pids
    return pids


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_taskmanager_with_the_wrong_secret_is_refused(processes, tmp_path):
    write_secret(tmp_path / "wrong", b"not the secret")
    processes.start_taskmanager("intruder", secret="wrong")
    assert processes.process("intruder").wait(20) != 0
    assert "does not know this cluster's secret" in processes.log("intruder")
    assert not taskmanagers(processes)
    assert "not the secret" not in processes.log("intruder")


def test_taskmanagers_find_a_new_jobmanager(processes):
    start_two(processes)
    processes.kill("jobmanager")
    processes.start_jobmanager()
    executor.install(Remote(processes), Configuration({"execution.attached": "true", "parallelism.default": "2"}))
    eventually(lambda: len(taskmanagers(processes)) == 2, 30)
    assert count_keys(processes) == EXPECTED


def test_both_kinds_of_process_end_well_on_sigterm(processes):
    start_two(processes)
    pids = worker_pids(processes.process("tm-a").pid)
    os.kill(processes.process("tm-a").pid, signal.SIGTERM)
    assert processes.process("tm-a").wait(20) == 0
    assert not any(alive(pid) for pid in pids)
    eventually(lambda: len(taskmanagers(processes)) == 1)
    os.kill(processes.process("jobmanager").pid, signal.SIGTERM)
    assert processes.process("jobmanager").wait(20) == 0
    # TaskManagers that came by themselves wait for the next JobManager, as Flink's do.
    assert processes.process("tm-b").poll() is None


def test_a_stuck_worker_dies_with_its_supervisor(processes, tmp_path):
    start_two(processes)
    marker = tmp_path / "stuck"

    def stuck(value):
        marker.touch()
        while True:
            pass

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    sequence(env, 10).map(stuck).print()
    env.execute_async()
    eventually(marker.exists)
    pids = [pid for name in ("tm-a", "tm-b") for pid in worker_pids(processes.process(name).pid)]
    processes.kill("tm-a")
    processes.kill("tm-b")
    eventually(lambda: not any(alive(pid) for pid in pids))


def test_a_frozen_taskmanager_is_given_up_and_comes_back(processes):
    start_two(processes)
    frozen = processes.process("tm-a")
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        eventually(lambda: [tm["id"] for tm in taskmanagers(processes)] == ["tm-b"])
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    eventually(lambda: len(taskmanagers(processes)) == 2)
    assert count_keys(processes) == EXPECTED


def test_logs_of_taskmanagers_can_be_read(processes):
    start_two(processes)
    count_keys(processes)
    logs = processes.client()._get("/taskmanagers/tm-a/logs")["logs"]
    assert {entry["name"] for entry in logs} >= {"taskmanager-slot0.log", "taskmanager-slot0.out"}
