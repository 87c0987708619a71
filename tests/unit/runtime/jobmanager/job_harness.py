"""Drives a job master machine by hand: a fake cluster that does what the effects say, when told to."""

from __future__ import annotations

from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.jobmanager.execution_graph import GrantedSlot
from yarnflow.runtime.jobmanager.job_master_events import (
    CancelExecution,
    CancelRequested,
    DeclareSlots,
    Deploy,
    ExecutionReported,
    ForgetResults,
    JobEnded,
    JobMasterEffect,
    JobMasterEvent,
    JobStarted,
    ReturnSlot,
    SlotGranted,
    SlotsGone,
    WakeAt,
    WakeUp,
)
from yarnflow.runtime.jobmanager.job_master_machine import JobMasterMachine
from yarnflow.runtime.jobmanager.job_master_settings import JobMasterSettings
from yarnflow.runtime.jobmanager.restart_strategy import NoRestart, RestartStrategy
from yarnflow.runtime.rpc.messages import DataAddress, TaskDeployment, TaskFailure
from yarnflow.runtime.states import ExecutionState, JobStatus


class JobHarness:
    """A machine, its time, and what it asked for."""

    def __init__(
        self, job: JobGraph, strategy: RestartStrategy | None = None, failover_full: bool = False
    ) -> None:
        self.now = 100.0
        settings = JobMasterSettings(strategy or NoRestart(), {}, failover_full=failover_full)
        self.machine = JobMasterMachine(job, settings, self.now)
        self.slots_declared = 0
        self.declarations = 0
        self.deployed: dict[str, TaskDeployment] = {}
        self.to_cancel: list[str] = []
        self.returned: list[str] = []
        self.wake_ups: list[float] = []
        self.forgotten: list[str] = []
        self.ended: JobStatus | None = None
        self._slots = 0

    def send(self, event: JobMasterEvent) -> list[JobMasterEffect]:
        effects = self.machine.handle(event, self.now)
        self.machine.check()
        for effect in effects:
            if isinstance(effect, DeclareSlots):
                self.slots_declared = effect.count
                self.declarations += 1
            elif isinstance(effect, Deploy):
                assert effect.slot.allocation_id in self.machine.slots
                self.deployed[effect.deployment.execution_id] = effect.deployment
            elif isinstance(effect, CancelExecution):
                self.to_cancel.append(effect.execution_id)
            elif isinstance(effect, ReturnSlot):
                self.returned.append(effect.allocation_id)
            elif isinstance(effect, WakeAt):
                self.wake_ups.append(effect.time)
            elif isinstance(effect, ForgetResults):
                self.forgotten.extend(effect.execution_ids)
            elif isinstance(effect, JobEnded):
                assert self.ended is None, "a job ends once"
                self.ended = effect.status
        return effects

    # -- what the cluster does ---------------------------------------------------------------------------

    def grant(self, count: int = 1, taskmanager: str = "tm") -> list[str]:
        granted = []
        for _ in range(count):
            number = self._slots
            self._slots += 1
            slot = GrantedSlot(
                f"slot-{number}", taskmanager, "host", number, DataAddress("host", 7000 + number, "", "m")
            )
            granted.append(slot.allocation_id)
            self.send(SlotGranted(slot))
        return granted

    def start(self, taskmanager: str = "tm") -> None:
        """Start the job and give it all the slots it wants."""
        self.send(JobStarted())
        self.grant(self.slots_declared - len(self.machine.slots), taskmanager)

    def report(self, name: str, state: ExecutionState, failure: TaskFailure | None = None) -> None:
        """`name` is "source/0" for the current attempt, or a whole execution id."""
        self.send(ExecutionReported(self.execution(name) if "/" in name else name, state, failure))

    def run_all(self) -> None:
        for execution_id in [*self.deployed]:
            if self.machine.graph.by_execution.get(execution_id) is not None:
                self.report(execution_id, ExecutionState.INITIALIZING)
                self.report(execution_id, ExecutionState.RUNNING)

    def fail(self, name: str, message: str = "ValueError: boom", **more: bool) -> None:
        self.report(name, ExecutionState.FAILED, TaskFailure(message, message, **more))

    def lose(self, *allocations: str, message: str = "killed by signal 9") -> None:
        self.send(SlotsGone(allocations, TaskFailure(message, message)))

    def confirm_cancels(self) -> None:
        pending, self.to_cancel = self.to_cancel, []
        for execution_id in pending:
            self.report(execution_id, ExecutionState.CANCELED)

    def cancel(self) -> None:
        self.send(CancelRequested())

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.send(WakeUp())

    # -- what can be seen --------------------------------------------------------------------------------

    @property
    def status(self) -> JobStatus:
        return self.machine.status

    def execution(self, name: str) -> str:
        vertex, _, index = name.partition("/")
        return self.machine.graph.subtasks[vertex][int(index)].current.execution_id

    def state(self, name: str) -> ExecutionState:
        vertex, _, index = name.partition("/")
        return self.machine.graph.subtasks[vertex][int(index)].current.state

    def attempt(self, name: str) -> int:
        vertex, _, index = name.partition("/")
        return self.machine.graph.subtasks[vertex][int(index)].current.attempt

    def states(self) -> list[ExecutionState]:
        return [subtask.current.state for subtask in self.machine.graph.all]
