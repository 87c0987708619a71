"""Random schedules of acknowledgements, faults and requests: what is complete stays whole and readable."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.runtime.checkpoint.coordinator_harness import CoordinatorHarness, settings
from tests.unit.runtime.jobmanager.graphs import graph, vertex
from yarnflow.graph.job_graph import Exchange, Partitioning
from yarnflow.runtime.checkpoint.coordinator_events import RestoreFailed, SnapshotRequested
from yarnflow.runtime.checkpoint.paths import below
from yarnflow.runtime.checkpoint.store import paths_of
from yarnflow.runtime.rpc.checkpoint_messages import StopMode
from yarnflow.runtime.states import ExecutionState, JobStatus


class CoordinatorUnderFaults(RuleBasedStateMachine):
    """Two sources, a forward and a hash edge; a storage and tasks that do anything."""

    def __init__(self) -> None:
        super().__init__()
        job = graph(
            [vertex("a", 2), vertex("b", 2), vertex("c", 1)],
            [
                ("a", "b", Partitioning.FORWARD, Exchange.PIPELINED),
                ("b", "c", Partitioning.HASH, Exchange.PIPELINED),
            ],
        )
        self.harness = CoordinatorHarness(
            job, settings(num_retained=2, max_concurrent=2, tolerable_failures=2, timeout=25.0)
        )
        #: (subtask, attempt, checkpoint) that has acknowledged.
        self.acknowledged: set[tuple[str, str, int]] = set()
        self.given_up: set[int] = set()
        self.requests = 0
        self.harness.run()

    @property
    def live(self) -> list[str]:
        return [name for name in self.harness.names if self.state(name) is ExecutionState.RUNNING]

    def state(self, name: str) -> ExecutionState:
        return self.harness.machine.tasks.all[self.harness.key(name)].state

    # -- what may happen ---------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.2, 5.0, 10.0]))
    def pass_time(self, seconds) -> None:
        self.harness.pass_time(seconds)

    @rule()
    def make_directories(self) -> None:
        self.harness.make_directories()

    @rule(number=st.integers(1, 12), data=st.data(), ended=st.booleans())
    def acknowledge(self, number, data, ended) -> None:
        name = data.draw(st.sampled_from(self.harness.names))
        if self.state(name) is not ExecutionState.RUNNING:
            return
        self.acknowledged.add((name, self.harness.execution(name), number))
        ended = ended and self.harness.machine.tasks.all[self.harness.key(name)].input_ended
        self.harness.acknowledge(number, name, ended=ended)

    @rule(times=st.integers(1, 4))
    def take_checkpoints(self, times) -> None:
        for _ in range(times):
            self.harness.pass_time(10.0)
            for number in sorted(self.harness.machine.pending):
                self.acknowledge_by_all(number)
            self.publish()

    def acknowledge_by_all(self, number) -> None:
        """As incremental checkpoints do: a file is used by some checkpoints in a row."""
        self.harness.make_directories()
        for name in self.live:
            self.acknowledged.add((name, self.harness.execution(name), number))
            files = (f"{name.replace('/', '-')}-{number // 3}", f"{name.replace('/', '-')}-{number // 2}-of-2")
            ended = self.harness.machine.tasks.all[self.harness.key(name)].input_ended
            self.harness.acknowledge(number, name, ended=ended, shared=files)

    @rule()
    def publish(self) -> None:
        for checkpoint in self.harness.to_publish:
            if checkpoint.checkpoint_id in self.harness.machine.pending:
                expected = {
                    (name, self.harness.execution(name), checkpoint.checkpoint_id) for name in self.live
                }
                assert expected <= self.acknowledged, "complete, but a running task has not acknowledged"
        self.harness.publish()

    @precondition(lambda self: self.harness.machine.pending)
    @rule(data=st.data())
    def decline(self, data) -> None:
        number = data.draw(st.sampled_from(sorted(self.harness.machine.pending)))
        self.harness.decline(number, data.draw(st.sampled_from(self.harness.names)))

    @precondition(lambda self: self.harness.machine.pending)
    @rule(data=st.data())
    def fail_storage(self, data) -> None:
        number = data.draw(st.sampled_from(sorted(self.harness.machine.pending)))
        self.harness.to_publish = [each for each in self.harness.to_publish if each.checkpoint_id != number]
        self.harness.to_make = [each for each in self.harness.to_make if each != number]
        self.harness.fail_storage(number)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def fail_over(self, data) -> None:
        self.harness.fail_over(data.draw(st.sampled_from(self.live)))
        self.harness.to_make.clear()

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def end_input(self, data) -> None:
        self.harness.end_input(data.draw(st.sampled_from(self.live)))

    @rule()
    def finish_what_is_covered(self) -> None:
        for name in self.live:
            if self.harness.machine.tasks.all[self.harness.key(name)].covered and len(self.live) > 1:
                self.harness.task_moves(name, ExecutionState.FINISHED)

    @rule(stop=st.sampled_from(list(StopMode)), savepoint=st.booleans())
    def request(self, stop, savepoint) -> None:
        self.requests += 1
        if savepoint:
            self.harness.savepoint(stop, request=str(self.requests))
        else:
            self.harness.send(SnapshotRequested(str(self.requests), False))

    @precondition(lambda self: len(self.harness.machine.store.retained) > 1 and self.live)
    @rule(data=st.data())
    def find_state_damaged(self, data) -> None:
        name = data.draw(st.sampled_from(self.live))
        latest = self.harness.machine.store.latest.checkpoint_id
        if self.harness.machine.tasks.all[self.harness.key(name)].restored_from == latest:
            self.given_up.add(latest)
            self.harness.send(RestoreFailed(self.harness.execution(name), "damaged"))
            self.harness.fail_over(name)

    # -- what must hold ----------------------------------------------------------------------------------

    @invariant()
    def checkpoints_complete_in_order(self) -> None:
        assert self.harness.done == sorted(set(self.harness.done))

    @invariant()
    def restored_is_the_newest_that_is_complete_and_readable(self) -> None:
        latest = self.harness.machine.store.latest
        readable = [number for number in self.harness.done if number not in self.given_up]
        if latest is not None:
            assert latest.checkpoint_id == readable[-1]
        else:
            assert not readable

    @invariant()
    def no_file_of_a_retained_checkpoint_is_deleted(self) -> None:
        deleted = self.harness.deleted
        for checkpoint in self.harness.machine.store.retained:
            for path in (*paths_of(checkpoint), f"{checkpoint.directory}/_metadata"):
                assert not any(path == gone or below(gone, path) for gone in deleted), path

    @invariant()
    def no_savepoint_that_succeeded_is_deleted(self) -> None:
        for outcome in self.harness.machine.requests.values():
            if outcome.done and not outcome.failure and "savepoint" in outcome.location:
                assert outcome.location not in self.harness.deleted

    @invariant()
    def the_job_fails_only_after_more_failures_than_tolerable(self) -> None:
        counted = sum("failed" in note.what for note in self.harness.notes)
        in_a_row = [failure for failure in self.harness.failures if "in a row" in failure.reason]
        assert 3 * len(in_a_row) <= counted

    @invariant()
    def something_will_wake_it(self) -> None:
        for pending in self.harness.machine.pending.values():
            assert any(wake <= pending.deadline for wake in self.harness.wakes if wake > self.harness.now)

    def teardown(self) -> None:
        """A cluster that behaves from now on completes a checkpoint; the job's end leaves nothing pending."""
        harness = self.harness
        harness.fail_over(harness.names[0])  # ends whatever somebody stopped
        harness.to_make.clear()
        harness.to_publish.clear()
        done = len(harness.done)
        harness.pass_time(11.0)
        for number in list(harness.to_make):
            harness.take(number)
        assert len(harness.done) > done
        harness.job_moves(JobStatus.CANCELED)
        assert harness.machine.pending == {}
        assert all(outcome.done for outcome in harness.machine.requests.values())


TestCoordinatorUnderFaults = CoordinatorUnderFaults.TestCase
TestCoordinatorUnderFaults.settings = hypothesis_settings(
    max_examples=80, stateful_step_count=40, deadline=None
)
