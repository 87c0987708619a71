"""Map states in RocksDB: an entry per key of the map, so that a large map is never read as a whole.

The value of a key is a mapping of its own (RocksDBMapping), whose namespace is the pair (namespace, key). The
handles (handles.py, ttl.py) use it as they use the dict of the hashmap backend: what they change goes to the
database entry by entry, and writing the mapping back is nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from yarnflow.runtime.state.backend import StateTable
from yarnflow.runtime.state.rocksdb.cache import ObjectCache
from yarnflow.runtime.state.rocksdb.keys import encode_key, with_length
from yarnflow.runtime.state.rocksdb.table import (
    RocksDBMapping,
    namespace_location,
    stored_namespaces,
    table_prefix,
)


class MapSpace(MutableMapping[Any, Any]):
    """From key to map, in one namespace. Only maps that hold something are there."""

    def __init__(self, table: RocksDBMapTable, namespace: Any) -> None:
        self._table = table
        self.namespace = namespace
        self.rebind()

    def rebind(self) -> None:
        """The table has another number."""
        self.prefix = self._table.prefix + with_length(encode_key(self.namespace))

    def get(self, key: Any, default: Any = None) -> Any:
        found = self._table.map_of(self, key)
        return found if found else default

    def __getitem__(self, key: Any) -> RocksDBMapping:
        found = self._table.map_of(self, key)
        if not found:
            raise KeyError(key)
        return found

    def __contains__(self, key: Any) -> bool:
        return bool(self._table.map_of(self, key))

    def __setitem__(self, key: Any, value: Mapping[Any, Any]) -> None:
        found = self._table.map_of(self, key)
        if value is not found:
            found.clear()
            found.update(value)

    def __delitem__(self, key: Any) -> None:
        # Also of a map that its last entry was taken from: handles say so, and to a dict it would be news.
        self._table.map_of(self, key).clear()

    def pop(self, key: Any, default: Any = None) -> Any:
        """Remove a map. Gives its entries as they were."""
        found = self._table.map_of(self, key)
        if not found:
            return default
        entries = dict(found.items())
        found.clear()
        return entries

    def __iter__(self) -> Iterator[Any]:
        return iter(self._table.keys_in(self))

    def __len__(self) -> int:
        return len(self._table.keys_in(self))

    def __bool__(self) -> bool:
        return len(self) > 0


class RocksDBMapTable(StateTable):
    """A named map state; arguments as of RocksDBTable."""

    def __init__(self, cache: ObjectCache, number: int) -> None:
        self._cache = cache
        self.prefix = table_prefix(number)
        self._spaces: weakref.WeakValueDictionary[Any, MapSpace] = weakref.WeakValueDictionary()
        self._maps: weakref.WeakValueDictionary[Any, RocksDBMapping] = weakref.WeakValueDictionary()

    def of(self, namespace: Any) -> MapSpace:
        found = self._spaces.get(namespace)
        if found is None:
            found = self._spaces[namespace] = MapSpace(self, namespace)
        return found

    def rebind(self, number: int) -> None:
        """As of RocksDBTable."""
        self.prefix = table_prefix(number)
        for space in list(self._spaces.values()):
            space.rebind()
        for mapping in list(self._maps.values()):
            namespace, key = mapping.namespace
            mapping.rebind(self.of(namespace).prefix + with_length(encode_key(key)))

    def drop(self, namespace: Any) -> None:
        for mapping in list(self._maps.values()):
            if mapping.namespace[0] == namespace:
                mapping.forget()
        prefix = self.of(namespace).prefix
        self._cache.remove(prefix)
        self._cache.remove(namespace_location(prefix))

    def namespaces(self) -> list[Any]:
        maps = list(self._maps.values())
        found = {mapping.namespace[0]: None for mapping in maps if mapping}
        for namespace, _ in stored_namespaces(self._cache, self.prefix, 1, 2):
            if namespace not in found and len(self.of(namespace)):
                found[namespace] = None
        return list(found)

    def map_of(self, space: MapSpace, key: Any) -> RocksDBMapping:
        """The map of a key, which may be empty."""
        pair = (space.namespace, key)
        found = self._maps.get(pair)
        if found is None:
            prefix = space.prefix + with_length(encode_key(key))
            found = self._maps[pair] = RocksDBMapping(self._cache, prefix, pair)
        return found

    def keys_in(self, space: MapSpace) -> list[Any]:
        """The keys that have a map."""
        maps = {mapping.namespace: mapping for mapping in list(self._maps.values())}
        found = [key for (namespace, key), mapping in maps.items() if namespace == space.namespace and mapping]
        stored = stored_namespaces(self._cache, space.prefix, 2, 2)
        return found + [key for _, key in stored if (space.namespace, key) not in maps]
