"""Reads whole tables: for savepoints, and when former subtasks' databases become one or are divided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from yarnflow.runtime.state.rocksdb.database import Database
from yarnflow.runtime.state.rocksdb.keys import decode_entry, decode_value
from yarnflow.runtime.state.rocksdb.table import (
    beginning_of,
    namespace_location,
    namespace_of,
    table_location,
    table_prefix,
)
from yarnflow.runtime.state.snapshot import Chunk

#: Entries that are handed on at once.
_CHUNK_ENTRIES = 4096
_BATCH_BYTES = 1 << 20

Living = Callable[[Any], Any]


class CatalogEntry(NamedTuple):
    """What a database knows of a table.

    Attributes:
        number: begins the keys of its entries.
        details: KeyedStateBackend.details.
    """

    number: int
    details: dict[str, str]


def read_catalog(database: Database) -> dict[str, CatalogEntry]:
    """The tables of a database by name."""
    start = table_location("")
    return {
        location[len(start) :].decode("utf-8", "surrogatepass"): CatalogEntry(*decode_value(record))
        for location, record in database.scan(start)
    }


class TableView:
    """All entries of a table as they are now, to be read once, later, and by any thread."""

    def __init__(self, database: Database, number: int) -> None:
        prefix = table_prefix(number)
        self.entries = database.scan(prefix)
        self._names = database.scan(namespace_location(prefix))
        self._name: tuple[bytes, bytes] | None = (b"", b"")

    def name_at(self, location: bytes) -> bytes | None:
        """What the catalog keeps at a location. To be asked for in ascending order."""
        while self._name is not None and self._name[0] < location:
            self._name = next(self._names, None)
        return self._name[1] if self._name is not None and self._name[0] == location else None


def table_reader(view: TableView, is_map: bool, living: Living | None) -> Callable[[], Iterable[Chunk]]:
    """A function that reads a table as the hashmap backend stores it: the value of a map state is a dict.

    Args:
        view: of the table.
        is_map: entries belong to the maps of keys.
        living: what of a value has not expired, None for nothing; None when all is to be taken.
    """
    return lambda: _chunks(_maps(view) if is_map else _entries(view), living)


def copy_instance(
    source: Database,
    number: int,
    target: Database,
    target_number: int,
    is_map: bool,
    wanted: Callable[[Any], bool],
) -> None:
    """Copy the entries of a table whose keys are wanted."""
    parts = 2 if is_map else 1
    old, new = table_prefix(number), table_prefix(target_number)
    batch = target.batch()
    prefix, take = b"", False
    for location, record in source.scan(old):
        if not prefix or not location.startswith(prefix):
            prefix = beginning_of(location, parts)
            take = is_map and wanted(namespace_of(source.get, prefix, parts)[1])
            named = source.get(namespace_location(prefix))
            if named is not None:
                batch[namespace_location(new + prefix[len(old) :])] = named
        if take if is_map else wanted(decode_entry(location[len(prefix) :], record)[0]):
            batch[new + location[len(old) :]] = record
            if batch.size_in_bytes() > _BATCH_BYTES:
                target.write(batch)
                batch = target.batch()
    if len(batch):
        target.write(batch)


def _entries(view: TableView) -> Iterator[tuple[Any, Any, Any]]:
    """Namespace, key and value of all entries."""
    prefix, namespace, skip = b"", None, 0
    for location, record in view.entries:
        if not prefix or not location.startswith(prefix):
            prefix = beginning_of(location, 1)
            namespace, skip = namespace_of(view.name_at, prefix, 1), len(prefix)
        yield namespace, *decode_entry(location[skip:], record)


def _maps(view: TableView) -> Iterator[tuple[Any, Any, Any]]:
    """Namespace, key and map of all keys."""
    prefix, namespace, key = b"", None, None
    found: dict[Any, Any] = {}
    for location, record in view.entries:
        if not prefix or not location.startswith(prefix):
            if found:
                yield namespace, key, found
            prefix, found = beginning_of(location, 2), {}
            namespace, key = namespace_of(view.name_at, prefix, 2)
        name, value = decode_entry(location[len(prefix) :], record)
        found[name] = value
    if found:
        yield namespace, key, found


def _chunks(entries: Iterator[tuple[Any, Any, Any]], living: Living | None) -> Iterator[Chunk]:
    keys: list[Any] = []
    values: list[Any] = []
    current: Any = None
    for namespace, key, value in entries:
        if living is not None:
            value = living(value)
            if value is None:
                continue
        if keys and (namespace != current or len(keys) >= _CHUNK_ENTRIES):
            yield Chunk(current, keys, values)
            keys, values = [], []
        current = namespace
        keys.append(key)
        values.append(value)
    if keys:
        yield Chunk(current, keys, values)
