"""Map-like functions that use keyed state, as process functions.

A function of `KeyedStream.map` and the like that opens itself (`open`) may ask for keyed state there, so it runs
as a keyed operator. Plain functions cannot, and are fused with their neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from yarnflow.functions.process_functions import KeyedCoProcessFunction, KeyedProcessFunction
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.functions.user_functions import Function


def opens_itself(function: Any) -> bool:
    """Whether a function can ask for state: only `open` gets the RuntimeContext."""
    return isinstance(function, Function) and type(function).open is not Function.open


class KeyedAdapter(Function):
    """Opens and closes what it wraps.

    Attributes:
        function: the user's.
    """

    def __init__(self, function: Any) -> None:
        self.function = function

    def open(self, runtime_context: RuntimeContext) -> None:
        self.function.open(runtime_context)

    def close(self) -> None:
        self.function.close()


def users(function: Any) -> Any:
    """The function that the program gave, without an adapter."""
    return function.function if isinstance(function, KeyedAdapter) else function


class KeyedMap(KeyedAdapter, KeyedProcessFunction):
    """A MapFunction."""

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any]:
        return (self.function.map(value),)


class KeyedFlatMap(KeyedAdapter, KeyedProcessFunction):
    """A FlatMapFunction."""

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any] | None:
        return self.function.flat_map(value)  # type: ignore[no-any-return]


class KeyedFilter(KeyedAdapter, KeyedProcessFunction):
    """A FilterFunction."""

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any] | None:
        return (value,) if self.function.filter(value) else None


class KeyedCoMap(KeyedAdapter, KeyedCoProcessFunction):
    """A CoMapFunction; a result of None is dropped."""

    def process_element1(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterable[Any] | None:
        result = self.function.map1(value)
        return None if result is None else (result,)

    def process_element2(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterable[Any] | None:
        result = self.function.map2(value)
        return None if result is None else (result,)


class KeyedCoFlatMap(KeyedAdapter, KeyedCoProcessFunction):
    """A CoFlatMapFunction."""

    def process_element1(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterable[Any] | None:
        return self.function.flat_map1(value)  # type: ignore[no-any-return]

    def process_element2(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterable[Any] | None:
        return self.function.flat_map2(value)  # type: ignore[no-any-return]
