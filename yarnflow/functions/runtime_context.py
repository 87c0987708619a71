"""What a function can learn about the subtask it runs in. The runtime makes one per operator and subtask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from yarnflow.functions.accumulators import Accumulator
from yarnflow.functions.metrics import MetricGroup

__all__ = ["RuntimeContext"]

A = TypeVar("A", bound="Accumulator[Any]")


class RuntimeContext:
    """Given to `Function.open`.

    Args:
        task_name: the vertex as shown ("Map -> Filter").
        parallelism: number of subtasks.
        max_parallelism: number of key groups.
        index: 0-based index of this subtask.
        attempt: 0 for the first attempt of this subtask.
        job_id: 32 hex digits.
        job_parameters: pipeline.global-job-parameters.
        accumulators: where the task collects its accumulators; shared by the operators of a task.
        metrics: the operator's metrics.
    """

    def __init__(
        self,
        task_name: str,
        parallelism: int,
        max_parallelism: int,
        index: int,
        attempt: int,
        job_id: str = "",
        job_parameters: Mapping[str, str] | None = None,
        accumulators: dict[str, Accumulator[Any]] | None = None,
        metrics: MetricGroup | None = None,
    ) -> None:
        self._task_name = task_name
        self._parallelism = parallelism
        self._max_parallelism = max_parallelism
        self._index = index
        self._attempt = attempt
        self._job_id = job_id
        self._job_parameters = job_parameters or {}
        self._accumulators = {} if accumulators is None else accumulators
        self._metrics = metrics or MetricGroup()

    def get_job_id(self) -> str:
        """The job's id, 32 hex digits."""
        return self._job_id

    def get_task_name(self) -> str:
        """The task as shown."""
        return self._task_name

    def get_number_of_parallel_subtasks(self) -> int:
        """The parallelism of the task."""
        return self._parallelism

    def get_max_number_of_parallel_subtasks(self) -> int:
        """The maximum parallelism: the number of key groups."""
        return self._max_parallelism

    def get_index_of_this_subtask(self) -> int:
        """From 0 to the parallelism - 1."""
        return self._index

    def get_attempt_number(self) -> int:
        """0 for the first attempt of this subtask, one more after each restart."""
        return self._attempt

    def get_task_name_with_subtasks(self) -> str:
        """Name, 1-based index / parallelism and attempt: "Map (3/6)#0"."""
        return f"{self._task_name} ({self._index + 1}/{self._parallelism})#{self._attempt}"

    def get_job_parameter(self, key: str, default_value: Any) -> Any:
        """A parameter that the program set with `ExecutionConfig.set_global_job_parameters`."""
        return self._job_parameters.get(key, default_value)

    def get_metrics_group(self) -> MetricGroup:
        """Where the function registers its metrics."""
        return self._metrics

    def add_accumulator(self, name: str, accumulator: Accumulator[Any]) -> None:
        """Register an accumulator. Raises ValueError when this subtask has one of that name already."""
        if self._accumulators.setdefault(name, accumulator) is not accumulator:
            raise ValueError(
                f"there is an accumulator {name!r} already; its value can be had by get_accumulator()"
            )

    def get_accumulator(self, name: str) -> Accumulator[Any] | None:
        """The accumulator registered under `name`, or None."""
        return self._accumulators.get(name)
