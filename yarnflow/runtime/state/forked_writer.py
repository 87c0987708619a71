"""A child process that writes state: it sees the memory of the moment it was forked, whatever its parent does."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import warnings
from typing import NoReturn

import pyarrow as pa

from yarnflow.errors import CheckpointError, ProgramError, YarnflowError
from yarnflow.fs.local import LocalFileSystem
from yarnflow.runtime.state.snapshot import KeyedPart, TaskSnapshot
from yarnflow.runtime.state.writer import Written, write_parts
from yarnflow.runtime.taskmanager.parent_death import die_with_parent


class Child:
    """The process. `result` and `reap` are for one thread, `kill` for any.

    Attributes:
        file: that it writes.
    """

    def __init__(self, pid: int, pipe: int, file: str) -> None:
        self.file = file
        self._pid = pid
        self._pipe = pipe
        self._status: int | None = None
        self._lock = threading.Lock()

    def result(self) -> list[Written]:
        """Wait for it; what it wrote. Raises CheckpointError, or ProgramError for what cannot be pickled."""
        pipe, self._pipe = self._pipe, -1
        with open(pipe, "rb") as stream:
            data = stream.read()
        status = self.reap()
        if not data:
            ended = f"signal {-status}" if status < 0 else f"code {status}"
            raise CheckpointError(
                f"the process that wrote the state ended by {ended}: was there enough memory for another "
                "process that touches all of the state (taskmanager.memory.process.size)?"
            )
        done: list[Written] | YarnflowError = pickle.loads(data)
        if isinstance(done, YarnflowError):
            raise done
        return done

    def reap(self) -> int:
        """Wait for its end; its exit code, or minus the signal that ended it."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._status is None:
            os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
            with self._lock:  # from here on the pid may be another process's
                self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._status

    def kill(self) -> None:
        """End it, if it has not ended."""
        with self._lock:
            if self._status is None:
                os.kill(self._pid, signal.SIGKILL)


def fork_writer(file: str, memory: list[KeyedPart], snapshot: TaskSnapshot) -> Child:
    """Fork a process that writes tables, timers and the lists of a snapshot into a local file.

    To be called in a thread that lives as long as the process: the child ends with it. Raises OSError when there
    is no memory for the fork.
    """
    os.makedirs(os.path.dirname(file), exist_ok=True)
    readable, writable = os.pipe()
    parent = os.getpid()
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns when there are other threads; the child keeps away from what they may have locked.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
    except OSError:
        os.close(readable)
        os.close(writable)
        raise
    if pid == 0:
        _be_child(parent, writable, file, memory, snapshot)
    os.close(writable)
    return Child(pid, readable, file)


def _be_child(parent: int, pipe: int, file: str, memory: list[KeyedPart], snapshot: TaskSnapshot) -> NoReturn:
    """Write and exit. No logging, no connections, no locks that other threads of the parent may have held."""
    code = 1
    try:
        gc.disable()  # it would touch, and so copy, all memory
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        die_with_parent()
        if os.getppid() != parent:
            os._exit(1)  # the parent ended before the kernel was asked
        # The parent's connections must end when the parent closes them.
        os.closerange(3, pipe)
        os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
        pa.set_memory_pool(pa.system_memory_pool())  # glibc's malloc can be used after a fork
        done: list[Written] | YarnflowError
        try:
            with LocalFileSystem().open_write(file, overwrite=True) as stream:
                done = write_parts(memory, snapshot.lists, snapshot.key_groups, stream)
        except Exception as error:  # of classes that the parent cannot always unpickle
            kind = ProgramError if isinstance(error, ProgramError) else CheckpointError
            done = kind(str(error) if isinstance(error, kind) else f"{type(error).__name__}: {error}")
        data = memoryview(pickle.dumps(done))
        while data:
            data = data[os.write(pipe, data) :]
        code = 0
    finally:
        os._exit(code)
