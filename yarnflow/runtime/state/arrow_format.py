"""Python values as Arrow columns, and back without a difference.

Values that are all exactly of one simple type become a column of that type, so that other programs can read a
savepoint; everything else is pickled, one value at a time. Which of the two stands in the field's metadata:

    encoding        Python values                         Arrow
    int, float, bool, str, bytes (or None)                int64, double, bool, large_string, large_binary
    tuple, row      tuples (Rows) of one shape            struct
    list, dict      of values that are not pickled        large_list, map
    window          TimeWindow                            struct<start, end>
    pickle          anything                              large_binary

"Exactly" means that True is no int, an int beyond 64 bits no int64, and a str subclass no string.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from yarnflow.common.types import Row, RowKind, make_row
from yarnflow.functions.windows.window import TimeWindow
from yarnflow.runtime.state.pickling import dump_all, load_all

#: Key in a field's metadata.
ENCODING = b"yarnflow.encoding"

#: Tuples and lists within each other beyond this depth are pickled: so is what contains itself.
_DEPTH = 4
#: Wider tuples are pickled.
_WIDTH = 64


class UnfitError(Exception):
    """The values are not what the encoding is for."""


class Encoding(ABC):
    """How values become a column. Equal encodings write equal columns."""

    type: pa.DataType

    @abstractmethod
    def encode(self, values: Sequence[Any]) -> pa.Array:
        """The column. Raises UnfitError when the values need another encoding."""

    @abstractmethod
    def decode(self, array: pa.Array) -> list[Any]:
        """The values."""

    @abstractmethod
    def description(self) -> Any:
        """What `from_description` makes it from again: JSON."""

    def boundaries(self, array: pa.Array) -> Any:
        """Where a value differs from the one before (numpy bool, one shorter); may say so too often."""
        return np.ones(max(len(array) - 1, 0), bool)

    def field(self, name: str) -> pa.Field:
        """The field that describes itself."""
        return pa.field(name, self.type, metadata={ENCODING: json.dumps(self.description()).encode()})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Encoding) and self.description() == other.description()

    def __hash__(self) -> int:
        return hash(json.dumps(self.description()))


class Atoms(Encoding):
    """Values of one simple type, or None."""

    _TYPES: ClassVar[dict[type, tuple[str, pa.DataType]]] = {
        int: ("int", pa.int64()),
        float: ("float", pa.float64()),
        bool: ("bool", pa.bool_()),
        str: ("str", pa.large_string()),
        bytes: ("bytes", pa.large_binary()),
    }

    def __init__(self, cls: type) -> None:
        self._name, self.type = self._TYPES[cls]
        self._allowed = frozenset({cls, type(None)})
        self._fill = None if cls in (str, bytes) else cls()

    def encode(self, values: Sequence[Any]) -> pa.Array:
        if not self._allowed.issuperset(map(type, values)):
            raise UnfitError
        try:
            return pa.array(values, self.type)
        except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError) as error:
            raise UnfitError from error  # beyond 64 bits, or half of a surrogate pair

    def decode(self, array: pa.Array) -> list[Any]:
        if self._fill is None or not array.null_count:
            values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
            return values
        values = array.fill_null(self._fill).to_numpy(zero_copy_only=False).tolist()
        for index in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist():
            values[index] = None
        return values

    def boundaries(self, array: pa.Array) -> Any:
        if array.null_count:
            return super().boundaries(array)
        return pc.not_equal(array[1:], array[:-1]).to_numpy(zero_copy_only=False)

    def description(self) -> Any:
        return self._name


class Pickled(Encoding):
    """Anything, each value by itself."""

    type = pa.large_binary()

    def encode(self, values: Sequence[Any]) -> pa.Array:
        return pa.array(dump_all(values), self.type)

    def decode(self, array: pa.Array) -> list[Any]:
        return load_all(array.to_numpy(zero_copy_only=False).tolist())

    def boundaries(self, array: pa.Array) -> Any:
        return pc.not_equal(array[1:], array[:-1]).to_numpy(zero_copy_only=False)

    def description(self) -> Any:
        return "pickle"


class Windows(Encoding):
    """TimeWindows."""

    type = pa.struct([("start", pa.int64()), ("end", pa.int64())])

    def encode(self, values: Sequence[Any]) -> pa.Array:
        if not {TimeWindow}.issuperset(map(type, values)):
            raise UnfitError
        starts = _INT.encode([window.start for window in values])
        ends = _INT.encode([window.end for window in values])
        return pa.StructArray.from_arrays([starts, ends], fields=list(self.type))

    def decode(self, array: pa.Array) -> list[Any]:
        return list(map(TimeWindow, *(_INT.decode(field) for field in array.flatten())))

    def boundaries(self, array: pa.Array) -> Any:
        starts, ends = (_INT.boundaries(field) for field in array.flatten())
        return starts | ends

    def description(self) -> Any:
        return "window"


class Tuples(Encoding):
    """Tuples of one length, or rows with the same names; each position a column of its own."""

    def __init__(self, parts: Sequence[Encoding], row: bool = False, names: Sequence[str] | None = None) -> None:
        self._parts = tuple(parts)
        self._row = row
        self._names = None if names is None else tuple(names)
        shown = self._names or [f"f{index}" for index in range(len(self._parts))]
        self.type = pa.struct([part.field(name) for name, part in zip(shown, self._parts, strict=True)])

    def encode(self, values: Sequence[Any]) -> pa.Array:
        if not {Row if self._row else tuple}.issuperset(map(type, values)):
            raise UnfitError
        if self._row and {(row._fields, row._row_kind) for row in values} - {(self._names, RowKind.INSERT)}:
            raise UnfitError
        if not {len(self._parts)}.issuperset(map(len, values)):
            raise UnfitError
        columns = zip(*values, strict=True) if values else [()] * len(self._parts)
        arrays = [part.encode(column) for part, column in zip(self._parts, columns, strict=True)]
        return pa.StructArray.from_arrays(arrays, fields=list(self.type))

    def decode(self, array: pa.Array) -> list[Any]:
        columns = [part.decode(field) for part, field in zip(self._parts, array.flatten(), strict=True)]
        if self._row:
            return [make_row(self._names, list(fields)) for fields in zip(*columns, strict=True)]
        return list(zip(*columns, strict=True))

    def description(self) -> Any:
        parts = [part.description() for part in self._parts]
        return {"row": parts, "names": self._names and list(self._names)} if self._row else {"tuple": parts}


class Lists(Encoding):
    """Lists of any length."""

    def __init__(self, items: Encoding) -> None:
        self._items = items
        self.type = pa.large_list(items.field("item"))

    def encode(self, values: Sequence[Any]) -> pa.Array:
        if not {list}.issuperset(map(type, values)):
            raise UnfitError
        items = self._items.encode(list(chain.from_iterable(values)))
        return pa.LargeListArray.from_arrays(pa.array(_offsets(values, np.int64)), items, type=self.type)

    def decode(self, array: pa.Array) -> list[Any]:
        items = self._items.decode(array.flatten())
        ends = np.cumsum(array.value_lengths().to_numpy(zero_copy_only=False)).tolist()
        return [items[start:end] for start, end in pairwise([0, *ends])]

    def description(self) -> Any:
        return {"list": self._items.description()}


class Dicts(Encoding):
    """Dicts of any size, with the order of their keys."""

    def __init__(self, keys: Encoding, values: Encoding) -> None:
        self._keys = keys
        self._values = values
        key = keys.field("key").with_nullable(False)
        self.type = pa.map_(key, values.field("value"))

    def encode(self, values: Sequence[Any]) -> pa.Array:
        if not {dict}.issuperset(map(type, values)):
            raise UnfitError
        keys = self._keys.encode(list(chain.from_iterable(values)))
        if keys.null_count:  # Arrow's maps have no such keys
            raise UnfitError
        items = self._values.encode(list(chain.from_iterable(value.values() for value in values)))
        return pa.MapArray.from_arrays(pa.array(_offsets(values, np.int32)), keys, items, type=self.type)

    def decode(self, array: pa.Array) -> list[Any]:
        offsets = array.offsets.to_numpy()
        first, count = int(offsets[0]), int(offsets[-1] - offsets[0])
        keys = self._keys.decode(array.keys.slice(first, count))
        items = self._values.decode(array.items.slice(first, count))
        return [
            dict(zip(keys[start:end], items[start:end], strict=True))
            for start, end in pairwise((offsets - first).tolist())
        ]

    def description(self) -> Any:
        return {"dict": [self._keys.description(), self._values.description()]}


PICKLED = Pickled()
_INT = Atoms(int)


def find_encoding(values: Sequence[Any]) -> Encoding:
    """An encoding for these values, and probably for others like them."""
    try:
        return _find(values, _DEPTH)
    except UnfitError:
        return PICKLED


def encode(values: Sequence[Any]) -> tuple[Encoding, pa.Array]:
    """Find the encoding and use it."""
    found = find_encoding(values)
    try:
        return found, found.encode(values)
    except UnfitError:
        return PICKLED, PICKLED.encode(values)


def _find(values: Sequence[Any], depth: int) -> Encoding:
    types = set(map(type, values))
    nullable = type(None) in types
    types.discard(type(None))
    if len(types) != 1:
        raise UnfitError
    (cls,) = types
    if cls in Atoms._TYPES:
        return Atoms(cls)
    finder = _FINDERS.get(cls)
    if nullable or finder is None or not depth:
        raise UnfitError
    return finder(values, depth - 1)


def _find_tuples(values: Sequence[Any], depth: int) -> Encoding:
    if len(set(map(len, values))) != 1 or not 0 < len(values[0]) <= _WIDTH:
        raise UnfitError
    parts = [_find(column, depth) for column in zip(*values, strict=True)]
    if isinstance(values[0], Row):
        names = values[0]._fields
        if names is not None and len(set(names)) != len(values[0]):
            raise UnfitError
        return Tuples(parts, True, names)
    return Tuples(parts)


def _find_lists(values: Sequence[Any], depth: int) -> Encoding:
    return Lists(_find(list(chain.from_iterable(values)), depth))


def _find_dicts(values: Sequence[Any], depth: int) -> Encoding:
    keys = _find(list(chain.from_iterable(values)), depth)
    return Dicts(keys, _find(list(chain.from_iterable(value.values() for value in values)), depth))


def _find_windows(values: Sequence[Any], depth: int) -> Encoding:
    return Windows()


_FINDERS: dict[type, Callable[[Sequence[Any], int], Encoding]] = {
    tuple: _find_tuples,
    Row: _find_tuples,
    list: _find_lists,
    dict: _find_dicts,
    TimeWindow: _find_windows,
}


def encoding_of(field: pa.Field) -> Encoding:
    """The encoding that a field describes. Raises ValueError for a field that does not."""
    metadata = field.metadata or {}
    if ENCODING not in metadata:
        raise ValueError(f"the column {field.name!r} does not say how its values are encoded")
    return from_description(json.loads(metadata[ENCODING]))


def from_description(description: Any) -> Encoding:
    """Reverse `Encoding.description`. Raises ValueError for another."""
    if description == "pickle":
        return PICKLED
    if description == "window":
        return Windows()
    for cls, (name, _) in Atoms._TYPES.items():
        if description == name:
            return Atoms(cls)
    if isinstance(description, dict):
        if "tuple" in description:
            return Tuples([from_description(part) for part in description["tuple"]])
        if "row" in description:
            return Tuples([from_description(part) for part in description["row"]], True, description["names"])
        if "list" in description:
            return Lists(from_description(description["list"]))
        if "dict" in description:
            return Dicts(*map(from_description, description["dict"]))
    raise ValueError(f"no encoding of state is called {description!r}")


def _offsets(values: Sequence[Any], dtype: Any) -> Any:
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=offsets[1:])
    if offsets[-1] > np.iinfo(dtype).max:
        raise UnfitError
    return offsets.astype(dtype)


# With the first list it converts pyarrow imports pandas, if there is one, for 0.2 s: rather now than while a
# checkpoint is taken.
pa.array([0])
