"""The client of the JobManager's REST API against the real web application."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.session.web_server import GRAPH, Dispatcher, result, serve
from tests.unit.web.test_rest import job_detail
from yarnflow.config import Configuration
from yarnflow.errors import (
    ApplicationNotFoundError,
    ClusterError,
    ClusterUnreachableError,
    JobCancelledError,
    JobFailedError,
    JobNotFoundError,
    JobSubmissionError,
)
from yarnflow.graph.job_graph import Artifact, ArtifactKind
from yarnflow.runtime.jobmanager import views
from yarnflow.runtime.rpc.messages import TaskFailure
from yarnflow.runtime.states import JobStatus
from yarnflow.session import rest_client
from yarnflow.session.executor import RestExecutor
from yarnflow.session.remote_job import RemoteJob
from yarnflow.session.rest_client import RestClient
from yarnflow.session.running import YarnCluster


@pytest.fixture
def dispatcher(tmp_path: Path) -> Dispatcher:
    folder = tmp_path / "blobs"
    folder.mkdir()
    return Dispatcher(folder)


@pytest.fixture
def client(dispatcher: Dispatcher) -> Iterator[RestClient]:
    with serve(dispatcher) as url:
        made = RestClient(url)
        yield made
        made.close()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The URL of a port where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


# -- submission --------------------------------------------------------------------------------------------


def test_files_are_uploaded_once_and_the_job_arrives_whole(
    client: RestClient, dispatcher: Dispatcher, tmp_path: Path
) -> None:
    file = tmp_path / "a.py"
    file.write_text("a = 1")
    sha256 = hashlib.sha256(b"a = 1").hexdigest()
    job = dataclasses.replace(GRAPH, artifacts=(Artifact("a.py", ArtifactKind.PYTHON_FILE, sha256, 5),))
    assert client.submit(job, {sha256: file}) == GRAPH.job_id
    assert dispatcher.submitted == [job]
    assert (dispatcher.folder / sha256).read_text() == "a = 1"
    file.unlink()
    again = dataclasses.replace(job, job_id="d" * 32)
    assert client.submit(again, {sha256: file}) == "d" * 32, "the cluster has the file already"


def test_a_file_that_changed_meanwhile_is_refused(client: RestClient, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("other")
    with pytest.raises(JobSubmissionError, match=r"a\.py cannot be uploaded: The uploaded content has sha256"):
        client.submit(GRAPH, {"0" * 64: tmp_path / "a.py"})


def test_a_refused_job_says_why(client: RestClient, dispatcher: Dispatcher) -> None:
    dispatcher.refusal = "the cluster ends"
    with pytest.raises(JobSubmissionError, match="refuses the job 'count words': the cluster ends"):
        client.submit(GRAPH, {})


def test_a_submission_that_arrived_before_its_answer_was_lost_is_no_error(
    client: RestClient, dispatcher: Dispatcher
) -> None:
    dispatcher.submitted.append(GRAPH)
    assert client.submit(GRAPH, {}) == GRAPH.job_id
    assert dispatcher.submitted == [GRAPH], "and it does not run twice"


def test_the_executor_ships_what_the_configuration_names(
    client: RestClient, dispatcher: Dispatcher, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text("a = 1")
    submitted: list[str] = []
    executor = RestExecutor(client, submitted.append)
    job = executor.submit(GRAPH, Configuration({"python.files": str(tmp_path / "a.py")}))
    assert submitted == [job.job_id] == [GRAPH.job_id]
    assert [artifact.name for artifact in dispatcher.submitted[0].artifacts] == ["a.py"]


# -- a job to its end --------------------------------------------------------------------------------------


@pytest.fixture
def job(client: RestClient, dispatcher: Dispatcher) -> RemoteJob:
    client.submit(GRAPH, {})
    return RemoteJob(client, GRAPH.job_id)


def test_waiting_takes_as_many_questions_as_it_needs(job: RemoteJob, dispatcher: Dispatcher) -> None:
    dispatcher.results = [None, None, result(JobStatus.FINISHED)]
    assert job.result() == {"net_runtime_ms": 1500, "accumulators": {}}
    assert dispatcher.waits == [3.0] * 3
    assert job.result()["net_runtime_ms"] == 1500
    assert job.status() == "FINISHED"
    assert len(dispatcher.waits) == 3, "an ended job is not asked again"
    job.cancel()
    assert dispatcher.cancelled == []


def test_who_waits_hears_of_each_restart_once(
    job: RemoteJob, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("yarnflow.session.remote_job._LOOK_SECONDS", 1e-9)
    detail = dataclasses.replace(job_detail(), restarts=((1, "restart 1 of job j"), (2, "restart 2 of job j")))

    async def ask(job_id: str) -> views.JobDetail:
        return detail

    monkeypatch.setattr(dispatcher, "job", ask)
    dispatcher.results = [None, None, None, result(JobStatus.FINISHED)]
    job.result()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "restart 1 of job j",
        "restart 2 of job j",
    ]


def test_waiting_has_the_callers_limit(job: RemoteJob, dispatcher: Dispatcher) -> None:
    dispatcher.results = [None]
    with pytest.raises(TimeoutError, match=r"has not ended within 0\.0 s"):
        job.result(timeout=0.0)
    assert dispatcher.waits == [0.0]


def test_the_end_is_told_once(client: RestClient, dispatcher: Dispatcher) -> None:
    client.submit(GRAPH, {})
    ended: list[dict[str, Any]] = []
    job = RemoteJob(client, GRAPH.job_id, ended.append)
    dispatcher.results = [result(JobStatus.CANCELED)]
    for _ in range(2):
        with pytest.raises(JobCancelledError, match=r"the job .count words. .* was cancelled"):
            job.result()
    assert [(entry["id"], entry["job-status"]) for entry in ended] == [(GRAPH.job_id, "CANCELED")]


def test_a_failure_has_operator_traceback_and_the_logs_tail(job: RemoteJob, dispatcher: Dispatcher) -> None:
    failure = TaskFailure("ValueError: no", "Traceback ...\nValueError: no", "Split", "last words", where="tm-1")
    dispatcher.results = [result(JobStatus.FAILED, failure)]
    with pytest.raises(JobFailedError) as caught:
        job.result()
    assert str(caught.value) == (
        f"the job 'count words' ({GRAPH.job_id}) failed in Split (subtask 1) on tm-1:\n"
        "Traceback ...\nValueError: no\n"
        "The end of its log:\nlast words"
    )


def test_collected_records_come_page_by_page(job: RemoteJob, dispatcher: Dispatcher) -> None:
    dispatcher.pages = [
        views.CollectedPage(1, (), ended=False),
        views.CollectedPage(2, (pickle.dumps([1, 2]), pickle.dumps([])), ended=False),
        views.CollectedPage(3, (pickle.dumps([3]),), ended=True),
    ]
    dispatcher.results = [result(JobStatus.FINISHED)]
    assert list(job.collect("c1")) == [[1, 2], [], [3]]


def test_unknown_jobs(client: RestClient) -> None:
    for ask in (client.status, client.cancel, lambda job_id: client.execution_result(job_id, 0.0)):
        with pytest.raises(JobNotFoundError, match="the cluster knows no job x: `yarnflow list -a` shows"):
            ask("x")


def test_the_cluster(client: RestClient, dispatcher: Dispatcher) -> None:
    assert client.overview()["slots-total"] == 2
    assert [manager["id"] for manager in client.taskmanagers()] == ["tm-1"]
    assert [entry["jid"] for entry in client.jobs()] == ["a" * 32]
    assert client.application_id() == "application_1_0001"
    client.shutdown()
    assert dispatcher.stopped


# -- nobody, or somebody else ------------------------------------------------------------------------------


def test_a_fixed_address_where_nobody_listens(nowhere: str) -> None:
    with pytest.raises(ClusterUnreachableError, match=r"does not answer: connection refused\. Check"):
        RestClient(nowhere).jobs()


def test_a_jobmanager_that_moved_is_found(
    dispatcher: Dispatcher, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_client, "_RETRY_PAUSE", 0.0)
    with serve(dispatcher) as url:
        places = [nowhere, f"{url}/"]
        client = RestClient(nowhere, lambda: places.pop(0))
        assert client.overview()["taskmanagers"] == 1
        assert client.url == url
        client.close()


def test_looking_for_it_ends_with_the_patience_or_the_application(
    nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_client, "_RETRY_PAUSE", 0.0)
    with pytest.raises(ClusterUnreachableError):
        RestClient(nowhere, lambda: nowhere, patience=0.05).jobs()

    def ended() -> str:
        raise ApplicationNotFoundError("it has ended")

    with pytest.raises(ApplicationNotFoundError, match="it has ended"):
        RestClient(nowhere, ended).jobs()


@pytest.fixture
def other_server() -> Iterator[str]:
    """Something else that has the port now, and answers every request with a page, or a redirect to one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/overview" else 200)
            self.send_header("Location", "/login")
            body = b'{"a": 1}' if self.path == "/jobmanager/config" else b"<html>"
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_another_server_is_no_jobmanager(other_server: str) -> None:
    client = RestClient(other_server)
    for ask in (client.jobs, client.overview):
        with pytest.raises(ClusterUnreachableError, match="is no JobManager"):
            ask()
    assert client.application_id() == ""
    client.close()


def test_a_remembered_address_is_used_only_while_our_jobmanager_is_there(
    dispatcher: Dispatcher, other_server: str, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = dispatcher.application_id
    monkeypatch.setattr(YarnCluster, "_locate", lambda self: "http://looked-up")
    with serve(dispatcher) as url:
        YarnCluster(app, Configuration(), url)
        assert YarnCluster(app, Configuration()).url == url
        dispatcher.application_id = "application_1_0002"
        assert YarnCluster(app, Configuration()).url == "http://looked-up"
    for elsewhere in (other_server, nowhere):
        YarnCluster(app, Configuration(), elsewhere)
        assert YarnCluster(app, Configuration()).url == "http://looked-up"


def test_stopping_asks_the_jobmanager_and_then_yarn(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[str] = []
    done: Any = type("Report", (), {"state": type("State", (), {"ended": True})})
    monkeypatch.setattr(YarnCluster, "report", lambda self: done)
    monkeypatch.setattr(YarnCluster, "kill", lambda self: killed.append(self.application_id))
    monkeypatch.setattr(YarnCluster, "_forget", lambda self: None)
    with serve(dispatcher) as url:
        cluster = YarnCluster(dispatcher.application_id, Configuration(), url)
        assert cluster.stop() is done
        assert dispatcher.stopped
        assert killed == []
        cluster.client.close()

    def unreachable() -> None:
        raise ClusterError("no answer")

    monkeypatch.setattr(cluster.client, "shutdown", unreachable)
    cluster.stop()
    assert killed == [dispatcher.application_id]
