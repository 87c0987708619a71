"""Files of this machine, with nothing but the standard library.

Also a network volume that every machine mounts; publishing there needs hard links (NFS, ext4, xfs, btrfs).
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from yarnflow.errors import (
    FileAlreadyExistsError,
    FileMissingError,
    FilePermissionError,
    FileSystemError,
    PathIsDirectoryError,
)
from yarnflow.fs.base import FileStatus, FileSystem, temporary_name

if TYPE_CHECKING:
    import pyarrow.fs
    from typing_extensions import Buffer

#: Files on one disk gain little from many small splits; close to Hadoop's `dfs.blocksize` of 128 MiB, halved.
SPLIT_SIZE = 64 * 1024 * 1024

_BUFFER = 1024 * 1024


class LocalFileSystem(FileSystem):
    """Local files. Relative paths are taken from the current directory."""

    def __init__(self) -> None:
        super().__init__("file", "")

    def status(self, path: str) -> FileStatus | None:
        with _errors(path):
            try:
                return _status(os.path.abspath(path), os.stat(path))
            except (FileNotFoundError, NotADirectoryError):
                return None

    def list(self, path: str, recursive: bool = False) -> list[FileStatus]:
        """See FileSystem. Links are followed, except that a recursive listing does not descend into linked
        directories, and a link to nothing is left out."""
        path = os.path.abspath(path)
        top = self.existing(path)
        if not top.is_directory:
            return [top]
        found: list[FileStatus] = []
        with _errors(path):
            pending = [path]
            while pending:
                with os.scandir(pending.pop()) as entries:
                    for entry in entries:
                        try:
                            found.append(_status(entry.path, entry.stat()))
                        except FileNotFoundError:
                            continue  # deleted since the directory was read, or a link to nothing
                        if recursive and entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
        return sorted(found)

    def open_read(self, path: str, offset: int = 0) -> BinaryIO:
        with _errors(path):
            stream = io.BufferedReader(_File(path, "rb"), _BUFFER)
            stream.seek(offset)
            return cast(BinaryIO, stream)

    def open_write(self, path: str, overwrite: bool = False) -> BinaryIO:
        mode = "wb" if overwrite else "xb"
        with _errors(path):
            try:
                file = _File(path, mode)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
                file = _File(path, mode)
            return cast(BinaryIO, io.BufferedWriter(file, _BUFFER))

    def publish(self, tmp: str, final: str, overwrite: bool = False) -> None:
        with _errors(final):
            if os.path.isdir(tmp):
                raise self.is_directory(tmp)
            if not os.path.exists(tmp):
                raise self.missing(tmp)
            os.makedirs(os.path.dirname(os.path.abspath(final)), exist_ok=True)
            if overwrite:
                os.replace(tmp, final)
            else:
                os.link(tmp, final)  # fails if the name is taken, which no rename of POSIX does
                os.unlink(tmp)

    def write_atomic(self, path: str, data: bytes, overwrite: bool = False) -> None:
        """See FileSystem. The bytes are on the disk before the name is, so a power cut leaves no gap."""
        tmp = temporary_name(path)
        try:
            with self.open_write(tmp) as stream, _errors(path):
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            self.publish(tmp, path, overwrite)
        except BaseException:
            # The first failure is the one to report.
            with suppress(FileSystemError):
                self.delete(tmp)
            raise

    def rename(self, source: str, target: str) -> None:
        """See FileSystem. What another process makes at `target` in the same moment may be replaced, unless it is
        a directory with something in it: where that matters, `publish`."""
        with _errors(target):
            if os.path.lexists(target):
                raise _exists(target)
            os.rename(source, target)

    def mkdirs(self, path: str) -> None:
        with _errors(path):
            os.makedirs(path, exist_ok=True)

    def delete(self, path: str, recursive: bool = False) -> bool:
        with _errors(path):
            try:
                if not os.path.isdir(path) or os.path.islink(path):
                    os.unlink(path)
                elif recursive:
                    shutil.rmtree(path)
                else:
                    os.rmdir(path)
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

    def block_size(self, path: str) -> int:
        self.existing(path)
        return SPLIT_SIZE

    def arrow(self) -> pyarrow.fs.FileSystem:
        import pyarrow.fs  # heavy, and only columnar readers need it

        return pyarrow.fs.LocalFileSystem()


class _File(io.FileIO):
    """Below the buffers: a disk that fills up or fails while a stream is open is told with the file's path."""

    def readinto(self, buffer: Buffer, /) -> int | None:
        with _errors(str(self.name)):
            return super().readinto(buffer)

    def write(self, data: Buffer, /) -> int:
        with _errors(str(self.name)):
            return super().write(data)


def _status(path: str, found: os.stat_result) -> FileStatus:
    directory = stat.S_ISDIR(found.st_mode)
    return FileStatus(path, 0 if directory else found.st_size, directory, found.st_mtime_ns // 1_000_000)


def _exists(path: str) -> FileAlreadyExistsError:
    return FileAlreadyExistsError(f"{path} exists already: delete it, choose another name, or overwrite", path)


@contextmanager
def _errors(path: str) -> Iterator[None]:
    """Python's OSError as ours, with the path and what to do."""
    try:
        yield
    except FileExistsError as error:
        raise _exists(path) from error
    except FileNotFoundError as error:
        missing = error.filename or path
        raise FileMissingError(f"no such file or directory: {missing}; check the path", path) from error
    except IsADirectoryError as error:
        raise PathIsDirectoryError(f"{path} is a directory: name a file in it", path) from error
    except PermissionError as error:
        who = f"user id {os.geteuid()}"
        raise FilePermissionError(
            f"permission denied: {path} ({who}); check the owner and mode of it and its parents", path
        ) from error
    except OSError as error:
        hint = {
            errno.ENOTEMPTY: "delete it with its contents (recursive)",
            errno.ENOSPC: "free some space, or choose a directory on another volume",
            errno.ENOTDIR: "a parent of it is a file: choose another path",
            errno.EXDEV: "the temporary file must be on the same volume as the final one",
        }.get(error.errno or 0, "check the path and the volume")
        raise FileSystemError(f"{path}: {error.strerror or error}; {hint}", path) from error
