"""The end of a pipeline: hands batches to the writer of a sink."""

from __future__ import annotations

from yarnflow.functions.batch import Batch
from yarnflow.functions.sink import SinkWriter, WriterContext
from yarnflow.graph.operators import Operator, SinkSpec
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator


class SinkOperator(StreamOperator):
    """Writes every batch; makes everything visible in `finish`."""

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, SinkSpec)
        self._sink = operator.spec.sink
        self.columnar = self._sink.columnar
        self._writer: SinkWriter | None = None
        self._unflushed = False

    def open(self) -> None:
        context = self.context
        self._writer = self._sink.writer(
            WriterContext(
                context.job_id,
                context.subtask_index,
                context.parallelism,
                context.attempt,
                self.operator.operator_id,
            )
        )

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert self._writer is not None
        self._unflushed = True
        self._writer.write(batch)

    def flush(self) -> None:
        if self._unflushed and self._writer is not None:
            self._unflushed = False
            self._writer.flush()

    def finish(self) -> None:
        assert self._writer is not None
        self._writer.finish()

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
