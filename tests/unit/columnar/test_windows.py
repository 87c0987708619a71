"""Windows on columns: types, missing values, limits. test_window_properties.py compares results with a model."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any

import pyarrow as pa
import pytest

from tests.unit.runtime.operators.harness import Harness
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import ColumnBatch
from yarnflow.functions.expressions import col, count
from yarnflow.functions.windows.time_windows import SlidingEventTimeWindows, TumblingEventTimeWindows
from yarnflow.graph.operators import WindowSpec

TUMBLING = TumblingEventTimeWindows(10)


def batch(times: list[int], **columns: Any) -> ColumnBatch:
    return ColumnBatch(pa.record_batch(columns), pa.array(times, pa.int64()))


def run(harness: Harness, *batches: ColumnBatch, until: int = 1000) -> list[Any]:
    for one in batches:
        harness.operator.process_batch(one, 0)
    harness.watermark(until)
    return [tuple(row) for row in harness.rows()]


def test_missing_values_do_not_count() -> None:
    x = col("x")
    spec = WindowSpec("k", TUMBLING, aggregates=(
        ("n", count()), ("c", x.count()), ("s", x.sum()), ("a", x.min()), ("z", x.max()), ("m", x.mean()),
    ))  # fmt: skip
    rows = run(Harness(spec), batch([1, 2, 3, 4], k=["a", "a", "b", None], x=[1, None, None, 5]))
    assert rows == [("a", 2, 1, 1, 1, 1, 1.0), ("b", 1, 0, None, None, None, None), (None, 1, 1, 5, 5, 5, 5.0)]


def test_dates_and_times_keep_their_type_over_a_restart() -> None:
    spec = WindowSpec("k", TUMBLING, aggregates=(("first", col("d").min()), ("last", col("t").max())))
    days = [date(2013, 1, 2), date(2013, 1, 1)]
    times = [datetime(2013, 1, 1, hour, tzinfo=timezone.utc) for hour in (5, 6)]
    data = {"k": pa.array([1, 1], pa.int16()), "d": days, "t": pa.array(times, pa.timestamp("us", "UTC"))}
    harness = Harness(spec)
    assert run(harness, batch([1, 2], **data), until=5) == []
    harness = Harness(spec, restored=[harness.snapshot()])
    assert run(harness, batch([7, 8], **data)) == [(1, days[1], times[1])]


def test_keys_far_apart_and_panes_far_apart() -> None:
    spec = WindowSpec("k", TUMBLING, aggregates=(("n", count()), ("s", col("k").sum())))
    keys = [0, 1 << 60, 7, 7]
    rows = run(Harness(spec), batch([5, 1 << 50, 5, 6], k=keys), until=(1 << 62))
    assert rows == [(0, 1, 0), (7, 2, 14), (1 << 60, 1, 1 << 60)]
    zeros = run(Harness(WindowSpec("k", TUMBLING, aggregates=(("n", count()),))), batch([1, 2], k=[0.0, -0.0]))
    assert zeros == [(0.0, 2)]


def test_large_integers_are_summed_exactly_or_not_at_all() -> None:
    spec = WindowSpec("k", SlidingEventTimeWindows(20, 10), aggregates=(("s", col("x").sum()),))
    large = (1 << 60) + 1
    rows = run(Harness(spec), batch([1, 2, 11], k=[1, 1, 1], x=[large, -3, 5]))
    assert rows == [(1, large - 3), (1, large + 2), (1, 5)]
    with pytest.raises(ProgramError, match=r"s=sum\(x\) may leave 64 bits"):
        run(Harness(spec), batch([1] * 9, k=[1] * 9, x=[large] * 9))
    with pytest.raises(ProgramError, match=r"s=sum\(x\) may leave 64 bits"):
        run(Harness(spec), *[batch([1], k=[1], x=[large * 3])] * 3)


def test_rows_after_columns_fit_in() -> None:
    harness = Harness(WindowSpec("k", TUMBLING, aggregates=(("s", col("x").sum()),)))
    harness.operator.process_batch(batch([1], k=pa.array([1], pa.int32()), x=[0.5]), 0)
    harness.send({"k": 1, "x": 2}, times=[2])
    harness.watermark(10)
    assert [tuple(row) for row in harness.rows()] == [(1, 2.5)]


def test_a_pane_takes_memory_for_its_keys_not_for_its_batches() -> None:
    harness = Harness(WindowSpec("k", TUMBLING, aggregates=(("n", count()),)))
    many = batch([1] * 40_000, k=list(range(40_000)))
    for _ in range(20):
        harness.operator.process_batch(many, 0)
    (pane,) = harness.operator._panes.values()  # type: ignore[attr-defined]
    assert sum(map(len, pane.partials)) <= 200_000
    harness.watermark(10)
    assert {row[1] for row in map(tuple, harness.rows())} == {20}


@pytest.mark.parametrize(
    ("aggregate", "columns", "message"),
    [
        (col("x").sum(), {"k": [1], "x": ["text"]}, "is of a column of string, which has no sum on columns"),
        (col("y").sum(), {"k": [1], "x": [1]}, "there is no column 'y'"),
        (count(), {"k": [[1]], "x": [1]}, "lists, structs and maps are no keys"),
        (count(), {"x": [1]}, "there is no column 'k'"),
    ],
)
def test_errors_name_what_is_wrong(aggregate: Any, columns: Any, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        run(Harness(WindowSpec("k", TUMBLING, aggregates=(("s", aggregate),))), batch([1], **columns))


def test_types_may_not_change_and_times_must_be_there() -> None:
    spec = WindowSpec("k", TUMBLING, aggregates=(("s", col("x").sum()),))
    with pytest.raises(ProgramError, match="the key 'k' was of type int64 before, and now it is string"):
        run(Harness(spec), batch([1], k=[1], x=[1]), batch([1], k=["1"], x=[1]))
    with pytest.raises(ProgramError, match=r"the values of s=sum\(x\) were of type int64 before"):
        run(Harness(spec), batch([1], k=[1], x=[1]), batch([1], k=[1], x=[0.5]))
    with pytest.raises(ProgramError, match="has no timestamp"):
        run(Harness(spec), ColumnBatch(pa.record_batch({"k": [1], "x": [1]})))


def test_stored_windows_of_other_aggregates_are_refused() -> None:
    harness = Harness(WindowSpec("k", TUMBLING, aggregates=(("s", col("x").sum()),)))
    harness.operator.process_batch(batch([1], k=[1], x=[1]), 0)
    with pytest.raises(ProgramError, match="have the aggregates s, and the program now has t"):
        Harness(WindowSpec("k", TUMBLING, aggregates=(("t", col("x").sum()),)), restored=[harness.snapshot()])


def test_the_log_says_that_state_is_in_memory_in_spite_of_rocksdb(caplog: pytest.LogCaptureFixture) -> None:
    spec = WindowSpec("k", TUMBLING, aggregates=(("n", count()),))
    for backend, warnings in (("hashmap", 0), ("rocksdb", 1)):
        caplog.clear()
        assert run(Harness(spec, config={"state.backend.type": backend}), batch([1, 2], k=[7, 7])) == [(7, 2)]
        assert len([each for each in caplog.messages if "in memory though" in each]) == warnings
