"""Accumulators, metrics, the runtime context and output tags: what functions use at run time."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from yarnflow.common import Types
from yarnflow.functions.accumulators import (
    Accumulator,
    DoubleCounter,
    Histogram,
    IntCounter,
    IntMaximum,
    IntMinimum,
    ListAccumulator,
    LongCounter,
)
from yarnflow.functions.metrics import Meter, MetricGroup
from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.projection import Projection
from yarnflow.functions.runtime_context import RuntimeContext


@pytest.mark.parametrize(
    ("kind", "first", "second", "merged", "empty"),
    [
        (IntCounter, [1, 2], [3], 6, 0),
        (LongCounter, [1], [-1], 0, 0),
        (DoubleCounter, [0.5], [1], 1.5, 0.0),
        (IntMinimum, [5, 3], [4], 3, None),
        (IntMaximum, [5, 3], [], 5, None),
        (ListAccumulator, ["a"], ["b"], ["a", "b"], []),
        (Histogram, [1, 1, 2], [2], {1: 2, 2: 2}, {}),
    ],
)
def test_accumulators_of_subtasks_merge(
    kind: type[Accumulator[Any]], first: list[Any], second: list[Any], merged: Any, empty: Any
) -> None:
    one, other = kind(), kind()
    for value in first:
        one.add(value)
    for value in second:
        other.add(value)
    one = pickle.loads(pickle.dumps(one))
    one.merge(pickle.loads(pickle.dumps(other)))
    assert one.get_local_value() == merged
    one.reset_local()
    assert one.get_local_value() == empty


def test_metrics_are_registered_once_by_name() -> None:
    group = MetricGroup(("map",))
    group.counter("records").inc()
    group.counter("records").inc(4)
    group.counter("records").dec()
    group.gauge("depth", lambda: 7)
    group.add_group("kind", "late").distribution("delay").update(3)
    group.add_group("kind", "late").distribution("delay").update(5)
    assert group.snapshot() == {
        "map.records": 4,
        "map.depth": 7,
        "map.kind.late.delay.count": 2,
        "map.kind.late.delay.sum": 8,
        "map.kind.late.delay.min": 3,
        "map.kind.late.delay.max": 5,
    }
    with pytest.raises(ValueError, match="is a Counter already"):
        group.meter("records")


def test_a_meter_forgets_what_is_older_than_its_span() -> None:
    now = [100.0]
    meter = Meter(10, clock=lambda: now[0])
    meter.mark_event(20)
    assert meter.get_rate() == 2.0
    now[0] = 105.0
    meter.mark_event(10)
    assert meter.get_rate() == 3.0
    now[0] = 112.0
    assert meter.get_rate() == 1.0
    assert meter.get_count() == 30


def test_the_runtime_context_tells_where_a_function_runs() -> None:
    accumulators: dict[str, Accumulator[Any]] = {}
    context = RuntimeContext("Map", 4, 128, 2, 1, "ab" * 16, {"limit": "3"}, accumulators)
    assert context.get_task_name_with_subtasks() == "Map (3/4)#1"
    assert (context.get_number_of_parallel_subtasks(), context.get_index_of_this_subtask()) == (4, 2)
    assert (context.get_max_number_of_parallel_subtasks(), context.get_attempt_number()) == (128, 1)
    assert context.get_job_parameter("limit", None) == "3"
    assert context.get_job_parameter("other", 9) == 9
    counter = IntCounter()
    context.add_accumulator("lines", counter)
    assert context.get_accumulator("lines") is counter is accumulators["lines"]
    with pytest.raises(ValueError, match="'lines' already"):
        context.add_accumulator("lines", IntCounter())


def test_output_tags_are_equal_by_id() -> None:
    tag = OutputTag("late", Types.STRING())
    assert pickle.loads(pickle.dumps(tag)) == tag == OutputTag("late")
    assert pickle.loads(pickle.dumps(tag)).type_info == Types.STRING()
    assert OutputTag("late") != OutputTag("early")
    assert OutputTag("row", [Types.INT()]).type_info == Types.ROW([Types.INT()])
    with pytest.raises(ValueError, match="not empty"):
        OutputTag("")
    with pytest.raises(TypeError, match="type of an OutputTag"):
        OutputTag("x", int)  # type: ignore[arg-type]


def test_a_projection_is_a_tuple_also_of_one_field() -> None:
    assert Projection([2, 0])(("a", "b", "c")) == ("c", "a")
    assert pickle.loads(pickle.dumps(Projection([1])))(("a", "b")) == ("b",)
