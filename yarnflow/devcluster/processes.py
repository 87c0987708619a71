"""Starting, recognising and ending the devcluster's processes.

A process is known by its pid *and* its start time, so that a pid that was given to another process since is
never mistaken for a daemon. Every process also carries `MARK` in its environment, which its children inherit
(YARN containers by the NodeManager's whitelist; they are no children of its process group): that is how stop
finds what a daemon left behind. Linux only: everything is read from /proc.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Environment variable that marks a process of the devcluster in the folder it names.
MARK = "YARNFLOW_DEVCLUSTER_PROCESS"
#: Environment variable that says which daemon started the process.
ROLE_MARK = "YARNFLOW_DEVCLUSTER_ROLE"
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class ProcessId:
    """One process, for good: pids are used again, a pid with its start time is not."""

    pid: int
    #: Clock ticks since boot at which it started (field 22 of /proc/<pid>/stat, proc(5)).
    started: int

    def is_alive(self) -> bool:
        """Whether it still runs or holds anything; a zombie does not (it is reaped here when it is our child)."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        stat = _read_stat(self.pid)
        if stat is None or stat[1] != self.started:
            return False
        return stat[0] == "alive" or _has_threads(self.pid)

    def memory_bytes(self) -> int:
        """Resident memory; 0 when it has ended."""
        try:
            text = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0
        return parse_resident_memory(text)

    def send(self, number: signal.Signals) -> None:
        """Send a signal unless it has ended already."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> ProcessId:
    """Start a process that outlives this one: its own session, output to `log`, `folder` as working folder.

    Raises:
        OSError: the shell cannot be started or the log not written.
    """
    # posix_spawn rather than Popen: a Popen object warns when it is dropped while its process runs, which is
    # exactly what is wanted here. The shell changes the folder and becomes the command.
    line = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(folder), *command]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        "/bin/sh",
        line,
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return identify(pid)


def identify(pid: int) -> ProcessId:
    """Return the identity of the process that has `pid` now (start time 0 when there is none)."""
    stat = _read_stat(pid)
    return ProcessId(pid, 0 if stat is None else stat[1])


def marked(directory: Path, role: str | None = None) -> list[ProcessId]:
    """Return all live processes of the devcluster in `directory`; those of one daemon when `role` is given."""
    wanted = {f"{MARK}={directory}".encode()}
    if role is not None:
        wanted.add(f"{ROLE_MARK}={role}".encode())
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            environment = Path(entry.path, "environ").read_bytes()
        except OSError:
            # Ended meanwhile, or another user's: not ours either way.
            continue
        if wanted.issubset(environment.split(b"\0")):
            process = identify(int(entry.name))
            if process.is_alive():
                found.append(process)
    return found


def end(processes: Iterable[ProcessId], grace_seconds: float) -> list[ProcessId]:
    """Ask processes to end (SIGTERM), kill those that have not after `grace_seconds`.

    Returns those that live on even so: in uninterruptible sleep, or not ours to signal.
    """
    rest = [process for process in processes if process.is_alive()]
    for process in rest:
        process.send(signal.SIGTERM)
    rest = wait_until_ended(rest, grace_seconds)
    return kill(rest)


def kill(processes: Iterable[ProcessId]) -> list[ProcessId]:
    """Kill processes (SIGKILL) and wait up to 10 s for their end; returns those that live on."""
    rest = list(processes)
    for process in rest:
        process.send(signal.SIGKILL)
    return wait_until_ended(rest, 10.0)


def wait_until_ended(processes: Iterable[ProcessId], seconds: float) -> list[ProcessId]:
    """Wait until all have ended, `seconds` at most; returns those that have not."""
    deadline = time.monotonic() + seconds
    rest = [process for process in processes if process.is_alive()]
    while rest and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        rest = [process for process in rest if process.is_alive()]
    return rest


def parse_stat(text: str) -> tuple[str, int]:
    """Return ("alive" or "zombie", start time in ticks) from the text of /proc/<pid>/stat.

    >>> parse_stat("7 (a b) c) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0")
    ('alive', 4711)
    """
    # The command name may hold spaces and brackets: count from behind its last bracket.
    fields = text[text.rindex(")") + 2 :].split()
    return ("zombie" if fields[0] in "ZX" else "alive", int(fields[19]))


def parse_resident_memory(text: str) -> int:
    """Return VmRSS in bytes from the text of /proc/<pid>/status; 0 for a process without memory of its own.

    >>> parse_resident_memory("Name:\\tjava\\nVmRSS:\\t    2048 kB\\n")
    2097152
    """
    for line in text.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _has_threads(pid: int) -> bool:
    """Whether a zombie's other threads are still ending: until they have, its ports are taken."""
    try:
        return len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def _read_stat(pid: int) -> tuple[str, int] | None:
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (OSError, ValueError):
        return None
