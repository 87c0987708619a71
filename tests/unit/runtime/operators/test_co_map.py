"""Operators with two inputs."""

from __future__ import annotations

from typing import Any

from tests.unit.runtime.operators.harness import operator_context
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.user_functions import CoFlatMapFunction, CoMapFunction
from yarnflow.graph.operators import CoFlatMapSpec, CoMapSpec, Operator, OperatorSpec
from yarnflow.runtime.operators.base import StreamOperator
from yarnflow.runtime.operators.registry import make_operator


class Both(CoMapFunction):
    def map1(self, value: Any) -> Any:
        return None if value == 0 else ("one", value)

    def map2(self, value: Any) -> Any:
        return ("two", value)


class BothFlat(CoFlatMapFunction):
    def flat_map1(self, value: Any) -> Any:
        return None if value == 0 else [value] * value

    def flat_map2(self, value: Any) -> Any:
        yield -value


def make(spec: OperatorSpec) -> tuple[StreamOperator, list[Any]]:
    operator = make_operator(Operator("0" * 32, "Co", spec), operator_context())
    out: list[Any] = []
    operator.emit = lambda batch: out.append((batch.rows, batch.timestamps))  # type: ignore[union-attr]
    operator.open()
    return operator, out


def test_co_map_drops_none_and_keeps_times() -> None:
    operator, out = make(CoMapSpec(Both()))
    operator.process_batch(RowBatch([0, 1]), 0)
    operator.process_batch(RowBatch([0, 1, 2], [5, 6, 7]), 0)
    operator.process_batch(RowBatch([0], [8]), 1)
    operator.process_batch(RowBatch([0]), 0)
    assert out == [([("one", 1)], None), ([("one", 1), ("one", 2)], [6, 7]), ([("two", 0)], [8])]


def test_co_flat_map_keeps_times() -> None:
    operator, out = make(CoFlatMapSpec(BothFlat()))
    operator.process_batch(RowBatch([2, 0, 1], [5, 6, 7]), 0)
    operator.process_batch(RowBatch([3]), 1)
    operator.process_batch(RowBatch([0]), 0)
    assert out == [([2, 2, 1], [5, 5, 7]), ([-3], None)]
