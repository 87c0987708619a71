"""Reads the blocks of a checkpoint: checks them, and gives their columns as Python values.

A block is read twice when it is large: once for its checksum (damaged Arrow or pickle data must not be
interpreted), once for its record batches, so that memory does not grow with the state.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from yarnflow import fs
from yarnflow.errors import CheckpointCorruptedError, FileMissingError, PathIsDirectoryError
from yarnflow.graph.key_groups import stable_hash
from yarnflow.runtime.checkpoint.handles import StateBlock
from yarnflow.runtime.checkpoint.paths import resolve
from yarnflow.runtime.operators.columns.partition import IDENTITY, hash_integers
from yarnflow.runtime.state.arrow_format import encoding_of

#: Blocks up to this size are read once, into memory.
_WHOLE = 64 * 1024 * 1024

_CHUNK = 4 * 1024 * 1024


class Rows:
    """A record batch of a block."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch

    def column(self, name: str) -> list[Any]:
        """The values of a column."""
        index = self.batch.schema.get_field_index(name)
        return encoding_of(self.batch.schema.field(index)).decode(self.batch.column(index))

    def filter(self, mask: Any) -> Rows:
        """The rows where the mask (numpy bool) is true."""
        return Rows(self.batch.filter(pa.array(mask)))

    def namespaces(self) -> list[tuple[Any, int]]:
        """Namespaces, and how many rows in a row belong to each; [(None, all)] when there are none."""
        index = self.batch.schema.get_field_index("namespace")
        if index < 0:
            return [(None, len(self.batch))]
        encoding = encoding_of(self.batch.schema.field(index))
        column = self.batch.column(index)
        starts = np.concatenate([[0], np.flatnonzero(encoding.boundaries(column)) + 1])
        counts = np.diff(np.append(starts, len(column))).tolist()
        return list(zip(encoding.decode(column.take(pa.array(starts))), counts, strict=True))

    def hashes(self, keys: list[Any]) -> Any:
        """`stable_hash` of each of the keys, which are the decoded key column, as numpy int64."""
        column = self.batch.column("key")
        if pa.types.is_integer(column.type) and not column.null_count:
            values = column.to_numpy()
            if int(values.min()) > -IDENTITY and int(values.max()) < IDENTITY:
                return hash_integers(values)
        return np.fromiter(map(stable_hash, keys), np.int64, len(keys))


def read_block(block: StateBlock, directory: str) -> Iterator[Rows]:
    """The record batches of a block, after all of it was checked.

    Args:
        block: an Arrow IPC stream.
        directory: URI that relative paths start from.

    Raises:
        CheckpointCorruptedError: the file is missing, or not what was written; names it.
        FileSystemError: the file system cannot be reached, or refuses.
    """
    if not block.path:
        _check(zlib.crc32(block.data), len(block.data), block, f"the metadata in {directory}")
        yield from _batches(io.BytesIO(block.data))
        return
    uri = resolve(directory, block.path)
    system, path = fs.get(uri)
    try:
        if block.size <= _WHOLE:
            with system.open_read(path, block.offset) as stream:
                data = _read_fully(stream, block.size)
            _check(zlib.crc32(data), len(data), block, uri)
            yield from _batches(io.BytesIO(data))
            return
        with system.open_read(path, block.offset) as stream:
            _check(*_checksum(stream, block.size), block, uri)
        with system.open_read(path, block.offset) as stream:
            yield from _batches(stream)
    except (FileMissingError, PathIsDirectoryError) as error:
        raise _missing(block, uri) from error


def read_schema(block: StateBlock, directory: str) -> pa.Schema:
    """The schema of a block, which is not checked. Raises as `read_block`."""
    if not block.path:
        return pa.ipc.read_schema(pa.py_buffer(block.data))
    uri = resolve(directory, block.path)
    system, path = fs.get(uri)
    try:
        with system.open_read(path, block.offset) as stream, pa.PythonFile(stream, mode="r") as source:
            return pa.ipc.read_schema(source)
    except (FileMissingError, PathIsDirectoryError) as error:
        raise _missing(block, uri) from error
    except pa.ArrowInvalid as error:
        raise CheckpointCorruptedError(
            f"the checkpoint file {uri} is damaged: {error}. Use another checkpoint or savepoint", uri
        ) from error


def _missing(block: StateBlock, uri: str) -> CheckpointCorruptedError:
    return CheckpointCorruptedError(
        f"the checkpoint file {uri} is missing, which holds state {block.name!r}: use another checkpoint or "
        "savepoint",
        uri,
    )


def _batches(stream: BinaryIO) -> Iterator[Rows]:
    with pa.ipc.open_stream(pa.PythonFile(stream, mode="r")) as reader:
        for batch in reader:
            if len(batch):
                yield Rows(batch)


def _check(checksum: int, size: int, block: StateBlock, where: str) -> None:
    if size != block.size:
        raise CheckpointCorruptedError(
            f"the checkpoint file {where} is too short: state {block.name!r} has {block.size} bytes from position "
            f"{block.offset}, and {size} are there: use another checkpoint or savepoint",
            where,
        )
    if checksum != block.checksum:
        raise CheckpointCorruptedError(
            f"the checkpoint file {where} is damaged: the checksum of state {block.name!r} ({block.size} bytes "
            f"from position {block.offset}) is {checksum:08x}, and was {block.checksum:08x}. Use another "
            "checkpoint or savepoint",
            where,
        )


def _checksum(stream: BinaryIO, size: int) -> tuple[int, int]:
    checksum = read = 0
    while read < size and (data := stream.read(min(_CHUNK, size - read))):
        checksum = zlib.crc32(data, checksum)
        read += len(data)
    return checksum, read


def _read_fully(stream: BinaryIO, size: int) -> bytes:
    parts = []
    while size and (data := stream.read(size)):
        parts.append(data)
        size -= len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)
