"""Pid files: who counts as running, and whom `stop` ends. Processes are played by small programs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from yarnflow.errors import ConfigurationError
from yarnflow.standalone.instances import Instance, running, stop

ROOT = Path(__file__).resolve().parents[3]
POLITE = "sys.stdin.read()"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); sys.stdin.read()"


class Claims:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, then: str = POLITE) -> tuple[subprocess.Popen[str], int]:
        """A process that claims to be a TaskManager; returns it and the number it got."""
        code = f"""
            import pathlib, signal, sys
            from yarnflow.standalone.instances import claim
            print(claim("taskmanager", pathlib.Path({str(self.directory)!r})).number, flush=True)
            {then}
        """
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        assert process.stdout is not None
        number = int(process.stdout.readline())
        if then is STUBBORN:
            process.stdout.readline()
        return process, number

    def running(self) -> list[Instance]:
        return running("taskmanager", self.directory)


@pytest.fixture
def claims(tmp_path: Path) -> Iterator[Claims]:
    claims = Claims(tmp_path / "pids")
    yield claims
    for process in claims.processes:
        process.kill()
        process.communicate()


def test_numbers_count_up_and_are_used_again(claims: Claims) -> None:
    assert claims.running() == []
    first, _ = claims.start()
    second, number = claims.start()
    assert number == 1
    assert [instance.pid for instance in claims.running()] == [first.pid, second.pid]
    assert running("jobmanager", claims.directory) == []
    first.kill()
    first.wait()
    assert [instance.number for instance in claims.running()] == [1]
    _, number = claims.start()
    assert number == 0


def test_stop_waits_for_the_end_and_removes_the_file(claims: Claims) -> None:
    process, _ = claims.start()
    [instance] = claims.running()
    assert stop(instance)
    assert process.wait(timeout=10) == -15
    assert list(claims.directory.iterdir()) == []
    assert stop(instance), "stopping what has ended is no error"


def test_stop_kills_what_does_not_listen(claims: Claims) -> None:
    process, _ = claims.start(STUBBORN)
    [instance] = claims.running()
    assert not stop(instance, grace=0.1)
    assert process.wait(timeout=10) == -9


def test_a_file_without_its_process_ends_nobody(claims: Claims) -> None:
    process, _ = claims.start()
    [instance] = claims.running()
    process.kill()
    process.wait()
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    instance.path.write_text(f"{bystander.pid}\n")
    assert claims.running() == []
    assert stop(Instance("taskmanager", 0, bystander.pid, instance.path))
    assert bystander.poll() is None
    bystander.communicate(b"\n", timeout=10)


def test_links_are_not_followed(claims: Claims, tmp_path: Path) -> None:
    from yarnflow.standalone.instances import claim

    process, _ = claims.start()
    [instance] = claims.running()
    process.kill()
    process.wait()
    instance.path.unlink()
    target = tmp_path / "precious"
    target.write_text("text")
    instance.path.symlink_to(target)
    with pytest.raises(ConfigurationError, match=r"env\.pid\.dir"):
        claim("taskmanager", claims.directory)
    assert target.read_text() == "text"
