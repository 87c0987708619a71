"""One RocksDB instance: what the tables and the checkpoints of a backend need of it, in bytes.

Layout of a key:

    table (2 bytes) | length and bytes of the namespace | key        an entry; see rocksdb/keys.py
    0               | "t" name                                       catalog: number and kind of a table
    0               | "n" table, namespace as above                  catalog: a namespace that is not exact

Key groups are not part of it: computing them for every access costs more than computing them once for every
entry when the parallelism changes.

While a checkpoint is being made nothing is written: `freeze` starts it and returns at once, and RocksDB writes its
buffer in its own thread. Whoever comes first, the thread that uploads or the next write, completes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

from yarnflow.runtime.state.rocksdb.keys import successor
from yarnflow.runtime.state.rocksdb.settings import RocksDBSettings, require_rocksdict

#: More entries than this are removed by one range tombstone. It costs every later read near it something; fewer
#: entries cost less one by one.
_RANGE_DELETE = 1024


class FrozenDatabase:
    """A directory with hard links to the files of a database at one moment."""

    def __init__(self, database: Database, path: str) -> None:
        self.path = path
        self._database = database
        self._lock = threading.Lock()
        self._made = False

    def make(self) -> None:
        """Have the directory filled. Any thread may call it; a second call returns when the first is done."""
        with self._lock:
            if not self._made:
                self._database.link_files(self.path)
                self._made = True
                self._database.thaw(self)

    def release(self) -> None:
        """Remove the directory, also one that never was made."""
        self._database.thaw(self)
        with self._lock:
            self._made = True
            shutil.rmtree(self.path, ignore_errors=True)


def _scan(source: Any, prefix: bytes, start: bytes) -> Iterator[tuple[bytes, bytes]]:
    bound = successor(prefix)
    options = require_rocksdict().ReadOptions()
    options.set_iterate_upper_bound(bound)
    # Now, not with the first entry: the view is that of the call.
    return _keeping(source.items(from_key=start, read_opt=options), options, bound)


def _keeping(entries: Iterator[tuple[bytes, bytes]], *_kept: Any) -> Iterator[tuple[bytes, bytes]]:
    # rocksdict 0.3.29 hands RocksDB the address of the bound without holding the object: scans would end anywhere.
    yield from entries


class Database:
    """A RocksDB instance in a directory of its own, which `close` removes.

    Args:
        directory: made when it is not there; an existing instance in `directory/db` is opened.
        settings: of the slot.
    """

    def __init__(self, directory: str, settings: RocksDBSettings) -> None:
        self._rocksdict = require_rocksdict()
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self._settings = settings
        self._write_options = self._rocksdict.WriteOptions()
        # What is not in a checkpoint is computed again.
        self._write_options.disable_wal = True
        self._frozen: FrozenDatabase | None = None
        self._snapshots = 0
        self._open()

    def _open(self) -> None:
        self._db = self._rocksdict.Rdict(self.files_in(self.directory), self._settings.options())
        #: get(encoded key) -> record or None
        self.get = self._db.get

    def replace(self, fill: Callable[[str], None]) -> None:
        """Forget everything; use the files instead that `fill` puts into a directory."""
        filled = os.path.join(self.directory, "new")
        fill(filled)
        self._thaw()
        self._db.close()
        path = self.files_in(self.directory)
        shutil.rmtree(path)
        os.rename(filled, path)
        self._open()

    @staticmethod
    def files_in(directory: str) -> str:
        """Where the files of a database in a directory lie."""
        return os.path.join(directory, "db")

    @property
    def frozen(self) -> bool:
        """Whether a write would have to wait for a checkpoint."""
        return self._frozen is not None

    def batch(self) -> Any:
        """An empty batch: `batch[key] = record`, `del batch[key]`."""
        return self._rocksdict.WriteBatch(raw_mode=True)

    def write(self, batch: Any) -> None:
        """Write a batch at once; waits for a checkpoint that is being made."""
        self._thaw()
        self._db.write(batch, self._write_options)

    def scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Keys with a prefix and their records, in order, from `start` on when given.

        As they are at the call, whatever is written before the last one is taken, and by any thread. (RocksDB's
        snapshots would be the name for it; those of rocksdict 0.3.29 show what was written since.)
        """
        return _scan(self._db, prefix, start or prefix)

    def holds(self, prefix: bytes) -> bool:
        """Whether any key begins with a prefix."""
        return next(self.scan(prefix), None) is not None

    def remove(self, prefix: bytes) -> None:
        """Remove all keys with a prefix."""
        batch = self.batch()
        for count, (key, _) in enumerate(self.scan(prefix)):
            if count == _RANGE_DELETE:
                batch.clear()
                batch.delete_range(prefix, successor(prefix))
                break
            del batch[key]
        if len(batch):
            self.write(batch)

    def freeze(self) -> FrozenDatabase:
        """Begin a picture of everything written so far."""
        self._thaw()
        self._db.flush(False)
        self._snapshots += 1
        self._frozen = FrozenDatabase(self, os.path.join(self.directory, f"frozen-{self._snapshots}"))
        return self._frozen

    def link_files(self, path: str) -> None:
        """Fill a directory with links to the files, after all that was written has got to them."""
        self._db.flush(True)  # gives the interpreter to other threads, which create_checkpoint does not
        self._rocksdict.Checkpoint(self._db).create_checkpoint(path)

    def thaw(self, frozen: FrozenDatabase) -> None:
        """Writing need not wait for this picture any more."""
        if self._frozen is frozen:
            self._frozen = None

    def entries(self) -> int:
        """About how many keys there are."""
        return int(self._db.property_int_value("rocksdb.estimate-num-keys") or 0)

    def size(self) -> int:
        """Bytes of the files."""
        return int(self._db.property_int_value("rocksdb.total-sst-files-size") or 0)

    def close(self) -> None:
        """Close, and remove the directory."""
        self._thaw()
        self._db.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _thaw(self) -> None:
        frozen = self._frozen
        if frozen is not None:
            frozen.make()
            self._frozen = None


def remove_abandoned(folder: str, beginning: str) -> None:
    """Remove databases in a folder whose processes were killed.

    A database is in use as long as somebody holds the lock that RocksDB takes on its file LOCK (as fcntl does).

    Args:
        folder: may not be there.
        beginning: of the names of the databases' directories: "<beginning>-...-<process id>-<random>".
    """
    if not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        parts = name.split("-")
        # Our own locks would seem free to us, and closing a file would give them up.
        if parts[0] != beginning or len(parts) < 3 or parts[-2] == str(os.getpid()):
            continue
        directory = os.path.join(folder, name)
        try:
            with open(os.path.join(Database.files_in(directory), "LOCK"), "r+b") as lock:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
        except (FileNotFoundError, BlockingIOError):
            continue  # somebody is about to open it, or uses it
