"""Accumulators of a job: pickled per subtask, opened and merged by the client.

Each subtask that ends sends the pickle of {name: value}. A value is what the function registered, a
functions.accumulators.Accumulator; those merge themselves, and what is handed out is what they hold. Other values
merge by what they are: numbers add up, lists and tuples are joined, sets united, dicts merged value by value; any
other object needs a `merge(other)` method that returns the merged value or changes itself and returns None.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable
from typing import Any

from yarnflow.errors import ProgramError
from yarnflow.functions import accumulators
from yarnflow.functions.accumulators import Accumulator


def merge_accumulators(parts: Iterable[bytes]) -> dict[str, Any]:
    """Open and merge the accumulators of all subtasks. Only for clients: it runs user code.

    Raises ProgramError when two values of one name do not go together."""
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in pickle.loads(part).items():
            merged[name] = merge_values(name, merged[name], value) if name in merged else value
    return _held(merged)


def _held(merged: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.get_local_value() if isinstance(value, Accumulator) else value
        for name, value in merged.items()
    }


def merge_values(name: str, first: Any, second: Any) -> Any:
    """Merge two subtasks' values of the accumulator `name`. Raises ProgramError when they do not go together."""
    if isinstance(first, bool) and isinstance(second, bool):
        return first or second
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        return first + second
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    if isinstance(first, tuple) and isinstance(second, tuple):
        return first + second
    if isinstance(first, (set, frozenset)) and isinstance(second, (set, frozenset)):
        return first | second
    if isinstance(first, dict) and isinstance(second, dict):
        merged = dict(first)
        for key, value in second.items():
            merged[key] = merge_values(name, merged[key], value) if key in merged else value
        return merged
    if hasattr(first, "merge"):
        result = first.merge(second)
        return first if result is None else result
    raise ProgramError(
        f"accumulator {name!r}: a {type(first).__name__} and a {type(second).__name__} cannot be merged; use "
        "numbers, lists, sets, dicts, or an object with a merge method"
    )


#: yarnflow's own accumulators: they run no user code.
_OWN = frozenset(
    name
    for name, value in vars(accumulators).items()
    if isinstance(value, type) and issubclass(value, Accumulator)
)


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        if module_name == accumulators.__name__ and global_name in _OWN:
            return getattr(accumulators, global_name)
        raise pickle.UnpicklingError(f"{module_name}.{global_name}")


def plain_accumulators(parts: Iterable[bytes]) -> dict[str, Any]:
    """What can be shown without running user code: names with merged plain values (numbers, text, lists,
    dicts, ...). Values of other types are left out."""
    merged: dict[str, Any] = {}
    for part in parts:
        try:
            values = _PlainUnpickler(io.BytesIO(part)).load()
            for name, value in values.items():
                merged[name] = merge_values(name, merged[name], value) if name in merged else value
        except (pickle.UnpicklingError, ProgramError, AttributeError, EOFError):
            # Of this subtask nothing can be shown; the client that opens it gets everything.
            continue
    return _held(merged)
