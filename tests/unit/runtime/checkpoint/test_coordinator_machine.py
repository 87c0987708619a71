"""The coordinator's decisions, one story per test."""

from __future__ import annotations

import pytest

from tests.unit.runtime.checkpoint.coordinator_harness import CoordinatorHarness, settings
from tests.unit.runtime.checkpoint.states import checkpoint, keyed_operator
from tests.unit.runtime.jobmanager.graphs import pipeline
from yarnflow.config.checkpointing import CheckpointRetention
from yarnflow.graph.job_graph import Partitioning
from yarnflow.runtime.checkpoint.coordinator_events import RestoreFailed, SnapshotRequested
from yarnflow.runtime.checkpoint.statistics import CheckpointStatus
from yarnflow.runtime.rpc.checkpoint_messages import CheckpointDeclined, StopMode
from yarnflow.runtime.states import ExecutionState, JobStatus


def running(partitioning=Partitioning.HASH, parallelism=2, restored=None, **changes):
    job = pipeline(parallelism, partitioning)
    return CoordinatorHarness(job, settings(**changes), restored).run()


def begun(**changes):
    """Checkpoint 1 has been triggered."""
    harness = running(**changes)
    harness.pass_time(10)
    harness.make_directories()
    return harness


# -- when ------------------------------------------------------------------------------------------------


def test_the_first_checkpoint_comes_an_interval_after_all_tasks_run():
    harness = CoordinatorHarness(pipeline(2))
    harness.job_moves(JobStatus.RUNNING)
    for name in harness.names[:-1]:
        harness.task_moves(name, ExecutionState.RUNNING)
    harness.pass_time(100)
    assert harness.to_make == []
    harness.task_moves(harness.names[-1], ExecutionState.RUNNING)
    harness.pass_time(9)
    assert harness.to_make == []
    harness.pass_time(1)
    assert harness.to_make == [1]


def test_only_sources_are_triggered_and_only_when_the_directory_is_there():
    harness = running()
    harness.pass_time(10)
    assert harness.triggered == []
    harness.make_directories()
    assert [name for name, _ in harness.triggered] == ["source/0", "source/1"]
    message = harness.triggered[0][1]
    assert message.directory == "file:///c/job/chk-1"
    assert message.timestamp == int(harness.now * 1000)
    assert not message.savepoint
    assert message.stop is StopMode.NO


def test_without_an_interval_none_is_taken_but_on_request():
    harness = running(interval=None)
    harness.pass_time(1000)
    assert harness.to_make == []
    harness.send(SnapshotRequested("r", False))
    harness.take(1)
    assert harness.outcome().location == "file:///c/job/chk-1"
    assert harness.retained == [1]


def test_without_a_directory_state_stays_here():
    harness = running(directory="")
    harness.pass_time(10)
    assert harness.triggered[0][1].directory == ""
    harness.acknowledge(1)
    assert harness.done == [1]
    assert harness.to_publish == []
    assert harness.machine.restore("source", 0).checkpoint_id == 1


def test_the_next_is_not_begun_before_the_one_under_way_has_ended():
    harness = begun()
    harness.pass_time(30)
    assert harness.to_make == []
    harness.take(1)
    assert harness.to_make == [2], "it was due long ago"


def test_several_may_be_under_way():
    harness = begun(max_concurrent=2)
    harness.pass_time(10)
    assert harness.to_make == [2]
    harness.pass_time(10)
    assert harness.to_make == [2]


def test_the_pause_counts_from_the_end_of_the_one_before():
    harness = begun(min_pause=5.0)
    harness.pass_time(20)
    harness.take(1)
    harness.pass_time(4)
    assert harness.to_make == []
    harness.pass_time(1)
    assert harness.to_make == [2]


def test_ids_continue_after_a_restore():
    harness = running(restored=checkpoint(keyed_operator("source-op", 2), number=41))
    harness.pass_time(10)
    assert harness.to_make == [42]
    assert harness.machine.statistics.view().restored.checkpoint_id == 41


# -- complete --------------------------------------------------------------------------------------------


def test_it_is_complete_when_all_have_acknowledged_and_the_metadata_is_stored():
    harness = begun()
    harness.acknowledge(1, *harness.names[:-1])
    assert harness.to_publish == []
    harness.acknowledge(1, harness.names[-1])
    assert (harness.done, harness.completed) == ([], [])
    (published,) = harness.to_publish
    assert [operator.operator_id for operator in published.operators] == ["source-op", "sink-op"]
    assert sorted(published.operators[0].subtasks) == [0, 1]
    harness.publish()
    assert harness.done == [1]
    assert sorted(harness.completed) == [(name, 1) for name in sorted(harness.names)]
    assert harness.retained == [1]
    view = harness.machine.statistics.view()
    assert (view.completed_count, view.latest_completed.size, view.latest_completed.uploaded) == (1, 40, 40)
    assert view.latest_completed.path == "file:///c/job/chk-1"


def test_acknowledging_twice_is_acknowledging_once():
    harness = begun()
    harness.acknowledge(1, "source/0")
    harness.acknowledge(1, "source/0")
    harness.acknowledge(1, "source/1", "sink/0")
    assert harness.to_publish == []


def test_older_checkpoints_go():
    harness = running(num_retained=2)
    for number in (1, 2, 3):
        harness.pass_time(10)
        harness.take(number)
    assert harness.retained == [2, 3]
    assert harness.deleted == ["file:///c/job/chk-1"]


def test_a_shared_file_goes_with_the_last_checkpoint_that_names_it():
    harness = running()
    harness.pass_time(10)
    harness.take(1, shared=("a", "b"))
    harness.pass_time(10)
    harness.take(2, shared=("b", "c"))
    assert harness.deleted == ["file:///c/job/chk-1", "file:///c/job/shared/a"]
    harness.pass_time(10)
    harness.take(3, shared=("c",))
    assert harness.deleted[2:] == ["file:///c/job/chk-2", "file:///c/job/shared/b"]


def test_a_later_one_that_completes_first_subsumes_the_earlier():
    harness = begun(max_concurrent=2)
    harness.pass_time(10)
    harness.take(2)
    assert harness.done == [2]
    assert ("source/0", 1) in harness.aborted
    harness.acknowledge(1)
    assert harness.done == [2]


# -- faults ----------------------------------------------------------------------------------------------


def test_a_declined_checkpoint_fails_and_the_job_goes_on_while_that_is_tolerable():
    harness = begun(tolerable_failures=1)
    harness.decline(1)
    assert harness.failures == []
    assert sorted(harness.aborted) == [(name, 1) for name in sorted(harness.names)]
    assert harness.deleted == ["file:///c/job/chk-1"]
    harness.pass_time(10)
    harness.make_directories()
    harness.decline(2, reason="No space left on device: chk-2")
    (failure,) = harness.failures
    assert "2 checkpoints failed in a row" in failure.reason
    assert "sink (1/2): No space left on device: chk-2" in failure.reason
    assert failure.retryable


def test_state_that_can_never_be_stored_ends_the_job_without_a_restart():
    harness = begun(tolerable_failures=0)
    declined = CheckpointDeclined(harness.execution("sink/0"), 1, "cannot pickle a lock", retryable=False)
    harness.send(declined)
    (failure,) = harness.failures
    assert "sink (1/2): cannot pickle a lock" in failure.reason
    assert not failure.retryable


def test_what_tasks_wrote_while_the_job_was_cancelled_does_not_stay():
    harness = begun(retention=CheckpointRetention.RETAIN_ON_CANCELLATION)
    harness.acknowledge(1, *harness.names)
    harness.publish()
    harness.pass_time(10)
    harness.make_directories()
    harness.job_moves(JobStatus.CANCELLING)
    harness.deleted.clear()
    harness.job_moves(JobStatus.CANCELED)
    assert harness.deleted == ["file:///c/job/chk-2"]
    assert harness.retained == [1]


def test_a_checkpoint_that_a_newer_one_has_overtaken_has_not_failed():
    harness = begun(tolerable_failures=0)
    harness.send(CheckpointDeclined(harness.execution("sink/0"), 1, "checkpoint 2 came first", subsumed=True))
    assert (harness.failures, harness.notes) == ([], [])
    harness.pass_time(10)
    harness.make_directories()
    harness.acknowledge(2)
    harness.publish()
    assert harness.retained == [2]


def test_only_failures_in_a_row_count():
    harness = begun(tolerable_failures=1)
    harness.decline(1)
    harness.pass_time(10)
    harness.take(2)
    harness.pass_time(10)
    harness.make_directories()
    harness.decline(3)
    assert harness.failures == []


@pytest.mark.parametrize("when", ["making the directory", "publishing"])
def test_a_storage_that_fails_is_a_failed_checkpoint(when):
    harness = running()
    harness.pass_time(10)
    if when == "publishing":
        harness.make_directories()
        harness.acknowledge(1)
    harness.fail_storage(1, "OSError: disk full")
    assert "disk full" in harness.failures[0].reason
    assert harness.machine.pending == {}
    assert harness.done == []


def test_a_checkpoint_that_takes_too_long_is_given_up():
    harness = begun()
    harness.acknowledge(1, "source/0", "source/1", "sink/1")
    harness.pass_time(59)
    assert 1 in harness.machine.pending
    harness.pass_time(1)
    assert "longer than 60 s" in harness.failures[0].reason
    assert "sink (1/2)" in harness.failures[0].reason


def test_a_failing_task_aborts_what_is_under_way_and_is_no_failed_checkpoint():
    harness = begun()
    harness.fail_over()
    assert harness.failures == []
    assert harness.machine.pending == {}
    harness.pass_time(9)
    assert harness.to_make == []
    harness.pass_time(1)
    assert harness.to_make == [2]


def test_an_abort_while_publishing_is_final():
    harness = begun()
    harness.acknowledge(1)
    harness.task_moves("sink/0", ExecutionState.FAILED)
    harness.publish()
    assert harness.done == []
    assert harness.retained == []


def test_what_a_former_attempt_says_counts_for_nothing():
    harness = begun()
    message_of_old = harness.execution("sink/0")
    harness.fail_over()
    harness.pass_time(10)
    harness.make_directories()
    harness.attempts["sink/0"] -= 1
    assert harness.execution("sink/0") == message_of_old
    harness.acknowledge(2, "sink/0")
    harness.decline(2, "sink/0")
    harness.attempts["sink/0"] += 1
    assert ("sink", 0) in harness.machine.pending[2].waiting


def test_what_is_written_too_late_is_deleted():
    harness = begun(tolerable_failures=5)
    harness.decline(1)
    harness.deleted.clear()
    harness.acknowledge(1, "sink/1")
    assert harness.deleted == ["file:///c/job/chk-1"]


def test_shared_files_of_an_aborted_checkpoint_go_unless_a_complete_one_names_them():
    harness = running(tolerable_failures=5)
    harness.pass_time(10)
    harness.take(1, shared=("a",))
    harness.pass_time(10)
    harness.make_directories()
    harness.acknowledge(2, "source/0", shared=("a", "b"))
    harness.decline(2)
    assert harness.deleted == ["file:///c/job/chk-2", "file:///c/job/shared/b"]
    harness.acknowledge(2, "sink/1", shared=("a", "c"))
    assert harness.deleted[2:] == ["file:///c/job/chk-2", "file:///c/job/shared/c"]


def test_restarted_tasks_start_from_the_newest_complete_checkpoint():
    harness = running(num_retained=2)
    assert harness.machine.restore("source", 0) is None
    for number in (1, 2):
        harness.pass_time(10)
        harness.take(number)
    harness.fail_over()
    restore = harness.machine.restore("source", 1)
    assert restore.checkpoint_id == 2
    assert restore.directory == "file:///c/job/chk-2"
    assert list(restore.operators) == ["source-op"]


def test_a_damaged_checkpoint_is_given_up_for_the_one_before():
    harness = running(num_retained=2)
    for number in (1, 2):
        harness.pass_time(10)
        harness.take(number)
    harness.fail_over()
    for name in ("source/0", "source/1"):  # both notice
        harness.send(RestoreFailed(harness.execution(name), "chk-2/source-0 has another checksum"))
    assert harness.retained == [1]
    (note,) = harness.notes
    assert "chk-2 cannot be read: going back to the checkpoint file:///c/job/chk-1" in note.what
    assert "checksum" in note.cause
    harness.fail_over()
    assert harness.machine.restore("source", 0).checkpoint_id == 1
    harness.pass_time(10)
    assert harness.to_make == [3]


def test_without_an_earlier_checkpoint_a_damaged_one_ends_the_job():
    harness = running()
    harness.pass_time(10)
    harness.take(1)
    harness.fail_over()
    harness.send(RestoreFailed(harness.execution("source/0"), "chk-1/source-0 is missing"))
    (failure,) = harness.failures
    assert not failure.retryable
    assert "chk-1/source-0 is missing" in failure.reason
    assert "num-retained: 1" in failure.reason


# -- the end of input ------------------------------------------------------------------------------------


def test_when_all_input_has_ended_the_last_checkpoint_is_taken_at_once():
    harness = running()
    harness.end_input(*harness.names[:-1])
    assert harness.to_make == []
    harness.end_input(harness.names[-1])
    assert harness.to_make == [1]
    harness.take(1, ended=True)
    harness.pass_time(100)
    assert harness.to_make == [], "all are covered and about to finish"
    for name in harness.names:
        harness.task_moves(name, ExecutionState.FINISHED)
    harness.job_moves(JobStatus.FINISHED)
    assert harness.deleted == ["file:///c/job"]


def test_one_that_was_begun_before_the_end_does_not_cover_it():
    harness = begun()
    harness.acknowledge(1, "source/0", "source/1")
    harness.end_input()
    harness.acknowledge(1, "sink/0", "sink/1", ended=True)
    harness.publish()
    assert harness.to_make == [] or harness.to_make == [2]
    harness.pass_time(0.2)
    assert harness.to_make == [2]


def test_finished_tasks_count_with_what_they_stored_last():
    harness = running(partitioning=Partitioning.FORWARD)
    harness.pass_time(10)
    harness.end_input("source/0", "sink/0")
    harness.make_directories()
    harness.acknowledge(1, "source/0", "sink/0", ended=True)
    harness.acknowledge(1, "source/1", "sink/1")
    harness.publish()
    for name in ("source/0", "sink/0"):
        harness.task_moves(name, ExecutionState.FINISHED)
    harness.triggered.clear()
    harness.pass_time(10)
    harness.make_directories()
    assert [name for name, _ in harness.triggered] == ["source/1"]
    harness.acknowledge(2, "source/1", "sink/1")
    (published,) = harness.to_publish
    harness.publish()
    source = published.operator("source-op")
    assert source.ended == (0,)
    assert source.subtasks[0].blocks[0].path == "file:///c/job/chk-1/source-0"
    # Its directory stays while that file is used; everything else in it goes.
    assert harness.deleted == [
        "file:///c/job/chk-1/_metadata",
        "file:///c/job/chk-1/sink-1",
        "file:///c/job/chk-1/source-1",
    ]


def test_a_task_that_finishes_before_its_barrier_counts_as_done():
    harness = running(partitioning=Partitioning.FORWARD)
    harness.pass_time(10)
    harness.end_input("source/0", "sink/0")
    harness.make_directories()
    harness.acknowledge(1, "source/0", "sink/0", ended=True)
    harness.acknowledge(1, "source/1", "sink/1")
    harness.publish()
    harness.pass_time(10)
    harness.make_directories()
    harness.triggered.clear()
    harness.task_moves("source/0", ExecutionState.FINISHED)
    assert [name for name, _ in harness.triggered] == ["sink/0"], "nobody sends it a barrier any more"
    harness.acknowledge(2, "sink/0", ended=True)
    harness.acknowledge(2, "source/1", "sink/1")
    assert harness.to_publish[0].operator("source-op").ended == (0,)
    harness.publish()
    assert harness.done == [1, 2]


@pytest.mark.parametrize("stop", [StopMode.NO, StopMode.SUSPEND, StopMode.DRAIN])
def test_a_savepoint_is_taken_although_a_task_finishes_meanwhile(stop):
    """As a subtask does at once that has no split, when no checkpoints are taken by themselves."""
    harness = running(interval=None)
    harness.savepoint(stop)
    harness.task_moves("source/0", ExecutionState.FINISHED)
    harness.make_directories()
    assert [name for name, _ in harness.triggered] == ["source/1"]
    harness.acknowledge(1, "source/1", "sink/0", "sink/1")
    assert harness.to_publish[0].operator("source-op").ended == (0,)
    harness.publish()
    assert harness.failures == []
    assert [number for _, number in harness.completed] == ([] if stop is StopMode.NO else [1, 1, 1])


def test_what_a_task_stored_before_its_end_is_no_part_of_a_later_savepoint():
    """Its successor would begin there once more."""
    harness = running(interval=None)
    harness.send(SnapshotRequested("c", False))
    harness.take(1)
    harness.task_moves("source/0", ExecutionState.FINISHED)
    harness.savepoint()
    harness.make_directories()
    harness.acknowledge(2, "source/1", "sink/0", "sink/1")
    source = harness.to_publish[0].operator("source-op")
    assert source.ended == (0,)
    assert list(source.subtasks) == [1]


def test_behind_finished_sources_the_next_tasks_are_triggered():
    harness = running()
    harness.pass_time(10)
    harness.end_input("source/0", "source/1")
    harness.make_directories()
    harness.acknowledge(1, "source/0", "source/1", ended=True)
    harness.acknowledge(1, "sink/0", "sink/1")
    harness.publish()
    for name in ("source/0", "source/1"):
        harness.task_moves(name, ExecutionState.FINISHED)
    harness.triggered.clear()
    harness.pass_time(10)
    harness.make_directories()
    assert [name for name, _ in harness.triggered] == ["sink/0", "sink/1"]


def test_a_last_checkpoint_that_fails_is_tried_again_after_a_pause():
    harness = running(tolerable_failures=3)
    harness.end_input()
    harness.fail_storage(1)
    assert harness.to_make == [1], "not at once"
    harness.pass_time(1)
    assert harness.to_make == [1, 2]


# -- savepoints ------------------------------------------------------------------------------------------


def test_a_savepoint_has_no_effect_on_the_job():
    harness = running()
    harness.savepoint()
    assert not harness.outcome().done
    harness.make_directories()
    assert all(message.savepoint for _, message in harness.triggered)
    harness.acknowledge(1)
    harness.publish()
    assert harness.outcome().location == "file:///s/savepoint-r"
    assert (harness.completed, harness.retained, harness.done) == ([], [], [])
    assert sorted(harness.aborted) == [(name, 1) for name in sorted(harness.names)], "nothing is committed"
    assert harness.machine.statistics.view().latest_savepoint.checkpoint_id == 1


def test_a_savepoint_that_fails_says_why_and_does_not_count():
    harness = running()
    harness.savepoint()
    harness.make_directories()
    harness.decline(1)
    assert harness.failures == []
    assert "No space left on device" in harness.outcome().failure
    assert harness.deleted == ["file:///s/savepoint-r"]


def test_a_request_that_comes_twice_is_one_request():
    harness = running()
    harness.savepoint()
    harness.savepoint()
    assert harness.to_make == [1]
    harness.take(1)
    harness.savepoint()
    assert harness.to_make == []
    assert harness.outcome().location


def test_no_savepoint_of_a_job_that_does_not_run():
    harness = running()
    harness.task_moves("sink/0", ExecutionState.FAILED)
    harness.savepoint()
    assert "not all tasks are running" in harness.outcome().failure


def test_no_savepoint_of_a_batch_job():
    harness = running(possible=False, interval=None)
    harness.savepoint()
    assert "batch job" in harness.outcome().failure


def test_cancel_with_savepoint_cancels_when_it_is_there():
    harness = running()
    harness.savepoint(cancel=True)
    harness.pass_time(10)
    assert harness.to_make == [1], "no periodic one meanwhile"
    assert harness.cancelled == 0
    harness.take(1)
    assert harness.cancelled == 1


@pytest.mark.parametrize("stop", [StopMode.SUSPEND, StopMode.DRAIN])
def test_stop_with_savepoint_is_done_when_the_job_has_finished(stop):
    harness = begun()
    harness.savepoint(stop)
    assert 1 not in harness.machine.pending, "the one under way makes room"
    harness.make_directories()
    assert {message.stop for _, message in harness.triggered[2:]} == {stop}
    harness.acknowledge(2)
    harness.publish()
    assert not harness.outcome().done
    assert sorted(harness.completed) == [(name, 2) for name in sorted(harness.names)]
    harness.end_input()
    harness.pass_time(100)
    assert harness.to_make == [], "nothing is triggered any more"
    for name in harness.names:
        harness.task_moves(name, ExecutionState.FINISHED)
    harness.job_moves(JobStatus.FINISHED)
    assert harness.outcome().location == "file:///s/savepoint-r"
    assert "file:///s/savepoint-r" not in harness.deleted


def test_a_suspended_job_goes_on_when_its_savepoint_fails():
    harness = running()
    harness.savepoint(StopMode.SUSPEND)
    harness.make_directories()
    harness.decline(1)
    assert harness.failures == []
    assert ("source/0", 1) in harness.aborted
    harness.pass_time(10)
    assert harness.to_make == [2]


def test_a_drained_job_fails_over_when_its_savepoint_fails():
    harness = running()
    harness.savepoint(StopMode.DRAIN)
    harness.make_directories()
    harness.decline(1)
    assert "drained" in harness.failures[0].reason
    assert harness.failures[0].retryable


def test_a_job_that_fails_after_its_last_savepoint_goes_on_from_it_and_says_so():
    harness = running()
    harness.savepoint(StopMode.SUSPEND)
    harness.take(1)
    harness.fail_over()
    assert "file:///s/savepoint-r is complete, but the job became RESTARTING" in harness.outcome().failure
    assert harness.machine.restore("source", 0).directory == "file:///s/savepoint-r"
    harness.pass_time(10)
    harness.take(2)
    assert "file:///s/savepoint-r" not in harness.deleted


def test_no_second_savepoint_while_the_job_is_being_stopped():
    harness = running()
    harness.savepoint(StopMode.SUSPEND)
    harness.savepoint(request="other")
    assert "being stopped" in harness.outcome("other").failure
    assert not harness.outcome().done


# -- the end of the job ----------------------------------------------------------------------------------

NEVER = CheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS
ON_FAILURE = CheckpointRetention.DELETE_ON_CANCELLATION
ALWAYS = CheckpointRetention.RETAIN_ON_CANCELLATION


@pytest.mark.parametrize(
    ("retention", "status", "kept"),
    [
        (NEVER, JobStatus.FAILED, False),
        (NEVER, JobStatus.CANCELED, False),
        (NEVER, JobStatus.FINISHED, False),
        (ON_FAILURE, JobStatus.FAILED, True),
        (ON_FAILURE, JobStatus.CANCELED, False),
        (ON_FAILURE, JobStatus.FINISHED, False),
        (ALWAYS, JobStatus.FAILED, True),
        (ALWAYS, JobStatus.CANCELED, True),
        (ALWAYS, JobStatus.FINISHED, False),
    ],
)
def test_what_stays_when_the_job_has_ended(retention, status, kept):
    harness = running(retention=retention)
    harness.pass_time(10)
    harness.take(1)
    harness.job_moves(status)
    assert (harness.deleted == []) is kept
    assert harness.machine.statistics.view().latest_completed.discarded is not kept


def test_what_the_job_was_started_from_is_never_deleted():
    foreign = checkpoint(keyed_operator("source-op", 2, in_files=True), directory="file:///other/chk-7")
    harness = running(restored=foreign)
    harness.pass_time(10)
    harness.take(8)
    harness.job_moves(JobStatus.CANCELED)
    assert harness.deleted == ["file:///c/job"]


def test_a_job_that_ends_aborts_its_savepoint():
    harness = running()
    harness.savepoint()
    harness.job_moves(JobStatus.CANCELLING)
    assert "CANCELLING" in harness.outcome().failure
    assert [record.status for record in harness.machine.statistics.view().history] == [CheckpointStatus.FAILED]
