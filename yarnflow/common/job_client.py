"""The handle of a job that execute_async() submitted."""

from __future__ import annotations

from typing import Any, Protocol

from yarnflow.common.completable_future import CompletableFuture
from yarnflow.common.job_execution_result import JobExecutionResult
from yarnflow.common.job_id import JobID
from yarnflow.common.job_status import JobStatus

__all__ = ["JobClient"]


class _Job(Protocol):
    """What is used of graph.executor.SubmittedJob, which lies above this package."""

    @property
    def job_id(self) -> str: ...

    def status(self) -> str: ...

    def cancel(self) -> None: ...

    def savepoint(
        self, directory: str | None, *, stop: bool = False, drain: bool = False, cancel: bool = False
    ) -> str: ...

    def result(self, timeout: float | None = None) -> dict[str, Any]: ...


class JobClient:
    """Asks about one job. Every answer is a CompletableFuture."""

    def __init__(self, job: _Job) -> None:
        self._job = job

    def get_job_id(self) -> JobID:
        """The job's id."""
        return JobID(self._job.job_id)

    def get_job_status(self) -> CompletableFuture[JobStatus]:
        """The job's state now."""
        return CompletableFuture(lambda: JobStatus[self._job.status()])

    def cancel(self) -> CompletableFuture[None]:
        """Cancel the job; completes when the cluster has accepted."""
        return CompletableFuture(self._job.cancel)

    def trigger_savepoint(self, savepoint_directory: str | None = None) -> CompletableFuture[str]:
        """Take a savepoint while the job goes on; completes with its path.

        Without a directory, execution.checkpointing.savepoint-dir says where.
        """
        return CompletableFuture(lambda: self._job.savepoint(savepoint_directory))

    def stop_with_savepoint(
        self, advance_to_end_of_event_time: bool, savepoint_directory: str | None = None
    ) -> CompletableFuture[str]:
        """End the job with a savepoint; completes with its path.

        With `advance_to_end_of_event_time` all timers and windows fire first: for a job that will not go on.
        """
        return CompletableFuture(
            lambda: self._job.savepoint(savepoint_directory, stop=True, drain=advance_to_end_of_event_time)
        )

    def get_accumulators(self) -> CompletableFuture[dict[str, Any]]:
        """The accumulators; completes when the job has finished."""
        return CompletableFuture(lambda: dict(self._job.result()["accumulators"]))

    def get_job_execution_result(self) -> CompletableFuture[JobExecutionResult]:
        """The outcome; completes when the job has finished, raises JobFailedError or JobCancelledError."""
        return CompletableFuture(lambda: result_of(self._job))


def result_of(job: _Job) -> JobExecutionResult:
    """Wait for a job and return its outcome."""
    outcome = job.result()
    return JobExecutionResult(JobID(job.job_id), int(outcome["net_runtime_ms"]), dict(outcome["accumulators"]))
