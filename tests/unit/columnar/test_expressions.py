"""Expressions on columns mean what the same Python expression means for each record."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from yarnflow.errors import ProgramError
from yarnflow.functions.expressions import Expression, col, lit
from yarnflow.runtime.operators.columns.expressions import evaluate

INTEGERS = st.integers(-(2**31), 2**31) | st.integers(-5, 5)
FLOATS = st.floats(-1e6, 1e6)
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, name)
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "eq", "ne", "lt", "le", "gt", "ge")
}


def values(expression: Expression, **columns: Any) -> list[Any]:
    """The expression over columns given as lists or arrays."""
    return evaluate(expression, pa.record_batch(columns)).to_pylist()


def model(function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """What one record gives: null for null and for integer division by zero, IEEE for division."""
    if left is None or right is None:
        return None
    try:
        return function(left, right)
    except ZeroDivisionError:
        if function is operator.truediv:
            return math.nan if left == 0 else math.copysign(math.inf, left) * math.copysign(1, right)
        if isinstance(left, int) and isinstance(right, int):
            return None
        return "unspecified"


def same(left: Any, right: Any) -> bool:
    """Equal, NaN included; floats to the last few digits of a floor."""
    if right == "unspecified":
        return True
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, abs_tol=1e-9)
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


@pytest.mark.parametrize("name", OPERATORS)
@given(pairs=st.lists(st.tuples(INTEGERS | st.none(), INTEGERS | st.none()), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_integers(name: str, pairs: list[tuple[Any, Any]]) -> None:
    left, right = (pa.array(side, pa.int64()) for side in zip(*pairs, strict=True))
    got = values(OPERATORS[name](col("a"), col("b")), a=left, b=right)
    expected = [model(OPERATORS[name], a, b) for a, b in pairs]
    assert all(map(same, got, expected)), (pairs, got, expected)


@pytest.mark.parametrize("name", OPERATORS)
@given(column=st.lists(INTEGERS | st.none(), min_size=1, max_size=20), literal=INTEGERS)
@settings(max_examples=60, deadline=None)
def test_integers_with_a_literal_on_either_side(name: str, column: list[Any], literal: int) -> None:
    array = pa.array(column, pa.int64())
    function = OPERATORS[name]
    got = values(function(col("a"), literal), a=array)
    assert all(map(same, got, [model(function, a, literal) for a in column])), (column, literal, got)
    if name not in ("floordiv", "mod"):  # Python's int has no reflected form of these in Expression
        got = values(function(lit(literal), col("a")), a=array)
        assert all(map(same, got, [model(function, literal, a) for a in column])), (column, literal, got)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "lt", "eq"])
@given(pairs=st.lists(st.tuples(FLOATS | st.none(), FLOATS | st.none()), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_floats(name: str, pairs: list[tuple[Any, Any]]) -> None:
    left, right = (pa.array(side, pa.float64()) for side in zip(*pairs, strict=True))
    got = values(OPERATORS[name](col("a"), col("b")), a=left, b=right)
    expected = [model(OPERATORS[name], a, b) for a, b in pairs]
    assert all(map(same, got, expected)), (pairs, got, expected)


@given(pairs=st.lists(st.tuples(FLOATS | st.none(), FLOATS), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_modulo_of_floats(pairs: list[tuple[Any, Any]]) -> None:
    assume(all(right != 0 for _, right in pairs))
    left, right = (pa.array(side, pa.float64()) for side in zip(*pairs, strict=True))
    assert values(col("a") % col("b"), a=left, b=right) == [model(operator.mod, a, b) for a, b in pairs]
    first = pairs[0][1]
    assert values(col("a") % first, a=left) == [model(operator.mod, a, first) for a, _ in pairs]


def test_floor_division_of_floats() -> None:
    assert values(col("a") // 2, a=[5.0, -5.0, None]) == [2.0, -3.0, None]


def test_logic_knows_nulls() -> None:
    a = pa.array([True, True, True, False, False, None])
    b = pa.array([True, False, None, False, None, None])
    assert values(col("a") & col("b"), a=a, b=b) == [True, False, None, False, False, None]
    assert values(col("a") | col("b"), a=a, b=b) == [True, True, True, False, None, None]
    assert values(~col("a"), a=a) == [False, False, False, True, True, None]


def test_nulls_cast_negate() -> None:
    a = pa.array([1, None, -3])
    assert values(col("a").is_null(), a=a) == [False, True, False]
    assert values(col("a").is_not_null(), a=a) == [True, False, True]
    assert values(col("a").fill_null(0), a=a) == [1, 0, -3]
    assert values(-col("a"), a=a) == [-1, None, 3]
    assert values(col("a").cast("string"), a=a) == ["1", None, "-3"]
    assert values(col("a").cast("double") / 2, a=a) == [0.5, None, -1.5]


def test_strings_and_times() -> None:
    assert values(col("a") + "!", a=["x", None]) == ["x!", None]
    assert values(col("a") == "x", a=["x", "y"]) == [True, False]
    assert values(col("a").call("utf8_upper"), a=["x"]) == ["X"]
    days = [datetime(2020, 1, 1), datetime(2021, 1, 1)]
    assert values(col("t") < datetime(2020, 6, 1), t=days) == [True, False]


def test_a_literal_alone_is_repeated() -> None:
    assert values(lit(7), a=[1, 2]) == [7, 7]


@pytest.mark.parametrize("expression", [col("a") + 1, col("a") * 2, -(col("b") - 1), col("b") - 2])
def test_integers_that_leave_64_bits_are_an_error(expression: Expression) -> None:
    with pytest.raises(ProgramError, match="overflow"):
        values(expression, a=[2**63 - 1], b=[-(2**63) + 1])


def test_errors_name_the_expression_and_the_columns() -> None:
    with pytest.raises(ProgramError, match="no column 'x': the columns are a, b"):
        values(col("x") + 1, a=[1], b=[2])
    with pytest.raises(ProgramError, match=r"add\(a, 1\).*a string"):
        values(col("a") + 1, a=["x"])
    with pytest.raises(ProgramError, match="no function 'no_such'"):
        values(col("a").call("no_such"), a=[1])
    with pytest.raises(ProgramError, match="one value per record"):
        values(col("a").call("unique"), a=[1, 1])
