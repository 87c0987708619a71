"""Tables in RocksDB, with what is in use kept as Python objects.

Every mapping keeps what was *written* and not stored yet, and what was *read* or stored lately. Accessing these is
a dictionary access. When an operator has written enough, `ObjectCache` stores everything in one batch; what was
written then counts as read, and the longest-read half goes when there is too much of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView
from itertools import islice
from typing import Any

from yarnflow.runtime.network.serialization import dump_object
from yarnflow.runtime.state.backend import StateTable
from yarnflow.runtime.state.rocksdb.cache import ObjectCache
from yarnflow.runtime.state.rocksdb.keys import (
    decode_entry,
    decode_key,
    decode_value,
    encode_key,
    encode_record,
    first_part,
    is_exact,
    successor,
    with_length,
)

_MISSING: Any = object()
#: In place of a value: the key was removed.
_ABSENT: Any = object()

_TABLE_BYTES = 2
#: Begins the keys that are no entries.
CATALOG = b"\0" * _TABLE_BYTES


#: A mapping with fewer entries is trimmed to none; of a large one not more than so many go at once (milliseconds).
_SMALL = 16
_MOST_TRIMMED = 20_000


class RocksDBMapping(MutableMapping[Any, Any]):
    """The entries of one namespace.

    Attributes:
        written: what is not stored yet.
        read: what is stored, and lately was read or written.
        counted: how many of `written` the cache knows of.
        allowance: when there are more, the cache wants to know.
    """

    __slots__ = ("__weakref__", "_cache", "_get", "_stored", "allowance", "counted", "namespace", "prefix", "read",
                 "written")  # fmt: skip

    def __init__(self, cache: ObjectCache, prefix: bytes, namespace: Any) -> None:
        self._cache = cache
        self.rebind(prefix)
        self.namespace = namespace
        self.written: dict[Any, Any] = {}
        self.read: dict[Any, Any] = {}
        self.counted = 0
        self.allowance = 0

    def rebind(self, prefix: bytes) -> None:
        """Use the entries that the database has with a prefix."""
        self.prefix = prefix
        self._get = self._cache.database.get
        # Of a window that has just begun nothing is stored, and nobody need look.
        self._stored = self._cache.holds(prefix)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def get(self, key: Any, default: Any = None) -> Any:
        value = self.written.get(key, _MISSING)
        if value is _MISSING:
            value = self.read.get(key, _MISSING)
            if value is _MISSING:
                value = self._load(key)
        return default if value is _ABSENT else value

    def __getitem__(self, key: Any) -> Any:
        value = self.get(key, _MISSING)
        if value is _MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key: Any) -> bool:
        return self.get(key, _MISSING) is not _MISSING

    def __setitem__(self, key: Any, value: Any) -> None:
        written = self.written
        written[key] = value
        if len(written) > self.allowance:
            self._cache.grown(self)

    def __delitem__(self, key: Any) -> None:
        if self.pop(key, _MISSING) is _MISSING:
            raise KeyError(key)

    def pop(self, key: Any, default: Any = _MISSING) -> Any:
        value = self.get(key, _MISSING)
        if value is not _MISSING:
            self._discard(key)
            return value
        if default is _MISSING:
            raise KeyError(key)
        return default

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _ in self.entries())

    def __len__(self) -> int:
        return sum(1 for _ in self.entries())

    def __bool__(self) -> bool:
        written = self.written
        if any(value is not _ABSENT for value in written.values()):
            return True
        if not self._stored:
            return False
        return any(key not in written for key in self.read) or next(self.entries(), None) is not None

    def items(self) -> ItemsView[Any, Any]:
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        return _Values(self)

    def clear(self) -> None:
        """Remove all entries."""
        stored = self._stored
        self.forget()
        if stored:
            self._cache.remove(self.prefix)
            if not is_exact(self.namespace):
                self._cache.remove(namespace_location(self.prefix))

    def forget(self) -> None:
        """Nothing is stored any more."""
        self._cache.forget(self)
        self.written.clear()
        self.read.clear()
        self._stored = False

    def entries(self) -> Iterator[tuple[Any, Any]]:
        """All entries as they are at the moment of the call."""
        written = [item for item in self.written.items() if item[1] is not _ABSENT]
        if not self._stored:
            return iter(written)
        return self._stored_entries(self._cache.database.scan(self.prefix), set(self.written), written)

    def _stored_entries(
        self, stored: Iterator[tuple[bytes, bytes]], replaced: set[Any], written: list[tuple[Any, Any]]
    ) -> Iterator[tuple[Any, Any]]:
        skip = len(self.prefix)
        for location, record in stored:
            entry = decode_entry(location[skip:], record)
            if entry[0] not in replaced:
                yield entry
        yield from written

    def store(self, batch: Any) -> None:
        """Add what is not stored yet to a batch; afterwards it counts as read."""
        written = self.written
        if written:
            prefix = self.prefix
            if not self._stored:
                self._stored = True
                if not is_exact(self.namespace):
                    batch[namespace_location(prefix)] = dump_object(self.namespace)
            for key, value in written.items():
                if value is _ABSENT:
                    del batch[prefix + encode_key(key)]
                    self.read.pop(key, None)
                else:
                    batch[prefix + encode_key(key)] = encode_record(key, value)
                    self.read[key] = value
            self.written = {}
        self.counted = self.allowance = 0

    def last_written(self) -> Any:
        """The value that was written to the newest key; None when that was removed."""
        value = next(reversed(self.written.values()))
        return None if value is _ABSENT else value

    def trim(self) -> None:
        """Let some of what was read longest ago go."""
        read = self.read
        if len(read) < _SMALL:
            self.read = {}
            return
        for key in list(islice(read, min(len(read) // 2, _MOST_TRIMMED))):
            del read[key]

    def _discard(self, key: Any) -> None:
        """Remove an entry that exists."""
        if self._stored:
            self[key] = _ABSENT
            return
        # It was never stored: nothing need be said to the database.
        del self.written[key]

    def _load(self, key: Any) -> Any:
        if not self._stored:
            hash(key)
            return _ABSENT
        record = self._get(self.prefix + encode_key(key))
        if record is None:
            return _ABSENT
        value = self.read[key] = decode_value(record)
        self._cache.loaded(self)
        return value


class _Items(ItemsView[Any, Any]):
    _mapping: RocksDBMapping

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping.entries()


class _Values(ValuesView[Any]):
    _mapping: RocksDBMapping

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping.entries())


class RocksDBTable(StateTable):
    """One named state, with a value per key.

    Args:
        cache: of the backend.
        number: of the table in the database.
    """

    def __init__(self, cache: ObjectCache, number: int) -> None:
        self._cache = cache
        self.prefix = table_prefix(number)
        # While anybody holds a mapping there must not be another for its namespace.
        self._mappings: weakref.WeakValueDictionary[Any, RocksDBMapping] = weakref.WeakValueDictionary()

    def of(self, namespace: Any) -> RocksDBMapping:
        mapping = self._mappings.get(namespace)
        if mapping is None:
            prefix = self._prefix_of(namespace)
            mapping = self._mappings[namespace] = RocksDBMapping(self._cache, prefix, namespace)
        return mapping

    def rebind(self, number: int) -> None:
        """Use the table that the database has under a number. Mappings stay valid."""
        self.prefix = table_prefix(number)
        for mapping in list(self._mappings.values()):
            mapping.rebind(self._prefix_of(mapping.namespace))

    def _prefix_of(self, namespace: Any) -> bytes:
        return self.prefix + with_length(encode_key(namespace))

    def drop(self, namespace: Any) -> None:
        self.of(namespace).clear()

    def namespaces(self) -> list[Any]:
        mappings = {mapping.namespace: mapping for mapping in list(self._mappings.values())}
        found = [namespace for namespace, mapping in mappings.items() if mapping]
        # Those with a mapping are in already, or their entries are removed and the database does not know yet.
        return found + [
            namespace
            for namespace in stored_namespaces(self._cache, self.prefix, 1, 1)
            if namespace not in mappings
        ]


def stored_namespaces(cache: ObjectCache, within: bytes, group: int, parts: int) -> Iterator[Any]:
    """Namespaces of the stored entries whose keys begin with `within`: one for each different beginning of `group`
    parts. A namespace is `parts` parts long."""
    database = cache.database
    start = within
    while True:
        location, _ = next(database.scan(within, start), (b"", b""))
        if not location:
            return
        beginning = beginning_of(location, group)
        if cache.stored(beginning):
            yield namespace_of(database.get, beginning_of(location, parts), parts)
        start = successor(beginning)


def beginning_of(location: bytes, parts: int) -> bytes:
    """The table and so many parts of a key."""
    end = _TABLE_BYTES
    for _ in range(parts):
        end = first_part(location, end)[1]
    return location[:end]


def table_prefix(number: int) -> bytes:
    """What all keys of a table begin with."""
    return number.to_bytes(_TABLE_BYTES, "big")


def namespace_location(prefix: bytes) -> bytes:
    """Where the catalog keeps the namespace of a prefix when that is not exact."""
    return CATALOG + b"n" + prefix


def table_location(name: str) -> bytes:
    """Where the catalog keeps what is to be known of a table."""
    return CATALOG + b"t" + name.encode("utf-8", "surrogatepass")


def namespace_of(get: Callable[[bytes], bytes | None], prefix: bytes, parts: int) -> Any:
    """The namespace that entries with a prefix belong to; of two parts it is a pair (rocksdb/map.py)."""
    stored = get(namespace_location(prefix))
    if stored is not None:
        return decode_value(stored)
    first, end = first_part(prefix, _TABLE_BYTES)
    return decode_key(first) if parts == 1 else (decode_key(first), decode_key(first_part(prefix, end)[0]))
