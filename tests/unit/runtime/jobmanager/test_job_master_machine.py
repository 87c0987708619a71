from __future__ import annotations

import pytest

from tests.unit.runtime.jobmanager.graphs import batch, graph, pipeline, vertex
from tests.unit.runtime.jobmanager.job_harness import JobHarness
from yarnflow.errors import JobSubmissionError
from yarnflow.graph.job_graph import Exchange, Partitioning
from yarnflow.runtime.jobmanager import job_views
from yarnflow.runtime.jobmanager.job_master_events import (
    ExecutionReported,
    JobBroken,
    JobStarted,
    MetricsReported,
    ResourcesMissing,
)
from yarnflow.runtime.jobmanager.restart_strategy import FixedDelay
from yarnflow.runtime.rpc.messages import TaskFailure, TaskMetrics
from yarnflow.runtime.states import ExecutionState, JobStatus

FINISHED, RUNNING, CANCELED = ExecutionState.FINISHED, ExecutionState.RUNNING, ExecutionState.CANCELED


def running(job=None, strategy=None, **more) -> JobHarness:
    harness = JobHarness(job or pipeline(), strategy, **more)
    harness.start()
    harness.run_all()
    return harness


# -- the good path ---------------------------------------------------------------------------------------


def test_a_job_asks_for_one_slot_per_sharing_group_and_index():
    harness = JobHarness(graph([vertex("a", 3), vertex("b", 2), vertex("c", 2, "other")], []))
    harness.send(JobStarted())
    assert harness.slots_declared == 5


def test_a_region_deploys_only_when_all_its_slots_are_there():
    harness = JobHarness(pipeline(2))
    harness.send(JobStarted())
    assert set(harness.states()) == {ExecutionState.SCHEDULED}
    harness.grant()
    assert not harness.deployed
    harness.grant()
    assert len(harness.deployed) == 4
    assert set(harness.states()) == {ExecutionState.DEPLOYING}


def test_independent_regions_deploy_as_their_slots_come():
    harness = JobHarness(pipeline(2, Partitioning.FORWARD))
    harness.send(JobStarted())
    harness.grant()
    assert sorted(d.subtask_index for d in harness.deployed.values()) == [0, 0]


def test_deployments_name_every_channel_at_both_ends():
    harness = JobHarness(pipeline(2))
    harness.start()
    sources = [d for d in harness.deployed.values() if d.vertex_id == "source"]
    sinks = [d for d in harness.deployed.values() if d.vertex_id == "sink"]
    out = {c.channel_id for d in sources for o in d.outputs for c in o.channels}
    into = {c.channel_id for d in sinks for i in d.inputs for c in i.channels}
    assert out == into
    assert len(out) == 4
    first = sources[0].outputs[0]
    assert [channel.peer_subtask for channel in first.channels] == [0, 1]
    assert [channel.peer.port for channel in first.channels] == [7000, 7001]
    assert first.max_parallelism == 128


def test_a_job_finishes_when_all_tasks_have_and_gives_its_slots_back():
    harness = running()
    for name in ("source/0", "source/1", "sink/0"):
        harness.report(name, FINISHED)
    assert harness.ended is None
    harness.send(ExecutionReported(harness.execution("sink/1"), FINISHED, accumulators=b"acc"))
    assert harness.ended is JobStatus.FINISHED
    assert sorted(harness.returned) == ["slot-0", "slot-1"]
    assert harness.slots_declared == 0
    assert job_views.result(harness.machine).accumulators == (b"acc",)


def test_a_task_may_finish_before_it_said_that_it_runs():
    harness = JobHarness(pipeline(1))
    harness.start()
    harness.report("source/0", FINISHED)
    harness.report("sink/0", FINISHED)
    assert harness.ended is JobStatus.FINISHED


def test_consumers_of_a_blocking_edge_start_after_all_producers():
    harness = JobHarness(batch(2))
    harness.start()
    assert {d.vertex_id for d in harness.deployed.values()} == {"source"}
    harness.report("source/0", FINISHED)
    assert {d.vertex_id for d in harness.deployed.values()} == {"source"}
    harness.report("source/1", FINISHED)
    assert {d.vertex_id for d in harness.deployed.values()} == {"source", "sink"}


def test_metrics_are_kept_and_summed():
    harness = running()
    harness.send(
        MetricsReported(
            {harness.execution("source/0"): TaskMetrics(5), harness.execution("source/1"): TaskMetrics(7)}
        )
    )
    detail = job_views.detail(harness.machine)
    assert detail.vertices[0].metrics.records_in == 12


def test_a_surplus_slot_is_returned():
    harness = running()
    assert harness.grant() == harness.returned


# -- failures --------------------------------------------------------------------------------------------


def test_without_a_strategy_the_first_failure_fails_the_job():
    harness = running()
    harness.fail("sink/0")
    assert harness.status is JobStatus.FAILING
    assert len(harness.to_cancel) == 3
    harness.confirm_cancels()
    assert harness.ended is JobStatus.FAILED
    result = job_views.result(harness.machine)
    assert result.root_cause is not None
    assert result.root_cause.failure.message == "ValueError: boom"
    assert result.root_cause.vertex_name == "sink"


def test_only_the_failed_region_restarts():
    harness = running(pipeline(2, Partitioning.FORWARD), FixedDelay(1, 5.0))
    harness.fail("sink/0")
    assert harness.status is JobStatus.RESTARTING
    harness.confirm_cancels()
    assert harness.state("source/1") is RUNNING
    harness.pass_time(5.0)
    assert harness.status is JobStatus.RUNNING
    assert [harness.attempt(n) for n in ("source/0", "sink/0", "source/1", "sink/1")] == [1, 1, 0, 0]


def test_failover_strategy_full_restarts_everything():
    harness = running(pipeline(2, Partitioning.FORWARD), FixedDelay(1, 5.0), failover_full=True)
    harness.fail("sink/0")
    harness.confirm_cancels()
    harness.pass_time(5.0)
    assert {subtask.current.attempt for subtask in harness.machine.graph.all} == {1}


def test_an_all_to_all_edge_makes_one_region():
    harness = running(strategy=FixedDelay(1, 0.0))
    harness.fail("source/1")
    harness.confirm_cancels()
    assert {subtask.current.attempt for subtask in harness.machine.graph.all} == {1}
    assert harness.status is JobStatus.RUNNING


def test_the_restart_waits_for_the_delay_and_for_the_cancelled_tasks():
    harness = running(strategy=FixedDelay(1, 5.0))
    harness.fail("sink/0")
    harness.pass_time(6.0)
    assert harness.status is JobStatus.RESTARTING
    harness.confirm_cancels()
    assert harness.status is JobStatus.RUNNING
    assert harness.wake_ups == [105.0]


def test_slots_are_kept_over_a_restart():
    harness = running(strategy=FixedDelay(1, 1.0))
    harness.fail("sink/0")
    harness.confirm_cancels()
    harness.pass_time(1.0)
    assert not harness.returned
    assert harness.state("sink/0") is ExecutionState.DEPLOYING


def test_failed_attempts_are_remembered():
    harness = running(strategy=FixedDelay(1, 0.0))
    harness.fail("sink/0")
    harness.confirm_cancels()
    subtask = job_views.detail(harness.machine).vertices[1].subtasks[0]
    assert subtask.current.attempt == 1
    assert [(earlier.attempt, earlier.state) for earlier in subtask.earlier] == [(0, ExecutionState.FAILED)]
    assert subtask.earlier[0].failure is not None


def test_the_strategy_gives_up_after_its_attempts():
    harness = running(strategy=FixedDelay(1, 0.0))
    harness.fail("sink/0", "first")
    harness.confirm_cancels()
    harness.run_all()
    harness.fail("sink/0", "second")
    harness.confirm_cancels()
    assert harness.ended is JobStatus.FAILED
    assert [entry.failure.message for entry in harness.machine.exceptions] == ["second", "first"]
    assert harness.machine.restart_count == 1


def test_a_failure_that_a_restart_cannot_help_fails_the_job():
    harness = running(strategy=FixedDelay(100, 0.0))
    harness.fail("sink/0", "ImportError: no module", retryable=False)
    assert harness.status is JobStatus.FAILING


def test_late_reports_of_old_attempts_are_ignored():
    harness = running(strategy=FixedDelay(1, 0.0))
    old = harness.execution("sink/1")
    harness.fail("sink/0")
    harness.confirm_cancels()
    assert harness.execution("sink/1") != old
    harness.report(old, ExecutionState.FAILED, TaskFailure("late", "late"))
    harness.report(old, FINISHED)
    assert harness.status is JobStatus.RUNNING
    assert harness.forgotten.count(old) == 1


def test_reports_that_go_backwards_are_ignored():
    harness = running()
    harness.report("source/0", ExecutionState.INITIALIZING)
    assert harness.state("source/0") is RUNNING
    harness.report("source/0", FINISHED)
    harness.report("source/0", RUNNING)
    assert harness.state("source/0") is FINISHED


def test_failures_while_a_region_is_being_cancelled_are_concurrent_and_do_not_count():
    harness = running(strategy=FixedDelay(1, 1.0))
    harness.fail("sink/0", "first")
    harness.fail("source/1", "second")
    harness.confirm_cancels()
    harness.pass_time(1.0)
    assert harness.status is JobStatus.RUNNING
    (entry,) = harness.machine.exceptions
    assert entry.failure.message == "first"
    assert [c.failure.message for c in entry.concurrent] == ["second"]


def test_the_echo_of_a_lost_peer_gives_way_to_the_real_cause():
    harness = running()
    harness.fail("sink/1", "connection lost", secondary=True)
    harness.lose("slot-0", message="killed by signal 9")
    harness.confirm_cancels()
    assert harness.ended is JobStatus.FAILED
    cause = job_views.result(harness.machine).root_cause
    assert cause is not None
    assert cause.failure.message == "killed by signal 9"
    assert [c.failure.message for c in cause.concurrent] == ["connection lost"]


def test_a_failure_in_another_region_during_the_pause_restarts_that_too():
    harness = running(pipeline(2, Partitioning.FORWARD), FixedDelay(2, 5.0))
    harness.fail("sink/0")
    harness.confirm_cancels()
    harness.pass_time(3.0)
    harness.fail("sink/1")
    harness.confirm_cancels()
    harness.pass_time(2.0)
    assert harness.attempt("sink/0") == 1
    assert harness.attempt("sink/1") == 0
    assert harness.status is JobStatus.RESTARTING
    harness.pass_time(3.0)
    assert harness.attempt("sink/1") == 1
    assert harness.status is JobStatus.RUNNING


def test_a_failure_during_the_pause_that_the_strategy_refuses_fails_the_job():
    harness = running(pipeline(2, Partitioning.FORWARD), FixedDelay(1, 5.0))
    harness.fail("sink/0")
    harness.confirm_cancels()
    harness.fail("sink/1")
    harness.confirm_cancels()
    assert harness.ended is JobStatus.FAILED


def test_blocking_consumers_and_their_producers_restart_together():
    harness = JobHarness(batch(1), FixedDelay(1, 0.0))
    harness.start()
    harness.report("source/0", FINISHED)
    harness.report("sink/0", RUNNING)
    harness.fail("sink/0")
    assert harness.attempt("source/0") == 1
    assert harness.state("source/0") is ExecutionState.DEPLOYING
    assert harness.state("sink/0") is ExecutionState.CREATED


# -- slots and TaskManagers ------------------------------------------------------------------------------


def test_a_lost_slot_fails_its_tasks_and_is_asked_for_again():
    harness = running(strategy=FixedDelay(1, 1.0))
    before = harness.declarations
    harness.lose("slot-0")
    assert harness.status is JobStatus.RESTARTING
    assert harness.declarations > before
    harness.confirm_cancels()
    harness.pass_time(1.0)
    assert set(harness.states()) == {ExecutionState.SCHEDULED}
    harness.grant()
    assert set(harness.states()) == {ExecutionState.DEPLOYING}


def test_a_taskmanager_lost_while_deploying():
    harness = JobHarness(pipeline(2), FixedDelay(1, 1.0))
    harness.start()
    harness.lose("slot-0", "slot-1", message="TaskManager tm was lost")
    assert not harness.machine.slots
    assert harness.status is JobStatus.RESTARTING
    assert harness.machine.restart_count == 1
    assert not harness.to_cancel
    harness.pass_time(1.0)
    harness.grant(2)
    harness.run_all()
    for name in ("source/0", "source/1", "sink/0", "sink/1"):
        harness.report(name, FINISHED)
    assert harness.ended is JobStatus.FINISHED


def test_a_slot_lost_before_its_region_was_deployed_costs_no_restart():
    harness = JobHarness(pipeline(2))
    harness.send(JobStarted())
    harness.grant()
    harness.lose("slot-0")
    assert harness.status is JobStatus.RUNNING
    harness.grant(2)
    assert len(harness.deployed) == 4


def test_a_slot_lost_while_cancelling_counts_as_cancelled():
    harness = running()
    harness.cancel()
    harness.lose("slot-0", "slot-1")
    assert harness.ended is JobStatus.CANCELED


def test_a_slot_that_cannot_be_prepared_fails_the_job():
    harness = JobHarness(pipeline(1))
    harness.send(JobStarted())
    harness.lose("never-granted", message="requirements cannot be installed")
    assert harness.ended is JobStatus.FAILED
    assert harness.machine.exceptions[0].failure.message == "requirements cannot be installed"


def test_missing_resources_fail_the_job_with_their_explanation():
    harness = JobHarness(pipeline(2))
    harness.send(JobStarted())
    harness.grant()
    harness.send(ResourcesMissing("job job needs 2 slots, 1 available"))
    assert harness.ended is JobStatus.FAILED
    assert "needs 2 slots" in harness.machine.exceptions[0].failure.message
    assert harness.returned == ["slot-0"]


def test_missing_resources_restart_the_job_when_the_strategy_allows():
    harness = JobHarness(pipeline(1), FixedDelay(1, 1.0))
    harness.send(JobStarted())
    harness.send(ResourcesMissing("none"))
    declared = harness.declarations
    harness.pass_time(1.0)
    assert harness.declarations == declared + 1, "the time allowed for slots begins anew"
    harness.grant()
    assert harness.state("source/0") is ExecutionState.DEPLOYING


# -- cancel and end --------------------------------------------------------------------------------------


def test_cancel_while_waiting_for_slots_ends_at_once():
    harness = JobHarness(pipeline(2))
    harness.send(JobStarted())
    harness.grant()
    harness.cancel()
    assert harness.ended is JobStatus.CANCELED
    assert harness.returned == ["slot-0"]


def test_cancel_waits_for_the_tasks():
    harness = running()
    harness.cancel()
    assert harness.status is JobStatus.CANCELLING
    assert len(harness.to_cancel) == 4
    harness.cancel()
    assert len(harness.to_cancel) == 4
    harness.confirm_cancels()
    assert harness.ended is JobStatus.CANCELED


def test_a_task_that_finished_just_before_its_cancel_counts_as_cancelled():
    harness = running()
    harness.cancel()
    for name in ("source/0", "source/1", "sink/0", "sink/1"):
        harness.report(name, FINISHED)
    assert harness.ended is JobStatus.CANCELED
    assert set(harness.states()) == {CANCELED}


def test_failures_while_cancelling_do_not_matter():
    harness = running(strategy=FixedDelay(10, 0.0))
    harness.cancel()
    harness.fail("sink/0")
    harness.to_cancel.remove(harness.execution("sink/0"))
    harness.confirm_cancels()
    assert harness.ended is JobStatus.CANCELED
    assert not harness.machine.exceptions


def test_cancel_during_the_pause_before_a_restart():
    harness = running(strategy=FixedDelay(1, 60.0))
    harness.fail("sink/0")
    harness.confirm_cancels()
    harness.cancel()
    assert harness.ended is JobStatus.CANCELED
    harness.pass_time(60.0)
    assert harness.status is JobStatus.CANCELED


def test_cancel_while_failing():
    harness = running()
    harness.fail("sink/0")
    harness.cancel()
    harness.confirm_cancels()
    assert harness.ended is JobStatus.CANCELED


def test_a_job_that_broke_for_a_while_restarts_as_a_whole():
    harness = running(strategy=FixedDelay(10, 0.0))
    before = len(harness.deployed)
    harness.send(JobBroken(TaskFailure("3 checkpoints failed in a row", "")))
    assert harness.status is JobStatus.RESTARTING
    harness.confirm_cancels()
    harness.pass_time(1.0)
    assert harness.status is JobStatus.RUNNING
    assert len(harness.deployed) == 2 * before


def test_a_broken_job_fails_without_restart():
    harness = running(strategy=FixedDelay(10, 0.0))
    harness.send(JobBroken(TaskFailure("results would come twice", "", retryable=False)))
    harness.confirm_cancels()
    assert harness.ended is JobStatus.FAILED


def test_nothing_wakes_an_ended_job():
    harness = running()
    harness.cancel()
    harness.confirm_cancels()
    harness.fail("sink/0")
    harness.lose("slot-0")
    harness.cancel()
    harness.send(JobStarted())
    assert harness.status is JobStatus.CANCELED
    assert harness.grant() == harness.returned[-1:]


def test_transitions_are_logged_with_their_cause():
    harness = running()
    harness.fail("sink/0")
    log = [(what, cause) for _, what, cause in harness.machine.log.as_tuples()]
    assert ("job CREATED -> RUNNING", "job started") in log
    assert ("sink (1/2) attempt 0: RUNNING -> FAILED", "ValueError: boom") in log


@pytest.mark.parametrize(
    ("vertices", "edges", "text"),
    [
        ([], [], "no operators"),
        ([vertex("a", 1), vertex("a", 1)], [], "same id"),
        ([vertex("a", 0)], [], "parallelism 0"),
        ([vertex("a", 1)], [("a", "b")], "not a vertex"),
        ([vertex("a", 1), vertex("b", 1)], [("b", "a")], "backwards"),
    ],
)
def test_contradictory_graphs_are_refused(vertices, edges, text):
    full = [(source, target, Partitioning.HASH, Exchange.PIPELINED) for source, target in edges]
    with pytest.raises(JobSubmissionError, match=text):
        JobHarness(graph(vertices, full))


def test_a_worker_cannot_begin_to_cancel_a_task():
    harness = running()
    harness.report("source/0", ExecutionState.CANCELING)
    assert harness.state("source/0") is RUNNING
    harness.report("source/0", CANCELED)
    harness.confirm_cancels()
    assert harness.ended is JobStatus.FAILED
    assert "not by the JobManager" in harness.machine.exceptions[0].failure.message


def test_a_finished_result_that_is_lost_before_its_consumer_starts_is_made_again():
    job = graph(
        [vertex("quick", 2), vertex("slow", 2), vertex("sink", 2)],
        [
            ("quick", "sink", Partitioning.HASH, Exchange.BLOCKING),
            ("slow", "sink", Partitioning.HASH, Exchange.BLOCKING),
        ],
    )
    harness = JobHarness(job, FixedDelay(3, 1.0))
    harness.start()
    harness.run_all()
    for name in ("quick/0", "quick/1", "slow/1"):
        harness.report(name, FINISHED)
    # The worker with two finished results dies; nothing runs there any more.
    harness.lose(harness.machine.assigned["default", 1])
    assert harness.status is JobStatus.RESTARTING
    assert "killed by signal 9" in harness.machine.exceptions[0].failure.message
    harness.confirm_cancels()
    harness.grant(1)
    harness.pass_time(1.1)
    assert harness.status is JobStatus.RUNNING
    assert harness.attempt("quick/1") == harness.attempt("quick/0") == 1
    harness.run_all()
    for name in ("quick/0", "quick/1", "slow/0", "slow/1"):
        harness.report(name, FINISHED)
    harness.run_all()
    for name in ("sink/0", "sink/1"):
        harness.report(name, FINISHED)
    assert harness.ended is JobStatus.FINISHED


def test_losing_a_slot_whose_results_were_all_read_is_no_failure():
    job = graph(
        [vertex("source", 2), vertex("sink", 1), vertex("other", 1)],
        [("source", "sink", Partitioning.REBALANCE, Exchange.BLOCKING)],
    )
    harness = JobHarness(job)
    harness.start()
    harness.run_all()
    for name in ("source/0", "source/1", "sink/0"):
        harness.run_all()
        harness.report(name, FINISHED)
    harness.lose(harness.machine.assigned["default", 1])
    assert harness.status is JobStatus.RUNNING
    harness.report("other/0", FINISHED)
    assert harness.ended is JobStatus.FINISHED
