"""Starts worker processes. Loads nothing heavy: a MiniCluster starts its workers before it loads itself."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yarnflow

#: A log file of an earlier worker above this size is rotated away when the next worker starts.
LOG_LIMIT = 10 << 20
LOG_BACKUPS = 3


@dataclass(frozen=True)
class SpawnedWorker:
    """A process, this end of the socket pair to it, its log file, and where in the file its log starts: what is
    before that is of earlier workers, and of other jobs."""

    process: subprocess.Popen[bytes]
    pipe: socket.socket
    stderr: Path
    log_start: int = 0


def spawn_worker(
    executable: str, stdout: Path | None, stderr: Path, die_with_parent: bool = False, warm: bool = False
) -> SpawnedWorker:
    """Start a worker process that waits for its WorkerSetup.

    Args:
        executable: Python interpreter, "" for this process's.
        stdout: file for the worker's output, None to inherit this process's.
        stderr: file for its log.
        die_with_parent: it is killed when the calling thread ends, whatever it does then.
        warm: it loads what checkpoints need while it waits.

    Raises OSError.
    """
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as opened:
        opened.callback(theirs.close)
        output = None
        if stdout is not None:
            output = open_log(stdout)
            opened.callback(os.close, output)
        errors = open_log(stderr)
        opened.callback(os.close, errors)
        log_start = os.fstat(errors).st_size
        try:
            process = subprocess.Popen(
                [
                    executable or sys.executable,
                    "-m",
                    "yarnflow.runtime.taskmanager.worker",
                    "--fd",
                    str(theirs.fileno()),
                    *(["--die-with-parent"] if die_with_parent else []),
                    *(["--warm"] if warm else []),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
            )
        except OSError:
            ours.close()
            raise
    return SpawnedWorker(process, ours, stderr, log_start)


def open_log(path: Path) -> int:
    """A descriptor that appends to `path`; what was there goes to `path`.1, .2, ... when it is large."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT:
            for number in range(LOG_BACKUPS - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(f"{path.name}.{number}").replace(path.with_name(f"{path.name}.{number + 1}"))
            path.replace(path.with_name(f"{path.name}.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)


def _environment() -> dict[str, str]:
    """This process's environment, with yarnflow importable wherever it was imported from."""
    environment = dict(os.environ)
    package_root = str(Path(yarnflow.__file__).resolve().parent.parent)
    if os.path.basename(package_root) not in ("site-packages", "dist-packages"):
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = package_root + (os.pathsep + before if before else "")
    return environment
