"""What a function can learn about the subtask it runs in, and where it gets its keyed state.

The runtime makes one context per subtask, and from it one per operator with keyed state (`with_keyed_state`).
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from yarnflow.errors import ProgramError
from yarnflow.functions.accumulators import Accumulator
from yarnflow.functions.metrics import MetricGroup

if TYPE_CHECKING:
    from yarnflow.functions.state import State, StateDescriptor

__all__ = ["KeyedStateStore", "RuntimeContext"]

A = TypeVar("A", bound="Accumulator[Any]")


class StateSource(Protocol):
    """What makes handles: a state backend (runtime/state/backend.py)."""

    def state(self, descriptor: StateDescriptor) -> State:
        """The handle for a descriptor."""


class KeyedStateStore(ABC):
    """Where functions on keyed streams get their state. A handle works on the key of the record in hand."""

    @abstractmethod
    def get_state(self, state_descriptor: Any) -> Any:
        """The ValueState of a ValueStateDescriptor."""

    @abstractmethod
    def get_list_state(self, state_descriptor: Any) -> Any:
        """The ListState of a ListStateDescriptor."""

    @abstractmethod
    def get_map_state(self, state_descriptor: Any) -> Any:
        """The MapState of a MapStateDescriptor."""

    @abstractmethod
    def get_reducing_state(self, state_descriptor: Any) -> Any:
        """The ReducingState of a ReducingStateDescriptor."""

    @abstractmethod
    def get_aggregating_state(self, state_descriptor: Any) -> Any:
        """The AggregatingState of an AggregatingStateDescriptor."""


class RuntimeContext(KeyedStateStore):
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
        self._states: StateSource | None = None

    def with_keyed_state(self, states: StateSource) -> RuntimeContext:
        """The context of an operator with keyed state; all else is shared with this one."""
        context = copy.copy(self)
        context._states = states
        return context

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

    # -- keyed state ----------------------------------------------------------------------------------------

    def get_state(self, state_descriptor: Any) -> Any:
        return self._state("get_state", state_descriptor, "ValueStateDescriptor")

    def get_list_state(self, state_descriptor: Any) -> Any:
        return self._state("get_list_state", state_descriptor, "ListStateDescriptor")

    def get_map_state(self, state_descriptor: Any) -> Any:
        return self._state("get_map_state", state_descriptor, "MapStateDescriptor")

    def get_reducing_state(self, state_descriptor: Any) -> Any:
        return self._state("get_reducing_state", state_descriptor, "ReducingStateDescriptor")

    def get_aggregating_state(self, state_descriptor: Any) -> Any:
        return self._state("get_aggregating_state", state_descriptor, "AggregatingStateDescriptor")

    def _state(self, method: str, descriptor: Any, wanted: str) -> Any:
        from yarnflow.functions import state  # not needed by functions without state

        if not isinstance(descriptor, getattr(state, wanted)):
            raise ProgramError(f"{method}() needs a {wanted}, not {descriptor!r} ({type(descriptor).__name__})")
        if self._states is None:
            raise ProgramError(
                f"{method}({descriptor.name!r}) in '{self._task_name}': keyed state belongs to keys, and this "
                "function does not run on a keyed stream: call key_by() before the operation and give it a "
                "function class (KeyedProcessFunction, MapFunction, ...)"
            )
        return self._states.state(descriptor)
