"""A lock file: one process at a time, never waited for without limit."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from yarnflow.errors import DevClusterError

_POLL_SECONDS = 0.1


@contextmanager
def locked(path: Path, seconds: float, holder: str, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `path`, waiting up to `seconds` for `holder` (words for messages) to let go.

    The kernel drops the lock when its process ends, however it ends; the pid inside is for messages only.

    Raises:
        DevClusterError: it was not to be had in time; names the process that holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + seconds
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pid = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
                if time.monotonic() > deadline:
                    raise DevClusterError(
                        f"waited {seconds:.0f} s for {holder} (pid {pid}, lock {path}): wait for it or end it"
                    ) from None
                if not told:
                    progress(f"waiting for {holder} (pid {pid})")
                    told = True
                time.sleep(_POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
