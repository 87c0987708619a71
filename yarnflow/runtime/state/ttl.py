"""Handles of states that expire, and what removes expired values.

Stored is (value, time of the last write or read that counts): per key; per element of a list state; per entry of
a map state. A value is expired `ttl` ms after that time. It goes when it is met: on access to its key, by a look
at a few other keys on each access (`cleanup_incrementally`, 5 by default), and when a snapshot is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from yarnflow.functions.state import (
    AggregatingState,
    AggregatingStateDescriptor,
    ListState,
    MapState,
    ReducingState,
    ReducingStateDescriptor,
    StateDescriptor,
    StateTtlConfig,
    ValueState,
)
from yarnflow.runtime.state.handles import Handle, Mapping, kind_of, reducer

if TYPE_CHECKING:
    from yarnflow.runtime.state.backend import KeyedStateBackend

Stamped = tuple[Any, int]


def _living_value(stored: Stamped, limit: int) -> Stamped | None:
    return stored if stored[1] > limit else None


def _living_list(stored: list[Stamped], limit: int) -> list[Stamped] | None:
    living = [item for item in stored if item[1] > limit]
    return stored if len(living) == len(stored) else living or None


def _living_map(stored: dict[Any, Stamped], limit: int) -> dict[Any, Stamped] | None:
    living = {key: item for key, item in stored.items() if item[1] > limit}
    return stored if len(living) == len(stored) else living or None


class TtlHandle(Handle):
    """Base of the handles of states that expire."""

    __slots__ = ("_batch", "_clock", "_pending", "_refresh", "_show_expired", "_ttl")

    #: What of a stored value was touched after a time (ms); None for nothing.
    living: Callable[[Any, int], Any]

    def __init__(self, descriptor: StateDescriptor, backend: KeyedStateBackend, mapping: Mapping) -> None:
        super().__init__(descriptor, backend, mapping)
        config = descriptor.ttl_config
        assert config is not None
        self._clock = backend.clock
        self._ttl = config.get_ttl().to_milliseconds()
        self._refresh = config.get_update_type() is StateTtlConfig.UpdateType.OnReadAndWrite
        self._show_expired = (
            config.get_state_visibility() is StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp
        )
        cleanup = config.get_cleanup_strategies().get_incremental_cleanup_strategy()
        # Only dicts can be walked cheaply; another backend has its own way.
        self._batch = cleanup.get_cleanup_size() if cleanup is not None and type(mapping) is dict else 0
        self._pending: list[Any] = []

    def _limit(self) -> int:
        """Values that were touched at or before this time (ms) are expired. Removes a few of them."""
        limit = self._clock() - self._ttl
        if self._batch:
            self._remove_some(limit)
        return limit

    def _remove_some(self, limit: int) -> None:
        pending, mapping = self._pending, self.mapping
        if not pending:
            # A list of all keys now and then: an iterator over the dict would not survive its changes.
            pending.extend(mapping)
        for _ in range(min(self._batch, len(pending))):
            key = pending.pop()
            stored = mapping.get(key)
            if stored is not None:
                living = self.living(stored, limit)
                if living is None:
                    del mapping[key]
                elif living is not stored:
                    mapping[key] = living


class _SingleTtlHandle(TtlHandle):
    """One stamped value per key."""

    __slots__ = ()

    living = staticmethod(_living_value)

    def _read(self) -> Any:
        limit = self._limit()
        key = self._backend.current_key
        stored = self.mapping.get(key)
        if stored is None:
            return None
        if stored[1] <= limit:
            del self.mapping[key]
            return stored[0] if self._show_expired else None
        if self._refresh:
            self.mapping[key] = (stored[0], limit + self._ttl)
        return stored[0]

    def _current(self, limit: int) -> Any:
        stored = self.mapping.get(self._backend.current_key)
        return None if stored is None or stored[1] <= limit else stored[0]

    def _write(self, value: Any, limit: int) -> None:
        self.mapping[self._backend.current_key] = (value, limit + self._ttl)


class ValueTtlHandle(_SingleTtlHandle, ValueState[Any]):
    """A value per key."""

    __slots__ = ()

    def value(self) -> Any:
        return self._read()

    def update(self, value: Any) -> None:
        if value is None:
            self.clear()
        else:
            self._write(value, self._limit())


class ReducingTtlHandle(_SingleTtlHandle, ReducingState[Any]):
    """A reduced value per key."""

    __slots__ = ("_reduce",)

    def __init__(self, descriptor: ReducingStateDescriptor, backend: KeyedStateBackend, mapping: Mapping) -> None:
        super().__init__(descriptor, backend, mapping)
        self._reduce = reducer(descriptor)

    def get(self) -> Any:
        return self._read()

    def add(self, value: Any) -> None:
        limit = self._limit()
        found = self._current(limit)
        self._write(value if found is None else self._reduce(found, value), limit)


class AggregatingTtlHandle(_SingleTtlHandle, AggregatingState[Any, Any]):
    """An accumulator per key."""

    __slots__ = ("_function",)

    def __init__(
        self, descriptor: AggregatingStateDescriptor, backend: KeyedStateBackend, mapping: Mapping
    ) -> None:
        super().__init__(descriptor, backend, mapping)
        self._function = descriptor.get_agg_function()

    def get(self) -> Any:
        found = self._read()
        return None if found is None else self._function.get_result(found)

    def add(self, value: Any) -> None:
        if value is None:
            self.clear()
            return
        limit = self._limit()
        found = self._current(limit)
        if found is None:
            found = self._function.create_accumulator()
        self._write(self._function.add(value, found), limit)


class ListTtlHandle(TtlHandle, ListState[Any]):
    """A list of stamped elements per key."""

    __slots__ = ()

    living = staticmethod(_living_list)

    def get(self) -> list[Any]:
        limit = self._limit()
        key = self._backend.current_key
        stored: list[Stamped] | None = self.mapping.get(key)
        if stored is None:
            return []
        living = self.living(stored, limit)
        if living is None:
            del self.mapping[key]
        elif self._refresh:
            now = limit + self._ttl
            self.mapping[key] = [(value, now) for value, _ in living]
        elif living is not stored:
            self.mapping[key] = living
        return [value for value, _ in (stored if self._show_expired else living or ())]

    def add(self, value: Any) -> None:
        self.add_all((value,))

    def add_all(self, values: Iterable[Any]) -> None:
        limit = self._limit()
        key, now = self._backend.current_key, limit + self._ttl
        stored = self.mapping.get(key)
        living = [] if stored is None else self.living(stored, limit) or []
        living.extend([(value, now) for value in values])
        if living:
            self.mapping[key] = living

    def update(self, values: Iterable[Any]) -> None:
        self.clear()
        self.add_all(values)


class MapTtlHandle(TtlHandle, MapState[Any, Any]):
    """A dict of stamped values per key."""

    __slots__ = ()

    living = staticmethod(_living_map)

    def _entries(self, refresh: bool = False) -> dict[Any, Stamped]:
        """What can be read of the current map."""
        limit = self._limit()
        current = self._backend.current_key
        stored: dict[Any, Stamped] | None = self.mapping.get(current)
        if stored is None:
            return {}
        shown = dict(stored.items()) if self._show_expired else None  # rocksdb's map is empty once it is deleted
        living = self.living(stored, limit)
        if living is None:
            del self.mapping[current]
        elif refresh and self._refresh:
            now = limit + self._ttl
            self.mapping[current] = {key: (value, now) for key, (value, _) in living.items()}
        elif living is not stored:
            self.mapping[current] = living
        return living or {} if shown is None else shown

    def get(self, key: Any) -> Any:
        limit = self._limit()
        current = self._backend.current_key
        stored: dict[Any, Stamped] = self.mapping.get(current, _EMPTY)
        found = stored.get(key)
        if found is None:
            return None
        value, stamp = found
        if stamp <= limit:
            self._take_out(current, stored, key)
            return value if self._show_expired else None
        if self._refresh:
            stored[key] = (value, limit + self._ttl)
            self.mapping[current] = stored
        return value

    def put(self, key: Any, value: Any) -> None:
        self.put_all({key: value})

    def put_all(self, dict_value: dict[Any, Any]) -> None:
        now = self._limit() + self._ttl
        current = self._backend.current_key
        stored = self.mapping.get(current, {})
        stored.update({key: (value, now) for key, value in dict_value.items()})
        if stored:
            self.mapping[current] = stored

    def remove(self, key: Any) -> None:
        current = self._backend.current_key
        stored = self.mapping.get(current)
        if stored is not None and key in stored:
            self._take_out(current, stored, key)

    def _take_out(self, current: Any, stored: dict[Any, Stamped], key: Any) -> None:
        del stored[key]
        if stored:
            self.mapping[current] = stored
        else:
            del self.mapping[current]

    def contains(self, key: Any) -> bool:
        return key in self._entries()

    def items(self) -> list[tuple[Any, Any]]:
        return [(key, value) for key, (value, _) in self._entries(refresh=True).items()]

    def keys(self) -> list[Any]:
        return list(self._entries())

    def values(self) -> list[Any]:
        return [value for value, _ in self._entries(refresh=True).values()]

    def is_empty(self) -> bool:
        return not self._entries()


_EMPTY: dict[Any, Stamped] = {}

TTL_HANDLES: dict[str, Any] = {
    "value": ValueTtlHandle,
    "list": ListTtlHandle,
    "map": MapTtlHandle,
    "reducing": ReducingTtlHandle,
    "aggregating": AggregatingTtlHandle,
}


def reader_of_living(descriptor: StateDescriptor, now: int) -> Callable[[Any], Any] | None:
    """A function that tells what of a stored value has not expired at `now` (ms), None for nothing; None when the
    state does not expire."""
    config = descriptor.ttl_config
    if config is None:
        return None
    limit = now - config.get_ttl().to_milliseconds()
    living: Callable[[Any, int], Any] = TTL_HANDLES[kind_of(descriptor)].living

    def read(stored: Any) -> Any:
        return living(stored, limit)

    return read
