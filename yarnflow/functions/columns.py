"""Rows to columns and back.

The only place that says which Arrow columns a list of Python records becomes and which records columns
stand for, so that a record is the same whichever way it went.

    record                  columns
    Row with names, dict    one per name
    Row without names       f0, f1, ...
    tuple, list             f0, f1, ...; the schema is marked, so that tuples come back
    any other value         "value", with `ColumnBatch.scalar`

pyarrow is heavy to import: only code that has columns, or makes them, imports this module.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from yarnflow.common.types import Row, make_row
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.expressions import VALUE_COLUMN

# A slot is a process with one core to itself: Arrow's own threads would only fight over it. Reading ahead of
# remote files needs a few threads that mostly wait.
pa.set_cpu_count(1)
pa.set_io_thread_count(4)

# glibc gives freed memory back to the system once it exceeds a few hundred kB, and each batch would fault its
# pages in again: measured, half of the time of a chain on numpy. M_TRIM_THRESHOLD (-1) and M_MMAP_THRESHOLD (-3)
# let the process keep up to 64 MiB. Other C libraries have no such call, and need none.
with suppress(OSError, AttributeError):
    _libc = ctypes.CDLL(None)
    _libc.mallopt(-1, 64 * 1024 * 1024)
    _libc.mallopt(-3, 32 * 1024 * 1024)

#: Schema metadata of columns whose records are tuples. It stays with the columns through filter, take and IPC.
TUPLES = {b"yarnflow.record": b"tuple"}

#: Rows of a column batch that a source or an aggregate makes: large enough that the cost of a kernel call
#: vanishes, and codes within a batch fit 16 bits (which numpy sorts by radix).
COLUMN_BATCH = 65536


def is_tuples(schema: pa.Schema) -> bool:
    """Whether the records of these columns are tuples."""
    return schema.metadata is not None and schema.metadata.get(b"yarnflow.record") == b"tuple"


def python_values(array: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values as Python objects: what a record made of columns holds, and what a key is.

    Times are datetime objects, which have microseconds: nanoseconds are cut off.
    """
    kind = array.type
    if (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and not array.null_count:
        values: list[Any] = array.to_numpy().tolist()  # several times faster than to_pylist
        return values
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        array = array.cast(pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_duration(kind) and kind.unit == "ns":
        array = array.cast(pa.duration("us"), safe=False)
    elif pa.types.is_time64(kind) and kind.unit == "ns":
        array = array.cast(pa.time64("us"), safe=False)
    return array.to_pylist()  # type: ignore[no-any-return]


def to_rows(batch: Batch) -> RowBatch:
    """The records of a batch as Python objects; a RowBatch is returned as it is."""
    if isinstance(batch, RowBatch):
        return batch
    columns = [python_values(column) for column in batch.columns.columns]
    times = None if batch.timestamps is None else batch.timestamps.to_pylist()
    rows: list[Any]
    if batch.scalar:
        rows = columns[0]
    elif is_tuples(batch.columns.schema):
        rows = list(zip(*columns, strict=True))
    else:
        names = tuple(batch.columns.schema.names)
        rows = [make_row(names, list(values)) for values in zip(*columns, strict=True)]
        if not columns:
            rows = [make_row(names, []) for _ in range(len(batch))]
    return RowBatch(rows, times)


def to_columns(batch: Batch, schema: pa.Schema | None = None) -> ColumnBatch:
    """The records of a batch as columns; a ColumnBatch is returned as it is.

    Args:
        batch: not empty.
        schema: names and types of the columns; found from the values when None.

    Raises:
        ProgramError: the records do not fit into columns: fields of one name hold different types, or
            records have different fields.
    """
    if isinstance(batch, ColumnBatch):
        return batch
    rows = batch.rows
    first = rows[0] if rows else None
    scalar = False
    metadata = None
    try:
        if isinstance(first, Row):
            names = first._fields
            if names is None:
                names = _numbered(len(first))
                values = list(zip(*(row._values for row in rows), strict=True))
            elif all(row._fields == names for row in rows):
                values = list(zip(*(row._values for row in rows), strict=True))
            else:
                values = list(zip(*(row.get_fields_by_names(names) for row in rows), strict=True))
        elif isinstance(first, dict):
            names = tuple(first)
            values = [tuple(row.get(name) for row in rows) for name in names]
        elif isinstance(first, (tuple, list)):
            names = tuple(getattr(first, "_fields", ())) or _numbered(len(first))
            values = list(zip(*rows, strict=True))
            metadata = TUPLES
        else:
            names, values, scalar = (VALUE_COLUMN,), [tuple(rows)], True
        if schema is not None:
            if not scalar and isinstance(first, (tuple, list)):
                names = tuple(schema.names)
            arrays = _typed(dict(zip(names, values, strict=True)), schema, len(rows))
            columns = pa.RecordBatch.from_arrays(arrays, schema=schema.with_metadata(metadata))
        else:
            arrays = [pa.array(column) for column in values]
            columns = pa.RecordBatch.from_arrays(arrays, names=list(names), metadata=metadata)
    except (pa.ArrowException, TypeError, ValueError, KeyError, OverflowError, AttributeError) as error:
        raise ProgramError(
            f"these records cannot become columns: {error}. Each field needs one type in all records, and all "
            f"records the same fields; the first record is {first!r}. Use map, filter and key_by with Python "
            "functions for such data."
        ) from error
    times = None if batch.timestamps is None else pa.array(batch.timestamps, pa.int64())
    return ColumnBatch(columns, times, scalar)


def column_index(columns: pa.RecordBatch, field: int | str) -> int:
    """The position of a field given by name or position.

    Raises ProgramError when there is no such column, naming those that are.
    """
    names: Sequence[str] = columns.schema.names
    if isinstance(field, int):
        if -len(names) <= field < len(names):
            return field % len(names)
    elif names.count(field) == 1:
        return names.index(field)
    raise ProgramError(f"there is no column {field!r}: the columns are {', '.join(names)}")


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"f{index}" for index in range(count))


def _typed(values: dict[str, Sequence[Any]], schema: pa.Schema, count: int) -> list[pa.Array]:
    missing = [name for name in schema.names if name not in values]
    if missing:
        raise KeyError(f"no field {missing[0]!r} in the record")
    return [pa.array(values[field.name], field.type) for field in schema]
