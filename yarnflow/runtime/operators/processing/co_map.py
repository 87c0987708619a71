"""Operators with two inputs that map records: co-map and co-flat-map, without keyed state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.graph.operators import CoFlatMapSpec, CoMapSpec, Operator
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.processing.process import ProcessOperator
from yarnflow.runtime.operators.user_functions import bind


class CoMapOperator(ProcessOperator):
    """Calls map1 or map2 of a CoMapFunction, by input. A result of None is dropped."""

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        assert isinstance(operator.spec, CoMapSpec)
        super().__init__(operator, context, operator.spec.function)
        self._calls: list[Callable[[Any], Any]] = [bind(self.function, "map1"), bind(self.function, "map2")]

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        call = self._calls[input_index]
        rows: list[Any] = []
        append = rows.append
        if batch.timestamps is None:
            for record in batch.rows:
                value = call(record)
                if value is not None:
                    append(value)
            self.hand_on(rows, None)
            return
        times: list[int] = []
        for record, time in zip(batch.rows, batch.timestamps, strict=True):
            value = call(record)
            if value is not None:
                append(value)
                times.append(time)
        self.hand_on(rows, times)


class CoFlatMapOperator(ProcessOperator):
    """Calls flat_map1 or flat_map2 of a CoFlatMapFunction, by input."""

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        assert isinstance(operator.spec, CoFlatMapSpec)
        super().__init__(operator, context, operator.spec.function)
        self._calls: list[Callable[[Any], Any]] = [
            bind(self.function, "flat_map1"),
            bind(self.function, "flat_map2"),
        ]

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        call = self._calls[input_index]
        rows: list[Any] = []
        times: list[int] | None = None
        record = items = None
        try:
            if batch.timestamps is None:
                for record in batch.rows:
                    items = call(record)
                    if items is not None:
                        rows.extend(items)
            else:
                times = []
                for record, time in zip(batch.rows, batch.timestamps, strict=True):
                    items = call(record)
                    if items is not None:
                        rows.extend(items)
                        times.extend([time] * (len(rows) - len(times)))
        except TypeError as error:
            self.explain_results(error, items, call, record)
            raise
        self.hand_on(rows, times)
