"""Column expressions: `col("distance") > 1000`, evaluated on whole columns.

Three node types only, so that evaluation (runtime/operators/columns/columnar.py) stays small. A stream of plain
values (numbers, lines) has one column named "value".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Column name of a stream whose records are plain values.
VALUE_COLUMN = "value"


class Expression:
    """Base of expressions; combines with Python's operators.

    >>> (col("delay") * 2 + 1 > lit(10)) & ~col("cancelled")
    and(greater(add(multiply(delay, 2), 1), 10), invert(cancelled))
    """

    def call(self, function: str, *arguments: Any) -> Expression:
        """Apply a function of runtime/operators/columns/columnar.py to this and further arguments."""
        return Call(function, (self, *map(_expression, arguments)))

    def _reversed(self, function: str, left: Any) -> Expression:
        return Call(function, (_expression(left), self))

    def __add__(self, other: Any) -> Expression:
        return self.call("add", other)

    def __radd__(self, other: Any) -> Expression:
        return self._reversed("add", other)

    def __sub__(self, other: Any) -> Expression:
        return self.call("subtract", other)

    def __rsub__(self, other: Any) -> Expression:
        return self._reversed("subtract", other)

    def __mul__(self, other: Any) -> Expression:
        return self.call("multiply", other)

    def __rmul__(self, other: Any) -> Expression:
        return self._reversed("multiply", other)

    def __truediv__(self, other: Any) -> Expression:
        return self.call("divide", other)

    def __rtruediv__(self, other: Any) -> Expression:
        return self._reversed("divide", other)

    def __floordiv__(self, other: Any) -> Expression:
        return self.call("floor_divide", other)

    def __mod__(self, other: Any) -> Expression:
        return self.call("modulo", other)

    def __eq__(self, other: Any) -> Expression:  # type: ignore[override]
        return self.call("equal", other)

    def __ne__(self, other: Any) -> Expression:  # type: ignore[override]
        return self.call("not_equal", other)

    def __lt__(self, other: Any) -> Expression:
        return self.call("less", other)

    def __le__(self, other: Any) -> Expression:
        return self.call("less_equal", other)

    def __gt__(self, other: Any) -> Expression:
        return self.call("greater", other)

    def __ge__(self, other: Any) -> Expression:
        return self.call("greater_equal", other)

    def __and__(self, other: Any) -> Expression:
        return self.call("and", other)

    def __or__(self, other: Any) -> Expression:
        return self.call("or", other)

    def __invert__(self) -> Expression:
        return self.call("invert")

    def __neg__(self) -> Expression:
        return self.call("negate")

    def is_null(self) -> Expression:
        """True where the value is missing."""
        return self.call("is_null")

    def is_not_null(self) -> Expression:
        """True where the value is present."""
        return self.call("is_valid")

    def fill_null(self, value: Any) -> Expression:
        """The value, or `value` where it is missing."""
        return self.call("fill_null", value)

    # -- of all values in a window --------------------------------------------------------------------------

    def sum(self) -> Aggregate:
        """The sum; missing values do not count. Null when all are missing."""
        return Aggregate("sum", self)

    def min(self) -> Aggregate:
        """The least value."""
        return Aggregate("min", self)

    def max(self) -> Aggregate:
        """The greatest value."""
        return Aggregate("max", self)

    def mean(self) -> Aggregate:
        """The arithmetic mean, a double."""
        return Aggregate("mean", self)

    def count(self) -> Aggregate:
        """How many values are not missing."""
        return Aggregate("count", self)

    def cast(self, type_name: str) -> Expression:
        """Convert to an Arrow type by its name ("int64", "string", "double", ...)."""
        return self.call("cast", type_name)

    def __bool__(self) -> bool:
        raise TypeError("a column expression has no truth value: use & | ~ instead of and, or, not")

    __hash__ = object.__hash__


@dataclass(frozen=True, eq=False)
class Column(Expression):
    """The column of that name."""

    name: str

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Literal(Expression):
    """A constant."""

    value: Any

    def __repr__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, eq=False)
class Call(Expression):
    """A named function of other expressions."""

    function: str
    arguments: tuple[Expression, ...]

    def __repr__(self) -> str:
        return f"{self.function}({', '.join(map(repr, self.arguments))})"


@dataclass(frozen=True, eq=False)
class Aggregate:
    """What a window on columns computes for one column of its result.

    Attributes:
        function: sum, min, max, mean, count, window_start or window_end.
        argument: of which values; None for `count()` and the bounds of the window.
    """

    function: str
    argument: Expression | None = None

    def __repr__(self) -> str:
        return f"{self.function}({'' if self.argument is None else repr(self.argument)})"


def count() -> Aggregate:
    """How many records a window has."""
    return Aggregate("count")


def window_start() -> Aggregate:
    """Where a window begins, ms since the epoch."""
    return Aggregate("window_start")


def window_end() -> Aggregate:
    """Where a window ends (exclusive), ms since the epoch."""
    return Aggregate("window_end")


def col(name: str) -> Column:
    """Refer to a column by name."""
    return Column(name)


def lit(value: Any) -> Literal:
    """A constant as an expression."""
    return Literal(value)


def _expression(value: Any) -> Expression:
    return value if isinstance(value, Expression) else Literal(value)
