"""Keyed built-in aggregates on columns, with the results of the row operators in reduce.py.

`ColumnarAggregateOperator` starts on columns when its first batch is columns, and goes over to the row operator,
for good and with its state, as soon as a batch comes that columns cannot treat as rows would be: rows, another
schema, nulls or NaN in the aggregated field, sums beyond 64 bits, types without arithmetic.

    count                  _Count      an int64 per key
    sum, min, max          _Folding    a number per key, and the first record of each key
    min_by, max_by         _Choosing   a number per key, and the extremal record of each key
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.columns import COLUMN_BATCH, TUPLES, column_index, is_tuples, to_columns, to_rows
from yarnflow.graph.operators import AggregateSpec, Operator
from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.columns.groups import Groups, KeyIds, accumulate, grown
from yarnflow.runtime.operators.keyed import TIMES, VALUES, KeyedOperator
from yarnflow.runtime.state.backend import TABLE
from yarnflow.runtime.state.snapshot import Chunk, KeyedPart, TaskSnapshot

_NEVER = np.iinfo(np.int64).min


class _NotColumnarError(Exception):
    """This batch needs the row operator. Raised before anything of the batch is in the state."""


class ColumnarAggregateOperator(StreamOperator):
    """An AggregateSpec whose key is a field.

    Args:
        operator: what it is.
        context: where it runs.
        rows: the row operator, restored and open. It keeps the state until the first batch comes, and again
            after columns were given up. Whoever made it closes it.
    """

    columnar = True

    def __init__(self, operator: Operator, context: OperatorContext, rows: KeyedOperator) -> None:
        super().__init__(operator, context)
        self._rows = rows
        self._columns: _Aggregate | None = None
        self._on_rows = False

    def process_batch(self, batch: Batch, input_index: int) -> None:
        if not len(batch):
            return
        if not self._on_rows:
            if isinstance(batch, ColumnBatch):
                try:
                    if self._columns is None:
                        self._columns = self._take_over(batch)
                    result = self._columns.update(batch)
                except _NotColumnarError:
                    self._go_over_to_rows()
                else:
                    if result is not None:
                        self.emit(result)
                    return
            else:
                self._go_over_to_rows()
        self._rows.process_batch(to_rows(batch), input_index)

    def _take_over(self, batch: ColumnBatch) -> _Aggregate:
        """Columns for batches like this one, with what was restored. Raises _NotColumnarError."""
        columns = _aggregate(self.operator.spec, batch)
        rows = self._rows
        if any(True for _ in rows.state):
            try:
                columns.load(dict(rows.state), dict(rows.times))
            except (pa.ArrowException, ProgramError, TypeError, ValueError, OverflowError) as error:
                raise _NotColumnarError from error
            rows.state.clear()
            rows.times.clear()
        return columns

    def _go_over_to_rows(self) -> None:
        self._on_rows = True
        if self._columns is not None:
            state, times = self._columns.as_rows()
            self._rows.state.update(state)
            self._rows.times.update(times)
            self._columns = None

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        if self._columns is None:
            self._rows.snapshot(snapshot)
            return
        # As the row operator's tables, so that either can go on with what the other has stored.
        columns, operator_id = self._columns, self.operator.operator_id
        entries, details = len(columns.ids), {"state": TABLE}
        snapshot.keyed.append(
            KeyedPart(operator_id, VALUES, StateKind.KEYED, lambda: columns.freeze_values()(), entries, details,
                      columns.freeze_values)
        )  # fmt: skip
        if columns.timed:
            snapshot.keyed.append(
                KeyedPart(operator_id, TIMES, StateKind.KEYED, lambda: columns.freeze_times()(), entries, details,
                          columns.freeze_times)
            )  # fmt: skip

    def finish(self) -> None:
        if self._columns is not None:
            for batch in self._columns.final():
                self.emit(batch)
        else:
            self._rows.finish()


class _Aggregate:
    """State and results of one aggregate; the schema of the first batch is that of all."""

    def __init__(self, spec: AggregateSpec, batch: ColumnBatch) -> None:
        self.spec = spec
        self.schema = batch.columns.schema
        self.scalar = batch.scalar
        self.key = column_index(batch.columns, spec.key)
        if pa.types.is_nested(self.schema.field(self.key).type):
            raise _NotColumnarError  # the row operator says why it cannot be a key
        self.ids = KeyIds()
        self.times = np.zeros(0, np.int64)
        self.timed = False

    def update(self, batch: ColumnBatch) -> ColumnBatch | None:
        """Take a batch; returns the update of each record, or None with `final_only`."""
        schema = batch.columns.schema
        if batch.scalar != self.scalar or not schema.equals(self.schema, check_metadata=True):
            raise _NotColumnarError
        values = self._checked(batch)
        groups = self.ids.group(batch.columns.column(self.key))
        with np.errstate(all="ignore"):  # infinity is a result as in Python, not a warning
            result = self._update(batch, groups, values)
        if not self.spec.final_only:
            assert result is not None
            return ColumnBatch(result, batch.timestamps, self.scalar and self.spec.kind != "count")
        if batch.timestamps is not None:
            self._note_times(groups, batch.timestamps)
        return None

    def final(self) -> Iterator[ColumnBatch]:
        """The results per key, when they are emitted only at the end."""
        if not self.spec.final_only:
            return
        scalar = self.scalar and self.spec.kind != "count"
        results, times = self._results(), self._final_times()
        for start in range(0, results.num_rows, COLUMN_BATCH):
            part = results.slice(start, COLUMN_BATCH)
            yield ColumnBatch(part, None if times is None else times.slice(start, COLUMN_BATCH), scalar)

    def as_rows(self) -> tuple[dict[Any, Any], dict[Any, int]]:
        """The state as the row operator has it: value by key, latest time by key."""
        return _entries(self.freeze_values()), _entries(self.freeze_times())

    def freeze_values(self) -> Callable[[], list[Chunk]]:
        """A function that reads the value of each key as it is now, whatever happens until it is called."""
        keys, results = list(self.ids), self._results()
        return lambda: [Chunk(None, keys, to_rows(ColumnBatch(results, None, self.scalar)).rows)]

    def freeze_times(self) -> Callable[[], list[Chunk]]:
        """As `freeze_values`, for the latest time of each key that has one."""
        keys, times = list(self.ids), self.times.copy()

        def chunks() -> list[Chunk]:
            known = [(key, time) for key, time in zip(keys, times.tolist(), strict=False) if time != _NEVER]
            return [Chunk(None, [key for key, _ in known], [time for _, time in known])] if known else []

        return chunks

    def load(self, state: dict[Any, Any], times: dict[Any, int]) -> None:
        """Take over the state of the row operator. Raises _NotColumnarError, or what Arrow and numpy raise, when
        the values do not fit into columns."""
        for key in state:
            self.ids[key]
        self._load(list(state.values()))
        if times:
            self.timed = True
            self.times = np.array([times.get(key, _NEVER) for key in state], np.int64)

    def _load(self, values: list[Any]) -> None:
        """Take over values in the order of ids."""
        raise NotImplementedError

    def _checked(self, batch: ColumnBatch) -> Any:
        """The numbers to aggregate; raises _NotColumnarError."""
        return None

    def _update(self, batch: ColumnBatch, groups: Groups, values: Any) -> pa.RecordBatch | None:
        raise NotImplementedError

    def _results(self) -> pa.RecordBatch:
        """The current record of each key, in the order of ids."""
        raise NotImplementedError

    def _note_times(self, groups: Groups, timestamps: pa.Array) -> None:
        known = len(self.times)
        self.times = grown(self.times, len(self.ids))
        self.times[known:] = _NEVER
        self.timed = True
        np.maximum.at(self.times, groups.row_ids, timestamps.to_numpy())

    def _final_times(self) -> pa.Array | None:
        if not self.timed:
            return None
        times = np.full(len(self.ids), _NEVER, np.int64)
        known = min(len(times), len(self.times))
        times[:known] = self.times[:known]
        # A key may only have been seen without time.
        return pa.array(np.where(times == _NEVER, 0, times))


def _entries(chunks: Callable[[], list[Chunk]]) -> dict[Any, Any]:
    return {key: value for _, keys, values in chunks() for key, value in zip(keys, values, strict=True)}


def _aggregate(spec: Any, batch: ColumnBatch) -> _Aggregate:
    assert isinstance(spec, AggregateSpec)
    if spec.kind == "count":
        return _Count(spec, batch)
    if spec.kind in ("min_by", "max_by"):
        return _Choosing(spec, batch)
    return _Folding(spec, batch)


class _Count(_Aggregate):
    """(key, count), as tuples."""

    def __init__(self, spec: AggregateSpec, batch: ColumnBatch) -> None:
        super().__init__(spec, batch)
        self.counts = np.zeros(0, np.int64)
        field = self.schema.field(self.key)
        name = "count" if field.name != "count" else "records"
        self.result = pa.schema([field, pa.field(name, pa.int64())], TUPLES)

    def _update(self, batch: ColumnBatch, groups: Groups, values: Any) -> pa.RecordBatch | None:
        self.counts = grown(self.counts, len(self.ids))
        before = self.counts[groups.ids]
        self.counts[groups.ids] = before + groups.counts
        if self.spec.final_only:
            return None
        # The n-th of a group counts to n: its place in the order, less where the group starts.
        running = np.arange(1, len(batch) + 1) + groups.spread(before - groups.starts)
        keys = batch.columns.column(self.key)
        return pa.RecordBatch.from_arrays([keys, pa.array(groups.restore(running))], schema=self.result)

    def freeze_values(self) -> Callable[[], list[Chunk]]:
        keys, counts = list(self.ids), self.counts.copy()
        return lambda: [Chunk(None, keys, counts[: len(keys)].tolist())]

    def _load(self, values: list[Any]) -> None:
        self.counts = np.array(values, np.int64)

    def _note_times(self, groups: Groups, timestamps: pa.Array) -> None:
        """Final counts have no time."""

    def _results(self) -> pa.RecordBatch:
        keys = pa.array(list(self.ids), self.result.field(0).type)
        counts = pa.array(self.counts[: len(keys)])
        return pa.RecordBatch.from_arrays([keys, counts], schema=self.result)


class _Numbers(_Aggregate):
    """What sum, min, max, min_by and max_by share: a column of numbers, one number and one record per key."""

    def __init__(self, spec: AggregateSpec, batch: ColumnBatch) -> None:
        super().__init__(spec, batch)
        self.field = column_index(batch.columns, spec.field)
        kind = self.schema.field(self.field).type
        if spec.kind == "sum":
            if pa.types.is_integer(kind) and kind != pa.uint64():
                self.type: pa.DataType = pa.int64()
            elif pa.types.is_floating(kind):
                self.type = pa.float64()
            else:
                raise _NotColumnarError
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_temporal(kind):
            self.type = kind
        else:
            raise _NotColumnarError
        if self.type == pa.float16():
            raise _NotColumnarError
        self.numbers = np.zeros(0, self._as_numpy(pa.array([], kind)).dtype)
        self.records: list[pa.RecordBatch] = []

    def _checked(self, batch: ColumnBatch) -> Any:
        column = batch.columns.column(self.field)
        if column.null_count:
            raise _NotColumnarError  # the row operator says which record it is
        values = self._as_numpy(column)
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise _NotColumnarError  # comparisons with NaN depend on the order
        return values

    def _as_numpy(self, column: pa.Array) -> Any:
        kind = column.type
        if self.type != kind:
            column = column.cast(self.type)  # sums are wider than what they add
        elif pa.types.is_temporal(kind):
            column = column.view(pa.int32() if kind.bit_width == 32 else pa.int64())
        return column.to_numpy()

    def _as_arrow(self, numbers: Any) -> pa.Array:
        array = pa.array(numbers)
        return array.view(self.type) if pa.types.is_temporal(self.type) else array

    def _records_of(self, values: list[Any], schema: pa.Schema) -> pa.RecordBatch:
        """The records of the row operator as columns, with numbers to aggregate."""
        batch = to_columns(RowBatch(values), schema)
        numbers = batch.columns.column(self.field)
        same = batch.scalar == self.scalar and is_tuples(batch.columns.schema) == is_tuples(schema)
        if not same or numbers.null_count:
            raise _NotColumnarError
        self.numbers = np.array(self._as_numpy(numbers))
        if self.numbers.dtype.kind == "f" and np.isnan(self.numbers).any():
            raise _NotColumnarError
        return batch.columns

    def _record_table(self) -> pa.Table:
        """The kept record of each key, in one piece."""
        table = pa.Table.from_batches(self.records, self.schema).combine_chunks()
        self.records = table.to_batches()
        return table


class _Folding(_Numbers):
    """sum, min, max: the first record of the key with the field replaced."""

    def __init__(self, spec: AggregateSpec, batch: ColumnBatch) -> None:
        super().__init__(spec, batch)
        self.function = {"sum": np.add, "min": np.minimum, "max": np.maximum}[spec.kind]
        self.adds_integers = spec.kind == "sum" and self.type == pa.int64()
        self.result = self.schema.set(self.field, self.schema.field(self.field).with_type(self.type))
        #: No sum of the state is larger than this.
        self.bound = 0

    def _checked(self, batch: ColumnBatch) -> Any:
        values = super()._checked(batch)
        if self.adds_integers:
            largest = max(abs(int(values.max())), abs(int(values.min())))
            bound = self.bound + largest * len(values)
            if bound >= 1 << 62:
                known = np.abs(self.numbers).max(initial=0)
                bound = int(known) + largest * len(values)
                if bound >= 1 << 62:
                    raise _NotColumnarError  # Python's integers have no limit
            self.bound = bound
        return values

    def _load(self, values: list[Any]) -> None:
        columns = self._records_of(values, self.result).columns
        # Of the first records everything but the number is kept.
        columns[self.field] = pa.nulls(len(values), self.schema.field(self.field).type)
        self.records = [pa.RecordBatch.from_arrays(columns, schema=self.schema)]
        if self.adds_integers:
            self.bound = max(abs(int(self.numbers.max())), abs(int(self.numbers.min())))

    def _update(self, batch: ColumnBatch, groups: Groups, values: Any) -> pa.RecordBatch | None:
        self.numbers = grown(self.numbers, len(self.ids))
        new = groups.new
        if len(new):
            self.records.append(batch.columns.take(pa.array(groups.first_rows[new])))
        if self.spec.final_only:
            if len(new) and self.spec.kind != "sum":
                self.numbers[groups.ids[new]] = values[groups.first_rows[new]]
            self.function.at(self.numbers, groups.row_ids, values)
            return None
        running = values[groups.order]
        if self.adds_integers:
            self._running_sums(running, groups)
        else:
            known = np.ones(len(groups.ids), bool)
            known[new] = False
            starts = groups.starts[known]
            running[starts] = self.function(self.numbers[groups.ids[known]], running[starts])
            accumulate(self.function, running, groups.starts, groups.counts)
        self.numbers[groups.ids] = running[groups.starts + groups.counts - 1]
        return self._with_numbers(batch, groups, groups.restore(running))

    def _running_sums(self, running: Any, groups: Groups) -> None:
        # One cumulative sum over all groups; what came before a group is taken off. It may wrap around, but
        # then the subtraction wraps back.
        first = running[groups.starts]
        np.cumsum(running, out=running)
        running += groups.spread(self.numbers[groups.ids] + first - running[groups.starts])

    def _with_numbers(self, batch: ColumnBatch, groups: Groups, numbers: Any) -> pa.RecordBatch:
        columns: list[pa.Array] = []
        others = [i for i in range(len(self.schema)) if i not in (self.key, self.field)]
        taken: dict[int, pa.Array] = {}
        if others:
            firsts = self._record_table().select(others).take(pa.array(groups.ids))
            codes = pa.array(groups.codes)
            for i, column in zip(others, firsts.combine_chunks().columns, strict=True):
                # Firsts of the groups, then of their rows: the second take reads a small array.
                taken[i] = _one(column.take(codes))
        for i in range(len(self.schema)):
            if i == self.field:
                columns.append(self._as_arrow(numbers))
            elif i == self.key:
                columns.append(batch.columns.column(i))
            else:
                columns.append(taken[i])
        return pa.RecordBatch.from_arrays(columns, schema=self.result)

    def _results(self) -> pa.RecordBatch:
        table = self._record_table()
        columns = [_one(column) for column in table.columns]
        columns[self.field] = self._as_arrow(self.numbers[: table.num_rows].copy())
        return pa.RecordBatch.from_arrays(columns, schema=self.result)


class _Choosing(_Numbers):
    """min_by, max_by: the whole extremal record; of equal ones the first."""

    def _load(self, values: list[Any]) -> None:
        columns = self._records_of(values, self.schema).columns
        self.records = [pa.RecordBatch.from_arrays(columns, schema=self.schema)]

    def _update(self, batch: ColumnBatch, groups: Groups, values: Any) -> pa.RecordBatch | None:
        self.numbers = grown(self.numbers, len(self.ids))
        smaller = self.spec.kind == "min_by"
        function, better = (np.minimum, np.less) if smaller else (np.maximum, np.greater)
        order, starts = groups.order, groups.starts
        ordered = values[order]
        known = np.ones(len(groups.ids), bool)
        known[groups.new] = False
        # The best before each row: what the group had, then the running best of the rows above.
        running = ordered.copy()
        running[starts[known]] = function(self.numbers[groups.ids[known]], ordered[starts[known]])
        accumulate(function, running, starts, groups.counts)
        before = np.empty_like(running)
        before[1:] = running[:-1]
        before[starts] = self.numbers[groups.ids]
        chosen = better(ordered, before)
        chosen[starts[~known]] = True
        # The last chosen row at or above each row; a group that starts with none keeps its old record.
        place = np.arange(len(order))
        marks = np.where(chosen, place, -1)
        marks[starts] = starts
        last = np.maximum.accumulate(marks)
        old = pa.Table.from_batches(self.records, self.schema)
        source = np.where(chosen[last], order[last] + old.num_rows, groups.spread(groups.ids))
        ends = starts + groups.counts - 1
        self.numbers[groups.ids] = running[ends]
        both = pa.concat_tables([old, pa.Table.from_batches([batch.columns], self.schema)]).combine_chunks()
        if not self.spec.final_only:
            result = both.take(pa.array(groups.restore(source))).combine_chunks()
        if chosen.any():
            keep = np.arange(len(self.ids))
            keep[groups.ids] = source[ends]
            self.records = both.take(pa.array(keep)).combine_chunks().to_batches()
        if self.spec.final_only:
            return None
        return pa.RecordBatch.from_arrays([_one(column) for column in result.columns], schema=self.schema)

    def _results(self) -> pa.RecordBatch:
        columns = [_one(column) for column in self._record_table().columns]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
