"""From a URI to its file system: schemes, and one instance per process, authority and options."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping

from yarnflow.errors import FileSystemError
from yarnflow.fs.base import FileSystem

#: Options are flat configuration keys and their values, as in yarnflow-conf.yaml; other keys are ignored.
Options = Mapping[str, str]

SCHEMES = ("file", "hdfs", "s3", "s3a", "viewfs")

# scheme, authority, path. A name with a colon that is not followed by a slash is a local path.
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/]*)(?=/|$)|(?=/))(.*)", re.DOTALL)

_lock = threading.Lock()
_defaults: dict[str, str] = {}
_instances: dict[tuple[object, ...], FileSystem] = {}


def initialize(options: Options) -> None:
    """Set the process's options, which those given to `get` and `file_system` add to.

    Entry points call it once with their configuration, as Flink's do with FileSystem.initialize.
    """
    with _lock:
        _defaults.clear()
        _defaults.update(options)


def split_uri(uri: str) -> tuple[str, str, str]:
    """Scheme (lower case; `file` if none), authority (case kept), and path of a URI.

    >>> split_uri("hdfs://NameService/a b/100%")
    ('hdfs', 'NameService', '/a b/100%')
    >>> split_uri("hdfs:///a"), split_uri("file:/a"), split_uri("a:b")[2].endswith("/a:b")
    (('hdfs', '', '/a'), ('file', '', '/a'), True)
    """
    match = _URI.fullmatch(uri)
    if match is None:
        return "file", "", os.path.abspath(uri)
    scheme = match[1].lower()
    authority = match[2] or ""
    if scheme == "file":
        if authority not in ("", "localhost"):
            raise FileSystemError(
                f"{uri} names the host {authority}: a local file is file:///path, with three slashes", uri
            )
        return scheme, "", os.path.abspath(match[3] or "/")
    return scheme, authority, match[3] or "/"


def get(uri: str | os.PathLike[str], options: Options | None = None) -> tuple[FileSystem, str]:
    """The file system of a URI or local path, and the path in it.

    Raises:
        FileSystemError: no file system has the scheme, or its configuration cannot be used.
        MissingDependencyError: the scheme needs a package that is not installed.
    """
    scheme, authority, path = split_uri(os.fspath(uri))
    return _instance(scheme, authority, {**_defaults, **(options or {})}, os.fspath(uri)), path


def file_system(uri: str | os.PathLike[str], options: Options | None = None) -> FileSystem:
    """The file system of a URI or local path. Raises as `get` does."""
    return get(uri, options)[0]


def _instance(scheme: str, authority: str, options: dict[str, str], uri: str) -> FileSystem:
    # A forked child must not use its parent's client (hdfs.py): the process is part of the key.
    key = (os.getpid(), scheme, authority, *sorted(options.items()))
    with _lock:
        found = _instances.get(key)
        if found is None:
            found = _instances[key] = _open(scheme, authority, options, uri)
        return found


def _open(scheme: str, authority: str, options: dict[str, str], uri: str) -> FileSystem:
    # Imported by need: each brings a client library that other schemes should not pay for.
    if scheme == "file":
        from yarnflow.fs.local import LocalFileSystem

        return LocalFileSystem()
    if scheme in ("hdfs", "viewfs"):
        from yarnflow.fs.hdfs import HdfsFileSystem

        return HdfsFileSystem(scheme, authority, options)
    if scheme in ("s3", "s3a"):
        from yarnflow.fs.object_store import s3

        return s3(scheme, authority, options)
    raise FileSystemError(
        f"no file system has the scheme {scheme} (of {uri}); known are {', '.join(SCHEMES)}, and local paths",
        uri,
    )
