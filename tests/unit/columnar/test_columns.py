"""Rows to columns and back, between workers, and to the channels of their keys."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.columnar.harness import columns_of
from yarnflow.common.types import Row
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import ColumnBatch, RowBatch
from yarnflow.functions.columns import to_columns, to_rows
from yarnflow.graph.key_groups import subtask_for_key
from yarnflow.runtime.operators.columns.columnar import from_bytes, partition, to_bytes

RECORDS: list[list[Any]] = [
    [1, 2, None],
    ["a", None, "é"],
    [1.5, float("inf")],
    [True, False],
    [datetime(2020, 1, 1, 12, 30, 0, 5), None],
    [datetime(2020, 1, 1, tzinfo=timezone.utc)],
    [date(2020, 1, 1)],
    [b"bytes"],
    [Decimal("1.50")],
    [("a", 1), ("b", None)],
    [Row(name="a", n=1), Row(name=None, n=2)],
    [("only",)],
]


@pytest.mark.parametrize("rows", RECORDS)
def test_records_come_back_as_they_were(rows: list[Any]) -> None:
    times = list(range(len(rows)))
    back = to_rows(columns_of(rows, times))
    assert back.rows == rows
    assert list(map(type, back.rows)) == list(map(type, rows))
    assert back.timestamps == times


def test_other_records_come_back_as_rows() -> None:
    assert to_rows(columns_of([{"a": 1}, {"a": 2, "b": 3}])).rows == [Row(a=1), Row(a=2)]
    assert to_rows(columns_of([Row(1, "x")])).rows == [Row(f0=1, f1="x")]
    assert to_rows(columns_of([Row(a=1, b=2), Row(b=3, a=4)])).rows == [Row(a=1, b=2), Row(a=4, b=3)]


@pytest.mark.parametrize("rows", [[1, "a"], [(1, 2), (1,)], [Row(a=1), Row(b=1)], [2**70], [1, (1,)]])
def test_records_that_fit_no_columns_are_an_error(rows: list[Any]) -> None:
    with pytest.raises(ProgramError, match="cannot become columns"):
        columns_of(rows)


def test_a_schema_decides_types_and_order() -> None:
    schema = pa.schema([("b", pa.float32()), ("a", pa.int8())])
    batch = to_columns(RowBatch([Row(a=1, b=2)]), schema)
    assert batch.columns.schema.equals(schema)
    with pytest.raises(ProgramError, match="no field 'b'"):
        to_columns(RowBatch([Row(a=1)]), schema)


def test_nanoseconds_are_cut_off() -> None:
    array = pa.array([1_000_000_999], pa.timestamp("ns"))
    batch = ColumnBatch(pa.record_batch([array], names=["value"]), None, True)
    assert to_rows(batch).rows == [datetime(1970, 1, 1, 0, 0, 1)]


@pytest.mark.parametrize("rows", RECORDS)
@pytest.mark.parametrize("timed", [False, True])
def test_travels_as_bytes(rows: list[Any], timed: bool) -> None:
    batch = columns_of(rows, list(range(len(rows))) if timed else None)
    back = from_bytes(to_bytes(batch))
    assert back.columns.equals(batch.columns)
    assert back.columns.schema.equals(batch.columns.schema, check_metadata=True)
    assert (back.timestamps, back.scalar) == (batch.timestamps, batch.scalar)


def test_a_slice_travels_alone() -> None:
    batch = ColumnBatch(columns_of(list(range(100_000))).columns.slice(5, 3), None, True)
    data = to_bytes(batch)
    assert len(data) < 1000
    assert to_rows(from_bytes(data)).rows == [5, 6, 7]


KEYS = {
    "int": st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3),
    "int or null": st.integers(-3, 3) | st.none(),
    "string": st.text(max_size=3) | st.none(),
    "bytes": st.binary(max_size=3),
    "bool": st.booleans(),
    "float": st.floats(allow_nan=True),
    "date": st.dates(),
    "time": st.datetimes(timezones=st.just(timezone.utc)),
    "naive time": st.datetimes(),
    "decimal": st.decimals(-100, 100, places=2),
}


@pytest.mark.parametrize("kind", KEYS)
@given(data=st.data(), channels=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_keys_go_where_rows_go(kind: str, data: st.DataObject, channels: int) -> None:
    keys = data.draw(st.lists(KEYS[kind], min_size=1, max_size=20))
    arrow_type = pa.timestamp("us", "UTC") if kind == "time" else None
    columns = pa.record_batch([pa.array(keys, arrow_type), pa.array(range(len(keys)))], names=["key", "n"])
    batch = ColumnBatch(columns, pa.array(range(len(keys)), pa.int64()))
    parts = partition(batch, "key", channels, 128)
    assert len(parts) == channels
    for channel, part in enumerate(parts):
        expected = [i for i, key in enumerate(keys) if subtask_for_key(key, channels, 128) == channel]
        assert part.columns.column(1).to_pylist() == expected
        assert part.timestamps is not None
        assert part.timestamps.to_pylist() == expected


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "int32", "uint64", "int64"])
def test_integers_of_any_width_go_where_rows_go(dtype: str) -> None:
    info = np.iinfo(dtype)
    keys = pa.array(np.array([info.min, info.max, 0, 1, info.max // 2], dtype))
    parts = partition(ColumnBatch(pa.record_batch([keys], names=["k"]), None, True), 0, 7, 128)
    where = {key: channel for channel, part in enumerate(parts) for key in to_rows(part).rows}
    assert where == {key: subtask_for_key(key, 7, 128) for key in keys.to_pylist()}


def test_dictionary_encoded_keys_go_where_rows_go() -> None:
    keys = ["a", "b", None, "a", "c"]
    batch = ColumnBatch(pa.record_batch([pa.array(keys).dictionary_encode()], names=["k"]), None, True)
    parts = partition(batch, "k", 3, 128)
    for channel, part in enumerate(parts):
        assert to_rows(part).rows == [key for key in keys if subtask_for_key(key, 3, 128) == channel]


def test_an_unknown_key_column_is_named() -> None:
    with pytest.raises(ProgramError, match="no column 'x': the columns are a"):
        partition(columns_of([Row(a=1)]), "x", 2, 128)
