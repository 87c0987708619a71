"""Filter, select and map_batches on columns. Rows are turned into columns where they arrive."""

from __future__ import annotations

from itertools import compress

import pyarrow as pa

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.columns import to_columns
from yarnflow.graph.operators import FilterExpressionSpec, MapBatchesSpec, Operator, SelectSpec
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.columns.expressions import evaluate


class FilterExpressionOperator(StreamOperator):
    """Keeps the records for which an expression is true. Rows stay the objects they are."""

    columnar = True

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, FilterExpressionSpec)
        self._predicate = operator.spec.predicate

    def process_batch(self, batch: Batch, input_index: int) -> None:
        if not len(batch):
            return
        columns = to_columns(batch)
        mask = evaluate(self._predicate, columns.columns)
        if not pa.types.is_boolean(mask.type):
            raise ProgramError(
                f"'{self.operator.name}': the filter {self._predicate!r} gives {mask.type}, not true or false"
            )
        if isinstance(batch, RowBatch):
            keep = mask.to_pylist()
            rows = list(compress(batch.rows, keep))
            times = batch.timestamps
            kept: Batch = RowBatch(rows, None if times is None else list(compress(times, keep)))
        else:
            times = columns.timestamps
            kept = ColumnBatch(
                columns.columns.filter(mask), None if times is None else times.filter(mask), columns.scalar
            )
        if len(kept):
            self.emit(kept)


class SelectOperator(StreamOperator):
    """Computes columns."""

    columnar = True

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, SelectSpec)
        self._expressions = [expression for _, expression in operator.spec.columns]
        self._names = [name for name, _ in operator.spec.columns]
        self._scalar = operator.spec.scalar

    def process_batch(self, batch: Batch, input_index: int) -> None:
        if not len(batch):
            return
        columns = to_columns(batch)
        arrays = [evaluate(expression, columns.columns) for expression in self._expressions]
        selected = pa.RecordBatch.from_arrays(arrays, names=self._names)
        self.emit(ColumnBatch(selected, columns.timestamps, self._scalar))


class MapBatchesOperator(StreamOperator):
    """Calls a user function with each record batch.

    Event times are kept when the result has as many records; otherwise each result takes the latest time of
    its batch, as nobody can tell which record it came from.
    """

    columnar = True

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, MapBatchesSpec)
        self._function = operator.spec.function
        self._scalar = operator.spec.scalar

    def process_batch(self, batch: Batch, input_index: int) -> None:
        if not len(batch):
            return
        columns = to_columns(batch)
        result = self._function(columns.columns)
        if result is None:
            return
        if isinstance(result, pa.Table):
            parts = result.combine_chunks().to_batches()
        elif isinstance(result, pa.RecordBatch):
            parts = [result]
        else:
            raise ProgramError(
                f"the function of '{self.operator.name}' returned {type(result).__name__}: map_batches needs a "
                "pyarrow.RecordBatch, a pyarrow.Table or None"
            )
        if self._scalar and any(part.num_columns != 1 for part in parts):
            raise ProgramError(
                f"the function of '{self.operator.name}' returned the columns {result.schema.names}: with "
                "scalar=True it returns exactly one"
            )
        total = sum(part.num_rows for part in parts)
        start = 0
        for part in parts:
            if part.num_rows:
                times = self._times(columns, total, start, part.num_rows)
                self.emit(ColumnBatch(part, times, self._scalar))
                start += part.num_rows

    def _times(self, columns: ColumnBatch, total: int, start: int, count: int) -> pa.Array | None:
        times = columns.timestamps
        if times is None:
            return None
        if total == len(columns):
            return times.slice(start, count)
        latest = max(times.to_numpy().tolist())
        return pa.repeat(pa.scalar(latest, pa.int64()), count)
