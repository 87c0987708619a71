"""Event time made in the middle of a stream goes on where a checkpoint was taken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.runtime.operators.harness import Harness
from yarnflow.common.time import Duration
from yarnflow.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from yarnflow.graph.operators import TimestampsSpec
from yarnflow.runtime.network.elements import MAX_WATERMARK

INTERVAL = 200


class Itself(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value)


STRATEGY = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(9)).with_timestamp_assigner(Itself())
SPEC = TimestampsSpec(STRATEGY.with_idleness(Duration.of_millis(1000)))


def at(time: int | None, idle: bool = False) -> Harness:
    """A subtask that has emitted the watermark of a record with this time."""
    harness = Harness(SPEC)
    if time is not None:
        harness.send(time)
        harness.clock(INTERVAL)
        assert harness.out[-1] == ("watermark", time - 10)
    if idle:
        harness.clock(5000)
    return harness


def begin(*former: Harness) -> list[Any]:
    """What a restored subtask emits before any record."""
    harness = Harness(SPEC, restored=[one.snapshot() for one in former])
    harness.clock(INTERVAL)
    return harness.out


@pytest.mark.parametrize(
    ("former", "expected"),
    [
        ([at(100)], 90),
        ([at(100), at(70)], 60),
        ([at(100), at(None)], None),
        ([at(100), at(50, idle=True)], 90),
        ([at(100, idle=True), at(50, idle=True)], 40),
    ],
    ids=["one", "several", "one without records", "one idle", "all idle"],
)
def test_subtasks_begin_with_what_all_had_reached(former: list[Harness], expected: int | None) -> None:
    assert begin(*former) == ([] if expected is None else [("watermark", expected)])


def test_those_that_had_ended_hold_nothing_back() -> None:
    ended = at(30)
    ended.watermark(MAX_WATERMARK)
    assert begin(ended, at(100)) == [("watermark", 90)]
    assert begin(ended) == [], "event time begins anew for a job that had read everything"


def test_late_records_stay_late_and_event_time_goes_on() -> None:
    again = Harness(SPEC, restored=[at(100).snapshot()])
    again.clock(INTERVAL)
    again.send(95)  # on time: no watermark has passed it
    again.clock(2 * INTERVAL)
    again.send(120)
    again.clock(3 * INTERVAL)
    assert again.out == [("watermark", 90), (95, 95), (120, 120), ("watermark", 110)]


def test_what_was_restored_is_stored_again() -> None:
    once = Harness(SPEC, restored=[at(100).snapshot()])
    assert begin(once) == [("watermark", 90)]
