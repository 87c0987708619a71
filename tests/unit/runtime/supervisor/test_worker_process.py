from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from yarnflow.runtime.log_files import list_log_files, read_log_file, tail
from yarnflow.runtime.rpc.messages import Heartbeat, LogChunk, Message
from yarnflow.runtime.taskmanager import worker_process, worker_spawn
from yarnflow.runtime.taskmanager.worker_process import WorkerProcess, describe_exit
from yarnflow.runtime.taskmanager.worker_spawn import SpawnedWorker, open_log

ECHO = """
import sys
from multiprocessing.connection import Connection
pipe = Connection(int(sys.argv[1]))
print("hello from the worker", file=sys.stderr, flush=True)
while True:
    message = pipe.recv()
    if type(message).__name__ == "WorkerExit":
        sys.exit(0)
    pipe.send(message)
"""


def spawn(program: str, folder: Path) -> SpawnedWorker:
    ours, theirs = socket.socketpair()
    with (folder / "err.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(theirs.fileno())], pass_fds=(theirs.fileno(),), stderr=log
        )
    theirs.close()
    return SpawnedWorker(process, ours, folder / "err.log")


class Seen:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.ends: list[tuple[str, str]] = []
        self.changed = asyncio.Event()

    def said(self, message: Message) -> None:
        self.messages.append(message)
        self.changed.set()

    def ended(self, how: str, log_tail: str) -> None:
        self.ends.append((how, log_tail))
        self.changed.set()

    async def until(self, condition) -> None:
        async def wait() -> None:
            while not condition():
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(wait(), 20)


def run(program: str, folder: Path, test) -> Seen:
    async def main() -> Seen:
        seen = Seen()
        worker = WorkerProcess(spawn(program, folder), seen.said, seen.ended, frozen_after=1.0)
        try:
            await test(worker, seen)
            await seen.until(lambda: bool(seen.ends))
        finally:
            worker.stop(at_once=True)
            await asyncio.wait_for(worker.gone.wait(), 10)
        return seen

    return asyncio.run(main())


def test_messages_of_any_size_go_both_ways(tmp_path):
    async def test(worker, seen):
        for message in (Heartbeat(), LogChunk(1, b"x" * 5_000_000), LogChunk(2, b"")):
            worker.send(message)
        await seen.until(lambda: len(seen.messages) == 3)
        worker.stop(at_once=False)

    seen = run(ECHO, tmp_path, test)
    assert [len(m.data) for m in seen.messages[1:]] == [5_000_000, 0]
    assert seen.ends == [("exited with code 0", "hello from the worker")]


def test_a_killed_process_is_reported_once(tmp_path):
    async def test(worker, seen):
        worker.send(Heartbeat())
        await seen.until(lambda: bool(seen.messages))
        os.kill(worker.pid, signal.SIGKILL)

    assert run(ECHO, tmp_path, test).ends == [("was killed by signal 9 (out of memory?)", "hello from the worker")]


def test_a_stopped_process_is_killed_but_not_one_that_goes_on_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_process, "LOOK", 0.25)

    async def stop_and_go(worker, seen):
        worker.send(Heartbeat())
        await seen.until(lambda: len(seen.messages) == 1)
        os.kill(worker.pid, signal.SIGSTOP)
        await asyncio.sleep(0.5)
        os.kill(worker.pid, signal.SIGCONT)
        worker.send(Heartbeat())
        await seen.until(lambda: len(seen.messages) == 2)
        os.kill(worker.pid, signal.SIGSTOP)

    ends = run(ECHO, tmp_path, stop_and_go).ends
    assert ends[0][0] == "was stopped (by a signal, such as SIGSTOP) for 1 s (heartbeat.timeout) and was killed"


def test_a_process_that_ends_while_a_child_holds_its_pipe_is_noticed(tmp_path):
    program = "import os, sys, time\nif os.fork():\n    sys.exit(3)\ntime.sleep(5)"

    async def test(worker, seen):
        pass

    assert run(program, tmp_path, test).ends[0][0] == "exited with code 3"


def test_a_process_that_will_not_end_politely_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("yarnflow.runtime.taskmanager.worker_process.EXIT_TIMEOUT", 0.2)

    async def test(worker, seen):
        worker.stop(at_once=False)

    assert "signal 9" in run("import time\ntime.sleep(60)", tmp_path, test).ends[0][0]


def test_what_is_not_a_message_kills_the_worker(tmp_path):
    program = (
        "import sys, time\nfrom multiprocessing.connection import Connection\n"
        "Connection(int(sys.argv[1])).send_bytes(b'nonsense')\ntime.sleep(60)"
    )

    async def test(worker, seen):
        pass

    assert "not a message" in run(program, tmp_path, test).ends[0][0]


def test_a_process_that_does_not_read_blocks_nobody(tmp_path):
    async def test(worker, seen):
        for _ in range(20):
            worker.send(LogChunk(1, b"x" * 1_000_000))
        worker.stop(at_once=True)

    assert "signal 9" in run("import time\ntime.sleep(60)", tmp_path, test).ends[0][0]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with code 0"),
        (-9, "was killed by signal 9 (out of memory?)"),
        (-11, "was killed by signal 11 (SIGSEGV)"),
        (-99, "was killed by signal 99 (unknown)"),
    ],
)
def test_exits_in_words(code, words):
    assert describe_exit(code) == words


def test_large_logs_are_rotated_when_a_worker_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_spawn, "LOG_LIMIT", 10)
    path = tmp_path / "slot0.log"
    for number in range(6):
        os.close(open_log(path))
        path.write_text(f"log {number} with text")
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["slot0.log", "slot0.log.1", "slot0.log.2", "slot0.log.3"]
    assert (tmp_path / "slot0.log.1").read_text() == "log 4 with text"


def test_log_files_stay_in_their_folder(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "a.log").write_bytes(b"0123456789")
    (tmp_path / "secret").write_text("s")
    (folder / "link").symlink_to(tmp_path / "secret")
    assert [(file.name, file.size) for file in list_log_files(folder)] == [("a.log", 10)]
    assert read_log_file(folder, "a.log", 2, 3) == b"234"
    assert read_log_file(folder, "a.log", -4, 100) == b"6789"
    assert read_log_file(folder, "a.log", 10, 5) == b""
    for name in ("../secret", "link", "/etc/passwd", "", ".", "b.log"):
        assert read_log_file(folder, name, 0, 10) is None
    assert list_log_files(tmp_path / "nowhere") == ()


def test_tails_of_logs(tmp_path):
    (tmp_path / "a.log").write_text("\n".join(f"line {number}" for number in range(100)))
    assert tail(tmp_path / "a.log", lines=2) == "line 98\nline 99"
    assert tail(tmp_path / "missing") == ""
    assert tail(tmp_path / "a.log", start=(tmp_path / "a.log").stat().st_size) == ""


def test_a_worker_answers_only_for_its_own_part_of_the_slots_log(tmp_path):
    log = tmp_path / "slot0.log"
    log.write_text("a secret of the job before\n")
    spawned = worker_spawn.spawn_worker("", None, log)
    try:
        assert tail(spawned.stderr) == "a secret of the job before"
        assert tail(spawned.stderr, start=spawned.log_start) == ""
    finally:
        spawned.process.kill()
        spawned.process.wait()
        spawned.pipe.close()
