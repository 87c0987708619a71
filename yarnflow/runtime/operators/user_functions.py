"""Opening, binding and closing what users wrote.

A user function is a plain callable or an instance of the matching function class (MapFunction, ...). It is
told by its method, so that this module needs none of the classes and a worker imports little.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import CodeType, FunctionType
from typing import Any

from yarnflow.common.types import Row
from yarnflow.errors import ProgramError
from yarnflow.functions.expressions import VALUE_COLUMN

#: Flags of functions with *args, **kwargs, and of generators and coroutines.
_VARIADIC = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | inspect.CO_COROUTINE


def bind(function: Any, method: str) -> Callable[..., Any]:
    """Return what to call per record: the bound method of a function class, or the callable itself.

    Raises ProgramError when it is neither.
    """
    bound = getattr(function, method, None)
    if callable(bound) and not isinstance(function, type):
        return bound  # type: ignore[no-any-return]
    if callable(function):
        return function  # type: ignore[no-any-return]
    raise ProgramError(
        f"{function!r} is neither callable nor has a method {method}(): give a function, a lambda or an "
        "instance of the matching function class"
    )


def bind_key(key: Any) -> Callable[[Any], Any]:
    """Return key(record) for a callable, a KeySelector, or a field's name or position; the name of the one column
    of plain values is the value itself. Fields, and lambdas that only take a field, become an itemgetter."""
    if isinstance(key, str) and key == VALUE_COLUMN:
        return _value_or_field
    field = _field_of(key) if isinstance(key, FunctionType) else key
    if isinstance(field, (int, str)):
        return operator.itemgetter(field)
    return bind(key, "get_key")


def _field_of(function: FunctionType) -> int | str | None:
    """The constant c of a function that is `lambda record: record[c]`, else None. An itemgetter does the same and
    saves a call of Python code per record, and loops that are generated need no call at all."""
    code = function.__code__
    for constant in code.co_consts:
        if type(constant) in (int, str):
            template = _subscript(constant)
            if (code.co_code, code.co_consts) == (template.co_code, template.co_consts) and (
                code.co_argcount,
                code.co_kwonlyargcount,
                code.co_flags & _VARIADIC,
                code.co_nlocals,
            ) == (1, 0, 0, 1):
                found: int | str = constant
                return found
    return None


@functools.cache
def _subscript(constant: int | str) -> CodeType:
    """How this Python compiles `lambda record: record[constant]`."""
    # The source has nothing but the constant's repr.
    compiled = eval(f"lambda record: record[{constant!r}]")  # noqa: S307
    code: CodeType = compiled.__code__
    return code


def _value_or_field(record: Any) -> Any:
    return record[VALUE_COLUMN] if isinstance(record, (Row, dict)) else record


def open_functions(functions: Iterable[Any], runtime_context: Any) -> None:
    """Call `open(runtime_context)` on those that have it; plain functions have not."""
    for function in functions:
        opener = getattr(function, "open", None)
        if callable(opener) and not isinstance(function, type):
            opener(runtime_context)


def close_functions(functions: Iterable[Any]) -> None:
    """Call `close()` on those that have it: on all of them, even when one raises (the first error wins)."""
    with ExitStack() as stack:
        for function in functions:
            closer = getattr(function, "close", None)
            if callable(closer) and not isinstance(function, type):
                stack.callback(closer)
