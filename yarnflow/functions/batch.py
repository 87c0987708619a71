"""Batches: the unit of all data in yarnflow.

A batch is either a list of Python objects or a set of Arrow columns, each with optional event
timestamps. Operators declare which of the two they take; the chain converts once at the border.
Sources produce batches, sinks take them, so the types live here, below both the API and the runtime.
pyarrow is not imported: `ColumnBatch` only holds what a columnar source made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    import pyarrow as pa


class RowBatch:
    """Python objects in order, one per record.

    Attributes:
        rows: the records. Whoever receives a batch owns the list and may change it.
        timestamps: event time of each record in ms since the epoch, as long as `rows`; None when the
            stream carries no event time.
    """

    __slots__ = ("rows", "timestamps")

    def __init__(self, rows: list[Any], timestamps: list[int] | None = None) -> None:
        self.rows = rows
        self.timestamps = timestamps

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"RowBatch({len(self.rows)} rows)"


class ColumnBatch:
    """Arrow columns.

    Attributes:
        columns: a pyarrow.RecordBatch.
        timestamps: a pyarrow int64 array of ms since the epoch, or None.
        scalar: True when a record *is* the value of the only column (a line, a number); False when a
            record is a `Row` with the columns as fields.
    """

    __slots__ = ("columns", "scalar", "timestamps")

    def __init__(
        self, columns: pa.RecordBatch, timestamps: pa.Array | None = None, scalar: bool = False
    ) -> None:
        self.columns = columns
        self.timestamps = timestamps
        self.scalar = scalar

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    def __repr__(self) -> str:
        return f"ColumnBatch({self.columns.num_rows} rows of {self.columns.schema.names})"


Batch = Union[RowBatch, ColumnBatch]  # noqa: UP007 - evaluated at run time
