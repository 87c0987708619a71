"""Limits of aligned sources."""

from __future__ import annotations

from yarnflow.runtime.jobmanager.watermark_alignment import WatermarkAlignment
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.rpc.checkpoint_messages import WatermarkReported

RUNNING = {"a", "b", "c"}


def limits(
    alignment: WatermarkAlignment, task: str, watermark: int, drift: int = 10, group: str = "g"
) -> dict[str, int]:
    report = WatermarkReported(task, group, watermark, drift)
    answers = alignment.reported(report, RUNNING)
    assert {answer.group for answer in answers} <= {group}
    return {answer.execution_id: answer.limit for answer in answers}


def test_the_slowest_of_a_group_limits_all() -> None:
    alignment = WatermarkAlignment()
    assert limits(alignment, "a", 100) == {"a": MAX_WATERMARK}
    assert limits(alignment, "b", 50, drift=20) == {"a": 60, "b": 120}
    assert limits(alignment, "c", 70) == {"b": 90, "c": 60}
    assert limits(alignment, "a", 105) == {}
    assert limits(alignment, "b", 120) == {"a": 80, "c": 115}
    assert limits(alignment, "c", 105) == {"a": 115, "b": 125}


def test_groups_do_not_know_each_other() -> None:
    alignment = WatermarkAlignment()
    limits(alignment, "a", 100)
    assert limits(alignment, "b", 5, group="other") == {"b": MAX_WATERMARK}


def test_who_has_seen_nothing_yet_stops_the_others() -> None:
    alignment = WatermarkAlignment()
    limits(alignment, "a", 100)
    assert limits(alignment, "b", MIN_WATERMARK) == {"a": MIN_WATERMARK + 10, "b": 110}


def test_idle_and_ended_tasks_hold_nobody_back() -> None:
    alignment = WatermarkAlignment()
    limits(alignment, "a", 100)
    limits(alignment, "b", 50)
    assert limits(alignment, "b", MAX_WATERMARK) == {"a": MAX_WATERMARK}
    assert limits(alignment, "a", MAX_WATERMARK) == {"b": MAX_WATERMARK}


def test_executions_of_the_past_are_forgotten() -> None:
    alignment = WatermarkAlignment()
    limits(alignment, "a", 100)
    assert alignment.reported(WatermarkReported("a", "g", 10, 10), {"a2", "b"}) == []
    report = WatermarkReported("b", "g", 300, 10)
    assert [answer.limit for answer in alignment.reported(report, {"a2", "b"})] == [MAX_WATERMARK]
