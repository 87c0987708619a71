"""Objects in state as bytes, one by one, and back.

Classes of the program's main module cannot be imported in a worker: cloudpickle sends them by value, and with each
of their objects in a savepoint goes the class as it was then. A job that starts from it brings its own class of
that name, and the restored objects shall be of that one: equal to new objects, and with the methods of today.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any

from yarnflow.errors import ProgramError

_PROTOCOL = 5

#: Stands in every pickle that holds a class by value.
_BY_VALUE = b"cloudpickle.cloudpickle"


def dump_all(values: Sequence[Any]) -> list[bytes]:
    """Pickle each value, by cloudpickle if it cannot be imported. Raises ProgramError when neither can."""
    try:
        return [pickle.dumps(value, _PROTOCOL) for value in values]
    except Exception:  # a value's own __reduce__ may raise anything
        return [dump_value(value) for value in values]


def dump_value(value: Any) -> bytes:
    """Pickle one value; see `dump_all`."""
    try:
        return pickle.dumps(value, _PROTOCOL)
    except Exception:
        import cloudpickle  # slow to import, and rarely needed here

        try:
            pickled: bytes = cloudpickle.dumps(value, _PROTOCOL)
            return pickled
        except Exception as error:
            raise ProgramError(
                f"a value of type {type(value).__module__}.{type(value).__qualname__} in state cannot be stored: "
                f"{type(error).__name__}: {error}. Keep plain values in state, or objects that can be pickled"
            ) from error


def load_all(pickles: Sequence[bytes]) -> list[Any]:
    """Reverse `dump_all`."""
    loads = pickle.loads
    return [loads(data) if _BY_VALUE not in data else _Unpickler(io.BytesIO(data)).load() for data in pickles]


class _Unpickler(pickle.Unpickler):
    """Takes the job's own classes in place of those that come with a pickle."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self._kept: list[type] = []

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if module == "cloudpickle.cloudpickle":
            if name == "_make_skeleton_class":
                return lambda *args: self._known(args[1], args[3].get("__module__"), args[4]) or found(*args)
            if name == "_make_skeleton_enum":
                return lambda *args: self._known(args[1], args[4], args[5]) or found(*args)
            if name == "_class_setstate":
                return lambda cls, state: cls if cls in self._kept else found(cls, state)
        return found

    def _known(self, name: str, module: str | None, tracker: str) -> type | None:
        """The class of that name that the job's code has for the main module; None if there are several."""
        from cloudpickle import cloudpickle  # loaded already, by the pickle

        classes = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
        if module != "__main__" or tracker in classes:
            return None
        known: list[type] = [
            cls for cls in list(classes.values()) if cls.__name__ == name and cls.__module__ == module
        ]
        if len(known) != 1:
            return None
        self._kept += known
        return known[0]
