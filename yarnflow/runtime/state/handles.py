"""The handles that user functions get: ValueState and its like on the current key of a backend.

A handle works on a mapping from key to value, whichever backend it is of, and writes back what it has changed.
In the hashmap backend the mapping is a dict, and `value()` costs a method call and a look-up. There is no check
for the current key: looking up NO_KEY raises (backend.py). Handles of states that expire are in ttl.py.

    state        what is stored per key
    value        the value; nothing for None
    list         a list, never empty
    map          a dict, never empty
    reducing     the value so far
    aggregating  the accumulator
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from yarnflow.errors import ProgramError
from yarnflow.functions.state import (
    AggregatingState,
    AggregatingStateDescriptor,
    ListState,
    ListStateDescriptor,
    MapState,
    MapStateDescriptor,
    ReducingState,
    ReducingStateDescriptor,
    State,
    StateDescriptor,
    ValueState,
    ValueStateDescriptor,
)

if TYPE_CHECKING:
    from yarnflow.runtime.state.backend import KeyedStateBackend

Mapping = MutableMapping[Any, Any]

#: Descriptor class -> kind of state, as it is stored.
_KINDS: dict[type[StateDescriptor], str] = {
    ValueStateDescriptor: "value",
    ListStateDescriptor: "list",
    MapStateDescriptor: "map",
    ReducingStateDescriptor: "reducing",
    AggregatingStateDescriptor: "aggregating",
}


class Handle(State):
    """Base of the handles.

    Attributes:
        name: of the state.
        mapping: from key to what is stored; another one per window for the state of windows.
    """

    __slots__ = ("_backend", "mapping", "name")

    def __init__(self, descriptor: StateDescriptor, backend: KeyedStateBackend, mapping: Mapping) -> None:
        self.name = descriptor.name
        self.mapping = mapping
        self._backend = backend

    def clear(self) -> None:
        key = self._backend.current_key
        hash(key)  # an empty dict would not look at the key
        self.mapping.pop(key, None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class ValueHandle(Handle, ValueState[Any]):
    """A value per key."""

    __slots__ = ()

    def value(self) -> Any:
        return self.mapping.get(self._backend.current_key)

    def update(self, value: Any) -> None:
        if value is None:
            self.clear()
        else:
            self.mapping[self._backend.current_key] = value


class ListHandle(Handle, ListState[Any]):
    """A list per key."""

    __slots__ = ()

    def get(self) -> list[Any]:
        found = self.mapping.get(self._backend.current_key)
        return [] if found is None else found.copy()

    def add(self, value: Any) -> None:
        key = self._backend.current_key
        found = self.mapping.get(key)
        if found is None:
            found = [value]
        else:
            found.append(value)
        self.mapping[key] = found

    def add_all(self, values: Iterable[Any]) -> None:
        key = self._backend.current_key
        found = self.mapping.get(key, [])
        found.extend(values)
        if found:
            self.mapping[key] = found

    def update(self, values: Iterable[Any]) -> None:
        values = list(values)
        if values:
            self.mapping[self._backend.current_key] = values
        else:
            self.clear()


class MapHandle(Handle, MapState[Any, Any]):
    """A dict per key."""

    __slots__ = ()

    def get(self, key: Any) -> Any:
        found = self.mapping.get(self._backend.current_key)
        return None if found is None else found.get(key)

    def put(self, key: Any, value: Any) -> None:
        current = self._backend.current_key
        found = self.mapping.get(current)
        if found is None:
            found = {key: value}
        else:
            found[key] = value
        self.mapping[current] = found

    def put_all(self, dict_value: dict[Any, Any]) -> None:
        current = self._backend.current_key
        found = self.mapping.get(current, {})
        found.update(dict_value)
        if found:
            self.mapping[current] = found

    def remove(self, key: Any) -> None:
        current = self._backend.current_key
        found = self.mapping.get(current)
        if found is not None and key in found:
            del found[key]
            if found:
                self.mapping[current] = found
            else:
                del self.mapping[current]

    def contains(self, key: Any) -> bool:
        return key in self.mapping.get(self._backend.current_key, ())

    # Lists, so that the map may be changed meanwhile.

    def items(self) -> list[tuple[Any, Any]]:
        return list(self.mapping.get(self._backend.current_key, _EMPTY).items())

    def keys(self) -> list[Any]:
        return list(self.mapping.get(self._backend.current_key, _EMPTY))

    def values(self) -> list[Any]:
        return list(self.mapping.get(self._backend.current_key, _EMPTY).values())

    def is_empty(self) -> bool:
        return self._backend.current_key not in self.mapping


class ReducingHandle(Handle, ReducingState[Any]):
    """A reduced value per key."""

    __slots__ = ("_reduce",)

    def __init__(self, descriptor: ReducingStateDescriptor, backend: KeyedStateBackend, mapping: Mapping) -> None:
        super().__init__(descriptor, backend, mapping)
        self._reduce = reducer(descriptor)

    def get(self) -> Any:
        return self.mapping.get(self._backend.current_key)

    def add(self, value: Any) -> None:
        key = self._backend.current_key
        found = self.mapping.get(key)
        self.mapping[key] = value if found is None else self._reduce(found, value)


class AggregatingHandle(Handle, AggregatingState[Any, Any]):
    """An accumulator per key."""

    __slots__ = ("_function",)

    def __init__(
        self, descriptor: AggregatingStateDescriptor, backend: KeyedStateBackend, mapping: Mapping
    ) -> None:
        super().__init__(descriptor, backend, mapping)
        self._function = descriptor.get_agg_function()

    def get(self) -> Any:
        found = self.mapping.get(self._backend.current_key)
        return None if found is None else self._function.get_result(found)

    def add(self, value: Any) -> None:
        if value is None:  # as in PyFlink
            self.clear()
            return
        key = self._backend.current_key
        found = self.mapping.get(key)
        if found is None:
            found = self._function.create_accumulator()
        self.mapping[key] = self._function.add(value, found)


_EMPTY: dict[Any, Any] = {}

_HANDLES: dict[str, Any] = {
    "value": ValueHandle,
    "list": ListHandle,
    "map": MapHandle,
    "reducing": ReducingHandle,
    "aggregating": AggregatingHandle,
}


def kind_of(descriptor: StateDescriptor) -> str:
    """The kind of state a descriptor describes. Raises ProgramError for what is no descriptor."""
    for cls, kind in _KINDS.items():
        if isinstance(descriptor, cls):
            return kind
    raise ProgramError(
        f"{descriptor!r} does not describe a state: pass a ValueStateDescriptor, ListStateDescriptor, "
        "MapStateDescriptor, ReducingStateDescriptor or AggregatingStateDescriptor"
    )


def make_handle(descriptor: StateDescriptor, backend: KeyedStateBackend, mapping: Mapping) -> Handle:
    """The handle for a descriptor on a mapping of the backend."""
    kind = kind_of(descriptor)
    if descriptor.ttl_config is not None:
        # Here, because ttl.py is built upon this module.
        from yarnflow.runtime.state.ttl import TTL_HANDLES

        found: Handle = TTL_HANDLES[kind](descriptor, backend, mapping)
    else:
        found = _HANDLES[kind](descriptor, backend, mapping)
    return found


def reducer(descriptor: ReducingStateDescriptor) -> Any:
    """The reduce function as a callable of two values."""
    function = descriptor.get_reduce_function()
    return getattr(function, "reduce", function)
