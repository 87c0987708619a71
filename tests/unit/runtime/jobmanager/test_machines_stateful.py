"""Random schedules of events and faults: invariants hold after each event, and everything ends."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.runtime.jobmanager.graphs import graph, vertex
from tests.unit.runtime.jobmanager.job_harness import JobHarness
from yarnflow.graph.job_graph import Exchange, Partitioning
from yarnflow.runtime.jobmanager.execution_graph import DEPLOYED
from yarnflow.runtime.jobmanager.job_master_events import (
    JobStarted,
    ResourcesMissing,
)
from yarnflow.runtime.jobmanager.restart_strategy import FixedDelay
from yarnflow.runtime.jobmanager.slot_manager_events import (
    CancelRequest,
    Free,
    Grant,
    ReleaseWorker,
    RequestFailed,
    RequestWorker,
    Reserve,
    SlotFailed,
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
    SlotManagerSettings,
)
from yarnflow.runtime.rpc.messages import DataAddress, RegisterTaskManager, TaskFailure
from yarnflow.runtime.states import ExecutionState


class JobMasterUnderFaults(RuleBasedStateMachine):
    """Three vertices, a forward, a hash and a blocking edge, and a cluster that does anything."""

    def __init__(self) -> None:
        super().__init__()
        job = graph(
            [vertex("a", 2), vertex("b", 2), vertex("c", 3, "other"), vertex("d", 1)],
            [
                ("a", "b", Partitioning.FORWARD, Exchange.PIPELINED),
                ("b", "c", Partitioning.HASH, Exchange.BLOCKING),
                ("c", "d", Partitioning.HASH, Exchange.PIPELINED),
            ],
        )
        self.harness = JobHarness(job, FixedDelay(3, 2.0))
        self.harness.send(JobStarted())

    def current(self, states: tuple[ExecutionState, ...]) -> list[str]:
        return [
            subtask.current.execution_id
            for subtask in self.harness.machine.graph.all
            if subtask.current.state in states
        ]

    @rule()
    def grant(self) -> None:
        self.harness.grant()

    @rule(data=st.data(), state=st.sampled_from(list(ExecutionState)))
    def report_current(self, data, state) -> None:
        deployed = self.current(DEPLOYED)
        if deployed:
            failure = TaskFailure("x", "x") if state is ExecutionState.FAILED else None
            self.harness.report(data.draw(st.sampled_from(deployed)), state, failure)

    @rule(data=st.data(), state=st.sampled_from(list(ExecutionState)))
    def report_anything_ever_deployed(self, data, state) -> None:
        if self.harness.deployed:
            self.harness.report(data.draw(st.sampled_from(sorted(self.harness.deployed))), state)

    @rule(data=st.data())
    def lose_slots(self, data) -> None:
        held = sorted(self.harness.machine.slots)
        if held:
            self.harness.lose(*data.draw(st.lists(st.sampled_from(held), min_size=1, unique=True)))

    @rule()
    def lose_unknown_slot(self) -> None:
        self.harness.lose("unknown")

    @rule()
    def miss_resources(self) -> None:
        self.harness.send(ResourcesMissing("none"))

    @rule()
    def confirm_cancels(self) -> None:
        self.harness.confirm_cancels()

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0]))
    def pass_time(self, seconds) -> None:
        self.harness.pass_time(seconds)

    @precondition(lambda self: self.harness.now > 110)
    @rule()
    def cancel(self) -> None:
        self.harness.cancel()

    @invariant()
    def no_slot_holds_two_subtasks_of_a_vertex(self) -> None:
        held = [
            (subtask.vertex.vertex_id, subtask.current.slot.allocation_id)
            for subtask in self.harness.machine.graph.all
            if subtask.current.state in DEPLOYED and subtask.current.slot
        ]
        assert len(held) == len(set(held))

    @invariant()
    def consumers_of_blocking_edges_run_after_their_producers(self) -> None:
        graph_ = self.harness.machine.graph
        if any(subtask.current.state in DEPLOYED for subtask in graph_.subtasks["c"]):
            producers = {subtask.current.state for subtask in graph_.subtasks["b"]}
            cancelling = {ExecutionState.FINISHED, ExecutionState.CANCELED}
            assert producers <= cancelling

    def teardown(self) -> None:
        """A cluster that behaves from now on brings every job to its end."""
        harness = self.harness
        for _ in range(50):
            if harness.machine.status.terminal:
                break
            harness.confirm_cancels()
            harness.pass_time(10.0)
            missing = harness.slots_declared - len(harness.machine.slots)
            if missing > 0:
                harness.grant(missing)
            # Executions whose cancel was confirmed by another report than CANCELED are done already.
            for execution_id in self.current(DEPLOYED):
                harness.report(execution_id, ExecutionState.FINISHED)
        assert harness.machine.status.terminal, harness.machine.log.as_tuples()[-20:]
        assert harness.ended is harness.machine.status


class SlotManagerUnderFaults(RuleBasedStateMachine):
    """Jobs, TaskManagers and a driver that do anything; books kept apart to compare with."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.machine = SlotManagerMachine(
            SlotManagerSettings(
                has_driver=True,
                slots_per_worker=2,
                max_slots=8,
                request_timeout=20.0,
                idle_timeout=10.0,
                registration_timeout=15.0,
                redundant_workers=1,
            )
        )
        self.requests: set[str] = set()
        self.workers: set[str] = set()
        self.connected: set[str] = set()
        #: (TaskManager, slot) -> allocation as the TaskManager knows it.
        self.reserved: dict[tuple[str, int], str] = {}
        self.granted: dict[str, str] = {}
        self.needs: dict[str, int] = {}

    def send(self, event) -> None:
        for effect in self.machine.handle(event, self.now):
            if isinstance(effect, RequestWorker):
                self.requests.add(effect.request_id)
            elif isinstance(effect, CancelRequest):
                self.requests.remove(effect.request_id)
            elif isinstance(effect, Reserve):
                place = (effect.taskmanager_id, effect.message.slot_index)
                assert place not in self.reserved, "a slot is double-booked"
                assert effect.taskmanager_id in self.connected
                self.reserved[place] = effect.message.allocation_id
            elif isinstance(effect, Free):
                place = (effect.taskmanager_id, effect.slot_index)
                assert self.reserved.pop(place) == effect.allocation_id
                self.granted.pop(effect.allocation_id, None)
            elif isinstance(effect, Grant):
                assert effect.slot.allocation_id not in self.granted
                self.granted[effect.slot.allocation_id] = effect.job_id
            elif isinstance(effect, TellSlotsGone):
                for allocation in effect.allocation_ids:
                    self.granted.pop(allocation, None)
                    self.reserved = {k: v for k, v in self.reserved.items() if v != allocation}
            elif isinstance(effect, TellResourcesMissing):
                assert "slots" in effect.explanation
            elif isinstance(effect, ReleaseWorker):
                self.workers.discard(effect.worker_id)
                self.disconnect(effect.worker_id)
        self.machine.check()
        assert self.machine.pending_workers >= 0
        for job, count in self.needs.items():
            held = sum(owner == job for owner in self.granted.values())
            assert held <= max(count, held if count == 0 else count), "a job got too much"

    def disconnect(self, name: str) -> None:
        self.connected.discard(name)
        self.reserved = {place: held for place, held in self.reserved.items() if place[0] != name}

    @rule(job=st.sampled_from(["j1", "j2", "j3"]), count=st.integers(1, 5))
    def declare(self, job, count) -> None:
        # A job keeps its number while it runs.
        count = self.needs.setdefault(job, count)
        self.send(SlotsDeclared(job, job, count))

    @rule(job=st.sampled_from(["j1", "j2", "j3"]))
    def end_job(self, job) -> None:
        self.needs.pop(job, None)
        held = [allocation for allocation, owner in self.granted.items() if owner == job]
        for allocation in held:
            self.send(SlotReturned(allocation))
        self.send(SlotsDeclared(job, job, 0))

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def start_worker(self, data) -> None:
        request = data.draw(st.sampled_from(sorted(self.requests)))
        self.requests.discard(request)
        self.workers.add(f"w-{request}")
        self.send(WorkerStarted(request, f"w-{request}"))

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def fail_request(self, data) -> None:
        request = data.draw(st.sampled_from(sorted(self.requests)))
        self.requests.discard(request)
        self.send(RequestFailed(request, "too large"))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def register(self, data) -> None:
        name = data.draw(st.sampled_from(sorted(self.workers)))
        self.disconnect(name)
        self.connected.add(name)
        self.send(TaskManagerRegistered(RegisterTaskManager(name, "h", 1, 2, 0, 1, "")))

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), how=st.sampled_from(["lost", "ended"]))
    def lose_worker(self, data, how) -> None:
        name = data.draw(st.sampled_from(sorted(self.workers)))
        self.disconnect(name)
        if how == "lost":
            self.send(TaskManagerLost(name, "x"))
        else:
            self.workers.discard(name)
            self.send(WorkerEnded(name, "x"))

    @precondition(lambda self: self.reserved)
    @rule(data=st.data())
    def prepare(self, data) -> None:
        (name, index), allocation = data.draw(st.sampled_from(sorted(self.reserved.items())))
        self.send(SlotPrepared(name, index, allocation, DataAddress("h", 1, "", "")))

    @precondition(lambda self: self.reserved)
    @rule(data=st.data())
    def fail_slot(self, data) -> None:
        (name, _), allocation = data.draw(st.sampled_from(sorted(self.reserved.items())))
        self.send(SlotFailed(name, allocation, TaskFailure("x", "x")))

    @rule(seconds=st.sampled_from([1.0, 10.0, 30.0]))
    def pass_time(self, seconds) -> None:
        self.now += seconds
        self.send(Tick())

    def teardown(self) -> None:
        """When all jobs end and time passes, nothing is held and no worker is kept."""
        for job in ("j1", "j2", "j3"):
            self.end_job(job)
        self.pass_time(30.0)
        self.pass_time(30.0)
        assert not self.reserved
        assert not self.machine.taskmanagers
        assert self.machine.pending_workers == 0


TestJobMasterUnderFaults = JobMasterUnderFaults.TestCase
TestJobMasterUnderFaults.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSlotManagerUnderFaults = SlotManagerUnderFaults.TestCase
TestSlotManagerUnderFaults.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
