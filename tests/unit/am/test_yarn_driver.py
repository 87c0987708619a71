"""The shell around the containers machine, over an ApplicationMaster that the test plays."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from yarnflow.am import yarn_driver
from yarnflow.am.yarn_driver import YarnDriver
from yarnflow.errors import ClusterUnreachableError
from yarnflow.runtime.jobmanager.driver import FinalStatus, WorkerSpec
from yarnflow.yarn.skein.application import WorkerContainer

SPEC = WorkerSpec(1 << 30, 1, 1)


class FakeMaster:
    """skein's side: containers by name; called from the driver's thread."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.killed: list[str] = []
        self.finished: list[tuple[str, str]] = []
        self.error: Exception | None = None
        self.added, self.stopped = threading.Event(), threading.Event()
        self.allowed = threading.Event()
        self.allowed.set()

    def _answer(self, *states: str) -> list[WorkerContainer]:
        if self.error is not None:
            raise self.error
        return [
            WorkerContainer(name, f"id-{name}", state, "node:1", "")
            for name, state in self.states.items()
            if state in states
        ]

    def add_worker(self) -> str:
        self.allowed.wait(10)
        if self.error is not None:
            raise self.error
        name = f"taskmanager_{len(self.states)}"
        self.states[name] = "REQUESTED"
        self.added.set()
        return name

    def active_workers(self) -> list[WorkerContainer]:
        return self._answer("REQUESTED", "RUNNING")

    def ended_workers(self) -> list[WorkerContainer]:
        return self._answer("FAILED", "KILLED")

    def kill_worker(self, name: str) -> None:
        self.killed.append(name)
        self.states[name] = "KILLED"
        self.stopped.set()

    def finish(self, status: str, diagnostics: str) -> None:
        self.finished.append((status, diagnostics))
        if self.error is not None:
            raise self.error


class Heard:
    """A DriverListener that remembers, and lets a test wait for what it wants to hear."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []
        self._changed = asyncio.Event()

    def _add(self, *event: str) -> None:
        self.events.append(event)
        self._changed.set()

    def worker_started(self, request_id: str | None, worker_id: str) -> None:
        self._add("started", request_id or "", worker_id)

    def worker_ended(self, worker_id: str, diagnostics: str) -> None:
        self._add("ended", worker_id, diagnostics)

    def request_failed(self, request_id: str, diagnostics: str) -> None:
        self._add("failed", request_id, diagnostics)

    def fatal(self, diagnostics: str) -> None:
        self._add("fatal", diagnostics)

    async def until(self, kind: str) -> tuple[str, ...]:
        async def wait() -> tuple[str, ...]:
            while True:
                found = [event for event in self.events if event[0] == kind]
                if found:
                    return found[-1]
                self._changed.clear()
                await self._changed.wait()

        return await asyncio.wait_for(wait(), 10)


Check = Callable[[YarnDriver, FakeMaster, Heard], Awaitable[None]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yarn_driver, "PENDING_INTERVAL", 0.001)
    monkeypatch.setattr(yarn_driver, "IDLE_INTERVAL", 0.001)


def drive(check: Check) -> FakeMaster:
    """Run an async check with a started driver, and close it."""
    master = FakeMaster()

    async def inside() -> None:
        any_master: Any = master
        driver, heard = YarnDriver(any_master, lambda: None), Heard()
        await driver.start(heard)
        try:
            await asyncio.wait_for(check(driver, master, heard), 20)
        finally:
            master.allowed.set()
            await driver.close(FinalStatus.SUCCEEDED, "done")

    asyncio.run(inside())
    return master


def test_a_worker_from_request_to_release() -> None:
    async def check(driver: YarnDriver, master: FakeMaster, heard: Heard) -> None:
        driver.request_worker("r1", SPEC)
        await asyncio.to_thread(master.added.wait, 10)
        master.states["taskmanager_0"] = "RUNNING"
        assert await heard.until("started") == ("started", "r1", "id-taskmanager_0")
        driver.release_worker("id-taskmanager_0")
        assert (await heard.until("ended"))[1] == "id-taskmanager_0"

    master = drive(check)
    assert set(master.killed) == {"taskmanager_0"}
    assert master.finished == [("SUCCEEDED", "done")]


def test_a_request_that_is_cancelled_while_skein_has_not_answered() -> None:
    async def check(driver: YarnDriver, master: FakeMaster, heard: Heard) -> None:
        master.allowed.clear()
        driver.request_worker("r1", SPEC)
        driver.cancel_request("r1")
        master.allowed.set()
        await asyncio.to_thread(master.stopped.wait, 10)
        assert heard.events == []

    assert drive(check).killed == ["taskmanager_0"]


def test_a_request_that_fails_is_told() -> None:
    async def check(driver: YarnDriver, master: FakeMaster, heard: Heard) -> None:
        master.error = ClusterUnreachableError("no answer")
        driver.request_worker("r1", SPEC)
        assert await heard.until("failed") == ("failed", "r1", "no answer")
        master.error = None

    drive(check)


def test_a_master_that_never_answers_is_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yarn_driver, "_FAILURES", 3)

    async def check(driver: YarnDriver, master: FakeMaster, heard: Heard) -> None:
        master.error = ClusterUnreachableError("no answer")
        assert "does not answer any more: no answer" in (await heard.until("fatal"))[1]

    drive(check)


def test_a_defect_while_watching_is_fatal_and_not_silent() -> None:
    async def check(driver: YarnDriver, master: FakeMaster, heard: Heard) -> None:
        master.error = TypeError("a defect")
        assert "the YARN driver failed: TypeError: a defect" in (await heard.until("fatal"))[1]
        master.error = None

    drive(check)


def test_close_survives_a_master_that_is_gone_and_cuts_long_diagnostics() -> None:
    async def inside() -> FakeMaster:
        master = FakeMaster()
        any_master: Any = master
        closing: list[str] = []
        driver = YarnDriver(any_master, lambda: closing.append("closing"))
        await driver.start(Heard())
        master.error = ClusterUnreachableError("gone")
        await driver.close(FinalStatus.FAILED, "x" * 100_000)
        assert closing == ["closing"]
        return master

    ((status, diagnostics),) = asyncio.run(inside()).finished
    assert status == "FAILED"
    assert len(diagnostics) == 16_000
