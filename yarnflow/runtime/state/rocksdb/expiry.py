"""Removes expired values that nobody asks for.

Where Flink has a filter in RocksDB's compactions (which rocksdict cannot have), a sweep goes round the tables of
states that expire: a little further whenever values have been written to the database, and after every checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from yarnflow.runtime.state.rocksdb.database import Database
from yarnflow.runtime.state.rocksdb.keys import decode_entry
from yarnflow.runtime.state.rocksdb.map import RocksDBMapTable
from yarnflow.runtime.state.rocksdb.table import RocksDBTable, beginning_of, namespace_of

Living = Callable[[Any], Any]


class ExpirySweep:
    """Knows how far it has come."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._positions: dict[str, bytes] = {}

    def go_on(self, name: str, table: RocksDBTable | RocksDBMapTable, living: Living, entries: int) -> None:
        """Look at the next stored entries of a table, and remove what has expired.

        Args:
            name: of the table.
            table: it.
            living: what of a stored value (a dict for map states) has not expired, None for nothing.
            entries: how many to look at.
        """
        is_map = isinstance(table, RocksDBMapTable)
        start = self._positions.pop(name, table.prefix)
        if not start.startswith(table.prefix):  # the table was given another number
            start = table.prefix
        for number, (location, record) in enumerate(islice(self._database.scan(table.prefix, start), entries + 1)):
            if number == entries:
                self._positions[name] = location
                break
            prefix = beginning_of(location, 2 if is_map else 1)
            key, value = decode_entry(location[len(prefix) :], record)
            touched = living({key: value}) is None if is_map else living(value) is not value
            if touched:
                self._renew(table, prefix, key, living)

    def _renew(self, table: RocksDBTable | RocksDBMapTable, prefix: bytes, key: Any, living: Living) -> None:
        # Through the mapping, which may know of a newer value.
        if isinstance(table, RocksDBMapTable):
            namespace, owner = namespace_of(self._database.get, prefix, 2)
            found = table.of(namespace).get(owner)
            if found and key in found and living({key: found[key]}) is None:
                del found[key]
            return
        mapping = table.of(namespace_of(self._database.get, prefix, 1))
        stored = mapping.get(key)
        if stored is None:
            return
        left = living(stored)
        if left is None:
            del mapping[key]
        elif left is not stored:
            mapping[key] = left
