"""Column batches as bytes, for channels between workers: Arrow's IPC stream format with one batch.

Timestamps travel as one more column; whether records are plain values, in the first byte.
"""

from __future__ import annotations

import pyarrow as pa

from yarnflow.functions.batch import ColumnBatch

_TIMES = "__yarnflow_timestamps__"


def to_bytes(batch: ColumnBatch) -> bytes:
    """Serialise a batch."""
    columns = batch.columns
    if batch.timestamps is not None:
        columns = columns.append_column(pa.field(_TIMES, pa.int64()), batch.timestamps)
    sink = pa.BufferOutputStream()
    # Buffers of Arrow's format are aligned to 8 bytes, so the flag is padded to 8.
    sink.write(bytes([batch.scalar]) + bytes(7))
    with pa.ipc.new_stream(sink, columns.schema) as writer:
        writer.write_batch(columns)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def from_bytes(data: bytes) -> ColumnBatch:
    """Reverse `to_bytes`. The columns refer to `data` and do not copy it."""
    buffer = pa.py_buffer(data)
    with pa.ipc.open_stream(buffer.slice(8)) as reader:
        columns = reader.read_next_batch()
    times = None
    if columns.schema.names and columns.schema.names[-1] == _TIMES:
        last = columns.num_columns - 1
        times = columns.column(last)
        columns = columns.remove_column(last)
    return ColumnBatch(columns, times, bool(data[0]))
