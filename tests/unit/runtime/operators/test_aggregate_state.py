"""The state of reductions and aggregates in checkpoints: the same tables from rows and from columns."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.runtime.operators.harness import MAX_PARALLELISM, Harness, Stored
from yarnflow.common.types import Row
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.columns import to_columns
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.functions.state import ValueStateDescriptor
from yarnflow.functions.user_functions import ReduceFunction
from yarnflow.graph.key_groups import subtask_for_key
from yarnflow.graph.operators import AggregateSpec, OperatorSpec, ReduceSpec

KINDS = ("sum", "min", "max", "min_by", "max_by", "count")
FIRST = [("a", 3, "x"), ("b", 1, "y"), ("a", 2, "z"), ("c", 5, "x")]
LATER = [("c", 4, "v"), ("a", 9, "w"), ("d", 7, "u"), ("b", -1, "t")]


def feed(harness: Harness, rows: list[Any], columns: bool, times: list[int] | None = None) -> None:
    batch = RowBatch(rows.copy(), times)
    harness.operator.process_batch(to_columns(batch) if columns else batch, 0)


def outcome(harness: Harness, final_only: bool) -> list[Any]:
    if final_only:
        harness.rows()
        return sorted(harness.finish())
    return harness.rows()


@pytest.mark.parametrize("final_only", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("before", "after"), [(False, False), (False, True), (True, False), (True, True)])
def test_aggregates_go_on_where_a_snapshot_was_taken(
    kind: str, final_only: bool, before: bool, after: bool
) -> None:
    """Rows and columns can each go on with what the other has stored."""
    spec = AggregateSpec(kind, 1, 0, final_only)
    whole = Harness(spec)
    feed(whole, FIRST, False)
    whole.rows()
    feed(whole, LATER, False)
    harness = Harness(spec)
    feed(harness, FIRST, before)
    again = Harness(spec, restored=[Harness(spec, restored=[harness.snapshot()]).snapshot()])
    feed(again, LATER, after)
    assert outcome(again, final_only) == outcome(whole, final_only)


@pytest.mark.parametrize("columns", [False, True])
def test_a_snapshot_does_not_see_what_comes_after_it(columns: bool) -> None:
    for kind in KINDS:
        harness = Harness(AggregateSpec(kind, 1, 0))
        feed(harness, FIRST, columns)
        stored = harness.snapshot()
        feed(harness, LATER, columns)
        again = Harness(AggregateSpec(kind, 1, 0, final_only=True), restored=[stored])
        whole = Harness(AggregateSpec(kind, 1, 0, final_only=True))
        feed(whole, FIRST, False)
        assert sorted(again.finish()) == sorted(whole.finish())


def test_frozen_columns_do_not_change() -> None:
    for kind in KINDS:
        operator: Any = Harness(AggregateSpec(kind, 1, 0)).operator
        operator.process_batch(to_columns(RowBatch(FIRST.copy())), 0)
        columns = operator._chosen._columns
        frozen, expected = columns.freeze_values(), columns.freeze_values()()
        operator.process_batch(to_columns(RowBatch(LATER.copy())), 0)
        assert frozen() == expected


@pytest.mark.parametrize("columns", [False, True])
def test_final_results_keep_their_times(columns: bool) -> None:
    spec = AggregateSpec("sum", 1, 0, final_only=True)
    harness = Harness(spec)
    feed(harness, FIRST, columns, times=[10, 20, 30, 5])
    again = Harness(spec, restored=[harness.snapshot()])
    feed(again, LATER, columns, times=[1, 2, 3, 4])
    again.operator.finish()
    assert sorted(again.out) == [
        (("a", 14, "x"), 30),
        (("b", 0, "y"), 20),
        (("c", 9, "x"), 5),
        (("d", 7, "u"), 3),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_work_on_rows_when_state_shall_lie_on_disk(kind: str) -> None:
    whole = Harness(AggregateSpec(kind, 1, 0))
    feed(whole, FIRST, columns=True)
    feed(whole, LATER, columns=True)
    config = {"state.backend.type": "rocksdb"}
    harness = Harness(AggregateSpec(kind, 1, 0), config=config)
    feed(harness, FIRST, columns=True)
    stored = harness.snapshot()
    again = Harness(AggregateSpec(kind, 1, 0), restored=[stored], config=config)
    feed(again, LATER, columns=True)
    operator: Any = again.operator
    assert len(operator._rows.state) == 4, "all keys are in the backend"
    assert harness.rows() + again.rows() == whole.rows()
    harness.operator.close()
    again.operator.close()


def test_state_that_does_not_fit_into_columns_stays_with_rows() -> None:
    spec = AggregateSpec("sum", 1, 0)
    harness = Harness(spec)
    feed(harness, [("a", 1 << 80, "x")], columns=False)
    again = Harness(spec, restored=[harness.snapshot()])
    feed(again, [("a", 1, "y")], columns=True)
    assert again.rows() == [("a", (1 << 80) + 1, "x")]


def test_rows_with_names_and_plain_values_come_back() -> None:
    for rows, spec in (
        ([Row(shop="a", amount=2.5), Row(shop="a", amount=1.0)], AggregateSpec("sum", "amount", "shop")),
        ([4, 4, 5], AggregateSpec("max", 0, "value")),
    ):
        whole, harness = Harness(spec), Harness(spec)
        feed(whole, rows, columns=False)
        feed(whole, rows, columns=False)
        feed(harness, rows, columns=True)
        again = Harness(spec, restored=[harness.snapshot()])
        feed(again, rows, columns=True)
        assert again.rows() == whole.rows()[len(rows) :]


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize(
    "spec",
    [
        ReduceSpec(lambda a, b: (a[0], a[1] + b[1]), lambda row: row[0], final_only=True),
        AggregateSpec("count", 0, lambda row: row[0], final_only=True),
    ],
)
def test_reductions_come_back_at_any_parallelism(spec: OperatorSpec, parallelism: int, backend: str) -> None:
    config = {"state.backend.type": backend}
    stored: list[Stored] = []
    keys = [f"key{number}" for number in range(30)]
    for subtask in range(2):
        harness = Harness(spec, subtask=subtask, parallelism=2, config=config)
        own = [(key, 1) for key in keys if subtask_for_key(key, 2, MAX_PARALLELISM) == subtask]
        harness.send(*own)
        harness.send(*own)
        stored.append(harness.snapshot())
        harness.operator.close()
    found = []
    for subtask in range(parallelism):
        again = Harness(spec, subtask=subtask, parallelism=parallelism, restored=stored, config=config)
        found += again.finish()
    assert sorted(found) == [(key, 2) for key in sorted(keys)]


class Limited(ReduceFunction):
    """Sums up at most three records of a key."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.taken = runtime_context.get_state(ValueStateDescriptor("taken"))

    def reduce(self, value1: Any, value2: Any) -> Any:
        taken = (self.taken.value() or 1) + 1
        if taken > 3:
            return value1
        self.taken.update(taken)
        return value1[0], value1[1] + value2[1]


def test_a_reduce_function_may_have_state_of_its_own() -> None:
    spec = ReduceSpec(Limited(), lambda row: row[0])
    harness = Harness(spec)
    harness.send(("a", 1), ("b", 10), ("a", 2))
    again = Harness(ReduceSpec(Limited(), lambda row: row[0]), restored=[harness.snapshot()])
    again.send(("a", 3), ("a", 4), ("b", 20))
    assert again.rows() == [("a", 6), ("a", 6), ("b", 30)]


def test_an_unstable_key_is_noticed() -> None:
    other = next(number for number in range(100) if subtask_for_key(number, 4, MAX_PARALLELISM) != 1)
    for spec in (
        ReduceSpec(lambda a, b: a, lambda record: other),
        AggregateSpec("count", 0, lambda record: other),
    ):
        harness = Harness(spec, subtask=1, parallelism=4)
        with pytest.raises(ProgramError, match="key selector of 'Operator' is not stable"):
            harness.send(("a", 1))
