"""Evaluates column expressions on record batches.

Results follow Python's rules, so that an expression means what the same lambda would:

- `/` is true division on doubles; by zero it gives inf or nan (IEEE), as a column cannot half fail.
- `//` and `%` round towards minus infinity; by integer zero they give null.
- Integers that leave 64 bits raise a ProgramError instead of wrapping around.
- A null operand gives null, and a filter drops nulls; `&` and `|` know that `false & null` is false
  (SQL's three-valued logic, Arrow's kleene functions).

Besides the operators, any function of pyarrow.compute can be called by its name:
`col("word").call("utf8_upper")`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from yarnflow.errors import ProgramError
from yarnflow.functions.columns import column_index
from yarnflow.functions.expressions import Call, Column, Expression, Literal

Value = Any  # pa.Array or pa.Scalar


def evaluate(expression: Expression, columns: pa.RecordBatch) -> pa.Array:
    """The value of an expression for every row.

    Raises ProgramError, naming the expression, when it cannot be computed on these columns.
    """
    try:
        value = _evaluate(expression, columns)
        if isinstance(value, pa.ChunkedArray):
            value = value.combine_chunks()
        if isinstance(value, pa.Scalar):
            value = pa.repeat(value, columns.num_rows)
    except (pa.ArrowException, TypeError, ValueError) as error:
        schema = ", ".join(f"{field.name} {field.type}" for field in columns.schema)
        raise ProgramError(
            f"the expression {expression!r} cannot be computed: {error}. The columns are {schema}"
        ) from error
    if not isinstance(value, pa.Array) or len(value) != columns.num_rows:
        raise ProgramError(f"the expression {expression!r} does not give one value per record")
    return value


def _evaluate(expression: Expression, columns: pa.RecordBatch) -> Value:
    if isinstance(expression, Column):
        return columns.column(column_index(columns, expression.name))
    if isinstance(expression, Literal):
        return pa.scalar(expression.value)
    assert isinstance(expression, Call)
    if expression.function == "cast":
        value, type_name = expression.arguments
        assert isinstance(type_name, Literal)
        return pc.cast(_evaluate(value, columns), pa.type_for_alias(type_name.value))
    arguments = [_evaluate(argument, columns) for argument in expression.arguments]
    function = _FUNCTIONS.get(expression.function)
    if function is None:
        function = getattr(pc, expression.function, None)
        if function is None:
            raise ProgramError(
                f"{expression!r}: there is no function {expression.function!r}; operators and the functions of "
                "pyarrow.compute can be used"
            )
    return function(*arguments)


def _is_integer(*values: Value) -> bool:
    return all(pa.types.is_integer(value.type) for value in values)


def _add(left: Value, right: Value) -> Value:
    if pa.types.is_string(left.type) and pa.types.is_string(right.type):
        return pc.binary_join_element_wise(left, right, "")
    return pc.add_checked(left, right) if _is_integer(left, right) else pc.add(left, right)


def _divide(left: Value, right: Value) -> Value:
    return pc.divide(pc.cast(left, pa.float64(), safe=False), pc.cast(right, pa.float64(), safe=False))


def _floor_divide(left: Value, right: Value) -> Value:
    quick = _by_literal(np.floor_divide, left, right)
    if quick is not None:
        return quick
    if not _is_integer(left, right):
        return pc.floor(_divide(left, right))
    right = _null_for_zero(right)
    quotient = pc.divide_checked(left, right)
    remainder = pc.subtract(left, pc.multiply(quotient, right))
    return pc.subtract(quotient, pc.cast(_rounds_up(remainder, right), quotient.type))


def _modulo(left: Value, right: Value) -> Value:
    quick = _by_literal(_numpy_modulo, left, right)
    if quick is not None:
        return quick
    if not _is_integer(left, right):
        left, right = (pc.cast(value, pa.float64(), safe=False) for value in (left, right))
        return _float_modulo(left, right)
    right = _null_for_zero(right)
    remainder = pc.subtract(left, pc.multiply(pc.divide(left, right), right))
    return pc.if_else(_rounds_up(remainder, right), pc.add(remainder, right), remainder)


def _numpy_modulo(left: Any, right: int) -> Any:
    # numpy divides by a constant with multiplications (SIMD); its remainder does not.
    result = np.floor_divide(left, right)
    np.multiply(result, right, out=result)
    return np.subtract(left, result, out=result)


def _by_literal(function: Callable[[Any, int], Any], left: Value, right: Value) -> Value | None:
    """The common case, int64 without nulls by a positive constant, in numpy, which rounds as Python does."""
    if not isinstance(left, pa.Array) or not isinstance(right, pa.Scalar) or left.type != pa.int64():
        return None
    divisor = right.as_py()
    if left.null_count or not isinstance(divisor, int) or divisor <= 0:
        return None
    return pa.array(function(left.to_numpy(), divisor))


def _float_modulo(left: Value, right: Value) -> Value:
    size = next((len(value) for value in (left, right) if isinstance(value, pa.Array)), 1)
    valid = pc.and_(pc.is_valid(left), pc.is_valid(right))
    with np.errstate(all="ignore"):
        values = np.mod(_doubles(left), _doubles(right))
    values = np.broadcast_to(values, (size,))
    if isinstance(valid, pa.Scalar):
        valid = pa.repeat(valid, size)
    return pc.if_else(valid, pa.array(values), pa.scalar(None, pa.float64()))


def _doubles(value: Value) -> Any:
    if isinstance(value, pa.Scalar):
        return np.nan if value.as_py() is None else value.as_py()
    return value.to_numpy(zero_copy_only=False)


def _null_for_zero(value: Value) -> Value:
    return pc.if_else(pc.equal(value, 0), pa.scalar(None, value.type), value)


def _rounds_up(remainder: Value, divisor: Value) -> Value:
    """Where truncation rounded up: the remainder is not zero and has not the divisor's sign."""
    return pc.and_(pc.not_equal(remainder, 0), pc.not_equal(pc.less(remainder, 0), pc.less(divisor, 0)))


def _checked(name: str) -> Callable[[Value, Value], Value]:
    plain, checked = getattr(pc, name), getattr(pc, f"{name}_checked")
    return lambda left, right: checked(left, right) if _is_integer(left, right) else plain(left, right)


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "add": _add,
    "subtract": _checked("subtract"),
    "multiply": _checked("multiply"),
    "divide": _divide,
    "floor_divide": _floor_divide,
    "modulo": _modulo,
    "and": pc.and_kleene,
    "or": pc.or_kleene,
    "invert": pc.invert,
    "negate": lambda value: pc.negate_checked(value) if _is_integer(value) else pc.negate(value),
}
