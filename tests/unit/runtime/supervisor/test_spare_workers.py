"""Spare worker processes."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from yarnflow.config.configuration import Configuration
from yarnflow.runtime.taskmanager import spare_workers
from yarnflow.runtime.taskmanager.spare_workers import SpareWorkers
from yarnflow.runtime.taskmanager.worker_spawn import SpawnedWorker, spawn_worker


def waiting(folder: Path) -> SpawnedWorker:
    """A process that waits, with a log."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=theirs.fileno())
    theirs.close()
    return SpawnedWorker(process, ours, folder / "worker.log")


def run(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(body(), 30))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_workers, "DELAY", 0.01)


def test_a_spare_is_started_once_and_taken_once(tmp_path: Path) -> None:
    started: list[int] = []

    async def body() -> None:
        spawned = asyncio.Event()

        def spawn(index: int) -> SpawnedWorker:
            started.append(index)
            spawned.set()
            return waiting(tmp_path)

        spares = SpareWorkers(spawn, {})
        spares.plan(1)
        spares.plan(1)
        await spawned.wait()
        assert len(spares.pids()) == 1
        (tmp_path / "worker.log").write_text("of another worker")
        assert spares.take(0) is None
        spare = spares.take(1)
        assert spare is not None
        assert spare.log_start == len("of another worker")
        assert spares.take(1) is None
        assert started == [1]
        spare.process.kill()
        spare.process.wait()
        spare.pipe.close()
        spares.close()

    run(body)


def test_a_dead_spare_is_not_taken(tmp_path: Path) -> None:
    async def body() -> None:
        dead = waiting(tmp_path)
        dead.process.kill()
        dead.process.wait()
        spares = SpareWorkers(lambda index: waiting(tmp_path), {0: dead})
        assert spares.take(0) is None
        spares.close()

    run(body)


def test_close_ends_spares_and_plans(tmp_path: Path) -> None:
    async def body() -> None:
        spare = waiting(tmp_path)
        spares = SpareWorkers(lambda index: pytest.fail("started after the end"), {0: spare})
        spares.plan(1)
        spares.close()
        assert spare.process.returncode is not None
        await asyncio.sleep(0.05)

    run(body)


def test_a_spare_that_cannot_be_started_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        tried = asyncio.Event()

        def fail(index: int) -> SpawnedWorker:
            tried.set()
            raise OSError("no more processes")

        spares = SpareWorkers(fail, {})
        spares.plan(0)
        await tried.wait()
        assert "no more processes" in caplog.text
        assert spares.take(0) is None
        spares.close()

    run(body)


def test_a_warm_worker_loads_pyarrow_and_ends_with_its_pipe(tmp_path: Path) -> None:
    worker = spawn_worker("", None, tmp_path / "log", warm=True)
    try:
        maps = Path(f"/proc/{worker.process.pid}/maps")
        while "libarrow" not in maps.read_text():
            assert worker.process.poll() is None
        worker.pipe.close()
        worker.process.wait(30)
    finally:
        worker.process.kill()
        worker.process.wait()


@pytest.mark.parametrize(
    ("settings", "spares"),
    [
        ({}, False),
        ({"execution.checkpointing.interval": "1 s"}, True),
        ({"execution.checkpointing.interval": "1 s", "taskmanager.spare-workers": "false"}, False),
        ({"execution.checkpointing.interval": "1 s", "python.executable": "/usr/bin/python3"}, False),
    ],
)
def test_which_jobs_have_spares(settings: dict[str, str], spares: bool) -> None:
    assert spare_workers.wanted(Configuration(settings)) is spares
