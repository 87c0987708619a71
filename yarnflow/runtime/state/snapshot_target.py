"""Where a snapshot is stored: inline, in the checkpoint's directory, and in the directory of shared files."""

from __future__ import annotations

import io
import os
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from yarnflow import fs
from yarnflow.errors import CheckpointError, FileSystemError, UnstorableStateError
from yarnflow.fs.local import LocalFileSystem
from yarnflow.runtime.checkpoint.handles import CheckpointPlan, StateFile
from yarnflow.runtime.checkpoint.paths import resolve
from yarnflow.runtime.state.snapshot import KeyedPart, ListPart, TaskSnapshot
from yarnflow.runtime.state.writer import Written, write_parts

_CHUNK = 1024 * 1024


@dataclass
class Later:
    """What the thread reads by itself."""

    snapshot: TaskSnapshot
    keyed: list[KeyedPart]
    lists: list[ListPart]

    def __init__(self, snapshot: TaskSnapshot, keyed: list[KeyedPart]) -> None:
        self.snapshot = snapshot
        self.keyed = keyed
        self.lists = []

    @property
    def needed(self) -> bool:
        """Whether there is anything."""
        return bool(self.keyed or self.lists or self.snapshot.files)

    def write(self, stream: Any, offset: int, check: Callable[[], None]) -> list[Written]:
        """Write it behind what the file holds."""
        return write_parts(self.keyed, self.lists, self.snapshot.key_groups, stream, offset, check)


class Target:
    """Where a snapshot goes."""

    def __init__(self, directory: str, name: str, plan: CheckpointPlan) -> None:
        self.directory = directory
        self.name = name
        self.inline_limit = plan.inline_bytes if directory else max(plan.inline_bytes, plan.max_inline_bytes)
        self.uploaded = 0
        self._plan = plan
        self._created: list[str] = []
        self._local: str | None = None

    def check_size(self, size: int) -> None:
        """Raise UnstorableStateError for state that would have to travel inline and is too large for that."""
        if not self.directory and size > self.inline_limit:
            raise UnstorableStateError(
                f"the state of {self.name} has {size} bytes, and without a directory for checkpoints at most "
                f"{self.inline_limit} can be stored: set execution.checkpointing.dir"
            )

    def local_file(self) -> str:
        """A local file that a child may write: the final one, if that is local."""
        if self.directory:
            system, path = fs.get(resolve(self.directory, self.name))
            if isinstance(system, LocalFileSystem):
                self._created.append(resolve(self.directory, self.name))
                return path
        # The worker's own folder, which is removed with it.
        handle, self._local = tempfile.mkstemp(prefix=".yarnflow-checkpoint-", dir=os.getcwd())
        os.close(handle)
        return self._local

    def store_blocks(
        self,
        data: bytes | None,
        written: list[Written],
        file: str | None,
        later: Later,
        check: Callable[[], None],
    ) -> tuple[list[Written], int]:
        """Bring the blocks to where they belong: `data` or the child's `file`, and what `later` adds.

        Returns the blocks and how many bytes they have.
        """
        local = LocalFileSystem()
        if file is not None:
            size = os.path.getsize(file)
            if later.keyed or later.lists:
                with open(file, "ab") as stream:
                    written = written + later.write(stream, size, check)
                size = os.path.getsize(file)
            self.check_size(size)
            if not self.directory:
                written = inlined(written, local.read_bytes(file))
            else:
                if file == self._local:
                    uri = self._creating(self.name)
                    system, path = fs.get(uri)
                    system.upload(file, path, overwrite=True)
                written = self._placed(written)
            self.drop_local()
            return written, size
        data = data or b""
        if not self.directory or (len(data) <= self.inline_limit and not (later.keyed or later.lists)):
            buffer = io.BytesIO(data)
            buffer.seek(0, io.SEEK_END)
            written = written + later.write(buffer, len(data), check)
            self.check_size(len(buffer.getvalue()))
            return inlined(written, buffer.getvalue()), len(buffer.getvalue())
        system, path = fs.get(self._creating(self.name))
        with system.open_write(path, overwrite=True) as stream:
            stream.write(data)
            written = written + later.write(stream, len(data), check)
        return self._placed(written), sum(block.size for _, block in written)

    def storing(
        self, operator_id: str, snapshot: TaskSnapshot, check: Callable[[], None]
    ) -> Callable[[str, str, bool], StateFile]:
        """The function that stores files of an operator's backend."""

        def store(local: str, name: str, shared: bool) -> StateFile:
            check()
            shared = shared and bool(self._plan.shared_directory)
            if shared:
                # Other checkpoints, and attempts that were lost, have files of the same name.
                unique = f"{self.name}-{operator_id[:8]}-{os.urandom(6).hex()}-{name}"
                path = _relative(f"{self._plan.shared_directory}/{unique}", self.directory)
            else:
                path = f"{self.name}-{operator_id[:8]}-{name}"
            if not self.directory:
                raise CheckpointError(
                    f"the state of {self.name} lies in files, which need a directory for checkpoints: set "
                    "execution.checkpointing.dir"
                )
            uri = self._creating(path)
            system, target = fs.get(uri)
            system.upload(local, target, overwrite=True)
            size, checksum = _checksum(local)
            self.uploaded += size
            return StateFile(name, path, size, checksum, shared, snapshot.key_groups)

        return store

    def clean_up(self) -> None:
        """Remove everything that was written."""
        for uri in self._created:
            # What cannot be removed lies in a directory that the coordinator deletes as a whole.
            with suppress(FileSystemError):
                system, path = fs.get(uri)
                system.delete(path)
        self.drop_local()

    def drop_local(self) -> None:
        """Remove the temporary file."""
        if self._local is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._local)
            self._local = None

    def _creating(self, path: str) -> str:
        uri = resolve(self.directory, path)
        self._created.append(uri)
        return uri

    def _placed(self, written: list[Written]) -> list[Written]:
        return [(operator_id, replace(block, path=self.name)) for operator_id, block in written]


def inlined(written: list[Written], data: bytes) -> list[Written]:
    return [
        (operator_id, replace(block, offset=0, data=data[block.offset : block.offset + block.size]))
        for operator_id, block in written
    ]


def _relative(uri: str, directory: str) -> str:
    """A file beside the checkpoint's directory as seen from it, so that both can be moved together."""
    parent = directory.rstrip("/").rpartition("/")[0]
    return f"../{uri[len(parent) + 1 :]}" if parent and uri.startswith(parent + "/") else uri


def _checksum(path: str) -> tuple[int, int]:
    size = checksum = 0
    with open(path, "rb") as stream:
        while data := stream.read(_CHUNK):
            checksum = zlib.crc32(data, checksum)
            size += len(data)
    return size, checksum
