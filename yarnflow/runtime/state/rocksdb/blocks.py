"""Databases in checkpoints as the blocks that a savepoint would have instead: for readers without a job."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Sequence

from yarnflow.runtime.checkpoint.handles import StateBlock, StateFile, StateKind
from yarnflow.runtime.state.backend import TABLE
from yarnflow.runtime.state.rocksdb.database import Database
from yarnflow.runtime.state.rocksdb.files import download
from yarnflow.runtime.state.rocksdb.reader import TableView, read_catalog, table_reader
from yarnflow.runtime.state.rocksdb.settings import RocksDBSettings
from yarnflow.runtime.state.rocksdb.table import table_prefix
from yarnflow.runtime.state.snapshot import KeyedPart
from yarnflow.runtime.state.snapshot_target import inlined
from yarnflow.runtime.state.writer import write_parts


def blocks_of_database(files: Sequence[StateFile], directory: str, name: str | None = None) -> list[StateBlock]:
    """The tables of a database, in memory.

    Args:
        files: of one instance; they are brought to a temporary directory and opened there.
        directory: URI of the checkpoint.
        name: of the only table that is wanted; None for all.

    Raises:
        CheckpointCorruptedError: a file is missing or damaged; names it.
        MissingDependencyError: rocksdict is not installed.
    """
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="yarnflow-state-") as folder:
        path = os.path.join(folder, "database")
        download(files, directory, Database.files_in(path))
        database = Database(path, RocksDBSettings())
        try:
            parts = [
                KeyedPart(
                    "",
                    table,
                    StateKind.KEYED,
                    table_reader(
                        TableView(database, entry.number), entry.details.get("state", TABLE) == "map", None
                    ),
                    database.entries(),
                    entry.details,
                )
                for table, entry in read_catalog(database).items()
                if name in (None, table) and database.holds(table_prefix(entry.number))
            ]
            written = write_parts(parts, [], files[0].key_groups, buffer)
        finally:
            database.close()
    return [block for _, block in inlined(written, buffer.getvalue())]
