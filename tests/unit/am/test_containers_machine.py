"""Which container stands for which request: every order in which a container can come, go and be unwanted."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from yarnflow.am.containers_machine import (
    ContainerEffect,
    ContainersMachine,
    Ended,
    Kill,
    RequestFailed,
    Started,
)
from yarnflow.yarn.skein.application import WorkerContainer


def container(number: int, state: str, message: str = "") -> WorkerContainer:
    """What skein shows: no id of YARN before it is allocated."""
    allocated = state not in ("WAITING", "REQUESTED", "KILLED-REQUEST")
    return WorkerContainer(
        f"taskmanager_{number}",
        f"c{number}" if allocated else "",
        state.partition("-")[0],
        "node:8042" if allocated else "",
        message,
    )


def machine() -> ContainersMachine:
    """One that has looked once and seen nothing."""
    made = ContainersMachine()
    assert made.seen([], []) == []
    return made


def test_a_request_becomes_a_worker_that_ends_once() -> None:
    containers = machine()
    containers.requested("r1", "taskmanager_0")
    assert containers.pending == 1
    assert containers.seen([container(0, "REQUESTED")], []) == []
    assert containers.seen([container(0, "RUNNING")], []) == [Started("r1", "c0")]
    assert containers.seen([container(0, "RUNNING")], []) == []
    assert containers.missing([])
    gone = container(0, "FAILED", "exit code 137")
    assert containers.seen([], [gone]) == [Ended("c0", "container c0 on node:8042 failed: exit code 137")]
    assert containers.seen([], [gone]) == []
    assert not containers.missing([])
    containers.check()


def test_a_container_that_ends_before_it_was_seen_to_run_still_starts_and_ends() -> None:
    containers = machine()
    containers.requested("r1", "taskmanager_0")
    effects = containers.seen([], [container(0, "FAILED", "exit code 127")])
    assert effects == [
        Started("r1", "c0"),
        Ended("c0", "container c0 on node:8042 failed: exit code 127"),
    ]


def test_it_may_end_between_the_two_answers_of_one_look() -> None:
    containers = machine()
    containers.requested("r1", "taskmanager_0")
    effects = containers.seen([container(0, "RUNNING")], [container(0, "SUCCEEDED")])
    assert [type(effect) for effect in effects] == [Started, Ended]
    containers.check()


def test_a_request_that_yarn_never_filled_fails() -> None:
    containers = machine()
    containers.requested("r1", "taskmanager_0")
    effects = containers.seen([], [container(0, "KILLED-REQUEST", "too large")])
    assert effects == [RequestFailed("r1", "container taskmanager_0 killed: too large")]


def test_containers_of_the_submission_belong_to_no_request() -> None:
    containers = machine()
    assert containers.seen([container(0, "REQUESTED")], []) == []
    assert containers.pending == 1
    assert containers.seen([container(0, "RUNNING")], []) == [Started(None, "c0")]


def test_containers_of_the_submission_that_ended_before_the_first_look_are_told() -> None:
    containers = ContainersMachine()
    assert containers.missing([]), "the first look asks for ended ones"
    gone = container(0, "FAILED", "exit code 127")
    assert [type(effect) for effect in containers.seen([], [gone])] == [Started, Ended]
    assert containers.seen([], [gone]) == []
    assert not containers.missing([])


def test_a_request_that_is_not_shown_yet_is_not_lost() -> None:
    containers = machine()
    containers.requested("r1", "taskmanager_5")
    assert containers.missing([])
    assert containers.seen([], []) == []
    assert containers.seen([container(5, "RUNNING")], []) == [Started("r1", "c5")]


def test_a_cancelled_request_is_forgotten_even_while_it_is_still_shown() -> None:
    containers = machine()
    containers.requested("r1", "taskmanager_0")
    assert containers.cancelled("r1") == [Kill("taskmanager_0")]
    assert containers.seen([container(0, "REQUESTED")], []) == []
    assert containers.pending == 0
    assert containers.seen([], [container(0, "KILLED")]) == []
    assert containers.cancelled("r1") == []


def test_a_container_that_starts_while_it_is_cancelled_is_stopped() -> None:
    containers = machine()
    containers.requested("r1", "taskmanager_0")
    containers.cancelled("r1")
    assert containers.seen([container(0, "RUNNING")], []) == [Kill("taskmanager_0")]
    assert containers.seen([], [container(0, "KILLED")]) == []


def test_a_request_cannot_be_taken_back_once_its_container_runs() -> None:
    containers = machine()
    containers.requested("r1", "taskmanager_0")
    containers.seen([container(0, "RUNNING")], [])
    assert containers.cancelled("r1") == []


def test_a_released_worker_is_stopped_until_it_is_gone() -> None:
    containers = machine()
    containers.requested("r1", "taskmanager_0")
    containers.seen([container(0, "RUNNING")], [])
    assert containers.released("c0") == [Kill("taskmanager_0")]
    # The order was lost on its way.
    assert containers.seen([container(0, "RUNNING")], []) == [Kill("taskmanager_0")]
    assert [type(effect) for effect in containers.seen([], [container(0, "KILLED")])] == [Ended]
    assert containers.released("c0") == []
    containers.check()


def test_releasing_a_worker_nobody_knows_does_nothing() -> None:
    assert machine().released("c9") == []


class AnyOrder(RuleBasedStateMachine):
    """A cluster that does anything: each worker starts at most once and ends exactly once after that."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = ContainersMachine()
        self.states: list[str] = []
        self.requests = 0
        self.open: set[str] = set()
        self.started: list[str] = []
        self.ended: list[str] = []

    def take(self, effects: list[ContainerEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Started):
                assert effect.worker_id not in self.started
                self.started.append(effect.worker_id)
                if effect.request_id is not None:
                    self.open.remove(effect.request_id)
            elif isinstance(effect, Ended):
                assert effect.worker_id in self.started
                assert effect.worker_id not in self.ended
                self.ended.append(effect.worker_id)
            elif isinstance(effect, RequestFailed):
                self.open.remove(effect.request_id)

    @rule(known=st.booleans())
    def ask(self, known: bool) -> None:
        """A request of ours, or of the submission."""
        self.states.append("REQUESTED")
        if known:
            self.requests += 1
            self.open.add(f"r{self.requests}")
            self.machine.requested(f"r{self.requests}", f"taskmanager_{len(self.states) - 1}")

    @precondition(lambda self: self.states)
    @rule(data=st.data(), to=st.sampled_from(["RUNNING", "FAILED", "KILLED-REQUEST"]))
    def change(self, data: st.DataObject, to: str) -> None:
        number = data.draw(st.integers(0, len(self.states) - 1))
        state = self.states[number]
        if state == "REQUESTED" or (state == "RUNNING" and to == "FAILED"):
            self.states[number] = to

    @rule()
    def look(self) -> None:
        shown = [container(number, state) for number, state in enumerate(self.states)]
        active = [each for each in shown if not each.ended]
        ended = [each for each in shown if each.ended] if self.machine.missing(active) else []
        self.take(self.machine.seen(active, ended))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted(self.open)))
        self.open.discard(request)
        assert self.machine.cancelled(request)

    @precondition(lambda self: self.started)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.take(self.machine.released(data.draw(st.sampled_from(self.started))))

    @invariant()
    def holds(self) -> None:
        self.machine.check()

    def teardown(self) -> None:
        """When all containers have ended, no worker is left and no request is open."""
        self.states = ["FAILED" if state == "RUNNING" else state for state in self.states]
        self.states = ["KILLED-REQUEST" if state == "REQUESTED" else state for state in self.states]
        self.look()
        assert sorted(self.started) == sorted(self.ended)
        assert not self.open


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
