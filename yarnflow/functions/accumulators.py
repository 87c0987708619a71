"""Values that the subtasks of a job add up and the client gets when the job has ended.

    class Count(MapFunction):
        def open(self, runtime_context):
            self.lines = IntCounter()
            runtime_context.add_accumulator("lines", self.lines)
        def map(self, value):
            self.lines.add(1)
            return value

    env.execute().get_accumulator_result("lines")

Names follow Flink's Java API (org.apache.flink.api.common.accumulators); PyFlink has none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class Accumulator(ABC, Generic[V]):
    """A value that grows by `add` and is combined across subtasks by `merge`. Pickled when a task ends."""

    @abstractmethod
    def add(self, value: Any) -> None:
        """Take `value` in."""

    @abstractmethod
    def get_local_value(self) -> V:
        """The value of this subtask."""

    @abstractmethod
    def reset_local(self) -> None:
        """Begin anew."""

    @abstractmethod
    def merge(self, other: Accumulator[V]) -> None:
        """Take in another subtask's accumulator of the same class."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.get_local_value()!r})"


class _Sum(Accumulator[V]):
    _zero: Any = 0

    def __init__(self, value: V | None = None) -> None:
        self._value: Any = self._zero if value is None else value

    def add(self, value: Any = 1) -> None:
        self._value += value

    def get_local_value(self) -> V:
        value: V = self._value
        return value

    def reset_local(self) -> None:
        self._value = self._zero

    def merge(self, other: Accumulator[V]) -> None:
        self._value += other.get_local_value()


class IntCounter(_Sum[int]):
    """Sums whole numbers."""


class LongCounter(_Sum[int]):
    """Sums whole numbers; Python's have no limit, the name is Flink's."""


class DoubleCounter(_Sum[float]):
    """Sums numbers."""

    _zero = 0.0


class IntMinimum(Accumulator["int | None"]):
    """The least number added; None when there was none."""

    def __init__(self) -> None:
        self._value: Any = None

    def add(self, value: Any) -> None:
        self._value = value if self._value is None else min(self._value, value)

    def get_local_value(self) -> int | None:
        return self._value  # type: ignore[no-any-return]

    def reset_local(self) -> None:
        self._value = None

    def merge(self, other: Accumulator[int | None]) -> None:
        value = other.get_local_value()
        if value is not None:
            self.add(value)


class IntMaximum(IntMinimum):
    """The greatest number added; None when there was none."""

    def add(self, value: Any) -> None:
        self._value = value if self._value is None else max(self._value, value)


class ListAccumulator(Accumulator["list[Any]"]):
    """Everything that was added. For small amounts: all of it travels to the client at the end."""

    def __init__(self) -> None:
        self._values: list[Any] = []

    def add(self, value: Any) -> None:
        self._values.append(value)

    def get_local_value(self) -> list[Any]:
        return self._values

    def reset_local(self) -> None:
        self._values = []

    def merge(self, other: Accumulator[list[Any]]) -> None:
        self._values.extend(other.get_local_value())


class Histogram(Accumulator["dict[int, int]"]):
    """How often each whole number was added."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, value: Any) -> None:
        self._counts[value] = self._counts.get(value, 0) + 1

    def get_local_value(self) -> dict[int, int]:
        return dict(sorted(self._counts.items()))

    def reset_local(self) -> None:
        self._counts = {}

    def merge(self, other: Accumulator[dict[int, int]]) -> None:
        for value, count in other.get_local_value().items():
            self._counts[value] = self._counts.get(value, 0) + count
