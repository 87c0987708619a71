"""Which JobManagers and TaskManagers of this user run on this host: a pid file each.

    <env.pid.dir>/yarnflow-<user>-taskmanager-<number>-<host>.pid

A running process holds a lock (flock) on its file until it is gone, however it ends. So a file that was left
behind is told from one of a running process with certainty, also when its pid belongs to another program now.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import signal
import socket
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from yarnflow.config import Configuration
from yarnflow.config.core import CoreOptions
from yarnflow.errors import ClusterError, ConfigurationError

#: Seconds a process has to end by itself before it is killed, and for the kernel to take it away after that.
GRACE = 10.0
KILL_WAIT = 10.0
_POLL = 0.02


@dataclass(frozen=True)
class Instance:
    """One process.

    Attributes:
        kind: "jobmanager" or "taskmanager".
        number: counts from 0 on this host.
        pid: its process id.
        path: its pid file.
    """

    kind: str
    number: int
    pid: int
    path: Path

    @property
    def name(self) -> str:
        """Of its pid file and its log folder, without suffix."""
        return self.path.stem


def pid_directory(config: Configuration) -> Path:
    """Where pid files are: env.pid.dir, else the system's temporary directory."""
    return Path(config[CoreOptions.PID_DIR] or tempfile.gettempdir()).expanduser()


def claim(kind: str, directory: Path) -> Instance:
    """Make this process an instance until its end, under the lowest number that is free.

    Raises ConfigurationError when the pid file cannot be written.
    """
    number = 0
    while True:
        path = directory / f"{_prefix(kind)}{number}{_suffix()}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # The directory may be one that everybody writes to: follow no link that somebody laid there.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"the pid file {path} cannot be written: {error.strerror}. Set {CoreOptions.PID_DIR.key}"
            ) from error
        if _is_ours(descriptor) and _lock(descriptor, fcntl.LOCK_EX):
            if _is_at(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                # The descriptor stays open: its lock says that this process lives.
                return Instance(kind, number, os.getpid(), path)
            # `stop` removed it between open and lock: once more.
            os.close(descriptor)
            continue
        os.close(descriptor)
        number += 1


def running(kind: str, directory: Path) -> list[Instance]:
    """The instances of this user on this host, by number."""
    pattern = re.compile(re.escape(_prefix(kind)) + r"(\d+)" + re.escape(_suffix()))
    found = []
    for path in directory.iterdir() if directory.is_dir() else ():
        match = pattern.fullmatch(path.name)
        if match and (pid := _live_pid(path)):
            found.append(Instance(kind, int(match[1]), pid, path))
    return sorted(found, key=lambda instance: instance.number)


def stop(instance: Instance, grace: float = GRACE) -> bool:
    """End a process and wait until it is gone: SIGTERM, and SIGKILL after `grace` seconds.

    Returns:
        False if it had to be killed.

    Raises:
        ClusterError: it lives on even so.
    """
    try:
        descriptor = os.open(instance.path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_WAIT)):
            if _live_pid(instance.path) == instance.pid:
                os.kill(instance.pid, number)
            if _lock_within(descriptor, seconds):
                if _is_at(descriptor, instance.path):
                    instance.path.unlink()
                return number is signal.SIGTERM
    finally:
        os.close(descriptor)
    raise ClusterError(
        f"the {instance.kind} with pid {instance.pid} did not end, though it was killed: is it waiting for a disk?"
    )


def _lock_within(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not _lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _live_pid(path: Path) -> int:
    """The pid of the process that holds the file's lock, 0 if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        if not _is_ours(descriptor) or _lock(descriptor, fcntl.LOCK_SH):
            return 0
        text = os.pread(descriptor, 32, 0).strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)


def _lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_ours(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _prefix(kind: str) -> str:
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container whose user has no name
        user = str(os.geteuid())
    return f"yarnflow-{user}-{kind}-"


def _suffix() -> str:
    return f"-{socket.gethostname()}.pid"
