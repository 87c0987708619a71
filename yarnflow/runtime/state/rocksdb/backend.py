"""The rocksdb backend: keyed state on local disk, larger than memory.

    rocksdb/keys.py      keys and values as bytes
    rocksdb/settings.py  options, memory
    rocksdb/database.py  one RocksDB instance
    rocksdb/cache.py     what is kept as Python objects
    rocksdb/table.py     tables; rocksdb/map.py: of map states
    rocksdb/expiry.py    time to live
    rocksdb/files.py     its files in checkpoints
    rocksdb/reader.py    its entries in savepoints, and from instances of former subtasks

A checkpoint stores the files of the database: hard links that are made in a moment, uploaded by a thread. A
savepoint stores what the hashmap backend would, so either can start from the other's. It is read by a thread from
iterators, which keep their view. (A forked child, as the hashmap backend uses it, must not touch the database: its
threads and the locks that they hold are not copied along.)
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from typing import Any

from yarnflow.graph.key_groups import stable_hash
from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.network.serialization import dump_object
from yarnflow.runtime.state.backend import TABLE, KeyedStateBackend, wall_clock
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.rocksdb.cache import ObjectCache
from yarnflow.runtime.state.rocksdb.database import Database, remove_abandoned
from yarnflow.runtime.state.rocksdb.expiry import ExpirySweep
from yarnflow.runtime.state.rocksdb.files import FileUploads, download
from yarnflow.runtime.state.rocksdb.map import RocksDBMapTable
from yarnflow.runtime.state.rocksdb.reader import (
    CatalogEntry,
    TableView,
    copy_instance,
    read_catalog,
    table_reader,
)
from yarnflow.runtime.state.rocksdb.settings import RocksDBSettings
from yarnflow.runtime.state.rocksdb.table import RocksDBTable, table_location
from yarnflow.runtime.state.snapshot import KeyedPart, TaskSnapshot

Table = RocksDBTable | RocksDBMapTable

#: Stored entries that are looked at for expiry after a checkpoint: about a millisecond.
_SWEPT_PER_CHECKPOINT = 2000

_FOLDER = "rocksdb"


class RocksDBStateBackend(KeyedStateBackend):
    """Keyed state in a database of its own, in a directory that `close` removes.

    Args:
        settings: of the slot.
        max_parallelism: number of key groups.
        clock: processing time in ms since the epoch.
        name: begins the name of the directory: operator and subtask.
    """

    def __init__(
        self,
        settings: RocksDBSettings,
        max_parallelism: int,
        clock: Callable[[], int] = wall_clock,
        name: str = "state",
    ) -> None:
        super().__init__(clock)
        self._settings = settings
        self._max_parallelism = max_parallelism
        local = os.path.abspath(settings.local_directory or ".")
        remove_abandoned(local, _FOLDER)
        folder = f"{_FOLDER}-{name}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self.database = Database(os.path.join(local, folder), settings)
        self._cache = ObjectCache(self.database, settings.object_bytes)
        self._tables: dict[str, Table] = {}
        self._numbers: dict[str, int] = {}
        self._catalog: dict[str, CatalogEntry] = {}
        self._uploads = FileUploads(settings.incremental)
        self._sweep = ExpirySweep(self.database)
        self._sweeping = False
        self._cache.on_stored = self._remove_expired
        self._closed = False

    def table(self, name: str) -> Table:
        found = self._tables.get(name)
        if found is None:
            kind = self.kinds.setdefault(name, TABLE)
            number = self._numbers.get(name)
            if number is None:
                number = self._numbers[name] = max(self._numbers.values(), default=0) + 1
            found = self._tables[name] = (RocksDBMapTable if kind == "map" else RocksDBTable)(self._cache, number)
        return found

    def snapshot(self, snapshot: TaskSnapshot, operator_id: str) -> None:
        database = self.database
        self._cache.store()
        self._write_catalog()
        if not snapshot.savepoint:
            snapshot.files.append(self._uploads.part(snapshot.checkpoint_id, operator_id, database.freeze()))
            return
        for name, table in self._tables.items():
            if database.holds(table.prefix):
                view = TableView(database, self._numbers[name])
                read = table_reader(view, self.kinds[name] == "map", self.expired(name))
                snapshot.keyed.append(
                    KeyedPart(
                        operator_id,
                        name,
                        StateKind.KEYED,
                        read,
                        database.entries(),
                        self.details(name),
                        freeze=_always(read),
                        database=True,
                    )
                )

    def restore(self, restored: RestoredOperator) -> None:
        instances = [files for _, files in restored.files() if files]
        groups = restored.key_groups
        own = (groups[0], groups[-1]) if groups else None
        if len(instances) == 1 and instances[0][0].key_groups == own:
            files = instances[0]
            self.database.replace(lambda directory: download(files, restored.directory, directory))
            self._take_over(read_catalog(self.database))
        else:
            for files in instances:
                self._copy(files, restored)
        for name in restored.keyed_names():
            self.restored_table(name, restored.details(name))
            table = self.table(name)
            for namespace, keys, values in restored.keyed(name):
                table.of(namespace).update(zip(keys, values, strict=True))
        self._cache.store()

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        self._uploads.completed(checkpoint_id)
        if not self.database.frozen:
            self._remove_expired(_SWEPT_PER_CHECKPOINT)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._cache.close()
            self.database.close()

    def _remove_expired(self, entries: int) -> None:
        if self._sweeping:  # what it removes has become too much and was stored
            return
        self._sweeping = True
        try:
            self._sweep_tables(entries)
        finally:
            self._sweeping = False

    def _sweep_tables(self, entries: int) -> None:
        for name, descriptor in self._descriptors.items():
            config = descriptor.ttl_config
            living = self.expired(name)
            if (
                config is not None
                and living is not None
                and config.get_cleanup_strategies().get_rocksdb_compact_filter_cleanup_strategy() is not None
            ):
                self._sweep.go_on(name, self.table(name), living, entries)

    def _write_catalog(self) -> None:
        batch = self.database.batch()
        for name in self._tables:
            entry = CatalogEntry(self._numbers[name], self.details(name))
            if self._catalog.get(name) != entry:
                self._catalog[name] = entry
                batch[table_location(name)] = dump_object(tuple(entry))
        if len(batch):
            self.database.write(batch)

    def _take_over(self, catalog: dict[str, CatalogEntry]) -> None:
        """Use the tables that the database has."""
        self._catalog.update(catalog)
        unknown = [name for name in self._tables if name not in catalog]
        self._numbers = {name: entry.number for name, entry in catalog.items()}
        for name, entry in catalog.items():
            self.restored_table(name, entry.details)
            self.table(name).rebind(entry.number)
        for name in unknown:
            number = self._numbers[name] = max(self._numbers.values(), default=0) + 1
            self._tables[name].rebind(number)

    def _copy(self, files: Any, restored: RestoredOperator) -> None:
        """Take the entries of this subtask's key groups from the database of a former subtask."""
        folder = os.path.join(self.database.directory, f"former-{uuid.uuid4().hex[:12]}")
        download(files, restored.directory, Database.files_in(folder))
        former = Database(folder, self._settings)
        groups, max_parallelism = restored.key_groups, self._max_parallelism

        def wanted(key: Any) -> bool:
            return stable_hash(key) % max_parallelism in groups

        try:
            for name, entry in read_catalog(former).items():
                self.restored_table(name, entry.details)
                self.table(name)
                is_map = self.kinds[name] == "map"
                copy_instance(former, entry.number, self.database, self._numbers[name], is_map, wanted)
        finally:
            former.close()


def _always(value: Any) -> Callable[[], Any]:
    return lambda: value
