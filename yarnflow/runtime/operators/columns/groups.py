"""Groups the rows of a column batch by key, and accumulates within groups.

Keys get numbers (*ids*) in the order in which they first appear, so that what is known of a key is an
element of an array. Each batch is grouped by Arrow's hash table; Python sees each distinct key of a batch once.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from yarnflow.functions.columns import python_values

#: Groups longer than this are accumulated one by one, shorter ones all at once, element by element.
_LONG_GROUP = 128


class Groups:
    """The rows of one batch by key.

    Attributes:
        ids: key id of each group.
        codes: group of each row.
        new: groups whose key was not known before; their ids follow the known ones.
    """

    def __init__(self, ids: Any, codes: Any, new: Any) -> None:
        self.ids = ids
        self.codes = codes
        self.new = new

    @cached_property
    def row_ids(self) -> Any:
        """Key id of each row."""
        return self.ids[self.codes]

    @cached_property
    def counts(self) -> Any:
        """Rows per group."""
        return np.bincount(self.codes, minlength=len(self.ids))

    @cached_property
    def starts(self) -> Any:
        """Where each group starts in `order`."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def order(self) -> Any:
        """Row numbers by group, in their order within each."""
        # numpy sorts 16-bit integers by radix: seven times faster than wider ones.
        codes = self.codes.astype(np.uint16) if len(self.ids) <= 1 << 16 else self.codes
        return np.argsort(codes, kind="stable")

    @cached_property
    def first_rows(self) -> Any:
        """The first row of each group."""
        first = np.empty(len(self.ids), np.int64)
        last = len(self.codes) - 1
        first[self.codes[::-1]] = np.arange(last, -1, -1)  # the last assignment to an element stays
        return first

    def spread(self, per_group: Any) -> Any:
        """One value per group, repeated for its rows in `order`."""
        return np.repeat(per_group, self.counts)

    def restore(self, ordered: Any) -> Any:
        """Values in `order`, in the order of the batch."""
        result = np.empty_like(ordered)
        result[self.order] = ordered
        return result


class KeyIds(dict[Any, int]):
    """Numbers keys: a dict from a key, as Python value, to its id; asking for a new key numbers it."""

    def __missing__(self, key: Any) -> int:
        self[key] = number = len(self)
        return number

    def group(self, column: pa.Array) -> Groups:
        """Group the rows of a key column. Its type must not be nested: lists and structs are no keys."""
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        encoded = column.dictionary_encode(null_encoding="encode")
        known = len(self)
        # The one loop over Python objects; map() keeps it in C.
        found = list(map(self.__getitem__, python_values(encoded.dictionary)))
        ids = np.array(found, np.int64)
        codes = encoded.indices.to_numpy()
        if pa.types.is_floating(column.type) and len(set(found)) < len(found):
            # 0.0 and -0.0 are one key in Python and two for Arrow.
            ids, merged = _merge(ids)
            codes = merged[codes]
        return Groups(ids, codes, np.flatnonzero(ids >= known))


def _merge(ids: Any) -> tuple[Any, Any]:
    """Distinct ids in order of first appearance, and the new group of each old one."""
    unique, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    position = np.empty_like(by_appearance)
    position[by_appearance] = np.arange(len(unique))
    return unique[by_appearance], position[inverse]


def accumulate(function: Any, values: Any, starts: Any, counts: Any) -> None:
    """Running results within groups, in place and strictly one after the other, so that sums of floats are those
    of a loop.

    Args:
        function: a numpy ufunc of two arguments.
        values: ordered by group.
        starts: first element of each group.
        counts: elements of each group, at least 1.
    """
    long = counts > _LONG_GROUP
    for start, count in zip(starts[long].tolist(), counts[long].tolist(), strict=True):
        group = values[start : start + count]
        function.accumulate(group, out=group)
    at, left = starts[~long], counts[~long] - 1
    while True:
        more = left > 0
        if not more.any():
            return
        at, left = at[more] + 1, left[more] - 1
        values[at] = function(values[at - 1], values[at])


def grown(array: Any, size: int) -> Any:
    """The array, or a copy at least twice as large with zeros at the end, so that it has `size` elements."""
    if len(array) >= size:
        return array
    larger = np.zeros(max(size, 2 * len(array), 1024), array.dtype)
    larger[: len(array)] = array
    return larger
