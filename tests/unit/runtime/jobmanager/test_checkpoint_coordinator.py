"""The shell of the coordinator with real files: order of work, failures, what a job starts from."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.runtime.checkpoint.coordinator_harness import settings
from tests.unit.runtime.checkpoint.states import checkpoint, keyed_operator
from tests.unit.runtime.jobmanager.graphs import batch, pipeline
from yarnflow.config.configuration import Configuration
from yarnflow.errors import CheckpointCorruptedError, CheckpointError, ConfigurationError, RestoreError
from yarnflow.runtime.checkpoint import storage
from yarnflow.runtime.checkpoint.coordinator_events import JobMoved, SnapshotRequested, TaskMoved
from yarnflow.runtime.checkpoint.coordinator_machine import CoordinatorMachine
from yarnflow.runtime.checkpoint.handles import SubtaskState
from yarnflow.runtime.checkpoint.metadata import read_metadata, write_metadata
from yarnflow.runtime.checkpoint.paths import normalized
from yarnflow.runtime.jobmanager.checkpoint_coordinator import (
    CheckpointCoordinator,
    Disposals,
    checkpoints_of_job,
)
from yarnflow.runtime.rpc.checkpoint_messages import CheckpointAborted, CheckpointAcknowledged, TriggerCheckpoint
from yarnflow.runtime.states import ExecutionState, JobStatus

NAMES = [("source", 0), ("sink", 0)]


class Job:
    """A job master whose tasks acknowledge at once."""

    def __init__(self, folder: Path, **changes) -> None:
        self.now = 100.0
        machine = CoordinatorMachine(pipeline(1), settings(directory=normalized(str(folder)), **changes))
        self.coordinator = CheckpointCoordinator(machine, self, lambda: self.now)
        self.sent = []
        self.released = []
        self.failures = []
        self.requests = 0

    @property
    def machine(self) -> CoordinatorMachine:
        return self.coordinator.machine

    def start(self) -> None:
        self.coordinator.handle(JobMoved(JobStatus.RUNNING))
        for vertex, index in NAMES:
            self.coordinator.handle(TaskMoved(vertex, index, f"{vertex}#0", ExecutionState.RUNNING))

    def post_to_checkpoints(self, event) -> None:
        self.coordinator.handle(event)

    def wake_checkpoints_at(self, time) -> None:
        pass

    def send_to_task(self, execution_id, message) -> None:
        self.sent.append(message)
        if isinstance(message, TriggerCheckpoint):
            loop = asyncio.get_running_loop()
            for vertex, _ in NAMES:
                answer = CheckpointAcknowledged(f"{vertex}#0", message.checkpoint_id, SubtaskState())
                loop.call_soon(self.coordinator.handle, answer)

    def fail(self, reason, retryable) -> None:
        self.failures.append(reason)

    def cancel(self) -> None:
        raise AssertionError("nobody asked for it")

    def release_results(self, checkpoint_id) -> None:
        self.released.append(checkpoint_id)

    def note(self, what, cause) -> None:
        pass

    async def take(self) -> str:
        """A checkpoint; returns why it failed, "" if it did not."""
        self.requests += 1
        self.coordinator.handle(SnapshotRequested(str(self.requests), False))
        await self.settle()
        return self.machine.requests[str(self.requests)].failure

    async def settle(self) -> None:
        for _ in range(3):
            await self.coordinator.close()
            await asyncio.sleep(0)


def test_a_checkpoint_on_disk(tmp_path):
    async def story():
        job = Job(tmp_path)
        job.start()
        await job.take()
        assert job.released == [1]
        assert read_metadata(str(tmp_path / "job" / "chk-1")).checkpoint_id == 1
        await job.take()
        assert sorted(path.name for path in (tmp_path / "job").iterdir()) == ["chk-2"]
        job.coordinator.handle(JobMoved(JobStatus.FINISHED))
        await job.settle()
        assert list(tmp_path.iterdir()) == []

    asyncio.run(story())


def test_a_full_disk_fails_the_checkpoint_and_not_the_job(tmp_path, monkeypatch):
    async def story():
        job = Job(tmp_path, tolerable_failures=1)
        job.start()

        def full(path):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(storage, "write_metadata", full)
            assert "No space left on device" in await job.take()
        assert job.failures == []
        await job.take()
        assert job.released == [2]

    asyncio.run(story())


def test_a_directory_that_cannot_be_made(tmp_path):
    async def story():
        (tmp_path / "file").write_text("")
        job = Job(tmp_path / "file")
        job.start()
        assert await job.take()
        assert len(job.failures) == 1

    asyncio.run(story())


def test_an_abort_while_publishing_leaves_nothing(tmp_path, monkeypatch):
    async def story():
        job = Job(tmp_path)
        job.start()
        began, go_on = threading.Event(), threading.Event()

        def slow(found):
            began.set()
            assert go_on.wait(10)
            return write_metadata(found)

        monkeypatch.setattr(storage, "write_metadata", slow)
        job.coordinator.handle(SnapshotRequested("r", False))
        assert await asyncio.to_thread(began.wait, 10)
        job.coordinator.handle(TaskMoved("sink", 0, "sink#0", ExecutionState.FAILED))
        go_on.set()
        await job.settle()
        assert job.released == []
        assert list((tmp_path / "job").iterdir()) == [], "deleted after it was written, not before"
        assert any(isinstance(message, CheckpointAborted) for message in job.sent)

    asyncio.run(story())


def test_savepoints_need_a_directory(tmp_path):
    async def story():
        job = Job(tmp_path)
        job.start()
        with pytest.raises(CheckpointError, match=r"execution\.checkpointing\.savepoint-dir"):
            await job.coordinator.request(True, None)
        with pytest.raises(CheckpointError, match="nosuch"):
            await job.coordinator.request(True, "nosuch://x/y")
        request = await job.coordinator.request(True, str(tmp_path / "savepoints"))
        await job.settle()
        outcome = job.machine.requests[request]
        assert outcome.location.startswith(f"file://{tmp_path}/savepoints/savepoint-job-")
        assert read_metadata(outcome.location).savepoint

    asyncio.run(story())


# -- what a job starts from ------------------------------------------------------------------------------


def configured(tmp_path, **extra):
    return Configuration({"execution.state-recovery.path": str(tmp_path), **extra})


def store(folder: Path, *operators) -> Path:
    folder.mkdir(parents=True)
    write_metadata(checkpoint(*operators, directory=normalized(str(folder))))
    return folder


def test_a_job_starts_from_a_savepoint(tmp_path):
    folder = store(tmp_path / "savepoint-1", keyed_operator("source-op", 2, 100))
    job, machine = checkpoints_of_job(pipeline(3), configured(folder))
    assert job.vertices[0].max_parallelism == 100
    assert machine.store.latest.checkpoint_id == 7
    assert machine.restore("source", 2).directory == normalized(str(folder))


def test_a_job_does_not_start_from_anothers_savepoint(tmp_path):
    folder = store(tmp_path / "savepoint-1", keyed_operator("other", 2, uid="mine"))
    with pytest.raises(RestoreError, match="another program"):
        checkpoints_of_job(pipeline(2), configured(folder))
    ignoring = configured(folder, **{"execution.state-recovery.ignore-unclaimed-state": "true"})
    assert checkpoints_of_job(pipeline(2), ignoring)[1].store.latest is not None


def test_a_damaged_savepoint_names_its_file(tmp_path):
    folder = store(tmp_path / "savepoint-1", keyed_operator("source-op", 2))
    (folder / "_metadata").write_bytes(b"?")
    with pytest.raises(CheckpointCorruptedError, match="savepoint-1/_metadata"):
        checkpoints_of_job(pipeline(2), configured(folder))


def test_a_batch_job_starts_from_nothing(tmp_path):
    folder = store(tmp_path / "savepoint-1", keyed_operator("source-op", 2))
    with pytest.raises(RestoreError, match="batch job"):
        checkpoints_of_job(batch(2), configured(folder))
    _, machine = checkpoints_of_job(batch(2), Configuration({"execution.checkpointing.interval": "1 s"}))
    assert machine.settings.interval is None
    assert machine.settings.plan("job") is None


def test_settings_come_from_the_configuration(tmp_path):
    config = Configuration(
        {
            "execution.checkpointing.interval": "2 s",
            "execution.checkpointing.min-pause": "1 s",
            "execution.checkpointing.max-concurrent-checkpoints": "3",
            "execution.checkpointing.dir": str(tmp_path),
            "execution.checkpointing.unaligned.enabled": "true",
        }
    )
    _, machine = checkpoints_of_job(pipeline(1), config)
    found = machine.settings
    assert (found.interval, found.min_pause, found.max_concurrent) == (2.0, 1.0, 1)
    plan = found.plan("job")
    assert plan.shared_directory == f"file://{tmp_path}/job/shared"
    assert plan.periodic
    assert plan.inline_bytes == 20 * 1024
    at_least_once = replace_key(config, "execution.checkpointing.mode", "AT_LEAST_ONCE")
    with pytest.raises(ConfigurationError, match="EXACTLY_ONCE"):
        checkpoints_of_job(pipeline(1), at_least_once)
    concurrent = replace_key(config, "execution.checkpointing.min-pause", "0 s")
    with pytest.raises(ConfigurationError, match="max-concurrent-checkpoints is 3: set it to 1"):
        checkpoints_of_job(pipeline(1), concurrent)
    nowhere = Configuration({"execution.checkpointing.storage": "filesystem"})
    with pytest.raises(ConfigurationError, match=r"set execution\.checkpointing\.dir"):
        checkpoints_of_job(pipeline(1), nowhere)
    with pytest.raises(ConfigurationError, match=r"state\.backend\.type: 'disk' is not one of"):
        checkpoints_of_job(pipeline(1), replace_key(config, "state.backend.type", "disk"))
    in_memory = replace_key(config, "execution.checkpointing.storage", "jobmanager")
    assert checkpoints_of_job(pipeline(1), in_memory)[1].settings.plan("job").shared_directory == ""


def replace_key(config: Configuration, key: str, value: str) -> Configuration:
    return config.merge({key: value})


def test_disposals_tell_what_became_of_them(tmp_path):
    folder = store(tmp_path / "savepoint-1", keyed_operator("k", 1))

    async def story():
        disposals = Disposals()
        good, bad = disposals.begin(str(folder)), disposals.begin(str(tmp_path / "nowhere"))
        assert not disposals.outcomes[good].done
        await disposals.close()
        assert disposals.outcomes[good] == replace(disposals.outcomes[good], done=True, failure="")
        assert "nowhere" in disposals.outcomes[bad].failure

    asyncio.run(story())
    assert not folder.exists()
