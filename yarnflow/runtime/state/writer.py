"""Writes snapshots: one Arrow IPC stream per state, one after the other, into one file.

Columns of keyed state: `key`, `namespace` (when there are windows) and `value`; of timers the same, with their
times as values; of operator state `value`, of broadcast state `key` and `value`. How each is encoded stands in its
field (arrow_format.py). Record batches are bounded by rows and bytes, so that memory does not grow with the state.
When values turn up that do not fit the columns so far, the stream ends and another of the same name begins.

Key groups are not stored: they follow from the keys, and hardly any checkpoint is read at another parallelism than
it was written with (docs/adr/0007-asynchronous-snapshots.md).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from yarnflow.errors import ProgramError
from yarnflow.runtime.checkpoint.handles import StateBlock, StateKind
from yarnflow.runtime.state.arrow_format import PICKLED, Encoding, UnfitError, find_encoding
from yarnflow.runtime.state.snapshot import Chunk, KeyedPart, ListPart

#: Rows of the first record batch of a state, and bounds of the next ones.
_FIRST_ROWS = 256
_MAX_ROWS = 65_536
_MIN_ROWS = 16
#: What a record batch should have, in bytes.
_BATCH_BYTES = 4 * 1024 * 1024

#: So often may a state begin another stream before everything is pickled.
_MAX_STREAMS = 4

#: Called between two record batches; may raise to give up.
Check = Callable[[], None]

#: Operator id and one of its blocks.
Written = tuple[str, StateBlock]


def write_parts(
    keyed: Iterable[KeyedPart],
    lists: Iterable[ListPart],
    key_groups: tuple[int, int],
    stream: BinaryIO,
    offset: int = 0,
    check: Check = lambda: None,
) -> list[Written]:
    """Write states into a stream.

    Args:
        keyed: tables and timers; `chunks` is called once.
        lists: operator state.
        key_groups: first and last of the subtask.
        stream: binary; only written to.
        offset: bytes that the file holds already.
        check: called between record batches, to give up by raising.

    Returns the blocks by operator, with their place in the file but without its path. Raises what the stream
    raises, and ProgramError for a value that cannot be pickled.
    """
    written: list[Written] = []
    for part in keyed:
        target = _State(part.operator_id, part.name, part.kind, key_groups, part.details, stream, offset, check)
        for batch in _batches(part.chunks(), target.rows_wanted):
            target.write(batch)
        written += target.finish()
        offset = target.offset
    for item in lists:
        target = _State(item.operator_id, item.name, item.kind, None, item.details, stream, offset, check)
        for start, end in _slices(len(item.items), target.rows_wanted):
            target.write(_list_batch(item.kind, item.items[start:end]))
        written += target.finish()
        offset = target.offset
    return written


@dataclass
class _Batch:
    """Rows to be written together; `runs`: namespaces and how many rows each has."""

    values: Sequence[Any]
    keys: Sequence[Any] | None = None
    runs: list[tuple[Any, int]] = field(default_factory=list)


class _Counted:
    """A stream that knows how many bytes went through it, and their checksum."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.closed = False
        self.size = 0
        self.checksum = 0

    def write(self, data: Any) -> int:
        self._stream.write(data)
        self.checksum = zlib.crc32(data, self.checksum)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """The file is flushed when it is closed."""

    def close(self) -> None:
        """The file stays open for the next state."""


class _State:
    """Writes one state as one stream, or a few."""

    def __init__(
        self,
        operator_id: str,
        name: str,
        kind: StateKind,
        key_groups: tuple[int, int] | None,
        details: dict[str, str],
        stream: BinaryIO,
        offset: int,
        check: Check,
    ) -> None:
        self.offset = offset
        self._operator_id = operator_id
        self._name = name
        self._kind = kind
        self._key_groups = key_groups
        self._details = details
        self._file = stream
        self._check = check
        self._blocks: list[Written] = []
        self._encodings: dict[str, Encoding] = {}
        self._sink: _Counted | None = None
        self._writer: Any = None
        self._rows = 0
        self._wanted = _FIRST_ROWS

    def rows_wanted(self) -> int:
        """How many rows the next batch should have."""
        return self._wanted

    def write(self, batch: _Batch) -> None:
        """Write rows, in another stream when they do not fit."""
        self._check()
        columns: dict[str, pa.Array] = {}
        encodings: dict[str, Encoding] = {}
        if batch.keys is not None:
            encodings["key"], columns["key"] = self._encode("key", batch.keys)
        namespaces = [namespace for namespace, _ in batch.runs]
        if "namespace" in self._encodings or any(namespace is not None for namespace in namespaces):
            encodings["namespace"], column = self._encode("namespace", namespaces)
            counts = [count for _, count in batch.runs]
            columns["namespace"] = column.take(pa.array(np.repeat(np.arange(len(counts)), counts)))
        encodings["value"], columns["value"] = self._encode("value", batch.values)
        if self._writer is None or encodings != self._encodings:
            self._begin(encodings)
        record_batch = pa.RecordBatch.from_arrays(list(columns.values()), schema=self._schema)
        self._writer.write_batch(record_batch)
        self._rows += len(record_batch)
        per_row = max(record_batch.nbytes // len(record_batch), 1)
        self._wanted = max(_MIN_ROWS, min(_MAX_ROWS, _BATCH_BYTES // per_row, self._wanted * 8))

    def finish(self) -> list[Written]:
        """End the last stream; returns all of them."""
        if self._writer is not None:
            assert self._sink is not None
            self._writer.close()
            block = StateBlock(
                name=self._name,
                kind=self._kind,
                rows=self._rows,
                size=self._sink.size,
                checksum=self._sink.checksum,
                key_groups=self._key_groups,
                offset=self.offset,
                details=self._details,
            )
            self._blocks.append((self._operator_id, block))
            self.offset += self._sink.size
            self._writer = None
        return self._blocks

    def _encode(self, column: str, values: Sequence[Any]) -> tuple[Encoding, pa.Array]:
        try:
            return self._encoded(column, values)
        except ProgramError as error:
            raise ProgramError(f"state {self._name!r}: {error}") from error

    def _encoded(self, column: str, values: Sequence[Any]) -> tuple[Encoding, pa.Array]:
        known = self._encodings.get(column)
        if known is not None:
            try:
                return known, known.encode(values)
            except UnfitError:
                pass  # another encoding then
        if len(self._blocks) + 1 < _MAX_STREAMS:
            found = find_encoding(values)
            try:
                return found, found.encode(values)
            except UnfitError:
                pass
        return PICKLED, PICKLED.encode(values)

    def _begin(self, encodings: dict[str, Encoding]) -> None:
        self.finish()
        self._encodings = encodings
        self._rows = 0
        self._schema = pa.schema(
            [encoding.field(name) for name, encoding in encodings.items()],
            metadata={"yarnflow.state": self._name, "yarnflow.kind": self._kind.value},
        )
        self._sink = _Counted(self._file)
        # Allocations from malloc, which a forked child may use whatever other threads did when it was forked.
        options = pa.ipc.IpcWriteOptions(use_threads=False)
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._sink, mode="w"), self._schema, options=options)


def _batches(chunks: Iterable[Chunk], rows_wanted: Callable[[], int]) -> Iterator[_Batch]:
    """Cut chunks into batches of the wanted size: parts of a large one, several small ones together."""
    keys: list[Any] = []
    values: list[Any] = []
    runs: list[tuple[Any, int]] = []
    for namespace, chunk_keys, chunk_values in chunks:
        position, end = 0, len(chunk_keys)
        while position < end:
            upto = min(end, position + rows_wanted() - len(keys))
            keys += chunk_keys[position:upto]
            values += chunk_values[position:upto]
            runs.append((namespace, upto - position))
            position = upto
            if len(keys) >= rows_wanted():
                yield _Batch(values, keys, runs)
                keys, values, runs = [], [], []
    if keys:
        yield _Batch(values, keys, runs)


def _slices(length: int, rows_wanted: Callable[[], int]) -> Iterator[tuple[int, int]]:
    start = 0
    while start < length:
        end = min(length, start + rows_wanted())
        yield start, end
        start = end


def _list_batch(kind: StateKind, items: list[Any]) -> _Batch:
    if kind is StateKind.BROADCAST:
        return _Batch([value for _, value in items], [key for key, _ in items])
    return _Batch(items)
