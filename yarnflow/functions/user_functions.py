"""The classes that programs derive their functions from.

A function object is pickled by the client and unpickled in every subtask; there `open` is called once
before the first record and `close` once at the end, also after a failure. One thread uses it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from yarnflow.functions.runtime_context import RuntimeContext


class Function(ABC):
    """Base of all user functions."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Prepare: open connections, load models, register metrics and accumulators."""

    def close(self) -> None:
        """Release what `open` acquired."""


class MapFunction(Function):
    """One record in, one out."""

    @abstractmethod
    def map(self, value: Any) -> Any:
        """Return the record that takes the place of `value`."""


class FlatMapFunction(Function):
    """One record in, any number out."""

    @abstractmethod
    def flat_map(self, value: Any) -> Iterable[Any] | None:
        """Return or yield the records that take the place of `value`; None for none."""


class FilterFunction(Function):
    """Decides which records stay."""

    @abstractmethod
    def filter(self, value: Any) -> Any:
        """Return something true to keep `value`."""


class ReduceFunction(Function):
    """Combines two records of one key into one."""

    @abstractmethod
    def reduce(self, value1: Any, value2: Any) -> Any:
        """Return the combination of what was there (`value1`) and the new record (`value2`)."""


class AggregateFunction(Function):
    """Combines records in an accumulator of another type."""

    @abstractmethod
    def create_accumulator(self) -> Any:
        """Return an empty accumulator."""

    @abstractmethod
    def add(self, value: Any, accumulator: Any) -> Any:
        """Return the accumulator with `value` added; it may be changed in place."""

    @abstractmethod
    def get_result(self, accumulator: Any) -> Any:
        """Return the result so far."""

    @abstractmethod
    def merge(self, acc_a: Any, acc_b: Any) -> Any:
        """Return one accumulator for both; either may be changed in place."""


class KeySelector(Function):
    """Reads the key of a record."""

    @abstractmethod
    def get_key(self, value: Any) -> Any:
        """Return the key: hashable, and always the same for the same record (see graph/key_groups.py)."""


class Partitioner(Function):
    """Decides which subtask gets a record."""

    @abstractmethod
    def partition(self, key: Any, num_partitions: int) -> int:
        """Return the index of the subtask, from 0 to `num_partitions` - 1."""


class CoMapFunction(Function):
    """Maps the records of two connected streams to one. A result of None is dropped."""

    @abstractmethod
    def map1(self, value: Any) -> Any:
        """Map a record of the first stream."""

    @abstractmethod
    def map2(self, value: Any) -> Any:
        """Map a record of the second stream."""


class CoFlatMapFunction(Function):
    """Maps each record of two connected streams to any number of records."""

    @abstractmethod
    def flat_map1(self, value: Any) -> Iterable[Any] | None:
        """Map a record of the first stream; None for no record."""

    @abstractmethod
    def flat_map2(self, value: Any) -> Iterable[Any] | None:
        """Map a record of the second stream; None for no record."""
