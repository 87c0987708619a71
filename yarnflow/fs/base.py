"""The interface every file system has, and what can be built from it once for all of them.

A *path* is the part of a URI after the authority: absolute, separated by `/`, and taken literally. As in
Hadoop, nothing is percent-decoded: `%20` in a path is three characters, and a space is a space.

Every method raises `FileSystemError` or one of its subclasses (`FileMissingError`, `FileAlreadyExistsError`,
`FilePermissionError`, `PathIsDirectoryError`, `FileSystemUnreachableError`); so do the streams.
File systems and their methods may be shared by threads; streams may not.
"""

from __future__ import annotations

import os
import posixpath
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from yarnflow.errors import FileMissingError, FileSystemError, PathIsDirectoryError
from yarnflow.fs.glob import expand

if TYPE_CHECKING:
    import pyarrow.fs

#: What upload and download hold in memory at once, and the buffer of streams.
CHUNK = 4 * 1024 * 1024


class FileStatus(NamedTuple):
    """One file or directory, as it was when the file system was asked."""

    path: str
    #: Bytes; 0 for a directory.
    length: int
    is_directory: bool
    #: Milliseconds since the epoch; 0 where the file system does not know (directories of object stores).
    modification_time: int

    @property
    def name(self) -> str:
        """The last component of the path."""
        return posixpath.basename(self.path)


class FileSystem(ABC):
    """Files below one scheme and authority. Get one with `yarnflow.fs.get(uri)`; closing is not needed."""

    def __init__(self, scheme: str, authority: str) -> None:
        self.scheme = scheme
        self.authority = authority

    def uri(self, path: str) -> str:
        """The full URI of a path, for `yarnflow.fs.get` in any process with the same configuration."""
        return f"{self.scheme}://{self.authority}{path}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.uri('/')}>"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        # Connections do not travel, and options may hold secrets: the receiver uses its own configuration.
        from yarnflow.fs.registry import file_system

        return file_system, (self.uri("/"),)

    @abstractmethod
    def status(self, path: str) -> FileStatus | None:
        """What is at the path, or None if nothing is."""

    def glob(self, pattern: str) -> list[FileStatus]:
        """The files and directories that match a pattern, sorted by path; none is an empty list.

        `*` and `?` match within a name, `[ab]` one character, `{a,b}` alternatives, `**` any number of
        directories. A pattern without any of these is a plain path. Write `[*]` for a literal star.
        """
        return expand(self, pattern)

    @abstractmethod
    def list(self, path: str, recursive: bool = False) -> list[FileStatus]:
        """The files and directories below a directory, sorted by path; for a file, its own status.

        Names that start with `.` or `_` are listed like any other: what is hidden is the caller's choice.

        Raises:
            FileMissingError: there is nothing at the path.
        """

    @abstractmethod
    def open_read(self, path: str, offset: int = 0) -> BinaryIO:
        """A buffered, seekable stream of a file's bytes, positioned at `offset`."""

    @abstractmethod
    def open_write(self, path: str, overwrite: bool = False) -> BinaryIO:
        """A buffered stream into a new file; missing parent directories are made.

        The file is complete when `close` returns. Readers may see it earlier and partial, also when the
        writer fails: write under a temporary name and `publish`, or use `write_atomic`.

        Raises:
            FileAlreadyExistsError: something is at the path and `overwrite` is false.
        """

    @abstractmethod
    def publish(self, tmp: str, final: str, overwrite: bool = False) -> None:
        """Give a finished file its final name, in one step. Missing parent directories are made.

        Readers see nothing (or, with `overwrite`, the old file) and then the whole new file. Of several
        writers that publish to one name without `overwrite`, exactly one succeeds.

        - local: a hard link and the removal of `tmp`; both names must be on one volume.
        - hdfs: the NameNode's rename, which is atomic.
        - s3: has no rename. The object is copied to its name and `tmp` deleted: readers see all or nothing,
          but two writers that publish at the same moment both succeed, and the later one stays.

        Raises:
            FileAlreadyExistsError: `final` exists and `overwrite` is false; `tmp` is left in place.
            FileMissingError: there is no `tmp`.
        """

    @abstractmethod
    def rename(self, source: str, target: str) -> None:
        """Move a file or directory to a name that is free; the target's parent must exist.

        Atomic on hdfs; on local too, but for a race for the target's name; object by object on s3.

        Raises:
            FileAlreadyExistsError: something is at `target`.
            FileMissingError: there is no `source`, or no parent of `target`.
        """

    @abstractmethod
    def mkdirs(self, path: str) -> None:
        """Make a directory and its missing parents. One that exists is fine."""

    @abstractmethod
    def delete(self, path: str, recursive: bool = False) -> bool:
        """Delete a file or directory. True if there was one: deleting what is absent is fine.

        Raises:
            FileSystemError: the directory is not empty and `recursive` is false.
        """

    @abstractmethod
    def block_size(self, path: str) -> int:
        """Bytes of a file that are best read by one reader: the size of an input split."""

    @abstractmethod
    def arrow(self) -> pyarrow.fs.FileSystem:
        """This file system for pyarrow's columnar readers and writers; it takes the same paths."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory at the path."""
        return self.status(path) is not None

    def read_bytes(self, path: str) -> bytes:
        """A whole file."""
        with self.open_read(path) as stream:
            return stream.read()

    def write_atomic(self, path: str, data: bytes, overwrite: bool = False) -> None:
        """Write a whole file that readers see complete or not at all: temporary name, then `publish`.

        A writer that dies in between leaves a file `.yarnflow-*.tmp` beside it.

        Raises:
            FileAlreadyExistsError: something is at the path and `overwrite` is false.
        """
        tmp = temporary_name(path)
        try:
            with self.open_write(tmp) as stream:
                stream.write(data)
            self.publish(tmp, path, overwrite)
        except BaseException:
            # The first failure is the one to report.
            with suppress(FileSystemError):
                self.delete(tmp)
            raise

    def upload(self, local: str, path: str, overwrite: bool = False) -> None:
        """Copy a local file here, in memory of one chunk; readers never see a part of it."""
        from yarnflow.fs.local import LocalFileSystem

        _copy(LocalFileSystem(), local, self, path, overwrite)

    def download(self, path: str, local: str, overwrite: bool = False) -> None:
        """Copy a file to the local disk, in memory of one chunk; readers never see a part of it."""
        from yarnflow.fs.local import LocalFileSystem

        _copy(self, path, LocalFileSystem(), local, overwrite)

    def existing(self, path: str) -> FileStatus:
        """What is at the path.

        Raises:
            FileMissingError: nothing is.
        """
        status = self.status(path)
        if status is None:
            raise self.missing(path)
        return status

    def missing(self, path: str) -> FileMissingError:
        """The error that says nothing is at a path."""
        return FileMissingError(f"no such file or directory: {self.uri(path)}; check the path", path)

    def is_directory(self, path: str) -> PathIsDirectoryError:
        """The error that says a path is a directory where a file is needed."""
        return PathIsDirectoryError(f"{self.uri(path)} is a directory: name a file in it", path)


def temporary_name(path: str) -> str:
    """A free name in the same directory, hidden from readers that skip names starting with a dot."""
    return posixpath.join(posixpath.dirname(path), f".yarnflow-{os.urandom(8).hex()}.tmp")


def _copy(source: FileSystem, path: str, target: FileSystem, final: str, overwrite: bool) -> None:
    tmp = temporary_name(final)
    try:
        with source.open_read(path) as reader, target.open_write(tmp) as writer:
            while chunk := reader.read(CHUNK):
                writer.write(chunk)
        target.publish(tmp, final, overwrite)
    except BaseException:
        with suppress(FileSystemError):
            target.delete(tmp)
        raise
