"""HDFS through hdfs-native: a client in Rust, with no JVM, that reads Hadoop's configuration files.

core-site.xml and hdfs-site.xml (fs.defaultFS, name services with several NameNodes, Kerberos) come from the
directory in `env.hadoop.conf.dir`, else from HADOOP_CONF_DIR, else HADOOP_HOME/etc/hadoop. Options
`flink.hadoop.KEY` add to them or override them, as in Flink. The login is the ticket cache's (KRB5CCNAME), or the
delegation tokens of HADOOP_TOKEN_FILE_LOCATION.

Measured with hdfs-native 0.14.7 on Hadoop 3.4.1:

- Closing a file mostly takes half a second, however small it is (seen in the NameNode's log): the client asks
  it to complete the file some 20 ms before the DataNode has reported the last block, and asks again 500 ms
  later. Few large files beat many small ones, and files that do not depend on each other are best closed from
  several threads (the GIL is released). The cluster's dfs.namenode.file.close.num-committed-allowed = 1 does
  not help files of replication 1.
- A client runs threads, which a fork does not copy: a client used in a forked child waits for ever. So a child
  makes its own client at the first use; streams opened before the fork must not be used in it.
- Names may not contain a colon: the NameNode refuses them.
- A seek past the end aborts inside the client, so positions are kept and checked here.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from yarnflow.errors import (
    FileAlreadyExistsError,
    FileMissingError,
    FilePermissionError,
    FileSystemError,
    FileSystemUnreachableError,
)
from yarnflow.fs.base import CHUNK, FileStatus, FileSystem

if TYPE_CHECKING:
    import hdfs_native
    import pyarrow.fs
    from typing_extensions import Buffer

CONF_DIR = "env.hadoop.conf.dir"
HADOOP_PREFIX = "flink.hadoop."

#: One NameNode that refuses connections is given up after these tries, a few seconds, which a restart of its
#: process may need. The client's default of 15 tries is for name services that fail over; they keep it.
SINGLE_NAMENODE_ATTEMPTS = 5

#: hdfs-default.xml's dfs.blocksize, for files that have none.
_DEFAULT_BLOCK = 128 * 1024 * 1024

# Clients inherited from a parent process: dropping one would wait for threads that are not there.
_inherited: list[object] = []


class HdfsFileSystem(FileSystem):
    """One NameNode, name service or view file system; an empty authority is that of fs.defaultFS."""

    def __init__(self, scheme: str, authority: str, options: Mapping[str, str]) -> None:
        super().__init__(scheme, authority)
        self._conf_dir = options.get(CONF_DIR)
        self._config = {
            key[len(HADOOP_PREFIX) :]: value for key, value in options.items() if key.startswith(HADOOP_PREFIX)
        }
        named = authority or self._default_authority()
        if re.search(r":\d+$", named):
            self._config.setdefault("dfs.client.failover.max.attempts", str(SINGLE_NAMENODE_ATTEMPTS))
        self._lock = threading.Lock()
        self._pid = 0
        self._connected: hdfs_native.Client | None = None
        self._client()  # complains about the configuration now rather than at the first file

    def status(self, path: str) -> FileStatus | None:
        with self._errors(path):
            try:
                return _status(self._client().get_file_info(path))
            except FileNotFoundError:
                return None

    def list(self, path: str, recursive: bool = False) -> list[FileStatus]:
        with self._errors(path):
            return sorted(_status(each) for each in self._client().list_status(path, recursive))

    def open_read(self, path: str, offset: int = 0) -> BinaryIO:
        with self._errors(path):
            stream = io.BufferedReader(_Reader(self, path, self._client().read(path)), CHUNK)
        if offset:
            stream.seek(offset)
        return cast(BinaryIO, stream)

    def open_write(self, path: str, overwrite: bool = False) -> BinaryIO:
        from hdfs_native import WriteOptions

        with self._errors(path):
            options = WriteOptions(overwrite=overwrite, create_parent=True)
            writer = self._client().create(path, options)
        return cast(BinaryIO, io.BufferedWriter(_Writer(self, path, writer), 1024 * 1024))

    def publish(self, tmp: str, final: str, overwrite: bool = False) -> None:
        try:
            self._rename(tmp, final, overwrite)
        except FileMissingError:
            if self.existing(tmp).is_directory:
                raise self.is_directory(tmp) from None
            self.mkdirs(posixpath.dirname(final))
            self._rename(tmp, final, overwrite)

    def rename(self, source: str, target: str) -> None:
        self._rename(source, target, overwrite=False)

    def _rename(self, source: str, target: str, overwrite: bool) -> None:
        with self._errors(target):
            try:
                self._client().rename(source, target, overwrite)
            except FileNotFoundError as error:
                absent = source if "source" in str(error) else posixpath.dirname(target)
                raise self.missing(absent) from error

    def mkdirs(self, path: str) -> None:
        with self._errors(path):
            self._client().mkdirs(path, 0o755, True)

    def delete(self, path: str, recursive: bool = False) -> bool:
        with self._errors(path):
            return self._client().delete(path, recursive)

    def block_size(self, path: str) -> int:
        with self._errors(path):
            return self._client().get_file_info(path).blocksize or _DEFAULT_BLOCK

    def arrow(self) -> pyarrow.fs.FileSystem:
        from yarnflow.fs.arrow import arrow_file_system  # pyarrow is heavy; only columnar readers need it

        return arrow_file_system(self)

    def _client(self) -> hdfs_native.Client:
        """This process's client."""
        if self._connected is None or self._pid != os.getpid():
            with self._lock:
                if self._connected is None or self._pid != os.getpid():
                    _inherited.append(self._connected)
                    self._connected = self._connect()
                    self._pid = os.getpid()
        return self._connected

    def _connect(self) -> hdfs_native.Client:
        from hdfs_native import Client  # 17 MB of shared library: local programs do not load it

        url = f"{self.scheme}://{self.authority}" if self.authority else None
        with self._errors("/"):
            return Client(url, self._config, self._conf_dir)

    def _default_authority(self) -> str:
        """The authority of fs.defaultFS, if it can be told without Hadoop's rules of inclusion."""
        home = os.environ.get("HADOOP_HOME")
        directory = self._conf_dir or os.environ.get("HADOOP_CONF_DIR") or (home and f"{home}/etc/hadoop")
        value = self._config.get("fs.defaultFS")
        if value is None and directory:
            try:
                with open(os.path.join(directory, "core-site.xml"), encoding="utf-8") as file:
                    site = file.read()
            except OSError:
                return ""  # the client says what it needs and cannot find
            found = re.search(r"<name>\s*fs\.defaultFS\s*</name>\s*<value>([^<]*)</value>", site)
            value = found[1] if found else None
        return (value or "").strip().partition("://")[2].rstrip("/")

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """What the client raises, as ours."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            raise self._translated(error, path) from error

    def _translated(self, error: Exception, path: str) -> FileSystemError:
        where = self.uri(path)
        # hdfs-native: RuntimeError('RPCError("java.class.Name", "message\\n\\tat stack...")'), or an OSError
        text = str(error)
        kind = re.match(r'(?:Fatal)?RPCError\("[\w.$]*?(\w+)", "', text)
        name = kind[1] if kind else ""
        said = re.sub(r'"\)$', "", text[kind.end() :]) if kind else text
        said = said.replace("\\n", "\n").split("\n")[0].replace('\\"', '"')
        if "Path is not a file" in said or "exists as a directory" in said:
            return self.is_directory(path)
        if isinstance(error, FileNotFoundError):
            return self.missing(path)
        if isinstance(error, FileExistsError) or "must both be directories" in said:
            return FileAlreadyExistsError(
                f"{where} exists already: delete it, choose another name, or overwrite", path
            )
        if "SASL" in text[:20] or "GSSAPI" in text[:20] or "authentication is not enabled" in said:
            return FilePermissionError(
                f"login failed at {self.uri('/')}: {said}; run kinit or set security.kerberos.login.*, and see "
                "that HADOOP_CONF_DIR is the cluster's",
                path,
            )
        if name == "AccessControlException":
            return FilePermissionError(f"{where}: {said}; check the owner and mode, or the user", path)
        if name in ("SafeModeException", "RetriableException", "StandbyException"):
            return FileSystemUnreachableError(
                f"the NameNode of {self.uri('/')} is not ready: {said}; try again shortly", path
            )
        if name == "InvalidPathException":
            return FileSystemError(f"{where}: {said}; HDFS allows no colon in a name, choose another", path)
        if name == "PathIsNotEmptyDirectoryException":
            return FileSystemError(f"{where} is not empty: delete it with its contents (recursive)", path)
        if name == "ParentNotDirectoryException":
            return FileSystemError(f"{where}: a parent of it is a file: {said}; choose another path", path)
        if text.startswith(("InvalidArgument", "UrlParseError", "XmlParseError")):
            return FileSystemError(
                f"cannot use {where}: {said}; set HADOOP_CONF_DIR or {CONF_DIR} to the directory with "
                "core-site.xml and hdfs-site.xml, or name the NameNode: hdfs://host:port/path",
                path,
            )
        if isinstance(error, OSError):
            return FileSystemUnreachableError(
                f"no answer from {self.uri('/')}: {said}; check that the NameNode and DataNodes run, the address, "
                "and HADOOP_CONF_DIR",
                path,
            )
        return FileSystemError(f"{where}: {name}{': ' if name else ''}{said}; see the NameNode's log", path)


def _status(found: hdfs_native.FileStatus) -> FileStatus:
    length = 0 if found.isdir else found.length
    return FileStatus(found.path, length, found.isdir, found.modification_time)


class _Reader(io.RawIOBase):
    """A file's bytes by position. Errors are ours."""

    def __init__(self, files: HdfsFileSystem, path: str, inner: hdfs_native.FileReader) -> None:
        self._files = files
        self._path = path
        self._inner = inner
        self._size = len(inner)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"seek to {start + offset}, before the start of {self._path}")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def size(self) -> int:
        """Bytes in the file."""
        return self._size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self._size - self._position, 0)
        length = left if size is None or size < 0 else min(size, left)
        if not length:
            return b""
        with self._files._errors(self._path):
            data = self._inner.read_range(self._position, length)
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Writer(io.RawIOBase):
    """Bytes into a new file. Errors are ours."""

    def __init__(self, files: HdfsFileSystem, path: str, inner: hdfs_native.FileWriter) -> None:
        self._files = files
        self._path = path
        self._inner = inner

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        with self._files._errors(self._path):
            # The client takes bytes at once, but other buffers byte by byte: a copy is several times faster.
            return self._inner.write(data if isinstance(data, bytes) else bytes(data))

    def close(self) -> None:
        if not self.closed:
            try:
                with self._files._errors(self._path):
                    self._inner.close()
            finally:
                super().close()
