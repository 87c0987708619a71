"""What is said of restarts."""

from __future__ import annotations

from yarnflow.runtime.jobmanager.restart_notices import RestartNotices
from yarnflow.runtime.jobmanager.views import ExceptionView
from yarnflow.runtime.rpc.messages import TaskFailure

TRACEBACK = "In operator 'Map', with the record 'x':\nTraceback ...\nValueError: no"


def cause(message: str = "ValueError: no", secondary: bool = False, traceback: str = TRACEBACK) -> ExceptionView:
    return ExceptionView(
        1.0, TaskFailure(message, traceback, "Map", secondary=secondary), "Source -> Map", subtask_index=0
    )


def test_a_restart_is_told_once_with_operator_record_and_exception():
    notices = RestartNotices("count")
    said = "restart 1 of job count in 1.0 s: in operator 'Map' (subtask 1), with the record 'x': ValueError: no"
    assert notices.look(1, 11.0, cause(), 10.0) == said
    assert notices.look(1, 11.0, cause(), 10.5) is None
    assert notices.look(1, None, cause(), 11.0) is None
    assert list(notices.recent) == [(1, said)]


def test_of_one_cause_three_are_told_and_then_one_in_ten_seconds():
    notices = RestartNotices("j")
    told = [number for number in range(1, 25) if notices.look(number, None, cause(), float(number))]
    assert told == [1, 2, 3, 13, 23]
    assert notices.look(25, None, cause("KeyError: 1"), 25.0), "another cause is told at once"


def test_an_echo_waits_for_the_failure_behind_it():
    notices = RestartNotices("j")
    assert notices.look(1, 11.0, cause("ConnectionError: peer", secondary=True), 10.0) is None
    notice = notices.look(1, 11.0, cause(), 10.1)
    assert notice is not None
    assert "ValueError: no" in notice


def test_an_echo_with_nothing_behind_it_is_told_when_the_restart_has_been():
    notices = RestartNotices("j")
    lost = cause("ConnectionError: peer", secondary=True, traceback="ConnectionError: peer")
    assert notices.look(1, 11.0, lost, 10.0) is None
    assert notices.look(1, None, lost, 11.0) == "restart 1 of job j: in 'Map' (subtask 1): ConnectionError: peer"


def test_a_failure_of_the_whole_job_has_no_place():
    notices = RestartNotices("j")
    broken = ExceptionView(1.0, TaskFailure("no slots", "no slots"))
    assert notices.look(1, 3.0, broken, 1.0) == "restart 1 of job j in 2.0 s: no slots"
