"""Aggregates on columns give what the row operators give, whatever the keys, values and batch boundaries."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.columnar.harness import columns_of, records, run_columns, run_rows, times
from yarnflow.common.types import Row
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.graph.operators import AggregateSpec

KEYS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int": (pa.int64(), st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1) | st.none()),
    "string": (pa.string(), st.text("abé", max_size=2) | st.none()),
    "bool": (pa.bool_(), st.booleans()),
    "float": (pa.float64(), st.sampled_from([0.0, -0.0, 1.5, -2.0, float("inf")])),
    "time": (
        pa.timestamp("us", "UTC"),
        st.sampled_from([datetime(2020, 1, d, tzinfo=timezone.utc) for d in (1, 2)]),
    ),
}
VALUES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int": (pa.int64(), st.integers(-1000, 1000)),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "large int": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "float": (pa.float64(), st.floats(allow_nan=False, width=64)),
    "float32": (pa.float32(), st.floats(allow_nan=False, allow_infinity=False, width=32)),
    "time": (
        pa.timestamp("ms"),
        st.datetimes(datetime(1960, 1, 1), datetime(2030, 1, 1)).map(
            lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
        ),
    ),
}


@st.composite
def batches(draw: st.DrawFn, key_name: str, value_name: str) -> list[Batch]:
    key_type, keys = KEYS[key_name]
    value_type, values = VALUES[value_name]
    schema = pa.schema([("key", key_type), ("value", value_type), ("note", pa.string())])
    timed = draw(st.booleans())
    found: list[Batch] = []
    for number in range(draw(st.integers(1, 4))):
        pairs = draw(st.lists(st.tuples(keys, values), max_size=12))
        rows = [Row(key=k, value=v, note=f"{number}.{i}") for i, (k, v) in enumerate(pairs)]
        if rows:
            found.append(columns_of(rows, draw(_times(len(rows))) if timed else None, schema))
    return found


def _times(count: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 10**13), min_size=count, max_size=count)


def comparable(record: Any) -> list[Any]:
    """The record with NaN (infinity minus infinity) as something that equals itself."""
    return ["NaN" if value != value else value for value in record]


def check(spec: AggregateSpec, given_batches: list[Batch]) -> None:
    expected = run_rows(spec, given_batches)
    got = run_columns(spec, given_batches)
    assert [*map(comparable, records(got))] == [*map(comparable, records(expected))]
    assert times(got) == times(expected)


@pytest.mark.parametrize("final_only", [False, True])
@pytest.mark.parametrize("key_name", KEYS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_count_is_that_of_rows(key_name: str, final_only: bool, data: st.DataObject) -> None:
    given_batches = data.draw(batches(key_name, "int"))
    check(AggregateSpec("count", 0, "key", final_only), given_batches)


@pytest.mark.parametrize(
    ("kind", "value_name"),
    [
        (kind, value_name)
        for kind in ("sum", "min", "max", "min_by", "max_by")
        for value_name in VALUES
        if (kind, value_name) != ("sum", "time")  # times cannot be added, on rows neither
    ],
)
@given(data=st.data(), final_only=st.booleans(), key_name=st.sampled_from(sorted(KEYS)))
@settings(max_examples=40, deadline=None)
def test_aggregates_are_those_of_rows(
    kind: str, value_name: str, data: st.DataObject, final_only: bool, key_name: str
) -> None:
    check(AggregateSpec(kind, "value", "key", final_only), data.draw(batches(key_name, value_name)))


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(-1e9, 1e9)), min_size=300, max_size=600))
@settings(max_examples=10, deadline=None)
def test_long_groups_add_floats_in_the_order_of_the_records(pairs: list[tuple[int, float]]) -> None:
    rows = [Row(key=k, value=v) for k, v in pairs]
    check(AggregateSpec("sum", "value", "key"), [columns_of(rows[:250]), columns_of(rows[250:])])


def test_many_distinct_keys_beyond_sixteen_bits() -> None:
    keys = pa.array([i % 70_000 for i in range(140_000)])
    batch = ColumnBatch(pa.record_batch([keys, pa.array(range(140_000))], names=["key", "value"]))
    spec = AggregateSpec("sum", "value", "key")
    (result,) = run_columns(spec, [batch])
    assert isinstance(result, ColumnBatch)
    sums = result.columns.column(1).to_pylist()
    assert sums[:70_000] == list(range(70_000))
    assert sums[70_000:] == [2 * i + 70_000 for i in range(70_000)]


def test_results_stay_columns() -> None:
    batch = columns_of([Row(key="a", value=1), Row(key="b", value=2), Row(key="a", value=3)])
    for kind in ("count", "sum", "min", "max", "min_by", "max_by"):
        for final_only in (False, True):
            results = run_columns(AggregateSpec(kind, "value", "key", final_only), [batch])
            assert [type(result) for result in results] == [ColumnBatch]


def test_count_emits_tuples_of_key_and_count() -> None:
    batch = columns_of([Row(key="a", value=1), Row(key="a", value=2)])
    assert records(run_columns(AggregateSpec("count", 0, "key"), [batch])) == [("a", 1), ("a", 2)]
    assert records(run_columns(AggregateSpec("count", 0, 0, True), [batch])) == [("a", 2)]


def test_plain_values_are_counted_and_added_by_themselves() -> None:
    batch = columns_of([3, 4, 3])
    assert batch.scalar
    assert records(run_columns(AggregateSpec("count", 0, "value"), [batch])) == [(3, 1), (4, 1), (3, 2)]
    assert records(run_columns(AggregateSpec("sum", 0, 0), [batch])) == [3, 4, 6]
    assert records(run_columns(AggregateSpec("max_by", 0, "value", True), [batch])) == [3, 4]


def test_tuples_stay_tuples() -> None:
    batch = columns_of([("a", 1), ("a", 2)])
    assert records(run_columns(AggregateSpec("sum", 1, 0), [batch])) == [("a", 1), ("a", 3)]


def test_dictionary_encoded_keys() -> None:
    keys = pa.array(["a", "b", "a", None]).dictionary_encode()
    batch = ColumnBatch(pa.record_batch([keys, pa.array([1, 2, 3, 4])], names=["key", "value"]))
    for kind in ("count", "sum", "max_by"):
        for final_only in (False, True):
            check(AggregateSpec(kind, "value", "key", final_only), [batch, batch])


@pytest.mark.parametrize("kind", ["sum", "min", "max", "min_by", "max_by", "count"])
@pytest.mark.parametrize("final_only", [False, True])
def test_goes_over_to_rows_with_its_state(kind: str, final_only: bool) -> None:
    rows = [Row(key="a", value=5), Row(key="b", value=1), Row(key="a", value=7)]
    spec = AggregateSpec(kind, "value", "key", final_only)
    first = columns_of(rows, [10, 20, 30])
    later = RowBatch([Row(key="b", value=0), Row(key="a", value=9)], [5, 40])
    other_types = columns_of([Row(key="b", value=0.5), Row(key="c", value=2.5)], [50, 60])
    check(spec, [first, later, first, other_types])
    check(spec, [first, other_types, later])


def test_sums_beyond_64_bits_are_exact() -> None:
    rows = [Row(key="a", value=2**62), Row(key="a", value=2**62), Row(key="a", value=2**62)]
    for final_only in (False, True):
        check(AggregateSpec("sum", "value", "key", final_only), [columns_of(rows[:1]), columns_of(rows)])


def test_a_null_in_the_field_is_the_error_that_rows_give() -> None:
    batch = columns_of([Row(key="a", value=1), Row(key="a", value=None)])
    with pytest.raises(TypeError):
        run_rows(AggregateSpec("sum", "value", "key"), [batch])
    with pytest.raises(TypeError):
        run_columns(AggregateSpec("sum", "value", "key"), [batch])


@pytest.mark.parametrize("kind", ["min", "max", "min_by", "max_by", "sum"])
def test_nan_is_treated_as_on_rows(kind: str) -> None:
    batch = columns_of([Row(key="a", value=value) for value in (2.0, float("nan"), 1.0, 3.0)])
    expected = records(run_rows(AggregateSpec(kind, "value", "key"), [batch]))
    assert repr(records(run_columns(AggregateSpec(kind, "value", "key"), [batch]))) == repr(expected)


@pytest.mark.parametrize("kind", ["min", "max", "min_by", "max_by", "sum"])
def test_strings_fall_back_to_rows(kind: str) -> None:
    check(AggregateSpec(kind, "value", "key"), [columns_of([Row(key=1, value=v) for v in ("b", "a", "c")])])


def test_plain_values_fall_back_to_rows_by_the_name_of_their_column() -> None:
    given_batches: list[Batch] = [columns_of([3, 4, 3]), RowBatch([3, 5]), columns_of(["a"])]
    result = run_columns(AggregateSpec("count", 0, "value"), given_batches)
    assert records(result) == [(3, 1), (4, 1), (3, 2), (3, 3), (5, 1), ("a", 1)]
