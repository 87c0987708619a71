"""Compiled trees do what a naive interpreter of the same tree does, and know where they failed."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.timers import NO_TIMESTAMP
from yarnflow.runtime.operators.fused import ElementContext
from yarnflow.runtime.taskmanager.chain_compiler import (
    MAX_DEPTH,
    CompiledTree,
    Kind,
    Position,
    Route,
    Step,
    operator_at,
)

LEFT, RIGHT, UNREAD = OutputTag("left"), OutputTag("right"), OutputTag("unread")


def _add(value: int) -> int:
    return value + 1


def _repeat(value: int) -> Any:
    return None if value % 5 == 0 else [value] * (value % 3)


def _generate(value: int) -> Any:
    yield value
    if value % 2:
        yield -value


def _odd(value: int) -> Any:
    return value % 2


def _split(value: int, context: Any) -> Any:
    if value % 7 == 0:
        return None
    return [
        value * 10,
        (LEFT, value),
        (OutputTag("right"), value + (context.timestamp() or 0)),
        (UNREAD, value),
        (value,),
        (),
    ]


def _flat(value: Any) -> int:
    return value if isinstance(value, int) else len(value)


_SIMPLE: list[tuple[Kind, Callable[..., Any]]] = [
    (Kind.MAP, _add),
    (Kind.MAP, partial(max, 3)),
    (Kind.MAP, abs),
    (Kind.FLAT_MAP, _repeat),
    (Kind.FLAT_MAP, _generate),
    (Kind.FLAT_MAP, range),
    (Kind.FILTER, _odd),
    (Kind.FILTER, (3).__lt__),
]


class _Builder:
    """Draws a tree and numbers its outputs."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.outputs = 0
        self.operators = 0

    def output(self) -> int:
        self.outputs += 1
        return self.outputs - 1

    def step(self, depth: int) -> Step:
        self.operators += 1
        number = self.operators - 1
        if self.draw(st.integers(0, 4)) == 0:
            step = Step(number, Kind.PROCESS, _split, ElementContext())
            for tag in self.draw(st.lists(st.sampled_from([LEFT, RIGHT]), unique_by=id)):
                step.tagged += [(tag, child) for child in self.consumers(depth)]
            # What a process function emits is not an int any more.
            flat = Step(self.operators, Kind.MAP, _flat)
            self.operators += 1
            flat.children = self.consumers(depth)
            step.children = [flat]
        else:
            kind, function = self.draw(st.sampled_from(_SIMPLE))
            step = Step(number, kind, function)
            step.children = self.consumers(depth)
        return step

    def consumers(self, depth: int) -> list[Step | int]:
        found: list[Step | int] = []
        for _ in range(self.draw(st.sampled_from([1, 1, 1, 2]))):
            if depth < 3 and self.draw(st.booleans()):
                found.append(self.step(depth + 1))
            else:
                found.append(self.output())
        return found


@st.composite
def trees(draw: Any) -> tuple[Step, int]:
    builder = _Builder(draw)
    return builder.step(0), builder.outputs


def interpret(step: Step, value: Any, time: int | None, out: list[list[Any]]) -> None:
    """What a tree means, as simply as it can be said."""

    def give(consumers: list[Step | int], item: Any) -> None:
        for consumer in consumers:
            if isinstance(consumer, Step):
                interpret(consumer, item, time, out)
            else:
                out[consumer].append((item, time))

    if step.kind is Kind.MAP:
        give(step.children, step.function(value))
    elif step.kind is Kind.FILTER:
        if step.function(value):
            give(step.children, value)
    elif step.kind is Kind.FLAT_MAP:
        for item in step.function(value) or ():
            give(step.children, item)
    else:
        context = ElementContext()
        context.element_timestamp = NO_TIMESTAMP if time is None else time
        for item in step.function(value, context) or ():
            if type(item) is tuple and item and isinstance(item[0], OutputTag):
                give([consumer for tag, consumer in step.tagged if tag == item[0]], item[1])
            else:
                give(step.children, item)


@settings(deadline=None)
@given(trees(), st.lists(st.integers(-20, 20), max_size=12), st.lists(st.integers(-20, 20), max_size=5))
def test_compiled_trees_agree_with_the_interpreter(
    tree: tuple[Step, int], rows: list[int], later: list[int]
) -> None:
    root, outputs = tree
    compiled = CompiledTree(root, outputs, output_tag=OutputTag)
    # Plain, timed and plain again: contexts must not keep a time.
    for values, timed in ((rows, False), (rows, True), (later, False)):
        expected: list[list[Any]] = [[] for _ in range(outputs)]
        for number, value in enumerate(values):
            interpret(root, value, number + 100 if timed else None, expected)
        if timed:
            got = compiled.timed(list(values), [number + 100 for number in range(len(values))])
            assert [list(zip(*pair, strict=True)) for pair in got] == expected
        else:
            assert [[(item, None) for item in items] for items in compiled.plain(list(values))] == expected


def test_a_linear_tree_is_one_comprehension() -> None:
    tree = CompiledTree(Step(0, Kind.MAP, _add, children=[Step(1, Kind.FILTER, _odd, children=[0])]), 1)
    assert tree.plain([1, 2, 3]) == ([3],)


def test_the_deepest_tree_compiles() -> None:
    root = step = Step(0, Kind.FLAT_MAP, _generate)
    for number in range(1, MAX_DEPTH):
        child = Step(number, Kind.PROCESS, lambda value, context: [value], ElementContext())
        step.children = [child]
        step = child
    step.children = [0]
    tree = CompiledTree(root, 1, output_tag=OutputTag)
    assert tree.plain([1]) == ([1, -1],)
    assert tree.timed([1], [9]) == (([1, -1], [9, 9]),)


def test_a_tree_that_nobody_reads_still_calls_its_functions() -> None:
    seen: list[int] = []
    tree = CompiledTree(Step(0, Kind.MAP, seen.append), 0)
    assert tree.plain([1, 2]) == ()
    assert seen == [1, 2]


def test_routes_append_to_the_buffer_of_the_key() -> None:
    even: list[int] = []
    odd: list[int] = []
    even_times: list[int] = []
    odd_times: list[int] = []
    route = Route(
        0,
        _odd,
        {0: even.append, 1: odd.append},
        {0: (even.append, even_times.append), 1: (odd.append, odd_times.append)},
    )
    tree = CompiledTree(Step(0, Kind.MAP, _add, children=[0, 1]), 2, {0: route})
    assert tree.plain([0, 1, 2]) == (None, [1, 2, 3])
    assert (even, odd) == ([2], [1, 3])
    assert tree.timed([3], [77]) == (None, ([4], [77]))
    assert (even, even_times, odd_times) == ([2, 4], [77], [])


def test_routes_by_a_field_do_not_call() -> None:
    gathered: dict[str, list[Any]] = {"a": [], "b": []}
    times: list[int] = []
    route = Route(
        0,
        operator.itemgetter("key"),
        {key: rows.append for key, rows in gathered.items()},
        {key: (rows.append, times.append) for key, rows in gathered.items()},
    )
    tree = CompiledTree(Step(0, Kind.FILTER, bool, children=[0]), 1, {0: route})
    tree.plain([{"key": "a"}, {"key": "b"}])
    tree.timed([{"key": "a", "more": 1}], [5])
    assert gathered == {"a": [{"key": "a"}, {"key": "a", "more": 1}], "b": [{"key": "b"}]}
    assert times == [5]
    assert _failing_position(lambda: tree.plain([{"other": "a"}])) == Position(0, True, {"other": "a"})


def _failing_position(call: Callable[[], Any]) -> Position:
    try:
        call()
    except Exception:
        trace = sys.exc_info()[2]
        found = None
        while trace is not None:
            found = operator_at(trace.tb_frame, trace.tb_lineno) or found
            trace = trace.tb_next
        assert found is not None
        return found
    raise AssertionError("nothing was raised")


def _boom(value: Any, *context: Any) -> Any:
    if value == 3:
        raise ValueError("three")
    return [value]


def _boom_late(value: Any) -> Any:
    yield value
    if value == 3:
        raise ValueError("three")


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize(
    ("kind", "function"),
    [
        (Kind.MAP, _boom),
        (Kind.FILTER, _boom),
        (Kind.FLAT_MAP, _boom),
        (Kind.FLAT_MAP, _boom_late),
        (Kind.PROCESS, _boom),
    ],
)
@pytest.mark.parametrize("branches", [1, 2])
def test_a_failure_is_traced_to_its_operator_and_record(
    timed: bool, kind: Kind, function: Any, branches: int
) -> None:
    context = ElementContext() if kind is Kind.PROCESS else None
    failing = Step(5, kind, function, context, children=[0])
    root = Step(4, Kind.MAP, _add, children=[failing, *range(1, branches)])
    tree = CompiledTree(root, branches, output_tag=OutputTag)
    rows = [0, 1, 2, 3]
    call = (lambda: tree.timed(rows, rows)) if timed else (lambda: tree.plain(rows))
    assert _failing_position(call) == Position(5, False, 3)


def test_a_failing_key_selector_is_told_from_its_operator() -> None:
    route = Route(0, lambda value: value.missing, {}, {})
    tree = CompiledTree(Step(0, Kind.MAP, _add, children=[0]), 1, {0: route})
    assert _failing_position(lambda: tree.plain([6])) == Position(0, True, 7)
