"""What streams are told by programs: checked where it is given, so that the error points at the program's line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Union

from yarnflow.common.typeinfo import PickledBytesTypeInfo, RowTypeInfo, TypeInformation
from yarnflow.common.watermark_strategy import WatermarkStrategy
from yarnflow.functions.user_functions import Function, KeySelector

if TYPE_CHECKING:
    from yarnflow.functions.windows.assigner import WindowAssigner

#: What a key is selected by.
Key = Union[Callable[[Any], Any], KeySelector, str, int]  # noqa: UP007 - evaluated at run time


def declared(output_type: Any) -> TypeInformation | None:
    """The declared type, None for "any object"; a list of types stands for a row. Raises TypeError when it is no
    type."""
    if output_type is None or isinstance(output_type, PickledBytesTypeInfo):
        return None
    if isinstance(output_type, list):
        return RowTypeInfo(output_type)
    if not isinstance(output_type, TypeInformation):
        raise TypeError(f"a type is made by Types, for instance Types.STRING(); this is {shown(output_type)}")
    return output_type


def checked(func: Any, kind: type[Function] | None, method: str) -> None:
    """Raise TypeError unless `func` is a function or an instance of `kind`."""
    wanted = "a function" if kind is None else f"a function or a {kind.__name__}"
    if isinstance(func, type) and issubclass(func, Function):
        raise TypeError(f"{method}() needs {wanted}, not the class {func.__name__}: give {func.__name__}()")
    if not callable(func) and not (kind is not None and isinstance(func, kind)):
        raise TypeError(f"{method}() needs {wanted}, not {shown(func)}")


def count_windows(size: int, slide: int) -> WindowAssigner[Any, Any]:
    """Windows of `size` records; `slide` 0: they tumble."""
    from yarnflow.functions.windows.count_windows import CountSlidingWindowAssigner, CountTumblingWindowAssigner

    return CountSlidingWindowAssigner(size, slide) if slide else CountTumblingWindowAssigner(size)


def check_strategy(strategy: Any, method: str) -> None:
    """Raise TypeError unless it is a WatermarkStrategy."""
    if not isinstance(strategy, WatermarkStrategy):
        raise TypeError(
            f"{method}() needs a WatermarkStrategy, for instance no_watermarks(), not {shown(strategy)}"
        )


def check_key(key: Any, method: str) -> None:
    """Raise TypeError unless `key` can select keys."""
    if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
        return
    checked(key, KeySelector, method)


def shown(value: Any) -> str:
    """A value as error messages show it."""
    return f"{value!r} ({type(value).__name__})"
