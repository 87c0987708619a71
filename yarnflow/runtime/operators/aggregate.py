"""A keyed built-in aggregate whose key is a field: on rows or on columns, as its first batch is."""

from __future__ import annotations

from yarnflow.functions.batch import Batch, ColumnBatch
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator, as_rows
from yarnflow.runtime.operators.reduce import make_reduce


class AdaptiveAggregateOperator(StreamOperator):
    """Becomes the row operator or the columnar one; a job on rows never loads pyarrow."""

    columnar = True

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        self._chosen: StreamOperator | None = None

    def process_batch(self, batch: Batch, input_index: int) -> None:
        chosen = self._chosen
        if chosen is None:
            chosen = self._choose(batch)
        chosen.process_batch(batch if chosen.columnar else as_rows(batch), input_index)

    def flush(self) -> None:
        if self._chosen is not None:
            self._chosen.flush()

    def finish(self) -> None:
        if self._chosen is not None:
            self._chosen.finish()

    def close(self) -> None:
        if self._chosen is not None:
            self._chosen.close()

    def _choose(self, batch: Batch) -> StreamOperator:
        chosen: StreamOperator
        if isinstance(batch, ColumnBatch):
            # pyarrow is loaded already when columns exist.
            from yarnflow.runtime.operators.columnar import make_columnar

            chosen = make_columnar(self.operator, self.context)
        else:
            chosen = make_reduce(self.operator, self.context)
        chosen.emit = self.emit
        chosen.open()
        self._chosen = chosen
        return chosen
