from __future__ import annotations

import threading
from typing import Any

import pytest

from yarnflow.common import CompletableFuture, JobClient, JobID, JobStatus
from yarnflow.common.job_execution_result import DetachedJobExecutionResult, JobExecutionResult


class FinishedJob:
    job_id = "ab" * 16
    cancelled = False

    def status(self) -> str:
        return "FINISHED"

    def cancel(self) -> None:
        self.cancelled = True

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        return {"net_runtime_ms": 12, "accumulators": {"lines": 3}}


def test_a_job_client_answers_with_futures() -> None:
    job = FinishedJob()
    client = JobClient(job)
    assert str(client.get_job_id()) == job.job_id
    assert client.get_job_status().result(10) is JobStatus.FINISHED
    assert client.get_accumulators().result(10) == {"lines": 3}
    client.cancel().result(10)
    assert job.cancelled
    result = client.get_job_execution_result().result(10)
    assert (result.get_net_runtime(), result.get_accumulator_result("lines")) == (12, 3)
    assert result.get_accumulator_result("none") is None
    assert "- lines (int): 3" in str(result)
    assert result.get_job_id() == JobID(job.job_id)


def test_terminal_states() -> None:
    assert JobStatus.FINISHED.is_globally_terminal_state()
    assert not JobStatus.SUSPENDED.is_globally_terminal_state()
    assert JobStatus.SUSPENDED.is_terminal_state()
    assert not JobStatus.RESTARTING.is_terminal_state()


def test_a_future_raises_what_the_call_raised() -> None:
    def fail() -> None:
        raise KeyError("x")

    future = CompletableFuture(fail)
    assert isinstance(future.exception(10), KeyError)
    with pytest.raises(KeyError):
        future.result(10)
    assert str(future) == "CompletableFuture[done]"


def test_a_future_can_be_given_up() -> None:
    release = threading.Event()
    future = CompletableFuture(release.wait)
    assert not future.done()
    with pytest.raises(TimeoutError):
        future.result(0.01)
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(RuntimeError, match="cancelled"):
        future.result()
    release.set()


def test_a_detached_result_knows_only_the_id() -> None:
    result: JobExecutionResult = DetachedJobExecutionResult(JobID("cd" * 16))
    assert str(result.get_job_id()) == "cd" * 16
    with pytest.raises(RuntimeError, match="submitted detached"):
        result.get_net_runtime()
