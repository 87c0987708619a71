"""Standalone clusters of real processes: the scripts in bin/, jobs over REST, lost TaskManagers, bad secrets."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.waiting import eventually
from yarnflow.common import RestartStrategies
from yarnflow.datastream import StreamExecutionEnvironment
from yarnflow.graph import executor
from yarnflow.session.executor import RestExecutor
from yarnflow.session.rest_client import RestClient

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60.0

pytestmark = pytest.mark.cluster


class Cluster:
    """A configuration of its own, the scripts that act on it, and what runs with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "conf"
        self.conf.mkdir()
        self.rpc_port, self.rest_port = free_ports(2)
        self.secret = self.conf / "secret"
        (self.conf / "masters").write_text(f"localhost:{self.rest_port}\n")
        (self.conf / "workers").write_text("localhost  # one\n\n")
        self.write_conf()
        self.environment = {**os.environ, "YARNFLOW_CONF_DIR": str(self.conf), "HOME": str(folder)}
        self.environment.pop("YARNFLOW_PROPERTIES", None)
        # The scripts shall use the Python of the tests.
        self.environment["YARNFLOW_VENV"] = sys.prefix
        self.client = RestClient(f"http://localhost:{self.rest_port}")

    def write_conf(self, **more: str) -> None:
        settings = {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": str(self.rpc_port),
            "jobmanager.bind-host": "localhost",
            "taskmanager.host": "localhost",
            "rest.address": "localhost",
            "rest.bind-address": "localhost",
            "env.pid.dir": str(self.folder / "pids"),
            "env.log.dir": str(self.folder / "log"),
            "slot.request.timeout": "40 s",
            **more,
        }
        text = "".join(f"{key}: {value}\n" for key, value in settings.items())
        (self.conf / "yarnflow-conf.yaml").write_text(text)

    def run(self, script: str, *arguments: str, code: int = 0) -> str:
        """Run a script of bin/; returns what it printed, on both streams."""
        done = subprocess.run(
            [ROOT / "bin" / script, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        output = done.stdout + done.stderr
        assert done.returncode == code, output
        return output

    def foreground(self, kind: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [ROOT / "bin" / f"{kind}.sh", "start-foreground", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def processes(self) -> list[int]:
        """Pids of everything that runs with this configuration, slot workers included."""
        mark = f"YARNFLOW_CONF_DIR={self.conf}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:
                    continue  # ended meanwhile
        return found

    def has_taskmanagers(self, count: int) -> bool:
        return len(self.client.taskmanagers()) == count

    def close(self) -> None:
        self.client.close()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.processes(), what="all processes are gone")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def pid_in(output: str) -> int:
    match = re.search(r"Started the \w+ with pid (\d+)", output)
    assert match, output
    return int(match[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    try:
        yield cluster
    finally:
        executor.install(None)
        cluster.close()


def environment_on(cluster: Cluster) -> StreamExecutionEnvironment:
    executor.install(RestExecutor(cluster.client))
    return StreamExecutionEnvironment.get_execution_environment()


def test_jobs_run_and_stop_cluster_leaves_nothing(cluster: Cluster) -> None:
    started = cluster.run("start-cluster.sh")
    assert f"REST at http://localhost:{cluster.rest_port}" in started
    assert stat.S_IMODE(cluster.secret.stat().st_mode) == 0o600
    assert cluster.secret.read_text().strip() not in started
    second = cluster.run("taskmanager.sh", "start")
    assert "A TaskManager runs already on" in second
    eventually(lambda: cluster.has_taskmanagers(2), what="two TaskManagers")

    env = environment_on(cluster)
    env.set_parallelism(2)  # a slot of each
    words = env.from_collection(["to be", "or not", "to be"]).flat_map(lambda line: line.split())
    counts = (
        words.map(lambda word: (word, 1)).key_by(lambda pair: pair[0]).reduce(lambda a, b: (a[0], a[1] + b[1]))
    )
    with counts.execute_and_collect("word count") as results:
        assert sorted(results)[-1] == ("to", 2)

    # The overview of a finished job, and its result, over REST.
    [job] = cluster.client.jobs()
    result = cluster.client.execution_result(job["jid"], 10)
    assert result is not None
    assert (job["name"], result["job-status"]) == ("word count", "FINISHED")

    # What runs can be told from the log folders, and no secret is in them.
    logs = sorted(path.name for path in (cluster.folder / "log").iterdir())
    assert [re.sub(r"^yarnflow-[^-]+-(\w+-\d+)-.*", r"\1", name) for name in logs] == [
        "jobmanager-0",
        "taskmanager-0",
        "taskmanager-1",
    ]
    secret = cluster.secret.read_text().strip()
    assert all(secret not in path.read_text() for path in (cluster.folder / "log").glob("*/*"))

    stopped = cluster.run("stop-cluster.sh")
    assert [stopped.count(f"Stopped the {kind}") for kind in ("TaskManager", "JobManager")] == [2, 1]
    assert "killed" not in stopped
    eventually(lambda: not cluster.processes(), what="no process is left")
    assert list((cluster.folder / "pids").iterdir()) == []
    assert "No JobManager runs" in cluster.run("stop-cluster.sh")


def test_a_job_outlives_the_taskmanager_it_ran_on(cluster: Cluster) -> None:
    cluster.run("start-cluster.sh")
    first = [view["id"] for view in eventually(cluster.client.taskmanagers, what="a TaskManager")]
    taken, done = str(cluster.folder / "taken"), str(cluster.folder / "done")

    def work(number: int) -> int:
        """Waits for ever the first time; later says which TaskManager it runs on."""
        try:
            with open(taken, "x") as file:
                file.write(f"{os.getppid()}\n")
        except FileExistsError:
            with open(done, "w") as file:
                file.write(f"{os.getppid()}\n")
            return number
        while True:
            signal.pause()

    env = environment_on(cluster)
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, 100))
    env.from_collection([1]).map(work).print()
    job = env.execute_async("survivor")
    victim = int(
        eventually(lambda: os.path.exists(taken) and Path(taken).read_text().strip(), what="the task runs")
    )
    other = pid_in(cluster.run("taskmanager.sh", "start"))
    eventually(lambda: cluster.has_taskmanagers(2), what="two TaskManagers")
    os.kill(victim, signal.SIGKILL)
    job.get_job_execution_result().result()
    assert int(Path(done).read_text()) == other
    assert [view["id"] for view in cluster.client.taskmanagers()] != first
    # The dead one's pid file does not count: its number is free again, and stop ends what is there.
    assert "with pid" in cluster.run("taskmanager.sh", "start")
    assert cluster.run("stop-cluster.sh").count("Stopped the TaskManager") == 2
    eventually(lambda: not cluster.processes(), what="no process is left")


def test_taskmanagers_wait_for_the_next_jobmanager(cluster: Cluster) -> None:
    # The TaskManager first: it waits for the JobManager, and so does it when the JobManager is replaced.
    cluster.secret.write_text("5" * 64 + "\n")
    cluster.secret.chmod(0o600)
    assert "keeps trying" in cluster.run("taskmanager.sh", "start")
    rest = f"-Drest.port={cluster.rest_port}"
    cluster.run("jobmanager.sh", "start", "localhost", str(cluster.rest_port))
    eventually(lambda: cluster.has_taskmanagers(1), what="a TaskManager")
    assert "Stopped the JobManager" in cluster.run("jobmanager.sh", "stop")
    cluster.run("jobmanager.sh", "start", rest)
    eventually(lambda: cluster.has_taskmanagers(1), what="the same TaskManager")


def test_a_second_jobmanager_names_the_first_and_the_port(cluster: Cluster) -> None:
    first = pid_in(cluster.run("start-cluster.sh"))
    again = cluster.run("jobmanager.sh", "start", code=1).splitlines()
    assert len(again) == 2
    assert f"pid {first}" in again[0]
    assert f"cannot listen on localhost:{cluster.rpc_port}" in again[1]
    # Another RPC port, but the REST port is taken, too. And start-cluster starts no TaskManagers then.
    output = cluster.run("start-cluster.sh", "-Djobmanager.rpc.port=0", code=1)
    assert f"the REST server cannot listen on localhost, port {cluster.rest_port}" in output
    assert "Started" not in output
    assert cluster.has_taskmanagers(1)


def test_sigterm_ends_foreground_processes_gracefully(cluster: Cluster) -> None:
    jobmanager = cluster.foreground("jobmanager", f"-Drest.port={cluster.rest_port}")

    def reachable() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("localhost", cluster.rest_port)) == 0

    eventually(reachable, what="REST")
    taskmanager = cluster.foreground("taskmanager")
    eventually(lambda: cluster.has_taskmanagers(1), what="a TaskManager")
    for process in (taskmanager, jobmanager):
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, log
        assert "Traceback" not in log
    eventually(lambda: not cluster.processes(), what="no process is left")


def test_bad_secrets_are_refused(cluster: Cluster) -> None:
    def refused(*arguments: str, start: str = "start-foreground") -> str:
        output = cluster.run("taskmanager.sh", start, *arguments, code=1)
        lines = [line for line in output.splitlines() if line.startswith("yarnflow:")]
        assert len(lines) == 1, output
        assert "Traceback" not in output
        return lines[0]

    assert f"there is no secret at {cluster.secret}" in refused()
    cluster.run("jobmanager.sh", "start", f"-Drest.port={cluster.rest_port}")
    other = cluster.folder / "other"
    other.write_text("x" * 64)
    other.chmod(0o600)
    wrong = f"-Dsecurity.rpc.key-file={other}"
    assert "does not know this cluster's secret" in refused(wrong)
    assert "does not know this cluster's secret" in refused(wrong, start="start")
    other.write_text("\n")
    assert "is empty" in refused(wrong)
    cluster.secret.chmod(0o644)
    assert "chmod 600 on it" in refused()
    assert "chmod 600" in cluster.run("jobmanager.sh", "start", "-Djobmanager.rpc.port=0", code=1)
    assert cluster.client.taskmanagers() == []


def test_no_jobmanager_in_time_and_no_address(cluster: Cluster) -> None:
    cluster.secret.write_text("5" * 64)
    cluster.secret.chmod(0o600)
    output = cluster.run("taskmanager.sh", "start-foreground", "-Dtaskmanager.registration.timeout=200ms", code=1)
    assert "no JobManager for 0.2 s (taskmanager.registration.timeout)" in output.splitlines()[-1]
    cluster.write_conf(**{"jobmanager.rpc.address": "''"})
    assert "Set jobmanager.rpc.address" in cluster.run("taskmanager.sh", "start", code=1)
    assert cluster.processes() == []


def test_stop_leaves_alone_a_program_that_got_the_pid(cluster: Cluster) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        pid_file = pid_file_of(cluster)
        pid_file.write_text(f"{bystander.pid}\n")
        assert "No JobManager runs" in cluster.run("jobmanager.sh", "stop")
        assert bystander.poll() is None
        started = cluster.run("jobmanager.sh", "start", f"-Drest.port={cluster.rest_port}")
        assert "runs already" not in started
        assert int(pid_file.read_text()) == pid_in(started)
    finally:
        bystander.communicate(b"\n", timeout=DEADLINE)


def pid_file_of(cluster: Cluster) -> Path:
    """The pid file that the first JobManager uses."""
    cluster.run("jobmanager.sh", "start", f"-Drest.port={cluster.rest_port}")
    [path] = (cluster.folder / "pids").iterdir()
    cluster.run("jobmanager.sh", "stop")
    assert not path.exists()
    return path


@pytest.mark.slow
def test_a_process_that_does_not_end_is_killed(cluster: Cluster) -> None:
    pid = pid_in(cluster.run("jobmanager.sh", "start", f"-Drest.port={cluster.rest_port}"))
    os.kill(pid, signal.SIGSTOP)  # it cannot react to SIGTERM
    assert "did not end within 10 s and was killed" in cluster.run("jobmanager.sh", "stop")
    eventually(lambda: not cluster.processes(), what="no process is left")


def test_other_hosts_are_reached_by_ssh(cluster: Cluster) -> None:
    tools = cluster.folder / "tools"
    tools.mkdir()
    ssh = tools / "ssh"
    # Runs the command here, in the bare environment of a login on another host.
    ssh.write_text(
        '#!/bin/bash\necho "$*" >>"$(dirname "$0")/calls"\n'
        f'exec env -i PATH="$PATH" HOME="$HOME" YARNFLOW_VENV={sys.prefix} bash -c "${{@: -1}}"\n'
    )
    ssh.chmod(0o755)
    cluster.environment["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"
    (cluster.conf / "workers").write_text("alpha\nlocalhost\nbeta\n")
    cluster.write_conf(**{"env.ssh.opts": "-p 2222", "rest.port": str(cluster.rest_port)})
    cluster.run("start-cluster.sh", "-Dtaskmanager.numberOfTaskSlots=2")
    eventually(lambda: cluster.has_taskmanagers(3), what="three TaskManagers")
    assert cluster.client.overview()["slots-total"] == 6
    calls = (tools / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert all(
        re.match(r"-n -p 2222 -o ConnectTimeout=\d+ (alpha|beta) -- env YARNFLOW_CONF_DIR=", call)
        for call in calls
    )
    cluster.run("stop-cluster.sh")
    eventually(lambda: not cluster.processes(), what="no process is left")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("masters", "a\nb:8081\n", "names 2 hosts (a, b:8081)"),
        ("masters", "# none\n", "names no host"),
        ("workers", "localhost localhost\n", "'localhost localhost' is not a host"),
    ],
)
def test_files_of_hosts_are_checked_before_anything_starts(
    cluster: Cluster, name: str, text: str, message: str
) -> None:
    (cluster.conf / name).write_text(text)
    output = cluster.run("start-cluster.sh", code=1)
    assert message in output
    assert cluster.processes() == []
