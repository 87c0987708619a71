"""What tests of the rocksdb backend share: backends in a folder, a store for files, restores without a job."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yarnflow.graph.key_groups import key_group
from yarnflow.runtime.checkpoint.handles import StateFile, StateKind
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.rocksdb.backend import RocksDBStateBackend
from yarnflow.runtime.state.rocksdb.settings import RocksDBSettings
from yarnflow.runtime.state.snapshot import Chunk, KeyedPart, TaskSnapshot

MAX_PARALLELISM = 128
ALL = (0, MAX_PARALLELISM - 1)


def settings(folder: Path, **changes: Any) -> RocksDBSettings:
    return RocksDBSettings(**{"local_directory": str(folder), **changes})


@contextmanager
def backend(folder: Path, clock: Any = None, **changes: Any) -> Iterator[RocksDBStateBackend]:
    made = RocksDBStateBackend(settings(folder, **changes), MAX_PARALLELISM, clock or (lambda: 0))
    try:
        yield made
    finally:
        made.close()


def snapshot_of(
    backend: Any, checkpoint_id: int = 1, savepoint: bool = False, key_groups: tuple[int, int] = ALL
) -> TaskSnapshot:
    snapshot = TaskSnapshot(checkpoint_id, savepoint, MAX_PARALLELISM, key_groups)
    backend.snapshot(snapshot, "operator")
    return snapshot


class Storage:
    """Where checkpoints' files go. Counts what is stored."""

    def __init__(self, folder: Path, key_groups: tuple[int, int] = ALL) -> None:
        self.folder = folder
        self.key_groups = key_groups
        self.uploaded = 0
        self.count = 0
        folder.mkdir(parents=True, exist_ok=True)

    def store(self, local: str, name: str, shared: bool) -> StateFile:
        self.count += 1
        target = self.folder / f"{self.count}-{name}"
        shutil.copy(local, target)
        data = target.read_bytes()
        self.uploaded += len(data)
        return StateFile(name, str(target), len(data), zlib.crc32(data), shared, self.key_groups)

    def upload(self, snapshot: TaskSnapshot) -> list[StateFile]:
        """What a background thread does with the files of a snapshot."""
        files: list[StateFile] = []
        for part in snapshot.files:
            files += part.upload(self.store)
            part.release()
        return files


class Restored(RestoredOperator):
    """What is restored, given directly. Keyed entries are cut to the key groups as the real one does."""

    def __init__(
        self,
        keyed: Sequence[KeyedPart] = (),
        files: Sequence[Sequence[StateFile]] = (),
        key_groups: range = range(MAX_PARALLELISM),
    ) -> None:
        super().__init__(None, "", 0, 1, key_groups, 1)
        self._keyed = {part.name: (list(part.chunks()), part.details) for part in keyed}
        self._files = list(enumerate(files))

    def keyed_names(self, kind: StateKind = StateKind.KEYED) -> list[str]:
        return list(self._keyed)

    def keyed(self, name: str, kind: StateKind = StateKind.KEYED) -> Iterable[Chunk]:
        for namespace, keys, values in self._keyed[name][0]:
            pairs = [
                pair
                for pair in zip(keys, values, strict=True)
                if key_group(pair[0], MAX_PARALLELISM) in self.key_groups
            ]
            yield Chunk(namespace, [key for key, _ in pairs], [value for _, value in pairs])

    def details(self, name: str) -> dict[str, str]:
        return self._keyed[name][1]

    def files(self) -> Sequence[tuple[int, Sequence[StateFile]]]:
        return self._files


def contents(backend: Any, name: str) -> dict[Any, dict[Any, Any]]:
    """All entries of a table by namespace; maps as dicts."""
    table = backend.table(name)
    return {
        namespace: {
            key: dict(value.items()) if backend.kinds[name] == "map" else value
            for key, value in table.of(namespace).items()
        }
        for namespace in table.namespaces()
    }
