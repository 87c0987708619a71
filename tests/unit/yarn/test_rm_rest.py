"""The client of the ResourceManager's REST API, against a server that the test plays."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from yarnflow.errors import (
    ApplicationNotFoundError,
    ClusterError,
    ClusterUnreachableError,
    MissingDependencyError,
)
from yarnflow.yarn.application import ApplicationState
from yarnflow.yarn.hadoop_conf import HadoopConf
from yarnflow.yarn.rm_rest import Queue, ResourceManagerClient, Size

APP = "application_1_0001"
REPORT = {
    "id": APP,
    "name": "session",
    "user": "alice",
    "queue": "default",
    "state": "RUNNING",
    "finalStatus": "UNDEFINED",
    "diagnostics": " waiting \n",
    "trackingUrl": "http://rm:8088/proxy/application_1_0001/",
    "applicationTags": "yarnflow,x",
    "amRPCAddress": "node:4242",
    "startedTime": 5,
    "finishedTime": 0,
    "amHostHttpAddress": "node:8042",
    "amContainerLogs": "http://node:8042/node/containerlogs/container_1_0001_01_000001/alice",
}


class FakeResourceManager:
    """Answers of (status, document or text) by "METHOD path"; `requests` has what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.hang: threading.Event | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                outer.requests.append((f"{self.command} {self.path}", self.rfile.read(size).decode()))
                if outer.hang is not None:
                    outer.hang.wait(10)
                    return
                status, document = outer.answers.get(
                    f"{self.command} {self.path.partition('?')[0]}", (404, {"RemoteException": {"message": "no"}})
                )
                body = (document if isinstance(document, str) else json.dumps(document)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = answer

            def log_message(self, format: str, *args: object) -> None:
                """Be silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        if self.hang is not None:
            self.hang.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


Start = Callable[[], FakeResourceManager]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers that end with the test."""
    started: list[FakeResourceManager] = []

    def make() -> FakeResourceManager:
        started.append(FakeResourceManager())
        return started[-1]

    yield make
    for server in started:
        server.close()


def client(*addresses: str, timeout: tuple[float, float] = (5.0, 5.0), **more: str) -> ResourceManagerClient:
    ids = [f"rm{number}" for number in range(len(addresses))]
    properties = {f"yarn.resourcemanager.webapp.address.{i}": a for i, a in zip(ids, addresses, strict=True)}
    properties |= {"yarn.resourcemanager.ha.enabled": "true", "yarn.resourcemanager.ha.rm-ids": ",".join(ids)}
    return ResourceManagerClient(HadoopConf(Path("/conf"), properties | more), timeout)


def test_a_report(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "alice")
    server = start()
    server.answers[f"GET /ws/v1/cluster/apps/{APP}"] = (200, {"app": REPORT})
    with client(server.address) as yarn:
        report = yarn.application(APP)
    assert (report.state, report.diagnostics, report.tags) == (
        ApplicationState.RUNNING,
        "waiting",
        frozenset(("yarnflow", "x")),
    )
    assert (report.rpc_address, report.master_node) == ("node:4242", "node:8042")
    assert report.master_container == "container_1_0001_01_000001"
    assert server.requests[0][0].endswith("?user.name=alice")


@pytest.mark.parametrize("address", ["N/A:-1", "N/A", "node:0", ""])
def test_a_master_that_has_not_registered_has_no_address(start: Start, address: str) -> None:
    server = start()
    early = {"id": APP, "state": "FINAL_SAVING", "amRPCAddress": address, "applicationTags": None}
    server.answers[f"GET /ws/v1/cluster/apps/{APP}"] = (200, {"app": early})
    with client(server.address) as yarn:
        report = yarn.application(APP)
    assert (report.rpc_address, report.master_container, report.tags) == ("", "", frozenset())
    assert report.state is ApplicationState.RUNNING, "a stage that only the REST API shows"


@pytest.mark.parametrize(
    ("status", "document", "error", "says"),
    [
        (404, {}, ApplicationNotFoundError, "YARN knows no application application_1_0001"),
        (400, {}, ApplicationNotFoundError, "is not the id of a YARN application"),
        (403, {"RemoteException": {"message": "not yours"}}, ClusterError, "not yours"),
        (500, "<html>", ClusterError, "500 Internal Server Error"),
        (401, "", ClusterError, "wants a Kerberos login: run kinit"),
        (200, "<html>login</html>", ClusterError, "does not answer as a ResourceManager"),
        (503, "", ClusterUnreachableError, "503 Service Unavailable"),
    ],
)
def test_what_can_be_wrong(
    start: Start, status: int, document: Any, error: type[ClusterError], says: str
) -> None:
    server = start()
    server.answers[f"GET /ws/v1/cluster/apps/{APP}"] = (status, document)
    with client(server.address) as yarn, pytest.raises(error, match=says):
        yarn.application(APP)


def test_nobody_answers(start: Start) -> None:
    server = start()
    server.hang = threading.Event()
    with client("127.0.0.1:9", server.address, timeout=(1.0, 0.05)) as yarn:
        with pytest.raises(ClusterUnreachableError) as caught:
            yarn.nodes()
        assert yarn.fetch("http://127.0.0.1:9/logs") is None
    assert "http://127.0.0.1:9 (connection refused)" in str(caught.value)
    assert f"http://{server.address} (no answer in time)" in str(caught.value)


def test_the_active_one_of_a_pair_is_found_and_asked_first_from_then_on(start: Start) -> None:
    standby, active = start(), start()
    standby.answers["GET /ws/v1/cluster/nodes"] = (200, "This is standby RM. The redirect url is: ...")
    active.answers["GET /ws/v1/cluster/nodes"] = (200, {"nodes": None})
    with client(standby.address, active.address) as yarn:
        assert yarn.nodes() == []
        assert yarn.largest_node() is None
    assert (len(standby.requests), len(active.requests)) == (1, 2)


def test_killing(start: Start) -> None:
    server = start()
    path = f"PUT /ws/v1/cluster/apps/{APP}/state"
    with client(server.address) as yarn:
        server.answers[path] = (202, {"state": "ACCEPTED"})
        yarn.kill(APP)
        assert json.loads(server.requests[0][1]) == {"state": "KILLED"}
        server.answers[path] = (403, {"RemoteException": {"message": "another user's"}})
        with pytest.raises(ClusterError, match="does not kill application_1_0001: another user's"):
            yarn.kill(APP)
        server.answers[path] = (404, {})
        with pytest.raises(ApplicationNotFoundError):
            yarn.kill(APP)


def test_applications_are_filtered_and_sorted(start: Start) -> None:
    server = start()
    second = {**REPORT, "id": "application_1_0002", "state": "ACCEPTED"}
    server.answers["GET /ws/v1/cluster/apps"] = (200, {"apps": {"app": [second, REPORT]}})
    with client(server.address) as yarn:
        found = yarn.applications(ApplicationState.RUNNING, ApplicationState.ACCEPTED, tag="yarnflow")
        assert [report.application_id for report in found] == [APP, "application_1_0002"]
        assert "states=RUNNING%2CACCEPTED&applicationTags=yarnflow" in server.requests[0][0]
        server.answers["GET /ws/v1/cluster/apps"] = (200, {"apps": None})
        assert yarn.applications() == []


def test_queues_of_each_scheduler(start: Start) -> None:
    server = start()
    path = "GET /ws/v1/cluster/scheduler"
    with client(server.address) as yarn:
        leaf = {"queueName": "b", "queuePath": "root.a.b", "state": "STOPPED"}
        parent = {"queueName": "a", "queuePath": "root.a", "queues": {"queue": [leaf]}}
        capacity = {"queueName": "root", "queues": {"queue": [parent, {"queueName": "c", "queuePath": "root.c"}]}}
        server.answers[path] = (200, {"scheduler": {"schedulerInfo": capacity}})
        assert yarn.queues() == [Queue("b", "root.a.b", "STOPPED"), Queue("c", "root.c", "RUNNING")]
        fair = {"rootQueue": {"queueName": "root", "childQueues": {"queue": {"queueName": "root.default"}}}}
        server.answers[path] = (200, {"scheduler": {"schedulerInfo": fair}})
        assert yarn.queues() == [Queue("default", "root.default", "RUNNING")]
        server.answers[path] = (200, {"scheduler": {"schedulerInfo": {"type": "fifoScheduler"}}})
        assert yarn.queues() == []


def test_sizes(start: Start) -> None:
    server = start()
    nodes = [
        {"id": "a:1", "usedMemoryMB": 1, "availMemoryMB": 9, "usedVirtualCores": 1, "availableVirtualCores": 1},
        {"id": "b:1", "usedMemoryMB": 0, "availMemoryMB": 8, "usedVirtualCores": 0, "availableVirtualCores": 4},
    ]
    server.answers["GET /ws/v1/cluster/nodes"] = (200, {"nodes": {"node": nodes}})
    with client(server.address) as yarn:
        assert yarn.largest_node() == Size(10, 4)
        server.answers["GET /conf"] = (200, {"property": {"value": "8192"}})
        assert yarn.maximum_allocation() == Size(8192, 8192)
        server.answers["GET /conf"] = (403, "administrators only")
        assert yarn.maximum_allocation() is None


def test_kerberos_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests_kerberos", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'yarnflow\[kerberos\]'"):
        client("127.0.0.1:9", **{"hadoop.security.authentication": "kerberos"})


def test_a_private_authority_of_the_environment_is_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with client("127.0.0.1:9") as yarn:
        assert yarn._session.verify == str(tmp_path / "ca.pem")
        assert yarn._session.trust_env is False
