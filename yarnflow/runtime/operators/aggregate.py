"""A keyed built-in aggregate whose key is a field: on columns, if its first batch is and state is in memory."""

from __future__ import annotations

from yarnflow.functions.batch import Batch, ColumnBatch
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator, as_rows
from yarnflow.runtime.operators.reduce import make_reduce
from yarnflow.runtime.state.heap import HashMapStateBackend
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot


class AdaptiveAggregateOperator(StreamOperator):
    """Works with the row operator or the columnar one; a job on rows never loads pyarrow.

    State is restored by the row operator, and taken over by columns with the first batch.
    """

    columnar = True

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        self._rows = make_reduce(operator, context)
        self._rows.emit = self._emit
        self._chosen: StreamOperator | None = None

    def _emit(self, batch: Batch) -> None:
        self.emit(batch)

    def restore(self, restored: RestoredOperator) -> None:
        self._rows.restore(restored)

    def open(self) -> None:
        self._rows.open()

    def process_batch(self, batch: Batch, input_index: int) -> None:
        chosen = self._chosen
        if chosen is None:
            chosen = self._chosen = self._choose(batch)
        chosen.process_batch(batch if chosen.columnar else as_rows(batch), input_index)

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        (self._chosen or self._rows).snapshot(snapshot)

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        self._rows.checkpoint_completed(checkpoint_id)

    def finish(self) -> None:
        (self._chosen or self._rows).finish()

    def close(self) -> None:
        self._rows.close()

    def _choose(self, batch: Batch) -> StreamOperator:
        # On columns all keys are in memory, which the rocksdb backend is chosen to avoid.
        if not isinstance(batch, ColumnBatch) or not isinstance(self._rows.backend, HashMapStateBackend):
            return self._rows
        # pyarrow is loaded already when columns exist.
        from yarnflow.runtime.operators.columns.aggregate import ColumnarAggregateOperator

        chosen = ColumnarAggregateOperator(self.operator, self.context, self._rows)
        chosen.emit = self._emit
        return chosen
