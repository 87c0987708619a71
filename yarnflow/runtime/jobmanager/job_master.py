"""The shell of one job: a mailbox around job_master_machine, its checkpoints, and the records clients collect.

Decides nothing. Created by the dispatcher, fed by the resource manager (slots, reports of workers).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Protocol

from yarnflow.errors import ProtocolError
from yarnflow.runtime.checkpoint.coordinator_events import (
    CoordinatorEvent,
    JobMoved,
    RestoreFailed,
    TaskMoved,
    TimePassed,
)
from yarnflow.runtime.checkpoint.coordinator_machine import CoordinatorMachine
from yarnflow.runtime.clock import Clock
from yarnflow.runtime.jobmanager import job_master_events, job_views
from yarnflow.runtime.jobmanager.checkpoint_coordinator import CheckpointCoordinator
from yarnflow.runtime.jobmanager.collect_buffer import CollectBuffer
from yarnflow.runtime.jobmanager.job_master_events import (
    CancelExecution,
    CancelRequested,
    DeclareSlots,
    Deploy,
    ExecutionMoved,
    ExecutionReported,
    ForgetResults,
    JobBroken,
    JobEnded,
    JobMasterEffect,
    JobMasterEvent,
    ReturnSlot,
    StatusMoved,
    WakeUp,
)
from yarnflow.runtime.jobmanager.job_master_machine import JobMasterMachine
from yarnflow.runtime.jobmanager.restart_notices import RestartNotices
from yarnflow.runtime.jobmanager.views import CollectedPage, JobDetail, JobOverview, JobResult
from yarnflow.runtime.jobmanager.watermark_alignment import WatermarkAlignment
from yarnflow.runtime.mailbox import Mailbox
from yarnflow.runtime.rpc.checkpoint_messages import (
    CheckpointAcknowledged,
    CheckpointDeclined,
    InputEnded,
    TriggerCheckpoint,
    WatermarkReported,
)
from yarnflow.runtime.rpc.messages import (
    CancelTask,
    CollectAcknowledged,
    CollectedRows,
    DeployTask,
    Message,
    TaskFailure,
)
from yarnflow.runtime.states import JobStatus

logger = logging.getLogger(__name__)

#: How the failure of a task begins that could not read its state (errors.CheckpointCorruptedError).
_DAMAGED_STATE = re.compile(r"(?:[\w.]+\.)?CheckpointCorruptedError\b")

#: What arrives in the mailbox of a job.
JobInput = (
    JobMasterEvent
    | CoordinatorEvent
    | CollectedRows
    | CheckpointAcknowledged
    | CheckpointDeclined
    | InputEnded
    | WatermarkReported
)


class SlotProvider(Protocol):
    """What a job master asks of the resource manager."""

    def declare_slots(self, job_master: JobMaster, count: int) -> None:
        """The job needs so many slots."""

    def return_slot(self, allocation_id: str) -> None:
        """The job is done with a slot."""

    def send(self, taskmanager_id: str, message: Message) -> None:
        """Pass a message to a TaskManager; dropped when it is gone (SlotsGone tells)."""


class JobMaster:
    """One job.

    Args:
        machine: decides.
        checkpoints: decides about checkpoints.
        slots: the resource manager.
        clock: the time.
        ended: called once, when the job has reached its terminal state.
    """

    def __init__(
        self,
        machine: JobMasterMachine,
        checkpoints: CoordinatorMachine,
        slots: SlotProvider,
        clock: Clock,
        ended: Callable[[JobMaster], None],
    ) -> None:
        self.machine = machine
        self.checkpoints = CheckpointCoordinator(checkpoints, self, clock)
        self._slots = slots
        self._clock = clock
        self._on_ended = ended
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._timers: set[asyncio.TimerHandle] = set()
        self._buffers: dict[str, CollectBuffer] = {}
        self._rows_arrived = asyncio.Event()
        self._alignment = WatermarkAlignment()
        self._restarts = RestartNotices(machine.job.name)
        #: Which TaskManager runs an execution: where acknowledgements go.
        self._places: dict[str, str] = {}
        self._mailbox: Mailbox[JobInput] = Mailbox(
            f"job-{machine.job.job_id}", self._handle, self._broken
        )

    @property
    def job_id(self) -> str:
        """32 hex digits."""
        return self.machine.job.job_id

    def post(self, event: JobInput) -> None:
        """Something happened."""
        self._mailbox.post(event)

    async def close(self) -> None:
        """End the mailbox and the timers; the machine stays for views."""
        for timer in self._timers:
            timer.cancel()
        await self._mailbox.close()
        await self.checkpoints.close()

    # -- questions ---------------------------------------------------------------------------------------

    def overview(self) -> JobOverview:
        """One line."""
        return job_views.overview(self.machine)

    def detail(self) -> JobDetail:
        """Everything."""
        return job_views.detail(self.machine, self._restarts.recent)

    async def result(self, timeout: float | None) -> JobResult | None:
        """Wait for the end; None after `timeout` seconds."""
        try:
            await asyncio.wait_for(self._end.wait(), timeout)
        except asyncio.TimeoutError:
            return None
        return job_views.result(self.machine)

    async def collect(self, collect_id: str, token: int, timeout: float | None) -> CollectedPage:
        """Fetch records; see DispatcherGateway.collect."""
        buffer = self._buffer(collect_id)
        deadline = None if timeout is None else self._loop.time() + timeout
        if buffer.is_new(token):
            # Acknowledge now and not when the next records are there: their senders may wait for it.
            buffer.client_has_page()
            self._acknowledge(buffer)
            while buffer.empty and not self._end.is_set():
                left = None if deadline is None else deadline - self._loop.time()
                if left is not None and left <= 0:
                    break
                self._rows_arrived.clear()
                waiters = [
                    asyncio.ensure_future(self._rows_arrived.wait()),
                    asyncio.ensure_future(self._end.wait()),
                ]
                await asyncio.wait(waiters, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for waiter in waiters:
                    waiter.cancel()
            if not buffer.is_new(token):
                raise ProtocolError(f"two clients read the results {collect_id} of job {self.job_id}")
        return buffer.fetch(token, self._end.is_set())

    def _buffer(self, collect_id: str) -> CollectBuffer:
        return self._buffers.setdefault(collect_id, CollectBuffer(self.checkpoints.periodic))

    def _acknowledge(self, buffer: CollectBuffer) -> None:
        for execution_id, sequence in buffer.acknowledge(self.checkpoints.under_way):
            place = self._places.get(execution_id)
            if place is not None:
                self._slots.send(place, CollectAcknowledged(execution_id, sequence))

    # -- events and effects ------------------------------------------------------------------------------

    def _handle(self, event: JobInput) -> None:
        if isinstance(event, CollectedRows):
            if event.execution_id in self.machine.graph.by_execution:
                buffer = self._buffer(event.collect_id)
                buffer.add(event)
                self._acknowledge(buffer)
                self._rows_arrived.set()
            return
        if isinstance(event, WatermarkReported):
            for limit in self._alignment.reported(event, self.machine.graph.by_execution):
                self.send_to_task(limit.execution_id, limit)
            return
        if not isinstance(event, JobMasterEvent):
            self.checkpoints.handle(event)
            self._log()
            return
        if (
            isinstance(event, ExecutionReported)
            and event.failure is not None
            and _DAMAGED_STATE.match(event.failure.message)
        ):
            # Before the restart is decided: it must not start from there again.
            self.checkpoints.handle(RestoreFailed(event.execution_id, event.failure.message))
        for effect in self.machine.handle(event, self._clock()):
            self._perform(effect)
        self._log()

    def _log(self) -> None:
        for entry in self.machine.log.take_new():
            logger.info("job %s: %s (%s)", self.job_id, entry.what, entry.cause)
        machine = self.machine
        if machine.restart_count and machine.status in (JobStatus.RUNNING, JobStatus.RESTARTING):
            notice = self._restarts.look(
                machine.restart_count, machine.restart_at, machine.exceptions[0], self._clock()
            )
            if notice is not None:
                logger.warning("%s", notice)

    def _perform(self, effect: JobMasterEffect) -> None:
        if isinstance(effect, Deploy):
            self._places[effect.deployment.execution_id] = effect.slot.taskmanager_id
            deployment = self.checkpoints.with_state(effect.deployment)
            self._slots.send(effect.slot.taskmanager_id, DeployTask(effect.slot.allocation_id, deployment))
        elif isinstance(effect, ExecutionMoved):
            self.checkpoints.handle(
                TaskMoved(effect.vertex_id, effect.subtask_index, effect.execution_id, effect.state)
            )
        elif isinstance(effect, StatusMoved):
            self.checkpoints.handle(JobMoved(effect.status))
        elif isinstance(effect, CancelExecution):
            self._slots.send(effect.slot.taskmanager_id, CancelTask(effect.execution_id))
        elif isinstance(effect, DeclareSlots):
            self._slots.declare_slots(self, effect.count)
        elif isinstance(effect, ReturnSlot):
            self._slots.return_slot(effect.allocation_id)
        elif isinstance(effect, job_master_events.WakeAt):
            self._wake_at(effect.time, WakeUp())
        elif isinstance(effect, ForgetResults):
            self._forget(effect.execution_ids)
        elif isinstance(effect, JobEnded):
            if effect.status is JobStatus.FINISHED:
                self.release_results(None)
            self._end.set()
            self._rows_arrived.set()
            self._on_ended(self)

    # -- what the coordinator of checkpoints wants ----------------------------------------------------------

    def post_to_checkpoints(self, event: CoordinatorEvent) -> None:
        """See CheckpointedJob."""
        self.post(event)

    def wake_checkpoints_at(self, time: float) -> None:
        """See CheckpointedJob."""
        self._wake_at(time, TimePassed())

    def send_to_task(self, execution_id: str, message: Message) -> None:
        """See CheckpointedJob."""
        place = self._places.get(execution_id)
        if place is not None:
            self._slots.send(place, message)
        if isinstance(message, TriggerCheckpoint):
            for buffer in self._buffers.values():
                self._acknowledge(buffer)

    def fail(self, reason: str, retryable: bool) -> None:
        """See CheckpointedJob."""
        self.post(JobBroken(TaskFailure(reason, reason, retryable=retryable)))

    def cancel(self) -> None:
        """See CheckpointedJob."""
        self.post(CancelRequested())

    def release_results(self, checkpoint_id: int | None) -> None:
        """See CheckpointedJob; None: the job has finished, nothing can be taken back."""
        for buffer in self._buffers.values():
            buffer.release(checkpoint_id)
            self._acknowledge(buffer)
        self._rows_arrived.set()

    def note(self, what: str, cause: str) -> None:
        """See CheckpointedJob."""
        self.machine.log.add(self._clock(), what, cause)

    # -- timers and results ------------------------------------------------------------------------------

    def _wake_at(self, time: float, event: WakeUp | TimePassed) -> None:
        def wake() -> None:
            self._timers.discard(timer)
            self.post(event)

        # A little late rather than early: the machine compares with the same clock.
        timer = self._loop.call_later(max(0.0, time - self._clock()) + 0.001, wake)
        self._timers.add(timer)

    def _forget(self, execution_ids: tuple[str, ...]) -> None:
        for execution_id in execution_ids:
            self._places.pop(execution_id, None)
        latest = self.checkpoints.machine.store.latest
        restored_id = 0 if latest is None else latest.checkpoint_id
        for collect_id, buffer in self._buffers.items():
            if not buffer.forget(execution_ids, restored_id):
                text = (
                    f"tasks restarted after the client had read some of their results ({collect_id}); "
                    "without checkpoints they would come twice. Take checkpoints, write to a sink, or do not "
                    "restart (restart-strategy.type: none)"
                )
                if self.machine.exceptions:
                    text += f". They restarted because of: {self.machine.exceptions[0].failure.message}"
                self.post(JobBroken(TaskFailure(text, text, retryable=False)))

    def _broken(self, error: BaseException) -> None:
        # An exception in the machine is a bug; the job ends rather than hang, the cluster goes on.
        logger.critical("job %s: internal error", self.job_id, exc_info=error)
        failure = TaskFailure(f"internal error of the JobManager: {error!r}", repr(error), retryable=False)
        for allocation in self.machine.abandon(failure, self._clock()):
            self._slots.return_slot(allocation)
        self._slots.declare_slots(self, 0)
        self.checkpoints.handle(JobMoved(JobStatus.FAILED))
        self._end.set()
        self._rows_arrived.set()
        self._on_ended(self)
