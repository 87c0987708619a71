"""Operators with two inputs that map records: co-map and co-flat-map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.graph.operators import CoFlatMapSpec, CoMapSpec, Operator
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.user_functions import bind, close_functions, open_functions


class CoMapOperator(StreamOperator):
    """Calls map1 or map2 of a CoMapFunction, by input. A result of None is dropped."""

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, CoMapSpec)
        self._function = operator.spec.function
        self._calls: list[Callable[[Any], Any]] = [
            bind(self._function, "map1"),
            bind(self._function, "map2"),
        ]

    def open(self) -> None:
        open_functions([self._function], self.context.runtime_context)

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        call = self._calls[input_index]
        if batch.timestamps is None:
            batch.rows = [value for record in batch.rows for value in (call(record),) if value is not None]
        else:
            pairs = [
                (value, time)
                for record, time in zip(batch.rows, batch.timestamps, strict=True)
                for value in (call(record),)
                if value is not None
            ]
            batch.rows = [value for value, _ in pairs]
            batch.timestamps = [time for _, time in pairs]
        if batch.rows:
            self.emit(batch)

    def close(self) -> None:
        close_functions([self._function])


class CoFlatMapOperator(StreamOperator):
    """Calls flat_map1 or flat_map2 of a CoFlatMapFunction, by input."""

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, CoFlatMapSpec)
        self._function = operator.spec.function
        self._calls: list[Callable[[Any], Any]] = [
            bind(self._function, "flat_map1"),
            bind(self._function, "flat_map2"),
        ]

    def open(self) -> None:
        open_functions([self._function], self.context.runtime_context)

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        call = self._calls[input_index]
        rows: list[Any] = []
        if batch.timestamps is None:
            for record in batch.rows:
                items = call(record)
                if items is not None:
                    rows.extend(items)
            times = None
        else:
            times = []
            for record, time in zip(batch.rows, batch.timestamps, strict=True):
                items = call(record)
                if items is not None:
                    before = len(rows)
                    rows.extend(items)
                    times.extend([time] * (len(rows) - before))
        if rows:
            self.emit(RowBatch(rows, times))

    def close(self) -> None:
        close_functions([self._function])
