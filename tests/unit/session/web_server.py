"""The JobManager's real web application, in a thread, over a Dispatcher that the test plays."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.unit.web.test_rest import FakeDispatcher
from yarnflow.errors import JobNotFoundError, JobSubmissionError
from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.jobmanager import views
from yarnflow.runtime.rpc.messages import TaskFailure
from yarnflow.runtime.states import JobStatus
from yarnflow.web.server import start_web

GRAPH = JobGraph("c" * 32, "count words", (), ())


class Dispatcher(FakeDispatcher):
    """Knows jobs that were submitted; `results` says how they end, None for "not yet"."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.application_id = "application_1_0001"
        self.results: list[views.JobResult | None] = []
        self.waits: list[float | None] = []
        self.pages: list[views.CollectedPage] = []
        self.refusal = ""

    def _check(self, job_id: str) -> None:
        if job_id not in [graph.job_id for graph in self.submitted]:
            raise JobNotFoundError(f"no job {job_id}")

    async def submit(self, job_graph: JobGraph, blobs: Any = None) -> str:
        if self.refusal or job_graph.job_id in [graph.job_id for graph in self.submitted]:
            raise JobSubmissionError(self.refusal or f"job {job_graph.job_id} is known already")
        self.submitted.append(job_graph)
        return job_graph.job_id

    async def result(self, job_id: str, timeout: float | None = None) -> views.JobResult | None:
        self._check(job_id)
        self.waits.append(timeout)
        return self.results.pop(0)

    async def collect(self, job_id: str, collect_id: str, token: int = 0, timeout: float | None = None) -> Any:
        self._check(job_id)
        return self.pages[token]

    async def config(self) -> dict[str, str]:
        return {"yarn.application.id": self.application_id}


def result(status: JobStatus, failure: TaskFailure | None = None) -> views.JobResult:
    """How the job ended."""
    cause = None if failure is None else views.ExceptionView(1.0, failure, "Map", 0, host="node")
    return views.JobResult(GRAPH.job_id, "count words", status, 1.5, (), cause)


@contextmanager
def serve(dispatcher: Any, port: int = 0) -> Iterator[str]:
    """Serve it; yields the URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(start_web(dispatcher, "127.0.0.1", str(port)), loop).result(10)
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
