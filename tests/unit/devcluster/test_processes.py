from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from yarnflow.devcluster import processes


def environment(folder: Path, role: str = "sleeper") -> dict[str, str]:
    return {"PATH": os.defpath, processes.MARK: str(folder), processes.ROLE_MARK: role}


def wait_for_line(log: Path, line: str) -> None:
    deadline = time.monotonic() + 10
    while not (log.exists() and line in log.read_text()):
        assert time.monotonic() < deadline, f"{log} never said {line!r}"
        time.sleep(0.01)


def test_a_process_and_what_it_left_behind_are_found_and_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    started = processes.start(
        ["sh", "-c", "setsid sleep 60 & pwd; echo ready; wait"], environment(tmp_path), tmp_path, log
    )
    wait_for_line(log, "ready")
    assert str(tmp_path) in log.read_text()
    assert started.is_alive()
    assert started.memory_bytes() > 0
    assert processes.marked(tmp_path, "another") == []

    assert processes.end([started], 10.0) == []
    assert not started.is_alive()
    assert started.memory_bytes() == 0
    left = processes.marked(tmp_path)
    assert len(left) == 1
    assert processes.kill(left) == []
    assert processes.marked(tmp_path) == []


def test_one_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    log = tmp_path / "log"
    started = processes.start(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], environment(tmp_path), tmp_path, log
    )
    wait_for_line(log, "ready")
    begun = time.monotonic()
    assert processes.end([started], 0.3) == []
    assert 0.3 <= time.monotonic() - begun < 8
    assert processes.kill(processes.marked(tmp_path)) == []


def test_a_pid_that_was_given_to_another_process_is_not_taken_for_the_first(tmp_path: Path) -> None:
    mine = processes.identify(os.getpid())
    assert mine.is_alive()
    earlier = processes.ProcessId(mine.pid, mine.started - 1)
    assert not earlier.is_alive()
    earlier.send(signal.SIGKILL)  # would end this test run


def test_a_command_that_cannot_run_says_so_in_its_log(tmp_path: Path) -> None:
    started = processes.start(["/no/such/java"], environment(tmp_path), tmp_path, tmp_path / "log")
    assert processes.wait_until_ended([started], 10.0) == []
    assert "/no/such/java" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(("letter", "word"), [("S", "alive"), ("R", "alive"), ("Z", "zombie"), ("X", "zombie")])
def test_stat_is_read_whatever_the_command_is_called(letter: str, word: str) -> None:
    text = f"7 (a) R (b) {letter} 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0"
    assert processes.parse_stat(text) == (word, 4711)


def test_kernel_threads_have_no_memory() -> None:
    assert processes.parse_resident_memory("Name:\tkthreadd\n") == 0
