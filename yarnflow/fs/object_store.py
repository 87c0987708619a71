"""S3, and anything else fsspec knows: an adapter from fsspec's file systems to ours.

Objects appear whole when their stream closes. There are no directories, only common prefixes: one exists while
something is below it, and mkdirs does nothing. There is no rename and no exclusive create: see
FileSystem.publish. Options are Flink's: s3.access-key, s3.secret-key, s3.endpoint, s3.endpoint.region,
s3.path.style.access; without keys, the AWS environment variables, files or instance role.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from yarnflow.errors import (
    FileAlreadyExistsError,
    FileMissingError,
    FilePermissionError,
    FileSystemError,
    FileSystemUnreachableError,
    MissingDependencyError,
    PathIsDirectoryError,
)
from yarnflow.fs.base import FileStatus, FileSystem

if TYPE_CHECKING:
    import pyarrow.fs

#: A read of an object costs a request, so splits are as large as HDFS's blocks.
SPLIT_SIZE = 128 * 1024 * 1024


def s3(scheme: str, bucket: str, options: Mapping[str, str]) -> FsspecFileSystem:
    """The objects of a bucket.

    Raises:
        MissingDependencyError: s3fs is not installed.
        FileSystemError: no bucket is named.
    """
    try:
        from s3fs import S3FileSystem  # optional
    except ImportError as error:
        raise MissingDependencyError("s3fs", "s3", f"{scheme}://") from error
    if not bucket:
        raise FileSystemError(f"{scheme}:/// names no bucket: write {scheme}://bucket/path")
    settings: dict[str, Any] = {
        "key": options.get("s3.access-key"),
        "secret": options.get("s3.secret-key"),
        "endpoint_url": options.get("s3.endpoint"),
        "use_listings_cache": False,  # other processes write too
    }
    if region := options.get("s3.endpoint.region"):
        settings["client_kwargs"] = {"region_name": region}
    if options.get("s3.path.style.access", "").lower() == "true":
        settings["config_kwargs"] = {"s3": {"addressing_style": "path"}}
    return FsspecFileSystem(scheme, bucket, S3FileSystem(**settings))


class FsspecFileSystem(FileSystem):
    """A bucket of an fsspec file system: our path /a is its bucket/a."""

    def __init__(self, scheme: str, bucket: str, inner: Any) -> None:
        super().__init__(scheme, bucket)
        self._inner = inner

    def status(self, path: str) -> FileStatus | None:
        with self._errors(path):
            try:
                return self._status(self._inner.info(self._key(path)))
            except FileNotFoundError:
                return None

    def list(self, path: str, recursive: bool = False) -> list[FileStatus]:
        top = self.existing(path)
        if not top.is_directory:
            return [top]
        with self._errors(path):
            if recursive:
                found = self._inner.find(self._key(path), withdirs=True, detail=True).values()
            else:
                found = self._inner.ls(self._key(path), detail=True)
            return sorted(each for each in map(self._status, found) if each.path != top.path)

    def open_read(self, path: str, offset: int = 0) -> BinaryIO:
        if self.existing(path).is_directory:
            raise self.is_directory(path)
        with self._errors(path):
            stream = self._inner.open(self._key(path), "rb")
            stream.seek(offset)
            return cast(BinaryIO, stream)

    def open_write(self, path: str, overwrite: bool = False) -> BinaryIO:
        self._check_free(path, overwrite)
        with self._errors(path):
            return cast(BinaryIO, self._inner.open(self._key(path), "wb"))

    def publish(self, tmp: str, final: str, overwrite: bool = False) -> None:
        if self.existing(tmp).is_directory:
            raise self.is_directory(tmp)
        self._check_free(final, overwrite)
        with self._errors(final):
            self._move(tmp, final)

    def write_atomic(self, path: str, data: bytes, overwrite: bool = False) -> None:
        """See FileSystem. An object appears whole, so it is written under its own name."""
        self._check_free(path, overwrite)
        with self._errors(path):
            self._inner.pipe_file(self._key(path), data)

    def rename(self, source: str, target: str) -> None:
        self.existing(source)
        self._check_free(target, overwrite=False)
        objects = [each.path for each in self.list(source, recursive=True) if not each.is_directory]
        with self._errors(target):
            for path in objects:
                self._move(path, target + path[len(source) :])

    def mkdirs(self, path: str) -> None:
        """Nothing to do for an object store; the name must not be an object's."""
        status = self.status(path)
        if status is not None and not status.is_directory:
            raise self._taken(path)

    def delete(self, path: str, recursive: bool = False) -> bool:
        status = self.status(path)
        if status is None:
            return False
        if status.is_directory and not recursive and self.list(path):
            raise FileSystemError(f"{self.uri(path)} is not empty: delete it with its contents (recursive)", path)
        with self._errors(path):
            if not status.is_directory:
                self._inner.rm_file(self._key(path))
            elif re.search(r"[*?\[]", path):
                # fsspec's rm, which deletes many objects in one request, would take the name for a pattern.
                for each in self.list(path, recursive=True):
                    if not each.is_directory:
                        self._inner.rm_file(self._key(each.path))
            else:
                self._inner.rm(self._key(path), recursive=True)
        return True

    def block_size(self, path: str) -> int:
        self.existing(path)
        return SPLIT_SIZE

    def arrow(self) -> pyarrow.fs.FileSystem:
        from yarnflow.fs.arrow import arrow_file_system  # pyarrow is heavy; only columnar readers need it

        return arrow_file_system(self)

    def _move(self, source: str, target: str) -> None:
        # Not fsspec's mv: it takes names for patterns.
        self._inner.cp_file(self._key(source), self._key(target))
        self._inner.rm_file(self._key(source))

    def _key(self, path: str) -> str:
        return self.authority + path.rstrip("/")

    def _status(self, info: Mapping[str, Any]) -> FileStatus:
        path = "/" + info["name"].strip("/")[len(self.authority) :].lstrip("/")
        directory = info["type"] == "directory"
        changed = info.get("LastModified") or info.get("created")
        time = int(changed.timestamp() * 1000) if isinstance(changed, datetime) else 0
        return FileStatus(path, 0 if directory else int(info["size"]), directory, time)

    def _check_free(self, path: str, overwrite: bool) -> None:
        status = self.status(path)
        if status is not None and status.is_directory:
            raise self.is_directory(path) if overwrite else self._taken(path)
        if status is not None and not overwrite:
            raise self._taken(path)

    def _taken(self, path: str) -> FileAlreadyExistsError:
        return FileAlreadyExistsError(
            f"{self.uri(path)} exists already: delete it, choose another name, or overwrite", path
        )

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """s3fs raises OSError's subclasses."""
        try:
            yield
        except FileNotFoundError as error:
            raise FileMissingError(f"no such object or bucket: {self.uri(path)}; check the path", path) from error
        except IsADirectoryError as error:
            raise PathIsDirectoryError(f"{self.uri(path)} is a directory: name a file in it", path) from error
        except PermissionError as error:
            raise FilePermissionError(
                f"permission denied: {self.uri(path)}: {error}; check the keys and the bucket's policy", path
            ) from error
        except OSError as error:
            raise FileSystemUnreachableError(
                f"{self.uri(path)}: {error}; check s3.endpoint and the network", path
            ) from error
