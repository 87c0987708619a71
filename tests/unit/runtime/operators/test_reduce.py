"""Keyed reduce and the built-in aggregates, compared with PyFlink's definitions."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.runtime.operators.harness import operator_context
from yarnflow.common.types import Row
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.functions.user_functions import KeySelector, ReduceFunction
from yarnflow.graph.operators import AggregateSpec, Operator, OperatorSpec, ReduceSpec
from yarnflow.runtime.operators.base import StreamOperator
from yarnflow.runtime.operators.reduce import FINAL_BATCH, aggregator
from yarnflow.runtime.operators.registry import make_operator

Pair = namedtuple("Pair", ["key", "value"])


def make(spec: OperatorSpec) -> tuple[StreamOperator, list[RowBatch]]:
    operator = make_operator(Operator("0" * 32, "Reduce", spec), operator_context())
    out: list[RowBatch] = []

    def emit(batch: Batch) -> None:
        assert isinstance(batch, RowBatch)
        out.append(batch)

    operator.emit = emit
    operator.open()
    return operator, out


def run(spec: OperatorSpec, *batches: list[Any], times: list[list[int]] | None = None) -> list[Any]:
    operator, out = make(spec)
    for number, rows in enumerate(batches):
        operator.process_batch(RowBatch(rows, times[number] if times else None), 0)
    operator.end_input(0)
    operator.finish()
    operator.close()
    return [row for batch in out for row in batch.rows]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers()), max_size=30), st.integers(0, 30), st.booleans())
def test_reduce_emits_every_update_or_only_the_final_values(
    rows: list[tuple[int, int]], cut: int, final_only: bool
) -> None:
    spec = ReduceSpec(lambda a, b: (a[0], a[1] + b[1]), lambda row: row[0], final_only)
    state: dict[int, tuple[int, int]] = {}
    updates = []
    for key, value in rows:
        state[key] = (key, state[key][1] + value) if key in state else (key, value)
        updates.append(state[key])
    assert run(spec, rows[:cut], rows[cut:]) == (list(state.values()) if final_only else updates)


def test_function_classes_are_opened_bound_and_closed() -> None:
    events: list[str] = []

    class Key(KeySelector):
        def open(self, runtime_context: RuntimeContext) -> None:
            events.append(f"open key in {runtime_context.get_task_name()}")

        def get_key(self, value: Any) -> Any:
            return value % 2

        def close(self) -> None:
            events.append("close key")

    class Total(ReduceFunction):
        def open(self, runtime_context: RuntimeContext) -> None:
            events.append("open reduce")

        def reduce(self, value1: Any, value2: Any) -> Any:
            return value1 + value2

        def close(self) -> None:
            events.append("close reduce")

    assert run(ReduceSpec(Total(), Key()), [1, 2, 3]) == [1, 2, 4]
    assert events == ["open key in task", "open reduce", "close reduce", "close key"]


def test_updates_carry_the_time_of_their_record() -> None:
    operator, out = make(ReduceSpec(lambda a, b: a + b, lambda row: 0))
    operator.process_batch(RowBatch([1, 2], [10, 5]), 0)
    assert (out[0].rows, out[0].timestamps) == ([1, 3], [10, 5])


def test_final_values_carry_the_latest_time_of_their_key() -> None:
    operator, out = make(ReduceSpec(lambda a, b: a + b, lambda row: row % 2, final_only=True))
    operator.process_batch(RowBatch([1, 2, 3], [10, 5, 7]), 0)
    operator.finish()
    assert (out[0].rows, out[0].timestamps) == ([4, 2], [10, 5])


def test_final_values_come_in_bounded_batches() -> None:
    operator, out = make(ReduceSpec(lambda a, b: b, lambda row: row, final_only=True))
    operator.process_batch(RowBatch(list(range(FINAL_BATCH + 1))), 0)
    operator.finish()
    assert [len(batch) for batch in out] == [FINAL_BATCH, 1]


def test_none_is_a_record_like_any_other() -> None:
    assert run(ReduceSpec(lambda a, b: (a, b), lambda row: 0), [None, 1]) == [None, (None, 1)]


def test_a_reduce_function_may_change_its_first_argument() -> None:
    def add(kept: list[int], record: list[int]) -> list[int]:
        kept[0] += record[0]
        return kept

    assert run(ReduceSpec(add, lambda row: 0), [[1], [2]], [[3]]) == [[1], [3], [6]]


def test_a_consumer_that_changes_a_record_does_not_reach_the_state() -> None:
    operator, out = make(ReduceSpec(lambda a, b: [a[0] + b[0]], lambda row: 0))
    operator.process_batch(RowBatch([[1]]), 0)
    out[0].rows[0][0] = 99
    operator.process_batch(RowBatch([[1]]), 0)
    out[1].rows[0][0] = 99
    operator.process_batch(RowBatch([[1]]), 0)
    assert out[2].rows == [[3]]


@pytest.mark.parametrize("final_only", [False, True])
@pytest.mark.parametrize(
    "spec",
    [
        lambda final: ReduceSpec(lambda a, b: a, lambda row: [row], final),
        lambda final: AggregateSpec("count", 0, lambda row: {row}, final),
    ],
)
def test_an_unhashable_key_is_named_with_operator_and_record(spec: Any, final_only: bool) -> None:
    operator, _ = make(spec(final_only))
    with pytest.raises(ProgramError) as caught:
        operator.process_batch(RowBatch(["some record"]), 0)
    message = str(caught.value)
    assert "'Reduce'" in message
    assert "unhashable" in message
    assert "'some record'" in message


def test_a_type_error_in_the_reduce_function_stays_what_it_is() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        run(ReduceSpec(lambda a, b: a + b, lambda row: 0), [1, "x"])


# -- sum, min, max, min_by, max_by, count --------------------------------------------------------------------

_ROWS = [("a", 3, "x"), ("a", 1, "y"), ("a", 1, "z"), ("a", 5, "w")]
_EXPECTED = {
    "sum": [("a", 3, "x"), ("a", 4, "x"), ("a", 5, "x"), ("a", 10, "x")],
    "min": [("a", 3, "x"), ("a", 1, "x"), ("a", 1, "x"), ("a", 1, "x")],
    "max": [("a", 3, "x"), ("a", 3, "x"), ("a", 3, "x"), ("a", 5, "x")],
    "min_by": [("a", 3, "x"), ("a", 1, "y"), ("a", 1, "y"), ("a", 1, "y")],
    "max_by": [("a", 3, "x"), ("a", 3, "x"), ("a", 3, "x"), ("a", 5, "w")],
}
_NAMES = ("key", "number", "letter")


@pytest.mark.parametrize("kind", sorted(_EXPECTED))
@pytest.mark.parametrize("key", [0, lambda row: row[0]], ids=["field", "function"])
def test_aggregates_on_tuples_and_lists(kind: str, key: Any) -> None:
    assert run(AggregateSpec(kind, 1, key), list(_ROWS)) == _EXPECTED[kind]
    assert run(AggregateSpec(kind, -2, key), list(_ROWS)) == _EXPECTED[kind]
    as_lists = run(AggregateSpec(kind, 1, key), [list(row) for row in _ROWS])
    assert as_lists == [list(row) for row in _EXPECTED[kind]]


@pytest.mark.parametrize("kind", sorted(_EXPECTED))
@pytest.mark.parametrize("field", [1, "number"])
def test_aggregates_on_rows(kind: str, field: int | str) -> None:
    rows = [Row(**dict(zip(_NAMES, row, strict=True))) for row in _ROWS]
    expected = [Row(**dict(zip(_NAMES, row, strict=True))) for row in _EXPECTED[kind]]
    assert run(AggregateSpec(kind, field, "key"), rows) == expected


@pytest.mark.parametrize("kind", sorted(_EXPECTED))
def test_aggregates_on_dicts(kind: str) -> None:
    rows = [dict(zip(_NAMES, row, strict=True)) for row in _ROWS]
    expected = [dict(zip(_NAMES, row, strict=True)) for row in _EXPECTED[kind]]
    assert run(AggregateSpec(kind, "number", "key"), rows) == expected


def test_aggregates_on_named_tuples() -> None:
    rows = [Pair("a", 3), Pair("a", 1)]
    assert run(AggregateSpec("sum", "value", 0), rows) == [("a", 3), ("a", 4)]
    assert run(AggregateSpec("min_by", "value", 0), rows) == rows


@pytest.mark.parametrize(
    ("kind", "expected"), [("sum", [3, 4, 9]), ("min", [3, 1, 1]), ("max_by", [3, 3, 5]), ("min_by", [3, 1, 1])]
)
def test_aggregates_on_plain_values(kind: str, expected: list[int]) -> None:
    assert run(AggregateSpec(kind, 0, lambda row: "all"), [3, 1, 5]) == expected


def test_plain_values_have_only_field_zero() -> None:
    with pytest.raises(ProgramError, match="only field 0"):
        run(AggregateSpec("sum", 1, lambda row: "all"), [3, 1])


def test_a_tuple_has_no_names() -> None:
    with pytest.raises(ProgramError, match=r"'name'.*no such field"):
        run(AggregateSpec("max", "name", 0), [("a", 1), ("a", 2)])


def test_count_emits_key_and_count() -> None:
    assert run(AggregateSpec("count", 0, 0), [("a",), ("b",)], [("a",)]) == [("a", 1), ("b", 1), ("a", 2)]
    assert run(AggregateSpec("count", 0, 0, True), [("a",), ("b",)], [("a",)]) == [("a", 2), ("b", 1)]


def test_aggregates_change_neither_argument() -> None:
    kept, record = ["a", 1], ["a", 2]
    assert aggregator("sum", 1)(kept, record) == ["a", 3]
    assert (kept, record) == (["a", 1], ["a", 2])
