"""Decides everything about one job: when it asks for slots, deploys, fails over, restarts and ends.

Events in, effects out; the shell is job_master.py. States and their names are in runtime/states.py, the
geometry (regions, channels) in execution_graph.py, pauses in restart_strategy.py.

    CREATED --JobStarted--> RUNNING --all finished--> FINISHED
    RUNNING --failure, strategy allows--> RESTARTING --pause over, region cancelled--> RUNNING
    RUNNING, RESTARTING --failure, strategy refuses--> FAILING --all cancelled--> FAILED
    CREATED .. FAILING --CancelRequested--> CANCELLING --all cancelled--> CANCELED

A failover covers the failed region and what it is connected to. While one is pending, further failures inside
it are recorded as concurrent and change nothing else. Slots are kept over a restart unless they were lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.jobmanager.execution_graph import (
    ALLOWED,
    DEPLOYED,
    ExecutionGraph,
    GrantedSlot,
    Subtask,
)
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
    JobStarted,
    MetricsReported,
    ResourcesMissing,
    ReturnSlot,
    SlotGranted,
    SlotsGone,
    StatusMoved,
    WakeAt,
    WakeUp,
)
from yarnflow.runtime.jobmanager.job_master_settings import JobMasterSettings
from yarnflow.runtime.jobmanager.transitions import TransitionLog
from yarnflow.runtime.jobmanager.views import ExceptionView
from yarnflow.runtime.rpc.messages import TaskFailure
from yarnflow.runtime.states import ExecutionState, JobStatus


@dataclass(eq=False)
class _Failover:
    """A pending restart: these subtasks are being cancelled and begin anew at `restart_at`."""

    subtasks: set[Subtask]
    restart_at: float


class JobMasterMachine:
    """One job. `handle` takes an event and the time and returns what to do.

    Attributes:
        status: of the job.
        graph: subtasks and attempts, for views; changed only here.
        slots: granted and not returned, by allocation id.
    """

    def __init__(self, job: JobGraph, settings: JobMasterSettings, now: float) -> None:
        self.job = job
        self.settings = settings
        self.status = JobStatus.INITIALIZING
        self.timestamps: dict[JobStatus, float] = {JobStatus.INITIALIZING: now}
        self.last_modification = now
        self.graph = ExecutionGraph(job, settings.attempts_history, now)
        self.slots: dict[str, GrantedSlot] = {}
        self.assigned: dict[tuple[str, int], str] = {}
        self.exceptions: deque[ExceptionView] = deque(maxlen=max(1, settings.exception_history))
        self.log = TransitionLog()
        self.restart_count = 0
        self._failovers: list[_Failover] = []
        self._effects: list[JobMasterEffect] = []
        self._now = now
        self._cause = "submitted"
        self._move_job(JobStatus.CREATED)

    @property
    def restart_at(self) -> float | None:
        """When the pending restart is due; None for none."""
        return max((failover.restart_at for failover in self._failovers), default=None)

    # -- entry -------------------------------------------------------------------------------------------

    def handle(self, event: JobMasterEvent, now: float) -> list[JobMasterEffect]:
        """Take one event. Events for ended jobs, old attempts and foreign slots are harmless."""
        self._now = now
        self._effects = []
        if isinstance(event, MetricsReported):
            self._take_metrics(event)
        elif isinstance(event, SlotGranted):
            self._take_slot(event.slot)
        elif not self.status.terminal:
            if isinstance(event, ExecutionReported):
                self._cause = "reported by its worker"
                self._take_report(event)
            elif isinstance(event, SlotsGone):
                self._cause = event.failure.message
                self._lose_slots(event)
            elif isinstance(event, JobStarted):
                self._cause = "job started"
                self._move_job(JobStatus.RUNNING)
                self._declare_slots()
                self._schedule()
            elif isinstance(event, ResourcesMissing):
                self._cause = "slots are missing"
                self._miss_resources(event.explanation)
            elif isinstance(event, CancelRequested):
                self._cause = "cancel requested"
                self._cancel_job()
            elif isinstance(event, JobBroken):
                self._cause = event.failure.message
                self._break(event.failure)
            elif isinstance(event, WakeUp):
                self._cause = "the pause before the restart is over"
            self._restart_due()
            self._end_if_done()
        return self._effects

    # -- slots -------------------------------------------------------------------------------------------

    def _declare_slots(self) -> None:
        self._effects.append(DeclareSlots(len(self.graph.slot_keys)))

    def _take_slot(self, slot: GrantedSlot) -> None:
        if slot.allocation_id in self.slots:
            return
        key = next((key for key in self.graph.slot_keys if key not in self.assigned), None)
        if key is None or self.status.terminal:
            self._effects.append(ReturnSlot(slot.allocation_id))
            return
        self._cause = f"slot {slot.slot_index} of {slot.taskmanager_id} is ready"
        self.slots[slot.allocation_id] = slot
        self.assigned[key] = slot.allocation_id
        self._schedule()

    def _lose_slots(self, event: SlotsGone) -> None:
        gone = {
            allocation: self.slots.pop(allocation)
            for allocation in event.allocation_ids
            if allocation in self.slots
        }
        self.assigned = {key: held for key, held in self.assigned.items() if held not in gone}
        victims = [
            subtask
            for subtask in self.graph.all
            if subtask.current.slot is not None
            and subtask.current.slot.allocation_id in gone
            and subtask.current.state in DEPLOYED
        ]
        waiting = not gone and any(key not in self.assigned for key in self.graph.slot_keys)
        if victims:
            self._fail_executions(victims, event.failure)
        elif waiting:
            # A slot could not be prepared for this job (an artifact is broken, the worker does not start).
            self._fail_waiting(event.failure)
        self._fail_lost_results(gone, event.failure)
        if self.status in (JobStatus.RUNNING, JobStatus.RESTARTING):
            self._declare_slots()

    def _fail_lost_results(self, gone: Iterable[str], failure: TaskFailure) -> None:
        """Finished subtasks begin anew when what they wrote was held in a lost slot and is still wanted."""
        lost = [
            subtask
            for subtask in self.graph.all
            if subtask.current.state is ExecutionState.FINISHED
            and subtask.current.slot is not None
            and subtask.current.slot.allocation_id in gone
            and not self._is_restarting(subtask)
            and any(
                consumer.current.state is not ExecutionState.FINISHED
                for consumer in self.graph.blocking_consumers(subtask)
            )
        ]
        if lost and self.status in (JobStatus.RUNNING, JobStatus.RESTARTING):
            self._fail_over(lost, self._exception(lost[0], failure))

    def _miss_resources(self, explanation: str) -> None:
        # Those that were deployed already have their slots: only waiting subtasks are concerned.
        self._fail_waiting(TaskFailure(explanation, explanation))

    def _fail_waiting(self, failure: TaskFailure) -> None:
        waiting = [
            subtask
            for subtask in self.graph.all
            if subtask.current.state in (ExecutionState.CREATED, ExecutionState.SCHEDULED)
            and not self._is_restarting(subtask)
        ]
        if waiting and self.status in (JobStatus.RUNNING, JobStatus.RESTARTING):
            self._fail_over(waiting, ExceptionView(self._now, failure))

    # -- scheduling --------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Deploy every region whose inputs and slots are there."""
        if self.status not in (JobStatus.RUNNING, JobStatus.RESTARTING):
            return
        for number, region in enumerate(self.graph.regions):
            if region[0].current.state not in (ExecutionState.CREATED, ExecutionState.SCHEDULED):
                continue
            if any(self._is_restarting(subtask) for subtask in region):
                continue
            if any(
                producer.current.state is not ExecutionState.FINISHED
                for producer in self.graph.blocking_producers(number)
            ):
                continue
            if all(key in self.assigned for key in self.graph.slot_keys_to_deploy(number)):
                self._deploy(region)
            else:
                for subtask in region:
                    if subtask.current.state is ExecutionState.CREATED:
                        self._move(subtask, ExecutionState.SCHEDULED)

    def _deploy(self, region: list[Subtask]) -> None:
        addresses = {key: self.slots[held].address for key, held in self.assigned.items()}
        for subtask in region:
            slot = self.slots[self.assigned[subtask.slot_key]]
            subtask.current.slot = slot
            self._move(subtask, ExecutionState.DEPLOYING)
            deployment = self.graph.deployment(subtask, addresses, self.settings.config)
            self._effects.append(Deploy(slot, deployment))

    # -- reports of workers ------------------------------------------------------------------------------

    def _take_metrics(self, event: MetricsReported) -> None:
        for execution_id, metrics in event.metrics.items():
            subtask = self.graph.by_execution.get(execution_id)
            if subtask is not None and not subtask.current.state.terminal:
                subtask.current.metrics = metrics

    def _take_report(self, event: ExecutionReported) -> None:
        subtask = self.graph.by_execution.get(event.execution_id)
        if subtask is None:
            return  # of an attempt that was replaced already
        execution = subtask.current
        if execution.state not in DEPLOYED:
            return  # it was lost, or has ended
        execution.metrics = event.metrics
        if event.state is ExecutionState.FAILED:
            failure = event.failure or TaskFailure("the task failed without saying why", "")
            self._fail_executions([subtask], failure, event.accumulators)
            return
        if execution.state is ExecutionState.CANCELING:
            if event.state.terminal:
                # FINISHED just before the cancel reached it: it counts as cancelled, like its peers.
                execution.accumulators = event.accumulators
                self._move(subtask, ExecutionState.CANCELED)
            return
        if event.state is ExecutionState.CANCELING or event.state not in ALLOWED[execution.state]:
            return  # only the JobManager cancels
        if event.state.terminal:
            execution.accumulators = event.accumulators
        if event.state is ExecutionState.CANCELED:
            self._fail_executions(
                [subtask], TaskFailure("the task was cancelled by its worker, not by the JobManager", "")
            )
            return
        self._move(subtask, event.state)
        if event.state is ExecutionState.FINISHED:
            self._cause = f"{subtask.name} finished"
            self._schedule()

    # -- failover ----------------------------------------------------------------------------------------

    def _fail_executions(self, subtasks: list[Subtask], failure: TaskFailure, accumulators: bytes = b"") -> None:
        """These executions have ended by one failure."""
        expected = True
        for subtask in subtasks:
            canceling = subtask.current.state is ExecutionState.CANCELING
            expected = expected and canceling
            subtask.current.failure = failure
            subtask.current.accumulators = accumulators
            # A task that is lost while it is being cancelled has been stopped, too.
            self._move(subtask, ExecutionState.CANCELED if canceling else ExecutionState.FAILED, failure.message)
        entry = self._exception(subtasks[0], failure)
        if self.status in (JobStatus.RUNNING, JobStatus.RESTARTING) and not expected:
            self._fail_over([s for s in subtasks if s.current.state is ExecutionState.FAILED], entry)
        elif self.status is not JobStatus.CANCELLING:
            self._add_concurrent(entry)

    def _exception(self, subtask: Subtask, failure: TaskFailure) -> ExceptionView:
        execution = subtask.current
        return ExceptionView(
            timestamp=self._now,
            failure=failure,
            vertex_name=subtask.vertex.name,
            subtask_index=subtask.index,
            attempt=execution.attempt,
            execution_id=execution.execution_id,
            taskmanager_id=execution.slot.taskmanager_id if execution.slot else "",
            host=execution.slot.host if execution.slot else "",
        )

    def _add_concurrent(self, entry: ExceptionView) -> None:
        """A failure that belongs to the newest one; it takes its place when that was only an echo."""
        if not self.exceptions:
            self.exceptions.appendleft(entry)
            return
        first = self.exceptions[0]
        if first.failure.secondary and not entry.failure.secondary:
            echo = replace(first, concurrent=())
            self.exceptions[0] = replace(entry, concurrent=(*first.concurrent, echo))
        else:
            self.exceptions[0] = replace(first, concurrent=(*first.concurrent, entry))

    def _fail_over(self, failed: list[Subtask], entry: ExceptionView) -> None:
        pending = [subtask for subtask in failed if self._is_restarting(subtask)]
        if len(pending) == len(failed):
            self._add_concurrent(entry)
            return
        self.exceptions.appendleft(entry)
        affected: set[Subtask] = set()
        if self.settings.failover_full:
            affected.update(self.graph.all)
        else:
            for subtask in failed:
                if subtask not in affected:
                    affected.update(self.graph.failover_set(subtask))
        delay = self.settings.strategy.failed(self._now) if entry.failure.retryable else None
        if delay is None:
            self._fail_job()
            return
        self.restart_count += 1
        failover = _Failover(affected, self._now + delay)
        for other in [other for other in self._failovers if other.subtasks & affected]:
            failover.subtasks |= other.subtasks
            failover.restart_at = max(failover.restart_at, other.restart_at)
            self._failovers.remove(other)
        self._failovers.append(failover)
        if self.status is JobStatus.RUNNING:
            self._move_job(JobStatus.RESTARTING)
        self._cause = f"failover of {len(failover.subtasks)} tasks: {entry.failure.message}"
        self._cancel(failover.subtasks)
        self._effects.append(WakeAt(failover.restart_at))

    def _is_restarting(self, subtask: Subtask) -> bool:
        return any(subtask in failover.subtasks for failover in self._failovers)

    def _restart_due(self) -> None:
        due = [
            failover
            for failover in self._failovers
            if failover.restart_at <= self._now
            and all(subtask.current.state.terminal for subtask in failover.subtasks)
        ]
        if not due or self.status is not JobStatus.RESTARTING:
            return
        for failover in due:
            self._failovers.remove(failover)
            ended = [subtask for subtask in self.graph.all if subtask in failover.subtasks]
            self._effects.append(ForgetResults(tuple(subtask.current.execution_id for subtask in ended)))
            for subtask in ended:
                self.graph.new_attempt(subtask, self._now)
        self.last_modification = self._now
        if not self._failovers:
            self._move_job(JobStatus.RUNNING)
        self._declare_slots()
        self._schedule()

    # -- the end -----------------------------------------------------------------------------------------

    def _break(self, failure: TaskFailure) -> None:
        entry = ExceptionView(self._now, failure)
        if failure.retryable:
            if self.status in (JobStatus.RUNNING, JobStatus.RESTARTING):
                self._fail_over(self.graph.all, entry)
            return
        self.exceptions.appendleft(entry)
        self._fail_job()

    def _cancel_job(self) -> None:
        if self.status is JobStatus.CANCELLING:
            return
        self._move_job(JobStatus.CANCELLING)
        self._failovers.clear()
        self._cancel(self.graph.all)

    def _fail_job(self) -> None:
        if self.status in (JobStatus.FAILING, JobStatus.CANCELLING):
            return
        self._move_job(JobStatus.FAILING)
        self._failovers.clear()
        self._cancel(self.graph.all)

    def _cancel(self, subtasks: Iterable[Subtask]) -> None:
        for subtask in subtasks:
            execution = subtask.current
            if execution.state in (ExecutionState.CREATED, ExecutionState.SCHEDULED):
                self._move(subtask, ExecutionState.CANCELED)
            elif execution.state in DEPLOYED and execution.state is not ExecutionState.CANCELING:
                self._move(subtask, ExecutionState.CANCELING)
                assert execution.slot is not None
                self._effects.append(CancelExecution(execution.slot, execution.execution_id))

    def _end_if_done(self) -> None:
        states = {subtask.current.state for subtask in self.graph.all}
        if self.status is JobStatus.RUNNING and states == {ExecutionState.FINISHED}:
            end = JobStatus.FINISHED
        elif any(not state.terminal for state in states):
            return
        elif self.status is JobStatus.FAILING:
            end = JobStatus.FAILED
        elif self.status is JobStatus.CANCELLING:
            end = JobStatus.CANCELED
        else:
            return
        self._move_job(end)
        self._effects.extend(ReturnSlot(allocation) for allocation in self.slots)
        self._effects.append(DeclareSlots(0))
        self.slots.clear()
        self.assigned.clear()
        self._effects.append(JobEnded(end))

    # -- moving ------------------------------------------------------------------------------------------

    def _move_job(self, status: JobStatus) -> None:
        self.log.add(self._now, f"job {self.status.value} -> {status.value}", self._cause)
        self.status = status
        self.timestamps[status] = self._now
        self.last_modification = self._now
        self._effects.append(StatusMoved(status))

    def _move(self, subtask: Subtask, state: ExecutionState, cause: str = "") -> None:
        execution = subtask.current
        assert state in ALLOWED[execution.state], (execution.state, state)
        self.log.add(
            self._now,
            f"{subtask.name} attempt {execution.attempt}: {execution.state.value} -> {state.value}",
            cause or self._cause,
        )
        execution.state = state
        execution.timestamps[state] = self._now
        self.last_modification = self._now
        self._effects.append(
            ExecutionMoved(subtask.vertex.vertex_id, subtask.index, execution.execution_id, state)
        )

    # -- when an event could not be handled (a bug) ------------------------------------------------------

    def abandon(self, failure: TaskFailure, now: float) -> tuple[str, ...]:
        """End as FAILED whatever the state is; returns the slots to give back. The shell calls it when
        `handle` raised, so that a bug ends one job and is shown as its failure."""
        self._now, self._cause = now, failure.message
        self.exceptions.appendleft(ExceptionView(now, failure))
        self._failovers.clear()
        for subtask in self.graph.all:
            if not subtask.current.state.terminal:
                subtask.current.state = ExecutionState.FAILED
                subtask.current.timestamps[ExecutionState.FAILED] = now
        held = tuple(self.slots)
        self.slots.clear()
        self.assigned.clear()
        self._move_job(JobStatus.FAILED)
        return held

    # -- invariants --------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise AssertionError when the state contradicts itself; tests call it after every event."""
        assert set(self.assigned.values()) == set(self.slots), "every slot has exactly one use"
        assert len(set(self.assigned.values())) == len(self.assigned), "no slot is used twice"
        for subtask in self.graph.all:
            execution = subtask.current
            if execution.state in DEPLOYED:
                assert execution.slot is not None
                assert execution.slot.allocation_id in self.slots, f"{subtask.name} runs in a lost slot"
            assert self.graph.by_execution[execution.execution_id] is subtask
        assert len(self.graph.by_execution) == len(self.graph.all)
        together = [subtask for failover in self._failovers for subtask in failover.subtasks]
        assert len(together) == len(set(together)), "a subtask is in two failovers"
        assert bool(self._failovers) == (self.status is JobStatus.RESTARTING)
        for failover in self._failovers:
            for subtask in failover.subtasks:
                state = subtask.current.state
                assert state.terminal or state is ExecutionState.CANCELING, (subtask.name, state)
        if self.status.terminal:
            assert not self.slots
            assert all(subtask.current.state.terminal for subtask in self.graph.all)
        if self.status in (JobStatus.CANCELLING, JobStatus.FAILING):
            assert any(not subtask.current.state.terminal for subtask in self.graph.all)
