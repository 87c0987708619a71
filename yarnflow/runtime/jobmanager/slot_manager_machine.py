"""Decides who gets which slot, and how many TaskManagers there should be.

Jobs declare how many slots they need in total; the machine reserves free slots for them, asks the driver for
workers when slots are missing, gives back workers that are idle, and tells a job when its slots cannot be had.
Events in, effects out; the shell is resource_manager.py.

    slot    FREE --reserved for a job--> PENDING --its worker process is ready--> ALLOCATED
            PENDING, ALLOCATED --returned or lost--> FREE

    worker  requested (request id) -> started (worker id) -> registered (TaskManager of the same id) -> gone
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from yarnflow.graph.job_graph import Artifact
from yarnflow.runtime.jobmanager.execution_graph import GrantedSlot
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
    WakeAt,
    WorkerEnded,
    WorkerStarted,
)
from yarnflow.runtime.jobmanager.slots import RegisteredTaskManager, Slot, SlotState
from yarnflow.runtime.jobmanager.transitions import TransitionLog
from yarnflow.runtime.rpc.messages import RegisterTaskManager, ReserveSlot, TaskFailure


@dataclass
class _Need:
    """What one job declared. `missing_since` is None while nothing is missing."""

    job_id: str
    name: str
    count: int
    artifacts: tuple[Artifact, ...]
    config: dict[str, str]
    missing_since: float | None


@dataclass(frozen=True)
class SlotManagerSettings:
    """Times in seconds.

    Attributes:
        has_driver: workers can be requested; False for standalone clusters and the MiniCluster.
        slots_per_worker: slots of a worker that the driver starts.
        max_slots: upper bound, or None.
        min_slots: slots to have even when idle.
        redundant_workers: spare workers on top of what jobs need.
        prerequested_workers: workers that were requested at submission and will come by themselves.
        request_timeout: a job waits so long for its slots.
        idle_timeout: a worker may be idle for so long.
        registration_timeout: a started worker must register within this.
        max_start_failures: workers that may end within a minute before registering; then requests pause.
        retry_interval: length of that pause.
    """

    has_driver: bool
    slots_per_worker: int = 1
    max_slots: int | None = None
    min_slots: int = 0
    redundant_workers: int = 0
    prerequested_workers: int = 0
    request_timeout: float = 300.0
    idle_timeout: float = 30.0
    registration_timeout: float = 300.0
    max_start_failures: float = 10.0
    retry_interval: float = 3.0


class SlotManagerMachine:
    """All slots and workers of the cluster.

    Attributes:
        taskmanagers: registered ones by id, in the order of their registration.
    """

    def __init__(self, settings: SlotManagerSettings) -> None:
        self.settings = settings
        self.taskmanagers: dict[str, RegisteredTaskManager] = {}
        self.log = TransitionLog()
        self._needs: dict[str, _Need] = {}
        self._requests: set[str] = set()
        self._started: dict[str, float] = {}
        self._prerequested = settings.prerequested_workers
        self._prerequested_until: float | None = None
        self._driver_workers: set[str] = set()
        self._released: deque[str] = deque(maxlen=1000)
        self._start_failures: deque[float] = deque(maxlen=1000)
        self._last_start_failure = ""
        self._paused_until = 0.0
        self._numbers = 0
        self._now = 0.0
        self._effects: list[SlotManagerEffect] = []

    # -- what is there -----------------------------------------------------------------------------------

    @property
    def pending_workers(self) -> int:
        """Workers that are to come."""
        return len(self._requests) + len(self._started) + self._prerequested

    def slots_of(self, job_id: str) -> list[Slot]:
        """Slots that a job holds or that are being prepared for it."""
        return [slot for slot in self._slots() if slot.job_id == job_id]

    def _slots(self) -> list[Slot]:
        return [slot for manager in self.taskmanagers.values() for slot in manager.slots]

    def _missing(self, need: _Need) -> int:
        return max(0, need.count - len(self.slots_of(need.job_id)))

    # -- entry -------------------------------------------------------------------------------------------

    def handle(self, event: SlotManagerEvent, now: float) -> list[SlotManagerEffect]:
        """Take one event and return what to do."""
        self._now = now
        self._effects = []
        if self._prerequested_until is None:
            self._prerequested_until = now + self.settings.registration_timeout
            if self._prerequested:
                self._effects.append(WakeAt(self._prerequested_until))
        if isinstance(event, SlotsDeclared):
            self._declare(event)
        elif isinstance(event, SlotReturned):
            self._return(event.allocation_id)
        elif isinstance(event, TaskManagerRegistered):
            self._register(event.info)
        elif isinstance(event, TaskManagerLost):
            self._lose(event.taskmanager_id, event.reason)
        elif isinstance(event, SlotPrepared):
            self._prepared(event)
        elif isinstance(event, SlotFailed):
            self._slot_failed(event)
        elif isinstance(event, WorkerStarted):
            self._worker_started(event)
        elif isinstance(event, WorkerEnded):
            self._worker_ended(event)
        elif isinstance(event, RequestFailed):
            self._request_failed(event)
        self._assign()
        self._time_out_registrations()
        self._time_out_needs()
        self._request_and_cancel()
        self._release_idle()
        return self._effects

    # -- jobs --------------------------------------------------------------------------------------------

    def _declare(self, event: SlotsDeclared) -> None:
        if event.count == 0:
            self._needs.pop(event.job_id, None)
        else:
            self._needs[event.job_id] = _Need(
                event.job_id, event.job_name, event.count, event.artifacts, event.config, None
            )
        excess = len(self.slots_of(event.job_id)) - event.count
        for manager in self.taskmanagers.values():
            for slot in manager.slots:
                # Only slots the job has not seen yet are taken back; it returns the others itself.
                if excess > 0 and slot.job_id == event.job_id and slot.state is SlotState.PENDING:
                    self._free(manager, slot, "not needed any more")
                    excess -= 1

    def _return(self, allocation_id: str) -> None:
        for manager in self.taskmanagers.values():
            for slot in manager.slots:
                if slot.allocation_id == allocation_id:
                    self._free(manager, slot, "returned by its job")
                    return

    def _free(self, manager: RegisteredTaskManager, slot: Slot, cause: str) -> None:
        self._effects.append(Free(manager.info.taskmanager_id, slot.index, slot.allocation_id))
        self._reset(manager, slot, cause)

    def _reset(self, manager: RegisteredTaskManager, slot: Slot, cause: str) -> None:
        self.log.add(
            self._now,
            f"slot {slot.index} of {manager.info.taskmanager_id}: {slot.state.value} -> FREE",
            f"{cause} (job {slot.job_id})",
        )
        slot.state, slot.allocation_id, slot.job_id = SlotState.FREE, "", ""
        if all(other.state is SlotState.FREE for other in manager.slots):
            manager.idle_since = self._now
            self._effects.append(WakeAt(self._now + self.settings.idle_timeout))

    def _prepared(self, event: SlotPrepared) -> None:
        manager = self.taskmanagers.get(event.taskmanager_id)
        for slot in manager.slots if manager else ():
            if slot.allocation_id == event.allocation_id and slot.state is SlotState.PENDING:
                assert manager is not None
                slot.state = SlotState.ALLOCATED
                self.log.add(
                    self._now,
                    f"slot {slot.index} of {event.taskmanager_id}: PENDING -> ALLOCATED",
                    f"ready for job {slot.job_id}",
                )
                granted = GrantedSlot(
                    event.allocation_id, event.taskmanager_id, manager.info.host, slot.index, event.address
                )
                self._effects.append(Grant(slot.job_id, granted))

    def _slot_failed(self, event: SlotFailed) -> None:
        manager = self.taskmanagers.get(event.taskmanager_id)
        for slot in manager.slots if manager else ():
            if slot.allocation_id and slot.allocation_id == event.allocation_id:
                assert manager is not None
                self._effects.append(TellSlotsGone(slot.job_id, (event.allocation_id,), event.failure))
                self._reset(manager, slot, event.failure.message)

    # -- TaskManagers ------------------------------------------------------------------------------------

    def _register(self, info: RegisterTaskManager) -> None:
        if info.taskmanager_id in self._released:
            self._effects.append(
                RefuseTaskManager(
                    info.taskmanager_id, "it was given up and its worker released: a new one takes its place"
                )
            )
            return
        if info.taskmanager_id in self.taskmanagers:
            self._drop(info.taskmanager_id, "it registered anew: what it ran before is lost")
        slots = [Slot(index) for index in range(info.slots)]
        self.taskmanagers[info.taskmanager_id] = RegisteredTaskManager(info, slots, self._now, self._now)
        self.log.add(self._now, f"TaskManager {info.taskmanager_id} on {info.host}", "registered")
        if info.taskmanager_id in self._started:
            del self._started[info.taskmanager_id]
        elif self._prerequested and info.taskmanager_id not in self._driver_workers:
            # It registered before the driver heard of its start.
            self._prerequested -= 1
            self._driver_workers.add(info.taskmanager_id)
        self._effects.append(WakeAt(self._now + self.settings.idle_timeout))

    def _lose(self, taskmanager_id: str, reason: str) -> None:
        if taskmanager_id not in self.taskmanagers:
            return
        self._drop(taskmanager_id, reason)
        if taskmanager_id in self._driver_workers:
            # Whether it still runs somewhere is not known: it must not come back half-dead.
            self._release(taskmanager_id, f"TaskManager lost: {reason}")

    def _drop(self, taskmanager_id: str, reason: str) -> None:
        manager = self.taskmanagers.pop(taskmanager_id)
        self.log.add(self._now, f"TaskManager {taskmanager_id} on {manager.info.host} lost", reason)
        by_job: dict[str, list[str]] = {}
        for slot in manager.slots:
            if slot.job_id:
                by_job.setdefault(slot.job_id, []).append(slot.allocation_id)
        message = f"TaskManager {taskmanager_id} on {manager.info.host} was lost: {reason}"
        for job_id, allocations in by_job.items():
            self._effects.append(TellSlotsGone(job_id, tuple(allocations), TaskFailure(message, message)))

    # -- workers of the driver ---------------------------------------------------------------------------

    def _worker_started(self, event: WorkerStarted) -> None:
        known = event.worker_id in self._driver_workers
        self._driver_workers.add(event.worker_id)
        if event.request_id is not None:
            self._requests.discard(event.request_id)
        elif self._prerequested and not known:
            self._prerequested -= 1
        if event.worker_id not in self.taskmanagers:
            self._started[event.worker_id] = self._now
            self._effects.append(WakeAt(self._now + self.settings.registration_timeout))
        self.log.add(self._now, f"worker {event.worker_id}", f"started for {event.request_id or 'the start'}")

    def _worker_ended(self, event: WorkerEnded) -> None:
        self._driver_workers.discard(event.worker_id)
        self.log.add(self._now, f"worker {event.worker_id} ended", event.diagnostics)
        if self._started.pop(event.worker_id, None) is not None:
            self._count_start_failure(f"worker {event.worker_id} ended before it registered: {event.diagnostics}")
        elif event.worker_id in self.taskmanagers:
            self._drop(event.worker_id, event.diagnostics)
        self._released.append(event.worker_id)

    def _count_start_failure(self, what: str) -> None:
        self._last_start_failure = what
        self._start_failures.append(self._now)
        recent = sum(self._now - time <= 60.0 for time in self._start_failures)
        if recent >= self.settings.max_start_failures:
            self._paused_until = self._now + self.settings.retry_interval
            self._effects.append(WakeAt(self._paused_until))

    def _request_failed(self, event: RequestFailed) -> None:
        if event.request_id not in self._requests:
            return
        self._requests.discard(event.request_id)
        for need in list(self._needs.values()):
            if self._missing(need):
                self._give_up(need, event.diagnostics)

    def _release(self, worker_id: str, reason: str) -> None:
        self._released.append(worker_id)
        self._driver_workers.discard(worker_id)
        self._started.pop(worker_id, None)
        self.log.add(self._now, f"worker {worker_id} released", reason)
        self._effects.append(ReleaseWorker(worker_id, reason))

    # -- decisions after each event ----------------------------------------------------------------------

    def _assign(self) -> None:
        for need in self._needs.values():
            for _ in range(self._missing(need)):
                found = self._best_slot(need.job_id)
                if found is None:
                    break
                manager, slot = found
                self._numbers += 1
                slot.state = SlotState.PENDING
                slot.job_id = need.job_id
                slot.allocation_id = f"{need.job_id}-{self._numbers}"
                self.log.add(
                    self._now,
                    f"slot {slot.index} of {manager.info.taskmanager_id}: FREE -> PENDING",
                    f"needed by job {need.job_id}",
                )
                self._effects.append(
                    Reserve(
                        manager.info.taskmanager_id,
                        ReserveSlot(slot.index, slot.allocation_id, need.job_id, need.artifacts, need.config),
                    )
                )

    def _best_slot(self, job_id: str) -> tuple[RegisteredTaskManager, Slot] | None:
        """A free slot on the TaskManager where the job has most already, then on the fullest: a job's
        data stays local and other TaskManagers become idle."""
        best: tuple[RegisteredTaskManager, Slot] | None = None
        best_rank = (-1, -1)
        for manager in self.taskmanagers.values():
            free = [slot for slot in manager.slots if slot.state is SlotState.FREE]
            rank = (
                sum(slot.job_id == job_id for slot in manager.slots),
                len(manager.slots) - len(free),
            )
            if free and rank > best_rank:
                best, best_rank = (manager, free[0]), rank
        return best

    def _time_out_registrations(self) -> None:
        assert self._prerequested_until is not None
        if self._prerequested and self._now >= self._prerequested_until:
            self._count_start_failure(f"{self._prerequested} workers of the submission never came")
            self._prerequested = 0
        for worker_id, since in list(self._started.items()):
            if self._now - since >= self.settings.registration_timeout:
                self._release(worker_id, "it did not register in time")
                self._count_start_failure(f"worker {worker_id} did not register in time")

    def _request_and_cancel(self) -> None:
        if not self.settings.has_driver:
            return
        per_worker = self.settings.slots_per_worker
        existing = len(self._slots())
        used = sum(slot.state is not SlotState.FREE for slot in self._slots())
        wanted = used + sum(self._missing(need) for need in self._needs.values())
        if wanted:
            wanted += self.settings.redundant_workers * per_worker
        wanted = max(wanted, self.settings.min_slots)
        coming = self.pending_workers * per_worker
        while self._requests and existing + coming - per_worker >= wanted:
            request_id = max(self._requests, key=lambda name: int(name.rpartition("-")[2]))
            self._requests.discard(request_id)
            self._effects.append(CancelRequest(request_id))
            coming -= per_worker
        if self._now < self._paused_until:
            return
        limit = self.settings.max_slots
        while existing + coming < wanted and (limit is None or existing + coming + per_worker <= limit):
            self._numbers += 1
            request_id = f"request-{self._numbers}"
            self._requests.add(request_id)
            self._effects.append(RequestWorker(request_id))
            coming += per_worker

    def _release_idle(self) -> None:
        if not self.settings.has_driver:
            return
        slots = self._slots()
        spare = self.settings.min_slots
        if any(slot.state is not SlotState.FREE for slot in slots):
            used = sum(slot.state is not SlotState.FREE for slot in slots)
            spare = max(spare, used + self.settings.redundant_workers * self.settings.slots_per_worker)
        left = len(slots)
        for taskmanager_id, manager in list(self.taskmanagers.items()):
            idle = all(slot.state is SlotState.FREE for slot in manager.slots)
            late = self._now - manager.idle_since >= self.settings.idle_timeout
            if idle and late and taskmanager_id in self._driver_workers and left - len(manager.slots) >= spare:
                left -= len(manager.slots)
                self._drop(taskmanager_id, "idle")
                self._release(taskmanager_id, f"idle for {self.settings.idle_timeout:g} s")

    def _time_out_needs(self) -> None:
        for need in list(self._needs.values()):
            if not self._missing(need):
                need.missing_since = None
                continue
            limit = self.settings.max_slots
            if limit is not None and need.count > limit:
                self._give_up(
                    need, f"the cluster may have {limit} slots at most (slotmanager.number-of-slots.max)"
                )
                continue
            if need.missing_since is None:
                need.missing_since = self._now
                self._effects.append(WakeAt(self._now + self.settings.request_timeout))
            elif self._now - need.missing_since >= self.settings.request_timeout:
                self._give_up(need, f"none came within {self.settings.request_timeout:g} s (slot.request.timeout)")

    def _give_up(self, need: _Need, why: str) -> None:
        """Tell the job, and stop looking until it declares its need again."""
        free = sum(slot.state is SlotState.FREE for slot in self._slots())
        available = len(self.slots_of(need.job_id)) + free
        total = len(self._slots())
        if self.settings.has_driver:
            remedy = (
                "See whether the queue has room, or lower the job's parallelism, or raise "
                "slotmanager.number-of-slots.max"
            )
        else:
            remedy = (
                "Start more TaskManagers, give them more slots (taskmanager.numberOfTaskSlots), or lower the "
                "job's parallelism"
            )
        last = f" Last failed start: {self._last_start_failure}." if self._last_start_failure else ""
        self._effects.append(
            TellResourcesMissing(
                need.job_id,
                f"job {need.job_id} ({need.name}) needs {need.count} slots, {available} of the cluster's "
                f"{total} are available to it: {why}.{last} {remedy}.",
            )
        )
        held = len(self.slots_of(need.job_id))
        if held:
            need.count = held
            need.missing_since = None
        else:
            del self._needs[need.job_id]

    # -- invariants --------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise AssertionError when the state contradicts itself; tests call it after every event."""
        allocations = [slot.allocation_id for slot in self._slots() if slot.allocation_id]
        assert len(allocations) == len(set(allocations)), "an allocation stands for two slots"
        for slot in self._slots():
            free = slot.state is SlotState.FREE
            assert free == (slot.allocation_id == "") == (slot.job_id == ""), slot
        for need in self._needs.values():
            pending = sum(slot.state is SlotState.PENDING for slot in self.slots_of(need.job_id))
            over = len(self.slots_of(need.job_id)) - need.count
            assert over <= 0 or pending == 0, f"job {need.job_id} gets more slots than it needs"
            if self._missing(need):
                assert all(slot.state is not SlotState.FREE for slot in self._slots()), "a free slot is withheld"
        assert not set(self._started) & set(self.taskmanagers), "a registered worker counts as coming"
        assert self._prerequested >= 0
