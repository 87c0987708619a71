"""Where the files of checkpoints lie; docs/streaming.md draws the layout."""

from __future__ import annotations

import os
import posixpath
import re

from yarnflow import fs

#: Name of the file that makes a directory a checkpoint.
METADATA = "_metadata"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_CHECKPOINT = re.compile(r"chk-([0-9]+)")


def normalized(uri: str) -> str:
    """A directory as a full URI without a slash at its end, so that every process understands it alike.

    Raises FileSystemError for a scheme that no file system has."""
    system, path = fs.get(uri)
    return system.uri(path).rstrip("/")


def resolve(directory: str, path: str) -> str:
    """The URI of a file that metadata in `directory` names: as it stands when it is absolute, else below it."""
    if _SCHEME.match(path) or path.startswith("/"):
        return path
    base = directory.rstrip("/")
    while path.startswith("../"):
        base, path = base.rpartition("/")[0], path[3:]
    return f"{base}/{path}"


def below(directory: str, uri: str) -> bool:
    """Whether a file lies in a directory or deeper. Both as full URIs."""
    return uri.startswith(directory.rstrip("/") + "/")


def job_directory(base: str, job_id: str) -> str:
    """Of all checkpoints of a job."""
    return f"{base}/{job_id}"


def checkpoint_directory(base: str, job_id: str, checkpoint_id: int) -> str:
    """Of one checkpoint."""
    return f"{base}/{job_id}/chk-{checkpoint_id}"


def shared_directory(base: str, job_id: str) -> str:
    """Of files that several incremental checkpoints use."""
    return f"{base}/{job_id}/shared"


def savepoint_directory(base: str, job_id: str, suffix: str) -> str:
    """Of one savepoint. `suffix`: random, so that no two savepoints meet."""
    return f"{base}/savepoint-{job_id[:6]}-{suffix}"


def checkpoint_number(directory: str) -> int | None:
    """n of a directory `chk-<n>`, None for one of another name."""
    match = _CHECKPOINT.fullmatch(posixpath.basename(os.fspath(directory).rstrip("/")))
    return int(match[1]) if match else None
