"""The REST API over a small fake of the Dispatcher: paths, fields, errors."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from aiohttp.test_utils import TestClient, TestServer

from yarnflow.errors import ConfigurationError, JobNotFoundError, JobSubmissionError
from yarnflow.graph.job_graph import JobGraph, JobVertex, OperatorInfo
from yarnflow.runtime.jobmanager import views
from yarnflow.runtime.rpc.messages import TaskFailure, TaskMetrics
from yarnflow.runtime.states import ExecutionState, JobStatus
from yarnflow.web.server import make_app, ports_of, start_web

JOB = "a" * 32
VERTEX = "b" * 32


def job_detail(status: JobStatus = JobStatus.RUNNING) -> views.JobDetail:
    attempt = views.AttemptView(
        "e1",
        0,
        ExecutionState.RUNNING,
        taskmanager_id="tm-1",
        host="host-1",
        slot_index=0,
        timestamps={ExecutionState.DEPLOYING: 10.0, ExecutionState.RUNNING: 10.5},
        metrics=TaskMetrics(records_in=3, records_out=2),
    )
    vertex = views.VertexView(
        VERTEX,
        "Source: numbers -> Map",
        1,
        128,
        "default",
        (OperatorInfo("c" * 32, "Map"),),
        ExecutionState.RUNNING,
        10.0,
        0.0,
        {ExecutionState.RUNNING: 1},
        attempt.metrics,
        (views.SubtaskView(0, attempt),),
    )
    failure = TaskFailure("ValueError: no", "Traceback ...\nValueError: no", "Map", "log line", where="tm-1")
    return views.JobDetail(
        overview=views.JobOverview(JOB, "job", status, 9.0, 0.0, 10.5, {ExecutionState.RUNNING: 1}),
        timestamps={JobStatus.RUNNING: 9.5},
        vertices=(vertex,),
        exceptions=(views.ExceptionView(9.8, failure, "Source: numbers -> Map", 0, host="host-1"),),
        accumulators=(cloudpickle.dumps({}),),
        transitions=((9.5, "RUNNING", "all deployed"),),
        plan={"jid": JOB, "nodes": []},
        config={"parallelism.default": "1"},
        restart_count=1,
    )


class FakeDispatcher:
    """Knows one job and one TaskManager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cancelled: list[str] = []
        self.submitted: list[JobGraph] = []
        self.stopped = False

    def _check(self, job_id: str) -> None:
        if job_id != JOB:
            raise JobNotFoundError(f"no job {job_id}")

    async def jobs(self) -> tuple[views.JobOverview, ...]:
        return (job_detail().overview,)

    async def job(self, job_id: str) -> views.JobDetail:
        self._check(job_id)
        return job_detail()

    async def cancel(self, job_id: str) -> None:
        self._check(job_id)
        self.cancelled.append(job_id)

    async def submit(self, job_graph: JobGraph, blobs: Any = None) -> str:
        if not job_graph.vertices:
            raise JobSubmissionError("the graph is empty")
        self.submitted.append(job_graph)
        return job_graph.job_id

    async def result(self, job_id: str, timeout: float | None = None) -> views.JobResult | None:
        self._check(job_id)
        return None

    async def collect(self, job_id: str, collect_id: str, token: int = 0, timeout: float | None = None) -> Any:
        self._check(job_id)
        return views.CollectedPage(token + 1, (b"one", b"three"), ended=True)

    async def put_blob(self, content: AsyncIterator[bytes]) -> str:
        data = b"".join([chunk async for chunk in content])
        sha256 = hashlib.sha256(data).hexdigest()
        (self.folder / sha256).write_bytes(data)
        return sha256

    async def has_blob(self, sha256: str) -> bool:
        return (self.folder / sha256).exists()

    async def get_blob(self, sha256: str) -> Path | None:
        path = self.folder / sha256
        return path if path.exists() else None

    async def overview(self) -> views.ClusterOverview:
        return views.ClusterOverview(1, 2, 1, 0, {JobStatus.RUNNING: 1}, "0.1.0", 1.0)

    async def config(self) -> dict[str, str]:
        return {"b": "2", "a": "1"}

    async def taskmanagers(self) -> tuple[views.TaskManagerView, ...]:
        slots = (views.SlotView(0, "ALLOCATED", "x", JOB), views.SlotView(1, "FREE"))
        return (views.TaskManagerView("tm-1", "host-1", "h:1", 1, 2, 1 << 30, 1 << 20, 1.0, 2.0, "log", slots),)

    async def taskmanager(self, taskmanager_id: str) -> views.TaskManagerView | None:
        return (await self.taskmanagers())[0] if taskmanager_id == "tm-1" else None

    async def taskmanager_logs(self, taskmanager_id: str) -> tuple[views.LogFile, ...] | None:
        return (views.LogFile("taskmanager.log", 10), views.LogFile("slot-0.out", 5))

    async def taskmanager_log(
        self, taskmanager_id: str, name: str, offset: int = 0, length: int = 0
    ) -> bytes | None:
        content = {"taskmanager.log": b"0123456789", "slot-0.out": b"hello"}.get(name)
        return None if content is None else content[offset : offset + 4]

    async def jobmanager_logs(self) -> tuple[views.LogFile, ...]:
        return (views.LogFile("jobmanager.log", 4),)

    async def jobmanager_log(self, name: str, offset: int = 0, length: int = 0) -> bytes | None:
        return b"abcd"[offset:] if name == "jobmanager.log" else None

    async def shutdown(self, status: Any = None, diagnostics: str = "") -> None:
        self.stopped = True


Check = Callable[[TestClient[Any, Any], FakeDispatcher], Awaitable[None]]


@pytest.fixture
def with_client(tmp_path: Path) -> Callable[[Check], None]:
    """Run an async check against the app."""

    def run(check: Check) -> None:
        async def inside() -> None:
            dispatcher = FakeDispatcher(tmp_path)
            async with TestClient(TestServer(make_app(dispatcher))) as client:  # type: ignore[arg-type]
                await check(client, dispatcher)

        asyncio.run(inside())

    return run


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/overview", {"taskmanagers", "slots-total", "slots-available", "jobs-running", "flink-version"}),
        ("/config", {"refresh-interval", "flink-version", "features"}),
        ("/jobs", {"jobs"}),
        ("/v1/jobs/overview", {"jobs"}),
        (
            f"/jobs/{JOB}",
            {"jid", "name", "state", "start-time", "vertices", "status-counts", "plan", "timestamps"},
        ),
        (f"/jobs/{JOB}/status", {"status"}),
        (f"/jobs/{JOB}/config", {"jid", "execution-config"}),
        (f"/jobs/{JOB}/exceptions", {"root-exception", "all-exceptions", "exceptionHistory"}),
        (f"/jobs/{JOB}/plan", {"plan"}),
        (f"/jobs/{JOB}/accumulators", {"job-accumulators", "user-task-accumulators"}),
        (f"/jobs/{JOB}/vertices/{VERTEX}", {"id", "name", "parallelism", "subtasks"}),
        (f"/jobs/{JOB}/execution-result?timeout=0", {"status"}),
        ("/taskmanagers", {"taskmanagers"}),
        ("/taskmanagers/tm-1", {"id", "slotsNumber", "freeSlots", "hardware"}),
        ("/taskmanagers/tm-1/logs", {"logs"}),
        ("/jobmanager/logs", {"logs"}),
    ],
)
def test_answers_have_flinks_fields(with_client: Callable[[Check], None], path: str, keys: set[str]) -> None:
    async def check(client: TestClient[Any, Any], dispatcher: FakeDispatcher) -> None:
        answer = await client.get(path)
        assert answer.status == 200
        assert keys <= set(await answer.json())

    with_client(check)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("GET", "/jobs/unknown", None, 404, "no job unknown"),
        ("GET", "/nothing/here", None, 404, "Not found"),
        ("GET", f"/jobs/{JOB}/vertices/zz", None, 404, VERTEX),
        ("GET", "/taskmanagers/tm-9", None, 404, "tm-9"),
        ("GET", "/taskmanagers/tm-1/logs/..%2Fsecret", None, 404, "no log file"),
        ("GET", f"/jobs/{JOB}/execution-result?timeout=soon", None, 400, "not a number"),
        ("GET", f"/jobs/{JOB}/exceptions?maxExceptions=0", None, 400, "not between"),
        ("PATCH", f"/jobs/{JOB}?mode=stop", None, 400, "mode='stop'"),
        ("POST", "/jobs", b"no json", 400, "not JSON"),
        ("POST", "/jobs", b'{"jobGraph": 1}', 400, "jobGraph"),
        ("POST", "/jobs", b'{"jobGraph": {"job_id": "x"}}', 400, "not a job graph"),
        ("PUT", "/jobs", b"", 405, "only"),
        ("PUT", f"/blobs/{'0' * 64}", b"content", 400, "upload it again"),
        ("GET", f"/blobs/{'0' * 64}", None, 404, "No blob"),
    ],
)
def test_bad_input_is_a_4xx_with_errors(
    with_client: Callable[[Check], None], method: str, path: str, body: bytes | None, status: int, says: str
) -> None:
    async def check(client: TestClient[Any, Any], dispatcher: FakeDispatcher) -> None:
        answer = await client.request(method, path, data=body)
        document = await answer.json()
        assert answer.status == status
        assert says in document["errors"][0]

    with_client(check)


def test_a_job_graph_arrives_as_it_was_sent(with_client: Callable[[Check], None]) -> None:
    info = OperatorInfo("d" * 32, "Map", uid="m")
    graph = JobGraph(JOB, "name", (JobVertex(VERTEX, "v", 1, 128, "default", (info,), b"\x00code", True),), ())

    async def check(client: TestClient[Any, Any], dispatcher: FakeDispatcher) -> None:
        answer = await client.post("/jobs", json={"jobGraph": graph.to_json()})
        assert answer.status == 202
        assert (await answer.json())["jobid"] == JOB
        assert dispatcher.submitted == [graph]

    with_client(check)


def test_both_ways_to_cancel(with_client: Callable[[Check], None]) -> None:
    async def check(client: TestClient[Any, Any], dispatcher: FakeDispatcher) -> None:
        assert (await client.patch(f"/jobs/{JOB}?mode=cancel")).status == 202
        assert (await client.get(f"/jobs/{JOB}/yarn-cancel")).status == 202
        assert dispatcher.cancelled == [JOB, JOB]

    with_client(check)


def test_blobs_are_stored_under_their_hash(with_client: Callable[[Check], None]) -> None:
    content = b"some artifact" * 1000
    path = f"/blobs/{hashlib.sha256(content).hexdigest()}"

    async def check(client: TestClient[Any, Any], dispatcher: FakeDispatcher) -> None:
        assert (await client.head(path)).status == 404
        assert (await client.put(path, data=content)).status == 201
        assert (await client.head(path)).status == 200
        assert await (await client.get(path)).read() == content

    with_client(check)


def test_collected_batches_are_length_prefixed(with_client: Callable[[Check], None]) -> None:
    async def check(client: TestClient[Any, Any], dispatcher: FakeDispatcher) -> None:
        answer = await client.get(f"/jobs/{JOB}/collect/c1?token=4")
        assert await answer.read() == b"\x00\x00\x00\x03one\x00\x00\x00\x05three"
        assert answer.headers["X-Yarnflow-Token"] == "5"
        assert answer.headers["X-Yarnflow-Ended"] == "true"

    with_client(check)


def test_logs_are_streamed_whole(with_client: Callable[[Check], None]) -> None:
    async def check(client: TestClient[Any, Any], dispatcher: FakeDispatcher) -> None:
        assert await (await client.get("/taskmanagers/tm-1/logs/taskmanager.log")).text() == "0123456789"
        assert await (await client.get("/taskmanagers/tm-1/log")).text() == "0123456789"
        assert await (await client.get("/taskmanagers/tm-1/stdout")).text() == "hello"
        assert await (await client.get("/jobmanager/log")).text() == "abcd"

    with_client(check)


def test_the_dashboard_and_shutdown(with_client: Callable[[Check], None]) -> None:
    async def check(client: TestClient[Any, Any], dispatcher: FakeDispatcher) -> None:
        assert "<title>yarnflow</title>" in await (await client.get("/")).text()
        assert (await client.delete("/cluster")).status == 202
        assert dispatcher.stopped

    with_client(check)


def test_a_range_of_ports_is_tried_in_turn(tmp_path: Path) -> None:
    async def check() -> None:
        dispatcher: Any = FakeDispatcher(tmp_path)
        first = await start_web(dispatcher, "127.0.0.1", "0")
        try:
            with pytest.raises(ConfigurationError, match=r"rest\.bind-port"):
                await start_web(dispatcher, "127.0.0.1", str(first.port))
            second = await start_web(dispatcher, "127.0.0.1", f"{first.port},0")
            assert second.port not in (0, first.port)
            await second.close()
        finally:
            await first.close()

    asyncio.run(check())


@pytest.mark.parametrize("text", ["", "x", "80-70", "70000", "1-2-3"])
def test_ports_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not a port"):
        list(ports_of(text))


def test_ports_in_order() -> None:
    assert list(ports_of("8081,9000-9002")) == [8081, 9000, 9001, 9002]
