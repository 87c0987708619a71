"""One worker process as its supervisor sees it: spoken to over a socket pair, ended, reaped.

The worker reads and writes with multiprocessing.connection.Connection; this end speaks the same frames
(length as a big-endian int32, or -1 and a uint64, then a pickle) without ever blocking, so a worker that is
stopped half way through a message stops nobody else. What a worker says is opened by the restricted
unpickler of rpc/codec.py: user code runs there.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import struct
from collections.abc import Callable

from yarnflow.runtime.log_files import tail
from yarnflow.runtime.rpc.codec import decode_message
from yarnflow.runtime.rpc.messages import Message, WorkerExit
from yarnflow.runtime.taskmanager.worker_spawn import SpawnedWorker

_SHORT = struct.Struct("!i")
_LONG = struct.Struct("!Q")
_SHORT_MAX = 0x7FFFFFFF

#: Seconds for a polite end before SIGKILL.
EXIT_TIMEOUT = 3.0


#: Seconds between two looks at whether the process is stopped.
LOOK = 0.5


class WorkerProcess:
    """Takes over a spawned worker.

    Args:
        spawned: the process.
        said: called with each message.
        ended: called once, when the process is gone, with how and the log's tail.
        frozen_after: seconds after which a process that is stopped (SIGSTOP, a frozen debugger) is killed. One
            that is only slow, however long user code keeps it, is left alone.
    """

    def __init__(
        self,
        spawned: SpawnedWorker,
        said: Callable[[Message], None],
        ended: Callable[[str, str], None],
        frozen_after: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = spawned.process
        self._stderr = spawned.stderr
        self._log_start = spawned.log_start
        self._socket = spawned.pipe
        self._said = said
        self._ended = ended
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._reason = ""
        self._closing = False
        self._exit_timer: asyncio.TimerHandle | None = None
        self._frozen_after = frozen_after
        self._frozen_for = 0.0
        self.gone = asyncio.Event()
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket.fileno(), self._readable)
        # The end of the socket tells of the process's end, unless a process that user code started still
        # holds the other end; so the process itself is watched, too, where the kernel can.
        self._pidfd = -1
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):
            pass
        else:
            self._loop.add_reader(self._pidfd, self._exited)
        self._look_timer = self._loop.call_later(LOOK, self._look)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Queue a message; dropped when the process is gone."""
        if self._closing:
            return
        payload = pickle.dumps(message, protocol=5)
        if len(payload) > _SHORT_MAX:
            header = _SHORT.pack(-1) + _LONG.pack(len(payload))
        else:
            header = _SHORT.pack(len(payload))
        waiting = bool(self._outgoing)
        self._outgoing += header
        self._outgoing += payload
        if not waiting:
            self._writable()

    def stop(self, at_once: bool) -> None:
        """End the process: by SIGKILL, or by asking first."""
        if at_once:
            self._kill()
        elif self._exit_timer is None and not self._closing:
            self.send(WorkerExit())
            self._exit_timer = self._loop.call_later(EXIT_TIMEOUT, self._kill)

    def _kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()

    def _look(self) -> None:
        """Kill the process when it has been stopped for too long. Looks are counted, not the time: this process
        may have been stopped as well."""
        self._look_timer = self._loop.call_later(LOOK, self._look)
        if not is_stopped(self.pid):
            self._frozen_for = 0.0
            return
        self._frozen_for += LOOK
        if self._frozen_for >= self._frozen_after and not self._reason:
            self._reason = (
                f"was stopped (by a signal, such as SIGSTOP) for {self._frozen_after:g} s (heartbeat.timeout) and "
                "was killed"
            )
            self._kill()

    # -- the socket --------------------------------------------------------------------------------------

    def _readable(self) -> None:
        if self._read() is False:
            self._close()

    def _read(self) -> bool | None:
        """Take what is there: True for something, None for nothing yet, False for the end."""
        try:
            data = self._socket.recv(1 << 20)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return False
        if not data:
            return False
        self._incoming += data
        try:
            for payload in self._frames():
                self._said(decode_message(payload))
        except Exception as error:
            # The worker does not speak our language (another version, or user code wrote into the pipe).
            self._reason = f"sent something that is not a message ({error}) and was killed"
            self._kill()
        return True

    def _frames(self) -> list[bytes]:
        frames = []
        while len(self._incoming) >= _SHORT.size:
            (length,) = _SHORT.unpack_from(self._incoming)
            start = _SHORT.size
            if length == -1:
                if len(self._incoming) < start + _LONG.size:
                    break
                (length,) = _LONG.unpack_from(self._incoming, start)
                start += _LONG.size
            if len(self._incoming) < start + length:
                break
            frames.append(bytes(self._incoming[start : start + length]))
            del self._incoming[: start + length]
        return frames

    def _writable(self) -> None:
        if self._closing:
            return
        try:
            sent = self._socket.send(self._outgoing)
            del self._outgoing[:sent]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            # The process is going; its end is reported when the socket's other direction closes.
            self._outgoing.clear()
        if self._outgoing:
            self._loop.add_writer(self._socket.fileno(), self._writable)
        else:
            self._loop.remove_writer(self._socket.fileno())

    # -- the end -----------------------------------------------------------------------------------------

    def _exited(self) -> None:
        # What it said last is still in the socket.
        while self._read():
            pass
        self._close()

    def _close(self) -> None:
        """The socket is closed or the process gone: see that both are."""
        if self._closing:
            return
        self._closing = True
        self._look_timer.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        if self._exit_timer is not None:
            self._exit_timer.cancel()
        self._await_exit(self._loop.time() + EXIT_TIMEOUT)

    def _await_exit(self, deadline: float) -> None:
        # No executor thread here: at the end of a program there are none to be had.
        if self._process.poll() is None:
            if self._loop.time() >= deadline:
                self._kill()
            self._loop.call_later(0.005, self._await_exit, deadline)
            return
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        self._report()

    def _report(self) -> None:
        self.gone.set()
        said_last = tail(self._stderr, start=self._log_start)
        self._ended(self._reason or describe_exit(self._process.returncode), said_last)


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal; False where there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # "pid (name) state ...", and the name may contain anything.
            return file.read().rpartition(b") ")[2][:1] in (b"T", b"t")
    except OSError:
        return False


def describe_exit(code: int) -> str:
    """How a process ended, in words; `code` as subprocess gives it (negative for a signal)."""
    if code >= 0:
        return f"exited with code {code}"
    if -code == signal.SIGKILL:
        return f"was killed by signal {-code} (out of memory?)"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
    return f"was killed by signal {-code} ({name})"
