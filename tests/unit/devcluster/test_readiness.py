from __future__ import annotations

import socket
import threading

import pytest

from yarnflow.devcluster import readiness


@pytest.mark.parametrize(
    ("beans", "reason"),
    [
        ([{"FSState": "Operational", "NumLiveDataNodes": 1}], None),
        ([{"FSState": "Operational", "NumLiveDataNodes": 0}], "no DataNode has registered"),
        ([{"FSState": "safeMode", "NumLiveDataNodes": 1}], "the NameNode is in safe mode"),
        ([], "the NameNode is still loading its names"),
    ],
)
def test_the_namenode_is_ready_out_of_safe_mode_with_a_datanode(beans: list[dict], reason: str | None) -> None:
    assert readiness.judge_namenode({"beans": beans}) == reason


def test_nodes_count_when_they_run_and_were_heard_of_since_they_were_started() -> None:
    answer = {
        "nodes": {
            "node": [
                {"id": "localhost:1", "state": "RUNNING", "lastHealthUpdate": 2_000_000},
                {"id": "localhost:2", "state": "RUNNING", "lastHealthUpdate": 1_000_000},
                {"id": "localhost:3", "state": "LOST", "lastHealthUpdate": 2_000_000},
            ]
        }
    }
    since = {f"localhost:{port}": 1500.0 for port in (1, 2, 3, 4)}
    assert readiness.running_nodes(answer, since) == {"localhost:1"}


@pytest.mark.parametrize("answer", [{}, {"nodes": None}, {"nodes": {}}, {"nodes": {"node": []}}])
def test_no_nodes_at_all_is_an_answer_too(answer: dict) -> None:
    assert readiness.running_nodes(answer, {}) == set()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Zookeeper version: 3.8\nMode: standalone\nNode count: 5\n", None),
        ("This ZooKeeper instance is not currently serving requests\n", "not currently serving"),
        ("", "no answer"),
    ],
)
def test_zookeeper_serves_when_it_names_its_mode(answer: str, reason: str | None) -> None:
    judged = readiness.judge_zookeeper(answer)
    assert judged is None if reason is None else reason in str(judged)


def test_nobody_there_is_a_reason_and_no_exception() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "does not answer" in str(readiness.hdfs(f"127.0.0.1:{port}"))
    assert "does not answer" in str(readiness.yarn(f"127.0.0.1:{port}", {"localhost:1": 0.0}))
    assert "does not answer" in str(readiness.zookeeper("127.0.0.1", port))


def test_another_server_on_the_port_is_a_reason_and_no_exception() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n<html>hello</html>")

        thread = threading.Thread(target=serve)
        thread.start()
        reason = readiness.hdfs(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join(10)
    assert "something else than its state" in str(reason)
