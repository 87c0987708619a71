"""The REST API of checkpoints and savepoints, over a real coordinator machine: paths, fields, errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.unit.runtime.checkpoint.coordinator_harness import CoordinatorHarness, settings
from tests.unit.runtime.jobmanager.graphs import pipeline
from yarnflow.config.checkpointing import CheckpointRetention
from yarnflow.errors import CheckpointError, JobNotFoundError
from yarnflow.runtime.checkpoint.pending import RequestOutcome
from yarnflow.runtime.rpc.checkpoint_messages import StopMode
from yarnflow.web.server import make_app

JOB = "job"


class FakeDispatcher:
    """Knows one job, whose coordinator a test drives by hand."""

    def __init__(self) -> None:
        retention = CheckpointRetention.RETAIN_ON_CANCELLATION
        self.harness = CoordinatorHarness(pipeline(2), settings(retention=retention, tolerable_failures=9)).run()
        self.disposals: dict[str, RequestOutcome] = {}
        self.asked: list[tuple[str | None, StopMode, bool]] = []

    def check(self, job_id: str) -> None:
        if job_id != JOB:
            raise JobNotFoundError(f"no job {job_id}")

    async def trigger_savepoint(
        self, job_id, directory=None, stop=StopMode.NO, cancel=False, request_id=None
    ) -> str:
        self.check(job_id)
        if directory == "":
            raise CheckpointError("no directory for savepoints is known")
        self.asked.append((directory, stop, cancel))
        self.harness.savepoint(stop, cancel, request="r1")
        return "r1"

    async def trigger_checkpoint(self, job_id, request_id=None) -> str:
        self.check(job_id)
        from yarnflow.runtime.checkpoint.coordinator_events import SnapshotRequested

        self.harness.send(SnapshotRequested("r2", False))
        return "r2"

    async def snapshot_outcome(self, job_id, request_id) -> RequestOutcome | None:
        self.check(job_id)
        return self.harness.machine.requests.get(request_id)

    async def checkpoints(self, job_id) -> Any:
        self.check(job_id)
        return self.harness.machine.statistics.view()

    async def checkpoint_settings(self, job_id) -> Any:
        self.check(job_id)
        return self.harness.machine.settings

    async def dispose_savepoint(self, path) -> str:
        self.disposals["d1"] = RequestOutcome(True, path, failure="it is damaged" if "bad" in path else "")
        return "d1"

    async def disposal_outcome(self, request_id) -> RequestOutcome | None:
        return self.disposals.get(request_id)


Check = Callable[[TestClient[Any, Any], FakeDispatcher], Awaitable[None]]


def run(check: Check) -> None:
    async def inside() -> None:
        dispatcher = FakeDispatcher()
        async with TestClient(TestServer(make_app(dispatcher))) as client:
            await check(client, dispatcher)

    asyncio.run(inside())


async def answer(response: Any, status: int = 200) -> Any:
    assert response.status == status, await response.text()
    return await response.json()


def test_a_savepoint_from_request_to_location():
    async def check(client, dispatcher):
        body = {"target-directory": "hdfs:///s", "cancel-job": False}
        request = await answer(await client.post(f"/jobs/{JOB}/savepoints", json=body), 202)
        path = f"/v1/jobs/{JOB}/savepoints/{request['request-id']}"
        assert await answer(await client.get(path)) == {"status": {"id": "IN_PROGRESS"}}
        dispatcher.harness.take(1)
        assert await answer(await client.get(path)) == {
            "status": {"id": "COMPLETED"},
            "operation": {"location": "file:///s/savepoint-r1"},
        }
        assert dispatcher.asked == [("hdfs:///s", StopMode.NO, False)]

    run(check)


def test_a_savepoint_that_fails_says_why():
    async def check(client, dispatcher):
        await answer(await client.post(f"/jobs/{JOB}/savepoints"), 202)
        dispatcher.harness.make_directories()
        dispatcher.harness.decline(1)
        document = await answer(await client.get(f"/jobs/{JOB}/savepoints/r1"))
        assert document["status"] == {"id": "COMPLETED"}
        assert "No space left on device" in document["operation"]["failure-cause"]["stack-trace"]

    run(check)


@pytest.mark.parametrize(
    ("body", "mode"), [({}, StopMode.SUSPEND), ({"drain": True, "targetDirectory": "d"}, StopMode.DRAIN)]
)
def test_stop(body, mode):
    async def check(client, dispatcher):
        assert await answer(await client.post(f"/jobs/{JOB}/stop", json=body), 202) == {"request-id": "r1"}
        assert dispatcher.asked == [(body.get("targetDirectory"), mode, False)]

    run(check)


def test_a_checkpoint_on_request():
    async def check(client, dispatcher):
        await answer(await client.post(f"/jobs/{JOB}/checkpoints", json={"checkpointType": "FULL"}), 202)
        dispatcher.harness.take(1)
        document = await answer(await client.get(f"/jobs/{JOB}/checkpoints/r2"))
        assert document == {"status": {"id": "COMPLETED"}, "operation": {"checkpointId": 1}}

    run(check)


def test_what_is_shown_of_checkpoints():
    async def check(client, dispatcher):
        harness = dispatcher.harness
        harness.pass_time(10)
        harness.make_directories()
        harness.now += 2
        harness.acknowledge(1)
        harness.publish()
        harness.pass_time(10)
        harness.make_directories()
        harness.acknowledge(2, "source/0")
        harness.decline(2)
        harness.pass_time(10)
        document = await answer(await client.get(f"/jobs/{JOB}/checkpoints"))
        assert document["counts"] == {"restored": 0, "total": 3, "in_progress": 1, "completed": 1, "failed": 1}
        assert [(each["id"], each["status"]) for each in document["history"]] == [
            (3, "IN_PROGRESS"),
            (2, "FAILED"),
            (1, "COMPLETED"),
        ]
        completed = document["latest"]["completed"]
        assert completed["external_path"] == "file:///c/job/chk-1"
        assert completed["end_to_end_duration"] == 2000
        assert (completed["num_acknowledged_subtasks"], completed["num_subtasks"]) == (4, 4)
        assert document["summary"]["end_to_end_duration"]["p99"] == 2000
        assert "No space left" in document["latest"]["failed"]["failure_message"]
        assert document["latest"]["savepoint"] is None

        details = await answer(await client.get(f"/jobs/{JOB}/checkpoints/details/2"))
        assert details["tasks"]["source"]["num_acknowledged_subtasks"] == 1
        subtasks = await answer(await client.get(f"/jobs/{JOB}/checkpoints/details/2/subtasks/source"))
        assert [each["status"] for each in subtasks["subtasks"]] == ["completed", "pending_or_failed"]
        assert subtasks["summary"]["state_size"]["max"] == 10

    run(check)


def test_how_checkpoints_are_taken():
    async def check(client, dispatcher):
        document = await answer(await client.get(f"/jobs/{JOB}/checkpoints/config"))
        assert document["mode"] == "exactly_once"
        assert document["interval"] == 10_000
        assert document["timeout"] == 60_000
        assert document["externalization"] == {"enabled": True, "delete_on_cancellation": False}

    run(check)


def test_disposal():
    async def check(client, dispatcher):
        for path, operation in (("/good", {}), ("/bad", None)):
            body = {"savepoint-path": path}
            request = await answer(await client.post("/savepoint-disposal", json=body), 202)
            document = await answer(await client.get(f"/savepoint-disposal/{request['request-id']}"))
            if operation is None:
                assert document["operation"]["failure-cause"]["stack-trace"] == "it is damaged"
            else:
                assert document["operation"] == operation

    run(check)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/jobs/other/savepoints", "{}", 404, "no job other"),
        ("POST", f"/jobs/{JOB}/savepoints", '{"target-directory": ""}', 400, "no directory"),
        ("POST", f"/jobs/{JOB}/savepoints", "{", 400, "not JSON"),
        ("POST", f"/jobs/{JOB}/savepoints", "[]", 400, "JSON object"),
        ("POST", f"/jobs/{JOB}/stop", '{"drain": "yes"}', 400, "drain: 'yes' is not a boolean"),
        ("POST", f"/jobs/{JOB}/stop", '{"triggerId": "../x"}', 400, "not 32 hex digits"),
        ("GET", f"/jobs/{JOB}/savepoints/unknown", None, 404, "knows no request unknown"),
        ("GET", "/savepoint-disposal/unknown", None, 404, "no request unknown"),
        ("POST", "/savepoint-disposal", "{}", 400, "savepoint-path"),
        ("GET", f"/jobs/{JOB}/checkpoints/details/77", None, 404, "no checkpoint 77"),
        ("GET", f"/jobs/{JOB}/checkpoints/details/x", None, 400, "'x' is not the number"),
        ("GET", "/jobs/other/checkpoints", None, 404, "no job other"),
    ],
)
def test_wrong_requests(method, path, body, status, says):
    async def check(client, dispatcher):
        document = await answer(await client.request(method, path, data=body), status)
        assert says in document["errors"][0]

    run(check)
