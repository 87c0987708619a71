"""The shell of the slot manager: connections to TaskManagers, heartbeats, the driver.

Whatever a TaskManager says comes in here: its slots' fate goes to slot_manager_machine, its tasks' reports and
collected records to their job master.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from yarnflow.runtime.clock import Clock
from yarnflow.runtime.jobmanager import slot_manager_events
from yarnflow.runtime.jobmanager.driver import FinalStatus, ResourceDriver, WorkerSpec
from yarnflow.runtime.jobmanager.job_master import JobInput, JobMaster
from yarnflow.runtime.jobmanager.job_master_events import (
    ExecutionReported,
    MetricsReported,
    ResourcesMissing,
    SlotGranted,
    SlotsGone,
)
from yarnflow.runtime.jobmanager.slot_manager_events import (
    CancelRequest,
    Free,
    Grant,
    RefuseTaskManager,
    ReleaseWorker,
    RequestFailed,
    RequestWorker,
    Reserve,
    SlotFailed,
    SlotManagerEffect,
    SlotManagerEvent,
    SlotPrepared,
    SlotReturned,
    SlotsDeclared,
    TaskManagerLost,
    TaskManagerRegistered,
    TellResourcesMissing,
    TellSlotsGone,
    Tick,
    WorkerEnded,
    WorkerStarted,
)
from yarnflow.runtime.jobmanager.slot_manager_machine import (
    SlotManagerMachine,
)
from yarnflow.runtime.jobmanager.slots import (
    SlotState,
)
from yarnflow.runtime.jobmanager.views import LogFile, TaskManagerView
from yarnflow.runtime.mailbox import Mailbox
from yarnflow.runtime.rpc.channel import Connection, Receiver
from yarnflow.runtime.rpc.checkpoint_messages import (
    CheckpointAcknowledged,
    CheckpointDeclined,
    InputEnded,
    WatermarkReported,
)
from yarnflow.runtime.rpc.messages import (
    CollectedRows,
    Disconnect,
    FetchLog,
    FreeSlot,
    Heartbeat,
    HeartbeatReply,
    ListLogs,
    LogChunk,
    LogList,
    Message,
    Registered,
    RegisterTaskManager,
    RegistrationRefused,
    SlotLost,
    SlotReserved,
    TaskMetrics,
    TaskStateChanged,
)

logger = logging.getLogger(__name__)

#: Seconds within which a TaskManager must answer a question about its logs.
LOG_TIMEOUT = 20.0


@dataclass(frozen=True)
class HeartbeatSettings:
    """Seconds between heartbeats, and without a sign of life before a TaskManager is given up."""

    interval: float
    timeout: float


class _TaskManagerSession(Receiver):
    """One connection, from its first message to its end."""

    def __init__(self, manager: ResourceManager, connection: Connection, now: float) -> None:
        self.connection = connection
        self.info: RegisterTaskManager | None = None
        self.last_heard = now
        self.memory_used = 0
        self.goodbye = ""
        self._manager = manager

    def received(self, message: Message) -> None:
        self._manager.session_received(self, message)

    def closed(self, reason: str) -> None:
        self._manager.session_closed(self, self.goodbye or reason)


class ResourceManager:
    """Slots and workers of the cluster. Implements job_master.SlotProvider and driver.DriverListener.

    Args:
        machine: decides.
        driver: starts workers, or None when they come by themselves.
        spec: of the workers that the driver starts.
        heartbeat: interval and timeout.
        clock: the time.
        fatal: called with an explanation when the cluster cannot go on.
    """

    def __init__(
        self,
        machine: SlotManagerMachine,
        driver: ResourceDriver | None,
        spec: WorkerSpec,
        heartbeat: HeartbeatSettings,
        clock: Clock,
        fatal: Callable[[str], None],
    ) -> None:
        self.machine = machine
        self._driver = driver
        self._spec = spec
        self._heartbeat = heartbeat
        self._clock = clock
        self._fatal = fatal
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[str, JobMaster] = {}
        self._sessions: dict[str, _TaskManagerSession] = {}
        self._questions: dict[int, asyncio.Future[Message]] = {}
        self._numbers = itertools.count(1)
        self._timers: set[asyncio.TimerHandle] = set()
        self._farewells: set[asyncio.Future[None]] = set()
        self._mailbox: Mailbox[SlotManagerEvent] = Mailbox("resource-manager", self._handle, self._broken)
        self._heartbeats = self._loop.create_task(self._send_heartbeats(), name="heartbeats")

    async def start(self) -> None:
        """Start the driver; it may report workers from now on."""
        if self._driver is not None:
            await self._driver.start(self)
        self._mailbox.post(Tick())

    async def close(self, status: FinalStatus, diagnostics: str) -> None:
        """End the driver with the cluster's final status, and the TaskManagers that it started.

        Those that came by themselves (a standalone cluster's) wait for the next JobManager, as Flink's do."""
        self._heartbeats.cancel()
        await asyncio.gather(self._heartbeats, return_exceptions=True)
        for timer in self._timers:
            timer.cancel()
        await self._mailbox.close()
        for session in list(self._sessions.values()):
            session.connection.send(Disconnect("the cluster ends", exit=self._driver is not None))
        for question in self._questions.values():
            question.cancel()
        if self._farewells:
            await asyncio.wait(self._farewells, timeout=2.0)
        if self._driver is not None:
            await self._driver.close(status, diagnostics)

    # -- job masters (SlotProvider) ----------------------------------------------------------------------

    def declare_slots(self, job_master: JobMaster, count: int) -> None:
        """A job needs so many slots."""
        job = job_master.machine.job
        if count:
            self._jobs[job.job_id] = job_master
        self._mailbox.post(
            SlotsDeclared(job.job_id, job.name, count, job.artifacts, job_master.machine.settings.config)
        )

    def return_slot(self, allocation_id: str) -> None:
        """A job is done with a slot."""
        self._mailbox.post(SlotReturned(allocation_id))

    def send(self, taskmanager_id: str, message: Message) -> None:
        """Pass a message on; dropped when the TaskManager is gone."""
        session = self._sessions.get(taskmanager_id)
        if session is not None:
            session.connection.send(message)

    def forget_job(self, job_id: str) -> None:
        """A job has ended: nothing is delivered to it any more."""
        self._jobs.pop(job_id, None)

    # -- the driver (DriverListener) ---------------------------------------------------------------------

    def worker_started(self, request_id: str | None, worker_id: str) -> None:
        """See DriverListener."""
        self._mailbox.post(WorkerStarted(request_id, worker_id))

    def worker_ended(self, worker_id: str, diagnostics: str) -> None:
        """See DriverListener."""
        self._mailbox.post(WorkerEnded(worker_id, diagnostics))

    def request_failed(self, request_id: str, diagnostics: str) -> None:
        """See DriverListener."""
        self._mailbox.post(RequestFailed(request_id, diagnostics))

    def fatal(self, diagnostics: str) -> None:
        """See DriverListener."""
        self._fatal(diagnostics)

    # -- TaskManagers ------------------------------------------------------------------------------------

    def accept(self, connection: Connection) -> Receiver:
        """A TaskManager has connected (and proved that it knows the secret)."""
        return _TaskManagerSession(self, connection, self._clock())

    def session_received(self, session: _TaskManagerSession, message: Message) -> None:
        """A TaskManager said something."""
        session.last_heard = self._clock()
        if isinstance(message, RegisterTaskManager):
            self._register(session, message)
            return
        info = session.info
        if info is None or self._sessions.get(info.taskmanager_id) is not session:
            logger.warning("ignored %s from %s: not registered", type(message).__name__, session.connection.peer)
        elif isinstance(message, TaskStateChanged):
            self._to_job(
                message.execution_id,
                ExecutionReported(
                    message.execution_id,
                    message.state,
                    message.failure,
                    message.metrics,
                    message.accumulators,
                ),
            )
        elif isinstance(
            message,
            CollectedRows | CheckpointAcknowledged | CheckpointDeclined | InputEnded | WatermarkReported,
        ):
            self._to_job(message.execution_id, message)
        elif isinstance(message, HeartbeatReply):
            session.memory_used = message.memory_used
            self._spread_metrics(message)
        elif isinstance(message, SlotReserved):
            self._mailbox.post(
                SlotPrepared(info.taskmanager_id, message.slot_index, message.allocation_id, message.address)
            )
        elif isinstance(message, SlotLost):
            self._mailbox.post(SlotFailed(info.taskmanager_id, message.allocation_id, message.failure))
        elif isinstance(message, LogList | LogChunk):
            question = self._questions.pop(message.request_id, None)
            if question is not None and not question.done():
                question.set_result(message)
        elif isinstance(message, Disconnect):
            session.goodbye = message.reason

    def session_closed(self, session: _TaskManagerSession, reason: str) -> None:
        """A connection is gone."""
        info = session.info
        if info is not None and self._sessions.get(info.taskmanager_id) is session:
            del self._sessions[info.taskmanager_id]
            self._mailbox.post(TaskManagerLost(info.taskmanager_id, reason))

    def _register(self, session: _TaskManagerSession, info: RegisterTaskManager) -> None:
        before = self._sessions.get(info.taskmanager_id)
        session.info = info
        self._sessions[info.taskmanager_id] = session
        if before is not None and before is not session:
            self._hang_up(before, "the same TaskManager connected anew")
        session.connection.send(Registered(self._heartbeat.timeout))
        self._mailbox.post(TaskManagerRegistered(info))

    def _hang_up(self, session: _TaskManagerSession, reason: str) -> None:
        farewell = asyncio.ensure_future(session.connection.close(reason))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    def _to_job(self, execution_id: str, event: JobInput) -> None:
        job = self._jobs.get(execution_id.partition("_")[0])
        if job is not None:
            job.post(event)

    def _spread_metrics(self, message: HeartbeatReply) -> None:
        by_job: dict[str, dict[str, TaskMetrics]] = {}
        for execution_id, metrics in message.metrics.items():
            by_job.setdefault(execution_id.partition("_")[0], {})[execution_id] = metrics
        for job_id, job_metrics in by_job.items():
            if job_id in self._jobs:
                self._jobs[job_id].post(MetricsReported(job_metrics))

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat.interval)
            now = self._clock()
            for session in list(self._sessions.values()):
                silent = now - session.last_heard
                if silent > self._heartbeat.timeout:
                    session.goodbye = f"no sign of life for {silent:.0f} s (heartbeat.timeout)"
                    self.session_closed(session, session.goodbye)
                    self._hang_up(session, session.goodbye)
                else:
                    session.connection.send(Heartbeat())

    # -- questions ---------------------------------------------------------------------------------------

    def views(self) -> tuple[TaskManagerView, ...]:
        """All registered TaskManagers, by id."""
        return tuple(
            self._view(taskmanager_id, session)
            for taskmanager_id, session in sorted(self._sessions.items())
            if taskmanager_id in self.machine.taskmanagers
        )

    def _view(self, taskmanager_id: str, session: _TaskManagerSession) -> TaskManagerView:
        manager = self.machine.taskmanagers[taskmanager_id]
        return TaskManagerView(
            taskmanager_id=taskmanager_id,
            host=manager.info.host,
            address=session.connection.peer,
            pid=manager.info.pid,
            cores=manager.info.cores,
            memory_bytes=manager.info.memory_bytes,
            memory_used=session.memory_used,
            registered_at=manager.registered_at,
            last_heartbeat=session.last_heard,
            log_directory=manager.info.log_directory,
            slots=manager.views(),
        )

    def slot_counts(self) -> tuple[int, int]:
        """(all slots, free slots)."""
        slots = [slot for manager in self.machine.taskmanagers.values() for slot in manager.slots]
        return len(slots), sum(slot.state is SlotState.FREE for slot in slots)

    async def list_logs(self, taskmanager_id: str) -> tuple[LogFile, ...] | None:
        """Names and sizes of a TaskManager's log files, None when it is gone."""
        answer = await self._ask(taskmanager_id, ListLogs(0))
        if not isinstance(answer, LogList):
            return None
        return tuple(LogFile(name, size) for name, size in answer.files)

    async def fetch_log(self, taskmanager_id: str, name: str, offset: int, length: int) -> bytes | None:
        """A piece of a log file, None when there is none."""
        answer = await self._ask(taskmanager_id, FetchLog(0, name, offset, length))
        return answer.data if isinstance(answer, LogChunk) and not answer.error else None

    async def _ask(self, taskmanager_id: str, question: ListLogs | FetchLog) -> Message | None:
        if taskmanager_id not in self._sessions:
            return None
        number = next(self._numbers)
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._questions[number] = answer
        self.send(taskmanager_id, replace(question, request_id=number))
        try:
            return await asyncio.wait_for(answer, LOG_TIMEOUT)
        except asyncio.TimeoutError:
            return None
        finally:
            self._questions.pop(number, None)

    # -- events and effects ------------------------------------------------------------------------------

    def _handle(self, event: SlotManagerEvent) -> None:
        for effect in self.machine.handle(event, self._clock()):
            self._perform(effect)
        for entry in self.machine.log.take_new():
            logger.info("%s (%s)", entry.what, entry.cause)

    def _perform(self, effect: SlotManagerEffect) -> None:
        if isinstance(effect, Reserve):
            self.send(effect.taskmanager_id, effect.message)
        elif isinstance(effect, Free):
            self.send(effect.taskmanager_id, FreeSlot(effect.slot_index, effect.allocation_id))
        elif isinstance(effect, Grant):
            if effect.job_id in self._jobs:
                self._jobs[effect.job_id].post(SlotGranted(effect.slot))
            else:
                self.return_slot(effect.slot.allocation_id)
        elif isinstance(effect, TellSlotsGone):
            if effect.job_id in self._jobs:
                self._jobs[effect.job_id].post(SlotsGone(effect.allocation_ids, effect.failure))
        elif isinstance(effect, TellResourcesMissing):
            if effect.job_id in self._jobs:
                self._jobs[effect.job_id].post(ResourcesMissing(effect.explanation))
        elif isinstance(effect, RefuseTaskManager):
            self._refuse(effect.taskmanager_id, effect.reason)
        elif isinstance(effect, slot_manager_events.WakeAt):
            self._wake_at(effect.time)
        else:
            self._drive(effect)

    def _drive(self, effect: SlotManagerEffect) -> None:
        if isinstance(effect, ReleaseWorker):
            session = self._sessions.pop(effect.worker_id, None)
            if session is not None:
                session.connection.send(Disconnect(effect.reason, exit=True))
                self._hang_up(session, effect.reason)
        if self._driver is None:
            return
        if isinstance(effect, RequestWorker):
            self._driver.request_worker(effect.request_id, self._spec)
        elif isinstance(effect, CancelRequest):
            self._driver.cancel_request(effect.request_id)
        elif isinstance(effect, ReleaseWorker):
            self._driver.release_worker(effect.worker_id)

    def _refuse(self, taskmanager_id: str, reason: str) -> None:
        session = self._sessions.pop(taskmanager_id, None)
        if session is not None:
            logger.warning("refused TaskManager %s: %s", taskmanager_id, reason)
            session.connection.send(RegistrationRefused(reason))
            self._hang_up(session, reason)

    def _wake_at(self, time: float) -> None:
        def wake() -> None:
            self._timers.discard(timer)
            self._mailbox.post(Tick())

        timer = self._loop.call_later(max(0.0, time - self._clock()) + 0.001, wake)
        self._timers.add(timer)

    def _broken(self, error: BaseException) -> None:
        logger.critical("the slot manager met an internal error", exc_info=error)
        self._fatal(f"internal error of the slot manager: {error!r}")
