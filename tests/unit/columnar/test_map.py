"""Filter, select and map_batches, on rows and on columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.unit.columnar.harness import columns_of, records, run_columns, times
from yarnflow.common.types import Row
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.expressions import col, lit
from yarnflow.graph.operators import FilterExpressionSpec, MapBatchesSpec, SelectSpec

PEOPLE = [Row(name="a", age=1), Row(name="b", age=None), Row(name=None, age=3)]


def both(rows: list[Any]) -> list[Batch]:
    """The same records as rows and as columns."""
    return [RowBatch(list(rows), list(range(len(rows)))), columns_of(rows, list(range(len(rows))))]


@pytest.mark.parametrize("form", [0, 1])
def test_filter_keeps_records_and_times(form: int) -> None:
    result = run_columns(FilterExpressionSpec(col("age") > 0), [both(PEOPLE)[form]])
    assert records(result) == [PEOPLE[0], PEOPLE[2]]
    assert times(result) == [0, 2]


def test_filter_of_rows_gives_the_same_objects() -> None:
    rows = [("a", 1), ("b", 2)]
    (result,) = run_columns(FilterExpressionSpec(col("f1") == 2), [RowBatch(list(rows))])
    assert isinstance(result, RowBatch)
    assert result.rows[0] is rows[1]


def test_filter_of_plain_values() -> None:
    assert records(run_columns(FilterExpressionSpec(col("value") % 3 == 0), [columns_of(list(range(7)))])) == [
        0,
        3,
        6,
    ]


def test_filter_emits_nothing_when_nothing_is_left() -> None:
    assert run_columns(FilterExpressionSpec(lit(False)), both(PEOPLE)) == []
    assert run_columns(FilterExpressionSpec(lit(True)), [RowBatch([])]) == []


def test_filter_needs_a_truth_value() -> None:
    with pytest.raises(ProgramError, match="gives int64"):
        run_columns(FilterExpressionSpec(col("age") + 1), both(PEOPLE))


@pytest.mark.parametrize("form", [0, 1])
def test_select(form: int) -> None:
    spec = SelectSpec((("who", col("name")), ("next", col("age") + 1), ("one", lit(1))))
    result = run_columns(spec, [both(PEOPLE)[form]])
    assert records(result) == [
        Row(who="a", next=2, one=1),
        Row(who="b", next=None, one=1),
        Row(who=None, next=4, one=1),
    ]
    assert times(result) == [0, 1, 2]


def test_select_of_one_plain_value() -> None:
    assert records(run_columns(SelectSpec((("value", col("value") * 2 + 1),), True), [columns_of([1, 2])])) == [
        3,
        5,
    ]


def split(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Words of lines, as users write it."""
    return pa.record_batch([pc.list_flatten(pc.utf8_split_whitespace(batch.column(0)))], names=["value"])


def test_map_batches_may_change_the_number_of_records() -> None:
    batch = columns_of(["to be", "or not"], [5, 7])
    result = run_columns(MapBatchesSpec(split, scalar=True), [batch])
    assert records(result) == ["to", "be", "or", "not"]
    assert times(result) == [7, 7, 7, 7]


def test_map_batches_keeps_times_of_as_many_records() -> None:
    result = run_columns(MapBatchesSpec(lambda batch: batch), [columns_of(["a", "b"], [5, 7])])
    assert records(result) == [Row(value="a"), Row(value="b")]
    assert times(result) == [5, 7]


def test_map_batches_may_return_none_tables_and_nothing() -> None:
    batch = columns_of([1, 2])
    assert run_columns(MapBatchesSpec(lambda batch: None), [batch]) == []
    assert run_columns(MapBatchesSpec(lambda batch: batch.slice(0, 0)), [batch]) == []
    table = pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2]})])
    assert records(run_columns(MapBatchesSpec(lambda batch: table, True), [batch])) == [1, 2]


def test_map_batches_refuses_other_results() -> None:
    batch = columns_of([1, 2])
    with pytest.raises(ProgramError, match=r"returned list: map_batches needs a pyarrow\.RecordBatch"):
        run_columns(MapBatchesSpec(lambda batch: [1]), [batch])
    two = pa.record_batch([[1], [2]], names=["a", "b"])
    with pytest.raises(ProgramError, match="exactly one"):
        run_columns(MapBatchesSpec(lambda batch: two, True), [batch])
    (result,) = run_columns(MapBatchesSpec(lambda batch: two), [batch])
    assert isinstance(result, ColumnBatch)
