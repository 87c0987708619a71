"""Generators, the event time of several inputs, idleness, and the operator in the middle of a stream."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest

from tests.unit.runtime.operators.harness import operator_context
from yarnflow.common.time import Duration, Instant
from yarnflow.common.types import Row
from yarnflow.common.watermark_strategy import (
    TimestampAssigner,
    WatermarkGenerator,
    WatermarkOutput,
    WatermarkStrategy,
    milliseconds,
)
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import ColumnBatch, RowBatch
from yarnflow.functions.columns import to_columns
from yarnflow.functions.expressions import col
from yarnflow.graph.operators import Operator, TimestampsSpec
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.timestamps import TimestampsOperator, assign, missing_timestamp
from yarnflow.runtime.operators.watermarks import EventTime

IDLE, ACTIVE = "idle", "active"
BOUNDED = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(5))
MONOTONOUS = WatermarkStrategy.for_monotonous_timestamps()


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


class Recorder(StreamOperator):
    """What an operator emits: batches as lists of times, watermarks, idle or active."""


def wire(operator: StreamOperator) -> list[Any]:
    out: list[Any] = []
    operator.emit = lambda batch: out.append(list(batch.timestamps or []))  # type: ignore[arg-type]
    operator.emit_watermark = out.append
    operator.emit_status = lambda idle: out.append(IDLE if idle else ACTIVE)
    return out


def context(clock: Clock, interval: str | None = None) -> OperatorContext:
    config = {} if interval is None else {"pipeline.auto-watermark-interval": interval}
    return operator_context(config=config, processing_time=clock)


def event_time(
    strategy: WatermarkStrategy | None, final_only: bool = False, interval: str | None = None
) -> tuple[EventTime, list[Any], Clock]:
    clock = Clock()
    operator = Recorder(Operator("0" * 32, "op", TimestampsSpec(strategy)), context(clock, interval))
    out = wire(operator)
    return EventTime(strategy, operator, final_only), out, clock


def batch(*times: int) -> RowBatch:
    return RowBatch([str(time) for time in times], list(times))


def advance(subject: EventTime | TimestampsOperator, clock: Clock, milliseconds: int) -> None:
    """Let time pass as a task does: timers fire when they are due."""
    end = clock.now + milliseconds
    while True:
        timer = subject.next_timer()
        if timer is None or timer > end:
            break
        clock.now = max(clock.now, timer)
        if isinstance(subject, EventTime):
            subject.advance(clock.now)
        else:
            subject.advance_clock(clock.now)
    clock.now = end


# -- generators ----------------------------------------------------------------------------------------------


def test_a_bounded_generator_stays_behind_the_newest_record() -> None:
    time, out, clock = event_time(BOUNDED)
    one = time.add("one")
    time.pass_on(one, batch(100, 90))
    advance(time, clock, 200)
    time.pass_on(one, batch(95))
    advance(time, clock, 200)
    assert out == [[100, 90], 94, [95]]


def test_watermarks_come_once_per_interval() -> None:
    time, out, clock = event_time(MONOTONOUS, interval="50 ms")
    one = time.add("one")
    clock.now = 1000
    time.pass_on(one, batch(10))
    assert time.next_timer() == 1000
    advance(time, clock, 20)
    time.pass_on(one, batch(20))
    assert time.next_timer() == 1050
    time.pass_on(one, batch(30))
    advance(time, clock, 40)
    assert out == [[10], 9, [20], [30], 29]
    assert time.next_timer() is None


def test_without_an_interval_only_the_end_is_told() -> None:
    time, out, _ = event_time(MONOTONOUS, interval="0")
    time.pass_on(time.add("one"), batch(10))
    assert time.next_timer() is None
    time.finish()
    assert out == [[10], MAX_WATERMARK]


def test_a_clock_that_is_set_back_does_not_stop_watermarks() -> None:
    time, out, clock = event_time(MONOTONOUS)
    one = time.add("one")
    clock.now = 1_000_000
    time.pass_on(one, batch(10))
    advance(time, clock, 0)
    clock.now = 0
    time.pass_on(one, batch(20))
    advance(time, clock, 200)
    assert out == [[10], 9, [20], 19]


def test_records_without_time_do_not_advance_it() -> None:
    time, out, clock = event_time(MONOTONOUS)
    time.pass_on(time.add("one"), RowBatch(["a"]))
    advance(time, clock, 1000)
    assert out == [[]]


def test_columns_advance_time_without_rows() -> None:
    time, _, _ = event_time(MONOTONOUS)
    columns = pa.RecordBatch.from_arrays([pa.array([1, 2])], names=["value"])
    one = time.add("one")
    time.pass_on(one, ColumnBatch(columns, pa.array([7, 9], pa.int64()), True))
    assert one.current == 8


@pytest.mark.parametrize("strategy", [None, WatermarkStrategy.no_watermarks()])
def test_a_stream_without_watermarks_ends_event_time_all_the_same(strategy: WatermarkStrategy | None) -> None:
    time, out, clock = event_time(strategy)
    time.pass_on(time.add("one"), batch(5))
    advance(time, clock, 1000)
    time.finish()
    assert out == [[5], MAX_WATERMARK]


def test_in_batch_mode_only_the_end_is_told() -> None:
    time, out, clock = event_time(BOUNDED.with_idleness(Duration.of_millis(1)), final_only=True)
    one = time.add("one")
    time.pass_on(one, batch(5))
    time.quiet(one)
    advance(time, clock, 1000)
    time.finish()
    assert out == [[5], MAX_WATERMARK]


class Punctuated(WatermarkGenerator):
    """Marks are records that end in "!"; a record "idle" makes the input idle."""

    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        if event.endswith("!"):
            output.emit_watermark(event_timestamp)
        elif event == "idle":
            output.mark_idle()
        elif event == "active":
            output.mark_active()

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """Not used."""


def test_a_generator_of_the_program_emits_after_the_batch() -> None:
    time, out, _ = event_time(WatermarkStrategy.for_generator(Punctuated))
    one = time.add("one")
    time.pass_on(one, RowBatch(["a", "b!", "c"], [1, 2, 3]))
    time.pass_on(one, RowBatch(["d!", "e!"], [1, 2]))
    assert out == [[1, 2, 3], 2, [1, 2]]


def test_a_generator_of_the_program_can_be_idle() -> None:
    time, out, _ = event_time(WatermarkStrategy.for_generator(Punctuated))
    one, two = time.add("one"), time.add("two")
    time.pass_on(one, RowBatch(["b!"], [9]))
    time.pass_on(two, RowBatch(["idle"], [1]))
    time.pass_on(one, RowBatch(["idle"], [10]))
    time.pass_on(one, RowBatch(["active"], [11]))
    assert out == [[9], [1], 9, [10], IDLE, [11], ACTIVE]


class Lagging(WatermarkGenerator):
    """Follows the wall clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        """Records do not matter."""

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        output.emit_watermark(self.clock() - 1000)


def test_a_generator_of_the_program_is_asked_in_every_interval() -> None:
    clock = Clock()
    clock.now = 10_000
    strategy = WatermarkStrategy.for_generator(lambda: Lagging(clock))
    operator = TimestampsOperator(Operator("0" * 32, "op", TimestampsSpec(strategy)), context(clock))
    out = wire(operator)
    operator.open()
    advance(operator, clock, 600)
    assert out == [9000, 9200, 9400, 9600]


@pytest.mark.parametrize("made", [None, object(), 5])
def test_what_makes_no_generator_is_refused(made: Any) -> None:
    time, _, _ = event_time(WatermarkStrategy.for_generator(lambda: made))
    with pytest.raises(ProgramError, match="which is no WatermarkGenerator"):
        time.add("one")


def test_a_watermark_that_is_no_int_is_refused() -> None:
    class Wrong(Punctuated):
        def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
            output.emit_watermark(1.5)  # type: ignore[arg-type]

    time, _, _ = event_time(WatermarkStrategy.for_generator(Wrong))
    with pytest.raises(ProgramError, match=r"emitted 1\.5: a watermark is an int"):
        time.pass_on(time.add("one"), batch(1))


# -- several inputs ------------------------------------------------------------------------------------------


def test_the_minimum_over_splits_counts_and_ended_splits_leave() -> None:
    time, out, clock = event_time(MONOTONOUS)
    one, two = time.add("one"), time.add("two")
    time.pass_on(one, batch(100))
    advance(time, clock, 200)
    time.pass_on(two, batch(50))
    advance(time, clock, 200)
    time.remove("two")
    time.remove("one")
    assert out == [[100], [50], 49, 99]


def test_a_split_that_is_silent_for_too_long_does_not_count() -> None:
    time, out, clock = event_time(MONOTONOUS.with_idleness(Duration.of_seconds(1)))
    one, two = time.add("one"), time.add("two")
    time.quiet(two)
    time.pass_on(one, batch(100))
    advance(time, clock, 999)
    assert out == [[100]]
    advance(time, clock, 1)
    assert out == [[100], 99]
    time.pass_on(two, batch(10))
    time.pass_on(one, batch(200))
    advance(time, clock, 1000)
    assert out == [[100], 99, [10], [200]]


def test_the_operator_is_idle_when_all_splits_are() -> None:
    time, out, clock = event_time(MONOTONOUS.with_idleness(Duration.of_seconds(1)))
    one, two = time.add("one"), time.add("two")
    time.quiet(one)
    advance(time, clock, 500)
    time.quiet(two)
    time.quiet(one)
    advance(time, clock, 1000)
    assert out == [IDLE]
    assert clock.now == 1500
    assert time.reached() == MAX_WATERMARK
    time.pass_on(one, batch(1))
    assert out == [IDLE, ACTIVE, [1]]
    time.quiet(one)
    advance(time, clock, 5000)
    assert out == [IDLE, ACTIVE, [1], 0, IDLE]
    time.finish()
    assert out[5:] == [ACTIVE, MAX_WATERMARK]


def test_an_operator_without_splits_is_idle_after_a_while() -> None:
    time, out, clock = event_time(MONOTONOUS.with_idleness(Duration.of_seconds(1)))
    advance(time, clock, 1000)
    assert out == [IDLE]
    one = time.add("one")
    assert out == [IDLE, ACTIVE]
    time.pass_on(one, batch(5))
    time.finish()
    assert out == [IDLE, ACTIVE, [5], MAX_WATERMARK]


def test_a_restored_split_goes_on_where_it_was() -> None:
    time, out, clock = event_time(MONOTONOUS, interval="0")
    one = time.add("one", 70)
    time.add("two", 60)
    advance(time, clock, 0)
    assert out == [60]
    time.pass_on(one, batch(10))
    assert one.current == 70


# -- in the middle of a stream -------------------------------------------------------------------------------


class Ages(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value) if record_timestamp == MIN_WATERMARK else record_timestamp + 1


def in_the_middle(strategy: WatermarkStrategy) -> tuple[TimestampsOperator, list[Any], Clock]:
    clock = Clock()
    operator = TimestampsOperator(Operator("0" * 32, "op", TimestampsSpec(strategy)), context(clock))
    out = wire(operator)
    operator.open()
    return operator, out, clock


def test_times_are_assigned_and_watermarks_from_before_are_dropped() -> None:
    operator, out, clock = in_the_middle(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Ages())
    )
    operator.process_batch(RowBatch(["5", "7"]), 0)
    operator.process_watermark(1000)
    operator.process_status(True)
    operator.process_batch(RowBatch(["5"], [10]), 0)
    advance(operator, clock, 200)
    operator.process_watermark(MAX_WATERMARK)
    assert out == [[5, 7], [11], 10, MAX_WATERMARK]


def test_a_stream_that_is_silent_goes_idle() -> None:
    operator, out, clock = in_the_middle(MONOTONOUS.with_idleness(Duration.of_millis(300)))
    advance(operator, clock, 299)
    operator.process_batch(batch(4), 0)
    advance(operator, clock, 299)
    assert out == [[4], 3]
    advance(operator, clock, 1)
    operator.process_batch(batch(5), 0)
    assert out == [[4], 3, IDLE, ACTIVE, [5]]


def test_alignment_in_the_middle_is_said_to_have_no_effect(caplog: pytest.LogCaptureFixture) -> None:
    in_the_middle(MONOTONOUS.with_watermark_alignment("group", Duration.of_seconds(1)))
    assert "alignment has no effect in the middle" in caplog.text


# -- times from fields ---------------------------------------------------------------------------------------

NOON = datetime(2024, 5, 1, 12, 0, 0, 123_999)
NOON_MS = 1_714_564_800_123


def column_assigner(field: Any) -> Any:
    return WatermarkStrategy.no_watermarks().with_timestamp_column(field).timestamp_assigner


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        (-5, -5),
        (NOON, NOON_MS),
        (NOON.replace(tzinfo=timezone(timedelta(hours=2))), NOON_MS - 7_200_000),
        (datetime(1969, 12, 31, 23, 59, 59, 999_500), -1),
        (date(1970, 1, 3), 2 * 86_400_000),
    ],
)
def test_times_are_the_same_from_rows_and_columns(value: Any, expected: int) -> None:
    rows = RowBatch([Row(at=value, n=1), Row(at=value, n=2)])
    columns = to_columns(RowBatch(rows.rows.copy()))
    assert assign(column_assigner("at"), rows).timestamps == [expected] * 2
    of_columns = assign(column_assigner("at"), columns)
    assert of_columns is columns
    assert columns.timestamps is not None
    assert columns.timestamps.to_pylist() == [expected] * 2
    assert columns.timestamps.type == pa.int64()
    assert column_assigner("at").extract_timestamp(rows.rows[0], MIN_WATERMARK) == expected


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_all_units_of_arrow_timestamps_are_read(unit: str) -> None:
    times = pa.array([NOON.replace(microsecond=0)], pa.timestamp(unit))
    columns = pa.RecordBatch.from_arrays([times], names=["at"])
    made = assign(column_assigner(0), ColumnBatch(columns))
    assert isinstance(made, ColumnBatch)
    assert made.timestamps is not None
    assert made.timestamps.to_pylist() == [NOON_MS - 123]


def test_an_expression_gives_times() -> None:
    rows = RowBatch([Row(s=1), Row(s=2)])
    assert assign(column_assigner(col("s") * 1000 + 1), rows).timestamps == [1001, 2001]
    columns = assign(column_assigner(col("s") * 1000), to_columns(rows))
    assert columns.timestamps is not None
    assert list(columns.timestamps.to_pylist()) == [1000, 2000]  # type: ignore[union-attr]


def test_plain_values_are_their_own_time() -> None:
    assert assign(column_assigner("value"), RowBatch([3, 4])).timestamps == [3, 4]
    assert assign(column_assigner("value"), to_columns(RowBatch([3, 4]))).timestamps.to_pylist() == [3, 4]  # type: ignore[union-attr]
    assert assign(column_assigner(1), RowBatch([("a", 3)])).timestamps == [3]


def test_an_instant_is_a_time() -> None:
    assert milliseconds(Instant(1, 5_999_999)) == 1005


@pytest.mark.parametrize(
    ("rows", "field", "message"),
    [
        ([Row(a=1)], "b", "the field 'b', which a record like"),
        ([Row(a="x")], "a", "the timestamp field 'a' is 'x' for the record"),
        ([Row(a=None)], "a", "the timestamp field 'a' is None for the record"),
        ([Row(a=1.5)], "a", "the timestamp field 'a' is 1.5"),
    ],
)
def test_what_is_no_time_names_its_record(rows: list[Any], field: str, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        assign(column_assigner(field), RowBatch(rows))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([1, None]), r"'at' is null in \{'at': None\}"),
        (pa.array(["x"]), "which is a column of string"),
        (pa.array([1.5]), "which is a column of double"),
        (pa.array([1 << 63], pa.uint64()), "do not fit into 64 bits"),
    ],
)
def test_what_is_no_time_in_columns_is_refused(values: pa.Array, message: str) -> None:
    columns = pa.RecordBatch.from_arrays([values], names=["at"])
    with pytest.raises(ProgramError, match=message):
        assign(column_assigner("at"), ColumnBatch(columns))


def test_a_missing_timestamp_says_what_to_do() -> None:
    error = missing_timestamp("Window", ("a", 1))
    assert "'Window' works in event time, and the record ('a', 1) has no timestamp" in str(error)
    assert "assign_timestamps_and_watermarks()" in str(error)
