"""The devcluster itself, as a person uses it: start twice, look, hurt, stop; two side by side."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cluster.waiting import eventually
from yarnflow.cli.devcluster import command
from yarnflow.devcluster import processes, readiness
from yarnflow.devcluster.cluster import DevCluster
from yarnflow.errors import DevClusterError


def rm(cluster: DevCluster, path: str, body: object = None) -> dict:
    """Ask the ResourceManager's REST API; POST when there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{cluster.rm_web_address}/ws/v1/cluster/{path}?user.name={os.environ.get('USER', 'root')}",
        data=data,
        headers={"Content-Type": "application/json", "Accept": "application/json"},
        method="GET" if data is None and path != "apps/new-application" else "POST",
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        text = response.read()
    return json.loads(text) if text else {}


def submit_sleeper(cluster: DevCluster) -> str:
    """Submit an application whose AM container only sleeps, in a process group and session of its own."""
    application = rm(cluster, "apps/new-application")["application-id"]
    rm(
        cluster,
        "apps",
        {
            "application-id": application,
            "application-name": "sleeper",
            "am-container-spec": {"commands": {"command": "setsid sleep 1000 & sleep 1000"}},
            "resource": {"memory": 128, "vCores": 1},
        },
    )
    return application


@pytest.fixture
def own(tmp_path: Path) -> Iterator[DevCluster]:
    """A devcluster of the test's own, that it may hurt."""
    cluster = DevCluster(tmp_path / "own", stop_seconds=5.0)
    try:
        yield cluster
    finally:
        cluster.stop()
        assert processes.marked(cluster.directory) == []


def test_the_shared_cluster_works(devcluster: DevCluster) -> None:
    status = devcluster.status()
    assert (status.state, status.problems) == ("running", ())
    assert [daemon.role for daemon in status.daemons] == [
        "namenode",
        "resourcemanager",
        "datanode",
        "nodemanager-0",
        "nodemanager-1",
        "zookeeper",
    ]
    for daemon in status.daemons:
        assert daemon.memory > 10 * 2**20
        assert daemon.log.stat().st_size > 0
        for port in daemon.ports.values():
            socket.create_connection(("localhost", port), timeout=5).close()
    assert rm(devcluster, "metrics")["clusterMetrics"]["totalMB"] == 2 * 8192
    host, port = devcluster.zookeeper_quorum.split(":")
    assert readiness.zookeeper(host, int(port)) is None


def test_its_launchers_work(devcluster: DevCluster, tmp_path: Path) -> None:
    environment = {**os.environ, **devcluster.env()}
    (tmp_path / "greeting").write_text("hello\n")

    def run(*line: object) -> str:
        return subprocess.run(
            [str(word) for word in line], env=environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    run("hdfs", "dfs", "-put", tmp_path / "greeting", "/tmp/greeting")
    assert run("hadoop", "fs", "-cat", "/tmp/greeting") == "hello\n"
    classpath = run("yarn", "classpath", "--glob").strip().split(":")
    assert len(classpath) > 150
    assert all(Path(entry).exists() for entry in classpath)
    assert "Queue Name : batch" in run("yarn", "queue", "-status", "batch")


def test_a_second_start_changes_nothing(devcluster: DevCluster) -> None:
    before = devcluster.status()
    told: list[str] = []
    DevCluster(devcluster.directory).start(told.append)
    assert told == ["devcluster is up already"]
    after = devcluster.status()
    assert [daemon.pid for daemon in after.daemons] == [daemon.pid for daemon in before.daemons]


def test_the_command_line_shows_it(devcluster: DevCluster, tmp_path: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(command, ["status", "--dir", str(devcluster.directory), "--output", "json"])
    assert shown.exit_code == 0
    status = json.loads(shown.output)
    assert status["state"] == "running"
    assert status["daemons"][0]["pid"] == devcluster.pid("namenode")
    text = runner.invoke(command, ["status", "--dir", str(devcluster.directory)]).output
    assert str(devcluster.pid("nodemanager-1")) in text
    assert f"export HADOOP_CONF_DIR={devcluster.directory}/conf" in (
        runner.invoke(command, ["env", "--dir", str(devcluster.directory)]).output
    )
    assert runner.invoke(command, ["status", "--dir", str(tmp_path / "none")]).exit_code == 3


def test_stop_leaves_nothing_even_of_running_and_hung_processes(devcluster: DevCluster, own: DevCluster) -> None:
    own.start(print)
    assert {daemon.pid for daemon in own.status().daemons}.isdisjoint(
        daemon.pid for daemon in devcluster.status().daemons
    )
    application = submit_sleeper(own)
    eventually(lambda: len(own.status().containers) >= 2, what="the container's processes")
    containers = [processes.identify(pid) for pid in own.status().containers]
    hung = own.pid("datanode")
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)

    own.stop()

    assert processes.marked(own.directory) == []
    assert not any(process.is_alive() for process in containers)
    assert own.status().state == "stopped"
    # The neighbour was not touched, and never knew the application.
    assert devcluster.status().state == "running"
    known = (rm(devcluster, "apps").get("apps") or {}).get("app") or []
    assert application not in [app["id"] for app in known]

    # Its files survive: the second start formats nothing.
    told: list[str] = []
    own.start(told.append)
    assert "formatting HDFS" not in told
    own.stop()


def test_a_lost_node_comes_back(own: DevCluster) -> None:
    own.start(print)
    before = own.pid("nodemanager-0")
    own.stop_node(0, abrupt=True)
    assert own.pid("nodemanager-0") is None
    status = own.status()
    assert status.state == "degraded"
    assert "nodemanager-0 does not run" in status.problems[0]
    own.start_node(0)
    assert own.pid("nodemanager-0") not in (None, before)
    assert own.status().state == "running"

    # A daemon that died is what a later start brings back, and nothing else.
    namenode = own.pid("namenode")
    resourcemanager = own.pid("resourcemanager")
    assert resourcemanager is not None
    processes.kill([processes.identify(resourcemanager)])
    told: list[str] = []
    own.start(told.append)
    assert told[0] == "starting resourcemanager"
    assert own.pid("namenode") == namenode

    # Another server on a port that the running daemons rely on.
    resourcemanager = own.pid("resourcemanager")
    assert resourcemanager is not None
    processes.kill([processes.identify(resourcemanager)])
    port = own.status().daemons[1].ports["scheduler"]
    with socket.create_server(("127.0.0.1", port)), pytest.raises(DevClusterError, match=f"port {port}"):
        own.start()


def test_a_daemon_that_dies_is_named_with_the_reason_in_its_log(own: DevCluster) -> None:
    (own.directory / "data").mkdir(parents=True)
    (own.directory / "data" / "datanode").write_text("a file where the DataNode wants a folder")
    with pytest.raises(DevClusterError, match=r"^datanode ended while starting\. The end of .*\.log") as caught:
        own.start()
    assert "Not a directory" in str(caught.value)
    assert processes.marked(own.directory) == []
