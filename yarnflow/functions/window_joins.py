"""Window joins as windows over one stream: both inputs become tuples (key, number of the input, record), are
united, and the window's function takes them apart again.

The key is computed once, by `Tagged`, and is field 0 of the united stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

from yarnflow.common.types import Row
from yarnflow.functions.expressions import VALUE_COLUMN
from yarnflow.functions.join_functions import CoGroupFunction, FlatJoinFunction, JoinFunction, handed_out
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.functions.user_functions import Function, KeySelector, MapFunction
from yarnflow.functions.windows.window_functions import WindowFunction

#: A record of the united stream.
TaggedRecord = tuple[Any, int, Any]


class Tagged(MapFunction):
    """Makes (key, number, record) of a record.

    Args:
        number: of the input, 0 or 1.
        key: what its key is selected by.
    """

    def __init__(self, number: int, key: Any) -> None:
        self._number = number
        self._key = key

    def open(self, runtime_context: RuntimeContext) -> None:
        if isinstance(self._key, Function):
            self._key.open(runtime_context)
        self._select = _selector(self._key)

    def close(self) -> None:
        if isinstance(self._key, Function):
            self._key.close()

    def map(self, value: Any) -> TaggedRecord:
        return self._select(value), self._number, value


def _selector(key: Any) -> Callable[[Any], Any]:
    if isinstance(key, KeySelector):
        return key.get_key
    if key == VALUE_COLUMN:
        # The name of the one column of plain values: the value itself.
        return lambda record: record[key] if isinstance(record, (Row, dict)) else record
    return itemgetter(key) if isinstance(key, (int, str)) else key


class _OfBoth(WindowFunction[Any, Any, Any, Any]):
    """Opens and closes the user's function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def open(self, runtime_context: RuntimeContext) -> None:
        if isinstance(self.function, Function):
            self.function.open(runtime_context)

    def close(self) -> None:
        if isinstance(self.function, Function):
            self.function.close()


class CoGroupWindow(_OfBoth):
    """Calls a CoGroupFunction (or callable) with the records of both inputs."""

    def apply(self, key: Any, window: Any, inputs: Iterable[TaggedRecord]) -> Iterable[Any] | None:
        sides = _sides(inputs)
        function = self.function
        call = function.co_group if isinstance(function, CoGroupFunction) else function
        return call(*([handed_out(record) for record in side] for side in sides))


class JoinWindow(_OfBoth):
    """Calls a JoinFunction (or callable) or a FlatJoinFunction with all pairs of records of the two inputs."""

    def apply(self, key: Any, window: Any, inputs: Iterable[TaggedRecord]) -> Iterable[Any]:
        firsts, seconds = _sides(inputs)
        function = self.function
        call = function.join if isinstance(function, (JoinFunction, FlatJoinFunction)) else function
        flat = isinstance(function, FlatJoinFunction)
        for record in firsts:
            for other in seconds:
                result = call(handed_out(record), handed_out(other))
                if not flat:
                    yield result
                elif result is not None:
                    yield from result


def _sides(inputs: Iterable[TaggedRecord]) -> tuple[list[Any], list[Any]]:
    sides: tuple[list[Any], list[Any]] = ([], [])
    for _, number, record in inputs:
        sides[number].append(record)
    return sides
