"""Event times read from columns. Imports pyarrow: only where columns are at hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch
from yarnflow.functions.columns import column_index, to_columns
from yarnflow.functions.expressions import Expression
from yarnflow.runtime.operators.columns.expressions import evaluate

#: Multiply and divide by.
_TO_MILLISECONDS = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}


def column_times(field: Any, batch: Batch) -> pa.Array:
    """Timestamps of all records in ms since the epoch, int64, from a field (name or position) or an expression.

    Raises ProgramError when it is no time, or missing in a record.
    """
    columns = to_columns(batch).columns
    if isinstance(field, Expression):
        values = evaluate(field, columns)
    else:
        values = columns.column(column_index(columns, field))
    if values.null_count:
        row = pc.index(pc.is_null(values), True).as_py()
        shown = columns.slice(row, 1).to_pylist()[0]
        raise ProgramError(f"a record has no timestamp: {field!r} is null in {shown}")
    kind = values.type
    if pa.types.is_timestamp(kind):
        return _scaled(values.cast(pa.int64()), *_TO_MILLISECONDS[kind.unit])
    if pa.types.is_date(kind):
        return values.cast(pa.date64()).cast(pa.int64())
    if pa.types.is_integer(kind):
        try:
            return values.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise ProgramError(f"the timestamps in {field!r} do not fit into 64 bits: {error}") from error
    raise ProgramError(
        f"the timestamps are to be read from {field!r}, which is a column of {kind}: it must hold integers "
        "(milliseconds since 1970-01-01 UTC), dates or timestamps"
    )


def newest(times: pa.Array) -> int:
    """The largest of some timestamps."""
    largest: int = pc.max(times).as_py()
    return largest


def _scaled(values: pa.Array, factor: int, divisor: int) -> pa.Array:
    """Rounded down; Arrow's own casts cut off towards zero, which differs before 1970."""
    if factor == divisor:
        return values
    return pa.array(values.to_numpy() * factor // divisor, pa.int64())
