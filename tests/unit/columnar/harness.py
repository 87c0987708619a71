"""Runs one operator without a task, and compares the column path with the row path."""

from __future__ import annotations

from typing import Any

from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.columns import to_columns, to_rows
from yarnflow.graph.operators import Operator, OperatorSpec
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.reduce import make_reduce
from yarnflow.runtime.operators.registry import make_operator

CONTEXT = OperatorContext(
    job_id="0" * 32,
    task_name="task",
    execution_id="0" * 32,
    subtask_index=0,
    parallelism=1,
    max_parallelism=128,
    attempt=0,
    config={},
    runtime_context=None,  # type: ignore[arg-type]  # none of these operators has user functions
    send=lambda message: None,
)


def drive(operator: StreamOperator, batches: list[Batch]) -> list[Batch]:
    """Everything the operator emits for these batches and at the end of input."""
    emitted: list[Batch] = []
    operator.emit = emitted.append
    operator.open()
    try:
        for batch in batches:
            operator.process_batch(batch, 0)
        operator.end_input(0)
        operator.finish()
    finally:
        operator.close()
    return emitted


def run_columns(spec: OperatorSpec, batches: list[Batch]) -> list[Batch]:
    """What the columnar operator emits."""
    own = [copied(batch) if isinstance(batch, RowBatch) else batch for batch in batches]
    return drive(make_operator(Operator("0" * 32, "operator", spec), CONTEXT), own)


def run_rows(spec: OperatorSpec, batches: list[Batch]) -> list[Batch]:
    """What the row operator of an aggregate emits for the same records."""
    rows: list[Batch] = [copied(to_rows(batch)) for batch in batches]
    return drive(make_reduce(Operator("0" * 32, "operator", spec), CONTEXT), rows)


def records(batches: list[Batch]) -> list[Any]:
    """All records, in order."""
    return [row for batch in batches for row in to_rows(batch).rows]


def times(batches: list[Batch]) -> list[Any]:
    """All timestamps, in order; None for a record without."""
    found: list[Any] = []
    for batch in map(to_rows, batches):
        found += [None] * len(batch) if batch.timestamps is None else batch.timestamps
    return found


def columns_of(rows: list[Any], timestamps: list[int] | None = None, schema: Any = None) -> ColumnBatch:
    """Rows as a column batch."""
    return to_columns(RowBatch(list(rows), timestamps), schema)


def copied(batch: RowBatch) -> RowBatch:
    """A batch of its own for an operator that changes what it gets."""
    return RowBatch(list(batch.rows), None if batch.timestamps is None else list(batch.timestamps))
