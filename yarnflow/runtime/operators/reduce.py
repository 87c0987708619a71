"""Keyed reduce and the built-in keyed aggregates on rows."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import islice
from typing import Any, cast

from yarnflow.common.types import Row
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.keyed_adapters import opens_itself
from yarnflow.graph.operators import AggregateSpec, Operator, ReduceSpec
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.keyed import IMMUTABLE, KeyedOperator
from yarnflow.runtime.operators.processing.checkpointed import FunctionState
from yarnflow.runtime.operators.user_functions import bind, close_functions, open_functions
from yarnflow.runtime.state.backend import KeyedStateBackend
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot

Reducer = Callable[[Any, Any], Any]

#: How many results one batch holds when the final values are emitted at the end of input.
FINAL_BATCH = 4096

_MISSING: Any = object()

#: What has fields and can be changed, so that an update is made on a copy.
_WITH_FIELDS = (list, dict, Row)


class ReduceOperator(KeyedOperator):
    """Keeps one record per key and combines each new record with it.

    Emits every update with the time of the record that caused it, or with `final_only` one record per
    key at the end of input. What can be changed in place is emitted as a copy: a reduce function may
    change and return its first argument, a consumer may change what it gets, and neither may reach the
    other through the state.
    """

    def __init__(
        self, operator: Operator, context: OperatorContext, key: Any, function: Any, final_only: bool
    ) -> None:
        super().__init__(operator, context, key)
        self._function = function
        self._reduce: Reducer = bind(function, "reduce")
        self._final_only = final_only
        self._function_state = FunctionState(function)
        self._runtime_context = context.runtime_context
        if opens_itself(function):
            # It may ask for keyed state; others do without the assignment per record.
            self._runtime_context = context.runtime_context.with_keyed_state(self.backend)
            self.key = _noting_key(self.key, self.backend)

    def restore(self, restored: RestoredOperator) -> None:
        super().restore(restored)
        self._function_state.restore(restored)

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        super().snapshot(snapshot)
        self._function_state.snapshot(snapshot, self.operator.operator_id)

    def open(self) -> None:
        super().open()
        self._function_state.open()
        open_functions([self._function], self._runtime_context)

    def close(self) -> None:
        try:
            close_functions([self._function])
        finally:
            super().close()

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        self.check_first(batch.rows)
        if self._final_only:
            self._absorb(batch)
            return
        state, reduce, key = self.state, self._reduce, self.key
        get, missing = state.get, _MISSING
        updates: list[Any] = []
        append = updates.append
        selected = record = None
        try:
            for record in batch.rows:
                selected = key(record)
                value = get(selected, missing)
                state[selected] = value = record if value is missing else reduce(value, record)
                if value.__class__ is tuple or value.__class__ in IMMUTABLE:
                    append(value)
                else:
                    append(copy.copy(value))
        except TypeError as error:
            self.explain_key(error, selected, record)
            raise
        batch.rows = updates
        self.emit(batch)

    def _absorb(self, batch: RowBatch) -> None:
        state, reduce, key = self.state, self._reduce, self.key
        get, missing = state.get, _MISSING
        selected = record = None
        try:
            for record in batch.rows:
                selected = key(record)
                value = get(selected, missing)
                state[selected] = record if value is missing else reduce(value, record)
        except TypeError as error:
            self.explain_key(error, selected, record)
            raise
        if batch.timestamps is not None:
            times = self.times
            for record, time in zip(batch.rows, batch.timestamps, strict=True):
                selected = key(record)
                times[selected] = max(time, times.get(selected, time))

    def finish(self) -> None:
        if not self._final_only:
            return
        times = self.times
        timed = any(True for _ in times)
        entries = iter(self.state.items())
        while part := list(islice(entries, FINAL_BATCH)):
            # A key may only have been seen without time; then the whole stream has no useful time for it.
            stamps = [times.get(key, 0) for key, _ in part] if timed else None
            self.emit(RowBatch([value for _, value in part], stamps))


def _noting_key(key: Callable[[Any], Any], backend: KeyedStateBackend) -> Callable[[Any], Any]:
    """A key selector that makes its result the current key."""

    def select(record: Any) -> Any:
        backend.current_key = selected = key(record)
        return selected

    return select


class AggregateOperator(ReduceOperator):
    """sum, min, max, min_by, max_by on a field, with PyFlink's results, and `count`."""

    def __init__(self, operator: Operator, context: OperatorContext, spec: AggregateSpec) -> None:
        super().__init__(operator, context, spec.key, aggregator(spec.kind, spec.field), spec.final_only)


class CountOperator(KeyedOperator):
    """Counts the records of each key and emits (key, count)."""

    def __init__(self, operator: Operator, context: OperatorContext, spec: AggregateSpec) -> None:
        super().__init__(operator, context, spec.key)
        self._final_only = spec.final_only

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        self.check_first(batch.rows)
        state, key = self.state, self.key
        get = state.get
        selected = record = None
        updates: list[Any] = []
        append = updates.append
        try:
            for record in batch.rows:
                selected = key(record)
                state[selected] = count = get(selected, 0) + 1
                append((selected, count))
        except TypeError as error:
            self.explain_key(error, selected, record)
            raise
        if not self._final_only:
            batch.rows = updates
            self.emit(batch)

    def finish(self) -> None:
        if self._final_only:
            counts = iter(self.state.items())
            while part := list(islice(counts, FINAL_BATCH)):
                self.emit(RowBatch(part))


def make_reduce(operator: Operator, context: OperatorContext) -> KeyedOperator:
    """The running operator of a ReduceSpec or AggregateSpec."""
    spec = operator.spec
    if isinstance(spec, ReduceSpec):
        return ReduceOperator(operator, context, spec.key, spec.function, spec.final_only)
    assert isinstance(spec, AggregateSpec)
    if spec.kind == "count":
        return CountOperator(operator, context, spec)
    return AggregateOperator(operator, context, spec)


# -- sum, min, max, min_by, max_by ---------------------------------------------------------------------------
#
# As PyFlink (datastream/data_stream.py, KeyedStream._accumulate) defines them: on tuples, lists and rows the
# field is combined and the rest of the kept record stays; on a plain value the only field is 0, the value
# itself. Ties keep the record that came first.


def aggregator(kind: str, field: int | str) -> Reducer:
    """Return reduce(kept, record) for a built-in aggregate; it changes neither argument."""
    if kind in ("min_by", "max_by"):
        return _choosing(kind, field)
    combine = {"sum": _sum, "min": _min, "max": _max}[kind]

    def reduce(kept: Any, record: Any) -> Any:
        if isinstance(kept, tuple):
            at = _position(kind, field, kept)
            combined = combine(kept[at], record[at])
            return (*kept[:at], combined, *kept[at + 1 :])
        if isinstance(kept, _WITH_FIELDS):
            updated = copy.copy(kept)
            at = cast("Any", field)
            updated[at] = combine(kept[at], record[at])
            return updated
        _check_plain(kind, field)
        return combine(kept, record)

    return reduce


def _choosing(kind: str, field: int | str) -> Reducer:
    smaller = kind == "min_by"

    def reduce(kept: Any, record: Any) -> Any:
        if isinstance(kept, tuple):
            at = _position(kind, field, kept)
            old, new = kept[at], record[at]
        elif isinstance(kept, _WITH_FIELDS):
            old, new = kept[cast("Any", field)], record[cast("Any", field)]
        else:
            _check_plain(kind, field)
            old, new = kept, record
        return record if (new < old if smaller else new > old) else kept

    return reduce


def _position(kind: str, field: int | str, record: tuple[Any, ...]) -> int:
    """Where the field is in a tuple, 0-based; names are those of a namedtuple."""
    if isinstance(field, int):
        return field % len(record) if -len(record) <= field < 0 else field
    names: tuple[str, ...] = getattr(record, "_fields", ())
    if field not in names:
        raise ProgramError(f"{kind}({field!r}): there is no such field in {record!r}; give its position")
    return names.index(field)


def _sum(kept: Any, value: Any) -> Any:
    return kept + value


def _min(kept: Any, value: Any) -> Any:
    return value if value < kept else kept


def _max(kept: Any, value: Any) -> Any:
    return value if value > kept else kept


def _check_plain(kind: str, field: int | str) -> None:
    if field != 0:
        raise ProgramError(
            f"{kind}({field!r}): the records are plain values, which have only field 0, the value itself"
        )
