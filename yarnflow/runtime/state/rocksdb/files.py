"""Files of a database in checkpoints: which need be stored, and how they come back.

With incremental checkpoints a file that is part of the last completed checkpoint is not stored again. Files of
RocksDB never change and their names never come back, so the name decides. What was stored for a checkpoint that
was not completed may have been deleted, so it does not count. Nor do files of the checkpoint that the job was
started from: they may belong to another job, which deletes them.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence

from yarnflow import fs
from yarnflow.errors import CheckpointCorruptedError, FileMissingError
from yarnflow.runtime.checkpoint.handles import StateFile
from yarnflow.runtime.checkpoint.paths import resolve
from yarnflow.runtime.state.rocksdb.database import FrozenDatabase
from yarnflow.runtime.state.snapshot import FilesPart

Store = Callable[[str, str, bool], StateFile]

_CHUNK = 1 << 20

#: What RocksDB makes anew when it opens a database.
_NOT_STORED = ("LOG", "LOCK", "IDENTITY")


class FileUploads:
    """Knows what completed checkpoints hold.

    Args:
        incremental: whether to store only what the last completed one has not.
    """

    def __init__(self, incremental: bool) -> None:
        self._incremental = incremental
        self._completed: dict[str, StateFile] = {}
        self._pending: dict[int, dict[str, StateFile]] = {}

    def part(self, checkpoint_id: int, operator_id: str, frozen: FrozenDatabase) -> FilesPart:
        """What a checkpoint is to store of a database."""
        known = self._reusable()
        self._pending[checkpoint_id] = known

        def upload(store: Store) -> Sequence[StateFile]:
            frozen.make()
            stored: dict[str, StateFile] = {}
            for name in sorted(os.listdir(frozen.path)):
                if name.startswith(_NOT_STORED):
                    continue
                shared = self._incremental and name.endswith(".sst")
                path = os.path.join(frozen.path, name)
                stored[name] = known[name] if name in known else store(path, name, shared)
            self._pending[checkpoint_id] = {name: item for name, item in stored.items() if item.shared}
            return list(stored.values())

        return FilesPart(operator_id, upload, frozen.release)

    def completed(self, checkpoint_id: int) -> None:
        """What was stored for it may be counted on; earlier checkpoints do not matter any more."""
        self._completed = self._pending.get(checkpoint_id, {})
        self._pending = {number: files for number, files in self._pending.items() if number > checkpoint_id}

    def _reusable(self) -> dict[str, StateFile]:
        # A checkpoint under way may be completed before this one, and files of earlier ones that it does not use
        # be deleted: only what all of them have is safe.
        return {
            name: item
            for name, item in self._completed.items()
            if all(files.get(name) == item for files in self._pending.values())
        }


def download(files: Sequence[StateFile], base: str, directory: str) -> None:
    """Bring the files of one database to a local directory, and check them.

    Args:
        files: of one instance.
        base: URI that relative paths start from.
        directory: made when it is not there.

    Raises:
        CheckpointCorruptedError: a file is missing or damaged; names it.
    """
    os.makedirs(directory, exist_ok=True)
    for item in files:
        uri = resolve(base, item.path)
        system, path = fs.get(uri)
        local = os.path.join(directory, item.name)
        checksum = size = 0
        try:
            with system.open_read(path) as reader, open(local, "wb") as writer:
                while chunk := reader.read(_CHUNK):
                    checksum = zlib.crc32(chunk, checksum)
                    size += len(chunk)
                    writer.write(chunk)
        except FileMissingError as error:
            raise CheckpointCorruptedError(f"the checkpoint's file {uri} is missing", uri) from error
        if (size, checksum) != (item.size, item.checksum):
            raise CheckpointCorruptedError(
                f"the checkpoint's file {uri} is damaged: {size} bytes with checksum {checksum}, stored were "
                f"{item.size} with {item.checksum}",
                uri,
            )
