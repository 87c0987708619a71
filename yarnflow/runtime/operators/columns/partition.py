"""Hash partitioning of columns: equal keys to the channel that the row path sends them to.

Integers are hashed as vectors with the arithmetic of `graph.key_groups.mix`; of other keys each distinct
value of a batch is hashed once, and not again as long as it is remembered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from yarnflow.functions.batch import ColumnBatch
from yarnflow.functions.columns import column_index, python_values
from yarnflow.graph.key_groups import stable_hash

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)

#: Python's hash of an int is the int itself below this (sys.hash_info.modulus on 64-bit builds).
IDENTITY = (1 << 61) - 1

#: Distinct keys whose hash is remembered.
_REMEMBERED = 100_000

_hashes: dict[Any, int] = {}


def partition(batch: ColumnBatch, key: int | str, channels: int, max_parallelism: int) -> list[ColumnBatch]:
    """Split a batch by key: one part per channel, possibly empty, in the order of the records.

    Args:
        batch: the records.
        key: the key field's name or position.
        channels: number of consumer subtasks.
        max_parallelism: number of key groups.
    """
    hashes = _hash_column(batch.columns.column(column_index(batch.columns, key)))
    targets = hashes % max_parallelism * channels // max_parallelism
    parts = []
    for channel in range(channels):
        rows = pa.array(np.flatnonzero(targets == channel))
        if len(rows) == len(batch):
            parts.append(batch)
            continue
        times = batch.timestamps
        parts.append(
            ColumnBatch(batch.columns.take(rows), None if times is None else times.take(rows), batch.scalar)
        )
    return parts


def _hash_column(column: pa.Array) -> Any:
    """`stable_hash` of each value, as numpy int64."""
    if pa.types.is_integer(column.type) and not column.null_count and len(column):
        values = column.to_numpy()
        # Both bounds as Python ints: a numpy comparison would round uint64 with negative bounds.
        if int(values.min()) > -IDENTITY and int(values.max()) < IDENTITY:
            return hash_integers(values.astype(np.int64))
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = column.dictionary_encode(null_encoding="encode")
    if len(_hashes) > _REMEMBERED:
        _hashes.clear()
    unique = np.array([_hash(value) for value in python_values(encoded.dictionary)], np.int64)
    return unique[encoded.indices.to_numpy()]


def hash_integers(values: Any) -> Any:
    """`stable_hash` of integers that are below IDENTITY in magnitude; numpy int64 in and out."""
    bits = np.where(values == -1, -2, values).astype(np.uint64)  # hash(-1) is -2
    return (((bits ^ (bits >> _HALF)) * _GOLDEN) >> _HALF).astype(np.int64)


def _hash(value: Any) -> int:
    try:
        found = _hashes.get(value)
    except TypeError:
        return stable_hash(value)  # raises, saying why it cannot be a key
    if found is None:
        found = _hashes[value] = stable_hash(value)
    return found
