"""How the records of a window are kept: reduced, aggregated, or all of them.

A window's contents are a mapping from key to what is kept of the key's records, which this module calls the
accumulator. Operators on windows differ in when they call what is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableMapping
from typing import Any

from yarnflow.functions.windows.evictors import TimestampedValue
from yarnflow.graph.operators import AggregateSpec, WindowSpec
from yarnflow.runtime.operators.isolation import own
from yarnflow.runtime.operators.keyed import check_key
from yarnflow.runtime.operators.user_functions import bind, bind_key

#: What is kept of no record.
MISSING: Any = object()

State = MutableMapping[Any, Any]


class Contents(ABC):
    """Base of the ways to keep records.

    Args:
        name: of the operator, for messages.
        key: key selector, or None: all records have the key None.

    Attributes:
        key: key(record).
        incremental: one value is kept instead of all records.
        kept: what is kept, for messages.
    """

    incremental = True
    kept = "reduced records"

    def __init__(self, name: str, key: Any) -> None:
        self._name = name
        self.key = _no_key if key is None else bind_key(key)

    @abstractmethod
    def absorb(self, state: State, records: list[Any]) -> None:
        """Add records to a window."""

    @abstractmethod
    def add(self, known: Any, record: Any, time: int | None) -> Any:
        """The accumulator with one more record; `known` may be MISSING and may be changed."""

    @abstractmethod
    def merge(self, left: Any, right: Any) -> Any:
        """One accumulator for both, which may be changed."""

    def can_merge(self) -> bool:
        """Whether a window can be put together from parts, with one `merge` per part and key."""
        return self.incremental

    def result(self, known: Any) -> Any:
        """The value that the window function gets, or that is emitted; for all records their list."""
        return known

    def merged(self, left: Mapping[Any, Any], right: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """The contents of two parts of a window, neither of which is changed."""
        merge, missing = self.merge, MISSING
        result = dict(left)
        get = result.get
        for key, value in right.items():
            known = get(key, missing)
            result[key] = value if known is missing else merge(own(known), own(value))
        return result

    def _explain(self, error: TypeError, key: Any, record: Any) -> None:
        check_key(self._name, error, key, record)


class Reduced(Contents):
    """One record, made by a reduce function."""

    def __init__(self, name: str, key: Any, function: Any) -> None:
        super().__init__(name, key)
        self._reduce = bind(function, "reduce")

    def absorb(self, state: State, records: list[Any]) -> None:
        reduce, key, get, missing = self._reduce, self.key, state.get, MISSING
        selected = record = None
        try:
            for record in records:
                selected = key(record)
                known = get(selected, missing)
                state[selected] = record if known is missing else reduce(known, record)
        except TypeError as error:
            self._explain(error, selected, record)
            raise

    def add(self, known: Any, record: Any, time: int | None) -> Any:
        return record if known is MISSING else self._reduce(known, record)

    def merge(self, left: Any, right: Any) -> Any:
        return self._reduce(left, right)


class Aggregated(Contents):
    """The accumulator of an AggregateFunction."""

    kept = "accumulators"

    def __init__(self, name: str, key: Any, function: Any) -> None:
        super().__init__(name, key)
        self._create = function.create_accumulator
        self._add = function.add
        self.merge = function.merge  # type: ignore[method-assign]  # saves a call
        self.result = function.get_result  # type: ignore[method-assign]

    def absorb(self, state: State, records: list[Any]) -> None:
        create, add, key, get, missing = self._create, self._add, self.key, state.get, MISSING
        selected = record = None
        try:
            for record in records:
                selected = key(record)
                known = get(selected, missing)
                state[selected] = add(record, create() if known is missing else known)
        except TypeError as error:
            self._explain(error, selected, record)
            raise

    def add(self, known: Any, record: Any, time: int | None) -> Any:
        return self._add(record, self._create() if known is MISSING else known)

    def merge(self, left: Any, right: Any) -> Any:
        raise AssertionError("the function's own method takes its place")

    def can_merge(self) -> bool:
        """Whether `merge` does something. Programs that never needed it leave it empty, or let it raise."""
        try:
            return self.merge(self._create(), self._create()) is not None
        except Exception:  # whatever a user's method that is not meant to be called raises
            return False


class Listed(Contents):
    """All records, in order of arrival."""

    incremental = False
    kept = "records"

    def absorb(self, state: State, records: list[Any]) -> None:
        key, get = self.key, state.get
        selected = record = None
        try:
            for record in records:
                selected = key(record)
                known = get(selected)
                if known is None:
                    state[selected] = [record]
                else:
                    known.append(record)
                    state[selected] = known
        except TypeError as error:
            self._explain(error, selected, record)
            raise

    def add(self, known: Any, record: Any, time: int | None) -> Any:
        if known is MISSING:
            return [record]
        known.append(record)
        return known

    def merge(self, left: Any, right: Any) -> Any:
        return left + right


class TimedList(Contents):
    """All records with their times, for evictors."""

    incremental = False
    kept = "records and their times"

    def absorb(self, state: State, records: list[Any]) -> None:
        raise AssertionError("windows with evictors take record by record")

    def add(self, known: Any, record: Any, time: int | None) -> Any:
        if known is MISSING:
            return [TimestampedValue(record, time)]
        known.append(TimestampedValue(record, time))
        return known

    def merge(self, left: Any, right: Any) -> Any:
        return left + right


def contents_of(name: str, spec: WindowSpec) -> Contents:
    """How the windows of `spec` keep their records, evictors aside."""
    if isinstance(spec.reduce, AggregateSpec):
        # Here, because operators that run without it need not load it.
        from yarnflow.runtime.operators.reduce import aggregator

        return Reduced(name, spec.key, aggregator(spec.reduce.kind, spec.reduce.field))
    if spec.reduce is not None:
        return Reduced(name, spec.key, spec.reduce)
    if spec.aggregate is not None:
        return Aggregated(name, spec.key, spec.aggregate)
    return Listed(name, spec.key)


def _no_key(record: Any) -> None:
    """The key of every record of window_all."""
