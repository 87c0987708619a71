"""Decides what happens to the slots of one TaskManager and their worker processes.

Events in, effects out; the shell is supervisor.py. One slot:

    worker       STARTING --WorkerIsReady--> READY --WorkerEnded--> (a new one) STARTING
    reservation  none --ReserveSlot--> preparing (files, worker) --both there--> given: SlotReserved
                 any --FreeSlot, JobManagerLost--> none, and the worker is replaced
                 any --WorkerEnded, FilesFailed--> none: SlotLost

A worker process serves one job and is then replaced, so nothing of a job is there for the next. Workers
have a generation number; what an older generation says is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from yarnflow.runtime.rpc.messages import (
    CancelTask,
    DataAddress,
    DeployTask,
    FreeSlot,
    HeartbeatReply,
    Message,
    PrepareJob,
    ReserveSlot,
    SlotLost,
    SlotReserved,
    TaskFailure,
    TaskMetrics,
    TasksReport,
    TaskStateChanged,
    WorkerReady,
)
from yarnflow.runtime.states import ExecutionState
from yarnflow.runtime.taskmanager.supervisor_events import (
    FOR_TASKS,
    OF_TASKS,
    Begin,
    FilesFailed,
    FilesReady,
    JobLayout,
    JobManagerLost,
    JobManagerSaid,
    PrepareFiles,
    ReleaseFiles,
    StartWorker,
    StopWorker,
    SupervisorEffect,
    SupervisorEvent,
    Tick,
    ToJobManager,
    ToWorker,
    WakeAt,
    WorkerEnded,
    WorkerSaid,
)

# -- state -----------------------------------------------------------------------------------------------


@dataclass
class _Slot:
    index: int
    generation: int = 0
    #: "" is no worker, else STARTING or READY.
    worker: str = ""
    executable: str = ""
    address: DataAddress | None = None
    start_at: float | None = None
    failed_starts: int = 0
    reservation: ReserveSlot | None = None
    layout: JobLayout | None = None
    given: bool = False
    executions: set[str] = field(default_factory=set)
    #: Deadline by which a cancelled execution must have ended.
    cancels: dict[str, float] = field(default_factory=dict)
    overdue: str = ""


@dataclass(frozen=True)
class SupervisorSettings:
    """Times in seconds.

    Attributes:
        slots: number of slots.
        place: "taskmanager id @ host", for messages.
        cancellation_timeout: a cancelled task must have ended within this; 0 waits for ever.
        spare_delay: a fresh worker is started so long after its slot became free (or when it is needed).
        restart_backoff: pause before the second start of a worker that did not come up; doubles up to
            `restart_backoff_max`.
    """

    slots: int
    place: str
    cancellation_timeout: float = 180.0
    spare_delay: float = 0.3
    restart_backoff: float = 1.0
    restart_backoff_max: float = 30.0


class SupervisorMachine:
    """The slots of one TaskManager."""

    def __init__(self, settings: SupervisorSettings) -> None:
        self.settings = settings
        self._slots = [_Slot(index) for index in range(settings.slots)]
        self._metrics: dict[str, TaskMetrics] = {}
        self._now = 0.0
        self._effects: list[SupervisorEffect] = []

    def heartbeat(self, memory_used: int) -> HeartbeatReply:
        """The answer to a heartbeat: newest counters of all that runs."""
        return HeartbeatReply(dict(self._metrics), memory_used)

    def handle(self, event: SupervisorEvent, now: float) -> list[SupervisorEffect]:
        """Take one event and return what to do."""
        self._now = now
        self._effects = []
        if isinstance(event, Begin):
            for slot in self._slots:
                self._start(slot, "")
        elif isinstance(event, JobManagerSaid):
            self._take_order(event.message)
        elif isinstance(event, WorkerSaid):
            slot = self._slots[event.slot_index]
            if slot.generation == event.generation and slot.worker:
                self._take_word(slot, event.message)
        elif isinstance(event, WorkerEnded):
            slot = self._slots[event.slot_index]
            if slot.generation == event.generation and slot.worker:
                self._worker_ended(slot, event)
        elif isinstance(event, FilesReady):
            self._files_ready(event)
        elif isinstance(event, FilesFailed):
            slot = self._slots[event.slot_index]
            if slot.reservation is not None and slot.reservation.allocation_id == event.allocation_id:
                self._lose(slot, event.failure)
        elif isinstance(event, JobManagerLost):
            for slot in self._slots:
                if slot.reservation is not None:
                    self._clear(slot)
        elif isinstance(event, Tick):
            self._tick()
        return self._effects

    # -- orders of the JobManager ------------------------------------------------------------------------

    def _take_order(self, message: Message) -> None:
        if isinstance(message, ReserveSlot):
            self._reserve(message)
        elif isinstance(message, FreeSlot):
            slot = self._slots[message.slot_index]
            if slot.reservation is not None and slot.reservation.allocation_id == message.allocation_id:
                self._clear(slot)
        elif isinstance(message, DeployTask):
            self._deploy(message)
        elif isinstance(message, CancelTask):
            for slot in self._slots:
                if message.execution_id in slot.executions:
                    self._cancel(slot, message)
        elif isinstance(message, FOR_TASKS):
            for slot in self._slots:
                if message.execution_id in slot.executions:
                    self._effects.append(ToWorker(slot.index, message))

    def _reserve(self, message: ReserveSlot) -> None:
        if not 0 <= message.slot_index < len(self._slots):
            failure = TaskFailure(f"{self.settings.place} has no slot {message.slot_index}", "")
            self._effects.append(ToJobManager(SlotLost(message.slot_index, message.allocation_id, failure)))
            return
        slot = self._slots[message.slot_index]
        if slot.reservation is not None:
            if slot.reservation.allocation_id == message.allocation_id:
                return
            # The leader knows best: what was there before is over.
            self._clear(slot)
        slot.reservation = message
        self._effects.append(PrepareFiles(message))
        if not slot.worker and slot.failed_starts == 0:
            self._start(slot, "")

    def _deploy(self, message: DeployTask) -> None:
        for slot in self._slots:
            if (
                slot.given
                and slot.reservation is not None
                and slot.reservation.allocation_id == message.allocation_id
            ):
                slot.executions.add(message.deployment.execution_id)
                self._effects.append(ToWorker(slot.index, message))
                return
        failure = TaskFailure(
            f"the slot of this task was lost on {self.settings.place} before the task arrived",
            "",
            where=self.settings.place,
        )
        self._effects.append(
            ToJobManager(TaskStateChanged(message.deployment.execution_id, ExecutionState.FAILED, failure))
        )

    def _cancel(self, slot: _Slot, message: CancelTask) -> None:
        self._effects.append(ToWorker(slot.index, message))
        if self.settings.cancellation_timeout > 0 and message.execution_id not in slot.cancels:
            deadline = self._now + self.settings.cancellation_timeout
            slot.cancels[message.execution_id] = deadline
            self._effects.append(WakeAt(deadline))

    # -- words of workers --------------------------------------------------------------------------------

    def _take_word(self, slot: _Slot, message: Message) -> None:
        if isinstance(message, WorkerReady):
            slot.worker = "READY"
            slot.address = message.address
            slot.failed_starts = 0
            self._give_if_complete(slot)
        elif isinstance(message, TaskStateChanged):
            if message.execution_id not in slot.executions:
                return
            if message.state.terminal:
                slot.executions.discard(message.execution_id)
                slot.cancels.pop(message.execution_id, None)
                self._metrics.pop(message.execution_id, None)
            if message.failure is not None and not message.failure.where:
                message = replace(message, failure=replace(message.failure, where=self._where(slot)))
            self._effects.append(ToJobManager(message))
        elif isinstance(message, TasksReport):
            self._metrics.update(
                (execution_id, metrics)
                for execution_id, metrics in message.metrics.items()
                if execution_id in slot.executions
            )
        elif isinstance(message, OF_TASKS) and message.execution_id in slot.executions:
            self._effects.append(ToJobManager(message))

    def _worker_ended(self, slot: _Slot, event: WorkerEnded) -> None:
        starting = slot.worker == "STARTING"
        slot.worker, slot.address = "", None
        if starting:
            slot.failed_starts += 1
        what = "could not be started: it" if starting else "ended: it"
        message = f"the worker process of slot {slot.index} of {self.settings.place} {what} {event.how}"
        if slot.overdue:
            message = slot.overdue
        if slot.reservation is not None:
            self._lose(slot, TaskFailure(message, message, log_tail=event.log_tail, where=self._where(slot)))
        else:
            self._restart_later(slot)

    # -- reservations ------------------------------------------------------------------------------------

    def _files_ready(self, event: FilesReady) -> None:
        slot = self._slots[event.slot_index]
        if slot.reservation is None or slot.reservation.allocation_id != event.allocation_id:
            return
        slot.layout = event.layout
        if event.layout.executable != slot.executable or not slot.worker:
            # The warm worker runs another interpreter than the job wants.
            self._stop(slot, at_once=True)
            self._start(slot, event.layout.executable)
        else:
            self._give_if_complete(slot)

    def _give_if_complete(self, slot: _Slot) -> None:
        reservation, layout = slot.reservation, slot.layout
        if reservation is None or layout is None or slot.worker != "READY" or slot.given:
            return
        assert slot.address is not None
        slot.given = True
        self._effects.append(
            ToWorker(
                slot.index,
                PrepareJob(reservation.job_id, layout.python_path, layout.working_directory, reservation.config),
            )
        )
        self._effects.append(ToJobManager(SlotReserved(slot.index, reservation.allocation_id, slot.address)))

    def _lose(self, slot: _Slot, failure: TaskFailure) -> None:
        assert slot.reservation is not None
        if not failure.where:
            failure = replace(failure, where=self._where(slot))
        self._effects.append(ToJobManager(SlotLost(slot.index, slot.reservation.allocation_id, failure)))
        self._clear(slot)

    def _clear(self, slot: _Slot) -> None:
        """The slot's job is over: nothing of it stays."""
        assert slot.reservation is not None
        job_id = slot.reservation.job_id
        idle = not slot.given and slot.executable == "" and slot.worker != ""
        for execution_id in slot.executions:
            self._metrics.pop(execution_id, None)
        self._drop_reservation(slot)
        if not idle:
            # A worker that was never told of the job is as good as new.
            self._stop(slot, at_once=False)
            self._restart_later(slot)
        if not any(s.reservation is not None and s.reservation.job_id == job_id for s in self._slots):
            self._effects.append(ReleaseFiles(job_id))

    @staticmethod
    def _drop_reservation(slot: _Slot) -> None:
        slot.reservation, slot.layout, slot.given, slot.overdue = None, None, False, ""
        slot.executions = set()
        slot.cancels = {}

    # -- worker processes --------------------------------------------------------------------------------

    def _start(self, slot: _Slot, executable: str) -> None:
        slot.generation += 1
        slot.worker = "STARTING"
        slot.executable = executable
        slot.start_at = None
        self._effects.append(StartWorker(slot.index, slot.generation, executable))

    def _stop(self, slot: _Slot, at_once: bool) -> None:
        if slot.worker:
            self._effects.append(StopWorker(slot.index, slot.generation, at_once))
            slot.worker, slot.address = "", None

    def _restart_later(self, slot: _Slot) -> None:
        delay = self.settings.spare_delay
        if slot.failed_starts:
            backoff = self.settings.restart_backoff * 2 ** min(slot.failed_starts - 1, 10)
            delay = min(backoff, self.settings.restart_backoff_max)
        slot.start_at = self._now + delay
        self._effects.append(WakeAt(slot.start_at))

    def _tick(self) -> None:
        for slot in self._slots:
            if slot.start_at is not None and slot.start_at <= self._now and not slot.worker:
                self._start(slot, "")
            late = [key for key, deadline in slot.cancels.items() if deadline <= self._now]
            if late and slot.worker and not slot.overdue:
                slot.overdue = (
                    f"a task did not stop within {self.settings.cancellation_timeout:g} s after it was "
                    f"cancelled (task.cancellation.timeout): the worker process of slot {slot.index} of "
                    f"{self.settings.place} was killed"
                )
                # Its end comes as WorkerEnded, which loses the slot.
                self._effects.append(StopWorker(slot.index, slot.generation, at_once=True))

    def _where(self, slot: _Slot) -> str:
        return f"{self.settings.place}, slot {slot.index}"

    # -- invariants --------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise AssertionError when the state contradicts itself; tests call it after every event."""
        for slot in self._slots:
            if slot.given:
                assert slot.reservation is not None
                assert slot.layout is not None
                assert slot.worker == "READY"
            if slot.executions:
                assert slot.given
            assert set(slot.cancels) <= slot.executions
            if not slot.worker:
                assert slot.start_at is not None, f"slot {slot.index} would stay without a worker"
            assert (slot.address is not None) == (slot.worker == "READY")
        held = {execution for slot in self._slots for execution in slot.executions}
        assert set(self._metrics) <= held
