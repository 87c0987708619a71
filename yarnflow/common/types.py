"""`Row`: a record of ordered, optionally named fields, with a kind that says how it changes a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

__all__ = ["Row", "RowKind"]


class RowKind(Enum):
    """What a row does to the table it belongs to."""

    INSERT = 0
    UPDATE_BEFORE = 1
    UPDATE_AFTER = 2
    DELETE = 3

    def __str__(self) -> str:
        return _SHORT_NAMES[self]


_SHORT_NAMES = {
    RowKind.INSERT: "+I",
    RowKind.UPDATE_BEFORE: "-U",
    RowKind.UPDATE_AFTER: "+U",
    RowKind.DELETE: "-D",
}
_INSERT = RowKind.INSERT


class Row:
    """A record. Fields are read by position, by name in brackets, or as attributes.

    >>> person = Row(name="Alice", age=11)
    >>> person.name, person["age"], person[1]
    ('Alice', 11, 11)
    >>> Person = Row("name", "age")
    >>> Person("Bob", 12)
    Row(name='Bob', age=12)
    >>> Row(1, "x")
    <Row(1, 'x')>

    `in` looks among the names of a row that has some, and among the values of one that has none.
    Rows are equal when kind, names and the values by name are. They can be hashed although they can be
    changed: do not change a row that serves as a key.
    """

    # No per-row dictionary: a row costs about as much as the list inside it.
    __slots__ = ("_fields", "_row_kind", "_values")

    _fields: tuple[str, ...] | None
    _row_kind: RowKind
    _values: list[Any]

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        if kwargs:
            if args:
                raise ValueError("a Row takes either values or named values, not both")
            self._fields = tuple(kwargs)
            self._values = list(kwargs.values())
        else:
            self._fields = None
            self._values = list(args)
        self._row_kind = _INSERT

    @staticmethod
    def of_kind(row_kind: RowKind, *args: Any, **kwargs: Any) -> Row:
        """Make a row of that kind."""
        row = Row(*args, **kwargs)
        row._row_kind = row_kind
        return row

    def as_dict(self, recursive: bool = False) -> dict[str, Any]:
        """Return the fields by name; `recursive` also turns rows inside fields, lists and dicts.

        Raises TypeError for a row without names.
        """
        if self._fields is None:
            raise TypeError(f"{self!r} has no field names, so it cannot become a dict")
        values = map(_plain, self._values) if recursive else self._values
        return dict(zip(self._fields, values, strict=False))

    def get_row_kind(self) -> RowKind:
        """Return the kind."""
        return self._row_kind

    def set_row_kind(self, row_kind: RowKind) -> None:
        """Change the kind."""
        self._row_kind = row_kind

    def set_field_names(self, field_names: Sequence[str]) -> None:
        """Name the fields, in order."""
        self._fields = tuple(field_names)

    def get_fields_by_names(self, names: Sequence[str]) -> list[Any]:
        """Return the values of those names; all values when the row has no names.

        Raises KeyError when a name is not there.
        """
        if self._fields is None or tuple(names) == self._fields:
            return self._values
        missing = [name for name in names if name not in self._fields]
        if missing:
            raise KeyError(f"no fields {missing}: the row has {list(self._fields)}")
        return [self._values[self._fields.index(name)] for name in names]

    def __contains__(self, item: object) -> bool:
        return item in (self._values if self._fields is None else self._fields)

    def __call__(self, *args: Any) -> Row:
        if len(args) > len(self._values):
            raise ValueError(f"{self!r} names {len(self._values)} fields, and got {len(args)} values")
        return make_row(tuple(self._values), list(args), self._row_kind)

    def _index(self, name: Any) -> int:
        """Position of a name. Raises ValueError, as PyFlink does."""
        if self._fields is not None and name in self._fields:
            return self._fields.index(name)
        raise ValueError(
            f"no field {name!r}: the row has "
            + ("no field names" if self._fields is None else f"the fields {list(self._fields)}")
        )

    def __getitem__(self, item: Any) -> Any:
        if item.__class__ is str and self._fields is not None:
            try:
                return self._values[self._fields.index(item)]
            except ValueError:
                pass  # _index says what is wrong
        elif isinstance(item, (int, slice)):
            return self._values[item]
        return self._values[self._index(item)]

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, (int, slice)):
            self._values[key] = value
        else:
            self._values[self._index(key)] = value

    def __getattr__(self, name: str) -> Any:
        # Only reached when no slot or method has that name.
        if name[0] != "_":
            try:
                return self._values[self._fields.index(name)]  # type: ignore[union-attr]
            except (ValueError, AttributeError):
                pass  # no such name, or no names at all
        raise AttributeError(name)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._fields is None and self._row_kind is _INSERT:
            return Row, tuple(self._values)
        if self._row_kind is _INSERT:
            return make_row, (self._fields, self._values)
        return make_row, (self._fields, self._values, self._row_kind)

    def __copy__(self) -> Row:
        return make_row(self._fields, self._values.copy(), self._row_kind)

    def __repr__(self) -> str:
        if self._fields is None:
            return f"<Row({', '.join(map(repr, self._values))})>"
        named = [f"{name}={value!r}" for name, value in zip(self._fields, self._values, strict=False)]
        return f"Row({', '.join(named)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return False
        if self._row_kind is not other._row_kind:
            return False
        if self._fields == other._fields:
            return self._values == other._values
        if self._fields is None or other._fields is None or sorted(self._fields) != sorted(other._fields):
            return False
        return self._values == other.get_fields_by_names(self._fields)

    def __hash__(self) -> int:
        # Rows with the same named values in another order are equal, so names decide the order here.
        if self._fields is None:
            return hash(tuple(self._values))
        return hash(tuple(value for _, value in sorted(zip(self._fields, self._values, strict=False), key=_first)))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def make_row(fields: tuple[str, ...] | None, values: list[Any], kind: RowKind = _INSERT) -> Row:
    """Make a row around `values` itself: the quick way, for code that makes many."""
    row = Row.__new__(Row)
    row._fields = fields
    row._values = values
    row._row_kind = kind
    return row


def _first(pair: tuple[str, Any]) -> str:
    return pair[0]


def _plain(value: Any) -> Any:
    if isinstance(value, Row):
        return value.as_dict(recursive=True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
