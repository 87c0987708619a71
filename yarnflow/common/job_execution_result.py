"""What a finished job leaves: how long it ran, and its accumulators."""

from __future__ import annotations

from typing import Any

from yarnflow.common.job_id import JobID

__all__ = ["DetachedJobExecutionResult", "JobExecutionResult"]


class JobExecutionResult:
    """The outcome of a job that finished."""

    def __init__(self, job_id: JobID, net_runtime_ms: int, accumulators: dict[str, Any]) -> None:
        self._job_id = job_id
        self._net_runtime_ms = net_runtime_ms
        self._accumulators = accumulators

    def get_job_id(self) -> JobID:
        """The job's id."""
        return self._job_id

    def get_net_runtime(self) -> int:
        """Milliseconds from start to end, without the submission."""
        return self._net_runtime_ms

    def get_accumulator_result(self, accumulator_name: str) -> Any:
        """The final value of an accumulator, None if there is none of that name."""
        return self._accumulators.get(accumulator_name)

    def get_all_accumulator_results(self) -> dict[str, Any]:
        """All accumulators by name."""
        return dict(self._accumulators)

    def __str__(self) -> str:
        lines = [
            "Program execution finished",
            f"Job with JobID {self._job_id} has finished.",
            f"Job Runtime: {self._net_runtime_ms} ms",
        ]
        if self._accumulators:
            lines.append("Accumulator Results:")
            lines += [f"- {name} ({type(value).__name__}): {value}" for name, value in self._accumulators.items()]
        return "\n".join(lines)


class DetachedJobExecutionResult(JobExecutionResult):
    """Given by execute() when the client does not wait: only the id is known.

    The other methods raise RuntimeError.
    """

    def __init__(self, job_id: JobID) -> None:
        super().__init__(job_id, 0, {})

    def get_net_runtime(self) -> int:
        raise self._unknown("runtime")

    def get_accumulator_result(self, accumulator_name: str) -> Any:
        raise self._unknown("accumulators")

    def get_all_accumulator_results(self) -> dict[str, Any]:
        raise self._unknown("accumulators")

    def _unknown(self, what: str) -> RuntimeError:
        return RuntimeError(
            f"job {self.get_job_id()} was submitted detached, so its {what} are not known here: "
            "run attached (without -d) to get them"
        )

    def __str__(self) -> str:
        return f"Job has been submitted with JobID {self.get_job_id()}"
