"""The shell of coordinator_machine: files in threads, messages to tasks, everything else to the job master.

Decides nothing. Runs on the job master's mailbox: `handle` is called there, and what threads have done comes back
as an event.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from yarnflow.config.checkpointing import CheckpointingOptions
from yarnflow.config.configuration import Configuration
from yarnflow.errors import CheckpointError, RestoreError, YarnflowError
from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.checkpoint import storage
from yarnflow.runtime.checkpoint.assignment import fit_job
from yarnflow.runtime.checkpoint.coordinator_events import (
    CancelJob,
    CheckpointDone,
    CoordinatorEffect,
    CoordinatorEvent,
    Delete,
    DirectoryMade,
    FailJob,
    MakeDirectory,
    Note,
    Publish,
    Published,
    SendToTask,
    SnapshotRequested,
    StorageFailed,
    WakeAt,
)
from yarnflow.runtime.checkpoint.coordinator_machine import CoordinatorMachine, Incoming
from yarnflow.runtime.checkpoint.metadata import find_checkpoint
from yarnflow.runtime.checkpoint.paths import normalized, savepoint_directory
from yarnflow.runtime.checkpoint.pending import Phase, RequestOutcome
from yarnflow.runtime.checkpoint.settings import from_config as settings_of
from yarnflow.runtime.clock import Clock
from yarnflow.runtime.rpc.checkpoint_messages import StopMode
from yarnflow.runtime.rpc.messages import Message, TaskDeployment

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Outcomes of disposals that are remembered.
_REMEMBERED = 256


class CheckpointedJob(Protocol):
    """What a coordinator asks of its job master."""

    def post_to_checkpoints(self, event: CoordinatorEvent) -> None:
        """Put an event of the coordinator's into the job's mailbox."""

    def wake_checkpoints_at(self, time: float) -> None:
        """Post TimePassed at this time."""

    def send_to_task(self, execution_id: str, message: Message) -> None:
        """Send to the worker that runs an attempt."""

    def fail(self, reason: str, retryable: bool) -> None:
        """Fail over as a whole."""

    def cancel(self) -> None:
        """Cancel the job."""

    def release_results(self, checkpoint_id: int) -> None:
        """What was collected before this checkpoint may go to the client."""

    def note(self, what: str, cause: str) -> None:
        """Write to the log of transitions."""


class CheckpointCoordinator:
    """Takes and keeps the checkpoints of one job.

    Args:
        machine: decides.
        job: the job master.
        clock: the time.
    """

    def __init__(self, machine: CoordinatorMachine, job: CheckpointedJob, clock: Clock) -> None:
        self.machine = machine
        self._job = job
        self._clock = clock
        self._plan = machine.settings.plan(machine.job.job_id)
        self._work: set[asyncio.Task[None]] = set()
        #: The newest work on a directory: what follows waits for it.
        self._last: dict[str, asyncio.Task[None]] = {}

    @property
    def periodic(self) -> bool:
        """Whether checkpoints are taken by themselves."""
        return self.machine.settings.possible and self.machine.settings.interval is not None

    @property
    def under_way(self) -> int:
        """The newest checkpoint or savepoint whose barriers are on their way; 0 for none."""
        running = [each.checkpoint_id for each in self.machine.pending.values() if each.phase is Phase.RUNNING]
        return max(running, default=0)

    async def request(
        self,
        savepoint: bool,
        directory: str | None,
        stop: StopMode = StopMode.NO,
        cancel: bool = False,
        request_id: str | None = None,
    ) -> str:
        """Ask for a savepoint or checkpoint; returns the id to ask for its outcome (`machine.requests`).

        Args:
            directory: of savepoints, in which this one gets a directory of its own; None: as configured.
            request_id: chosen by the client, so that it can ask again without getting two; None makes one.

        Raises CheckpointError: no directory is named, or it cannot be used.
        """
        request_id = request_id or os.urandom(16).hex()
        target = ""
        if savepoint:
            base = directory or self.machine.settings.savepoint_directory
            if not base:
                raise CheckpointError(
                    "no directory for savepoints is known: name one, or set execution.checkpointing.savepoint-dir"
                )
            try:
                base = await self._in_thread(lambda: normalized(base))
            except YarnflowError as error:
                raise CheckpointError(f"the savepoint directory {base} cannot be used: {error}") from error
            target = savepoint_directory(base, self.machine.job.job_id, os.urandom(6).hex())
        self._job.post_to_checkpoints(SnapshotRequested(request_id, savepoint, target, stop, cancel))
        return request_id

    def with_state(self, deployment: TaskDeployment) -> TaskDeployment:
        """A deployment with what the attempt starts from and must know about checkpoints."""
        restore = self.machine.restore(deployment.vertex_id, deployment.subtask_index)
        return replace(deployment, restore=restore, checkpoints=self._plan)

    def handle(self, event: Incoming) -> None:
        """Take one event."""
        for effect in self.machine.handle(event, self._clock()):
            self._perform(effect)

    async def close(self) -> None:
        """Wait for what is being written and deleted."""
        while self._work:
            await asyncio.wait(self._work)

    def _perform(self, effect: CoordinatorEffect) -> None:
        if isinstance(effect, SendToTask):
            self._job.send_to_task(effect.execution_id, effect.message)
        elif isinstance(effect, MakeDirectory):
            number, directory = effect.checkpoint_id, effect.directory
            self._begin(
                (directory,), number, lambda: storage.make_directory(directory), lambda _: DirectoryMade(number)
            )
        elif isinstance(effect, Publish):
            checkpoint = effect.checkpoint
            self._begin(
                (checkpoint.directory,),
                checkpoint.checkpoint_id,
                lambda: storage.publish(checkpoint),
                Published,
            )
        elif isinstance(effect, Delete):
            directories, files = effect.directories, effect.files
            self._begin(directories, None, lambda: storage.delete(directories, files), lambda _: None)
        elif isinstance(effect, WakeAt):
            self._job.wake_checkpoints_at(effect.time)
        elif isinstance(effect, CheckpointDone):
            self._job.release_results(effect.checkpoint_id)
        elif isinstance(effect, FailJob):
            self._job.fail(effect.reason, effect.retryable)
        elif isinstance(effect, CancelJob):
            self._job.cancel()
        elif isinstance(effect, Note):
            self._job.note(effect.what, effect.cause)

    # -- files -------------------------------------------------------------------------------------------

    def _begin(
        self,
        directories: tuple[str, ...],
        checkpoint_id: int | None,
        work: Callable[[], T],
        event: Callable[[T], CoordinatorEvent | None],
    ) -> None:
        """Work in a thread, after what was begun before on the same directories."""
        before = {self._last[each] for each in directories if each in self._last}

        async def run() -> None:
            if before:
                await asyncio.wait(before)
            try:
                done = event(await self._in_thread(work))
            except Exception as error:
                # A full disk, a NameNode in safe mode, a bug: the checkpoint fails, the job goes on.
                reason = f"{type(error).__name__}: {error}"
                what = "deleting files" if checkpoint_id is None else f"checkpoint {checkpoint_id}"
                logger.warning("%s of job %s failed: %s", what, self.machine.job.job_id, reason)
                logger.debug("%s of job %s failed", what, self.machine.job.job_id, exc_info=error)
                done = None if checkpoint_id is None else StorageFailed(checkpoint_id, reason)
            if done is not None:
                self._job.post_to_checkpoints(done)

        task = asyncio.ensure_future(run())
        self._work.add(task)
        self._last.update(dict.fromkeys(directories, task))
        task.add_done_callback(lambda ended: self._ended(directories, ended))

    def _ended(self, directories: tuple[str, ...], task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        for each in directories:
            if self._last.get(each) is task:
                del self._last[each]

    @staticmethod
    async def _in_thread(work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(None, work)


def checkpoints_of_job(job: JobGraph, config: Configuration) -> tuple[JobGraph, CoordinatorMachine]:
    """The coordinator of a job, and the job fitted to what it starts from. Blocks: reads its metadata.

    Raises:
        ConfigurationError: a value is not accepted.
        CheckpointError: what the job shall start from is missing, damaged, or does not fit.
        FileSystemError: a directory cannot be used.
    """
    settings = settings_of(config, job)
    if settings.directory:
        settings = replace(settings, directory=normalized(settings.directory))
    path = config[CheckpointingOptions.RECOVERY_PATH]
    if not path:
        return job, CoordinatorMachine(job, settings)
    if not settings.possible:
        raise RestoreError(f"a batch job cannot start from a savepoint ({path}): run it without")
    restored, passed_over = find_checkpoint(path)
    for reason in passed_over:
        logger.warning("job %s: %s; an earlier one is used: %s", job.job_id, reason, restored.shown)
    job = fit_job(job, restored, config[CheckpointingOptions.RECOVERY_IGNORE_UNCLAIMED])
    return job, CoordinatorMachine(job, settings, restored)


class Disposals:
    """Savepoints that are being deleted at a client's request.

    Attributes:
        outcomes: by request id.
    """

    def __init__(self) -> None:
        self.outcomes: OrderedDict[str, RequestOutcome] = OrderedDict()
        self._work: set[asyncio.Future[None]] = set()

    def begin(self, path: str) -> str:
        """Delete the savepoint at `path`; returns the id to ask for the outcome."""
        request_id = os.urandom(16).hex()
        self.outcomes[request_id] = RequestOutcome()
        while len(self.outcomes) > _REMEMBERED:
            self.outcomes.popitem(last=False)

        async def run() -> None:
            failure = ""
            try:
                await asyncio.get_running_loop().run_in_executor(None, storage.dispose, path)
            except YarnflowError as error:
                failure = str(error)
            self.outcomes[request_id] = RequestOutcome(True, path, failure=failure)

        work = asyncio.ensure_future(run())
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        return request_id

    async def close(self) -> None:
        """Wait for what is being deleted."""
        while self._work:
            await asyncio.wait(self._work)
