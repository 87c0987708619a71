"""The end of a pipeline: hands batches to the writer of a sink, and commits what it prepared."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch
from yarnflow.functions.sink import Committer, SinkWriter, WriterContext
from yarnflow.graph.operators import Operator, SinkSpec
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.keyed import shorten
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot

_COMMITTABLES = "committables"
_WRITERS = "writers"


class SinkOperator(StreamOperator):
    """Writes every batch; see functions/sink.py for when what becomes visible.

    Committables wait under the checkpoint they were prepared for. Those of an aborted checkpoint go with the next.
    """

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, SinkSpec)
        self._sink = operator.spec.sink
        self.columnar = self._sink.columnar
        self._writer: SinkWriter | None = None
        self._committer: Committer | None = None
        self._unflushed = False
        #: (checkpoint, committable), oldest first.
        self._waiting: list[tuple[int, Any]] = []
        self._prepared: list[Any] = []
        self._restored_id = 0
        self._restored_writers: tuple[Any, ...] = ()

    def restore(self, restored: RestoredOperator) -> None:
        if restored.checkpoint_id is not None:
            self._restored_id = restored.checkpoint_id
            self._waiting = restored.items(_COMMITTABLES)
            self._restored_writers = tuple(restored.items(_WRITERS))

    def open(self) -> None:
        where = self.context
        context = WriterContext(
            where.job_id,
            where.subtask_index,
            where.parallelism,
            where.attempt,
            self.operator.operator_id,
            where.checkpointing,
            self._restored_id,
            self._restored_writers,
        )
        self._committer = self._sink.committer(context)
        # They belong to a completed checkpoint: the predecessor may have died before it committed them.
        self._commit(self._restored_id)
        writer = self._sink.writer(context)
        if not isinstance(writer, SinkWriter):
            raise ProgramError(
                f"writer() of {type(self._sink).__name__} returned {shorten(writer)}: no SinkWriter"
            )
        self._writer = writer

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert self._writer is not None
        self._unflushed = True
        self._writer.write(batch)

    def flush(self) -> None:
        if self._unflushed and self._writer is not None:
            self._unflushed = False
            self._writer.flush()

    def prepare_snapshot(self) -> None:
        assert self._writer is not None
        self.flush()
        if self._committer is not None:
            self._prepared += self._writer.prepare_commit()

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        assert self._writer is not None
        self._waiting += [(snapshot.checkpoint_id, item) for item in self._prepared]
        self._prepared = []
        operator_id = self.operator.operator_id
        if self._waiting:
            snapshot.add_list(operator_id, _COMMITTABLES, list(self._waiting))
        writers = list(self._writer.snapshot_state(snapshot.checkpoint_id))
        if writers:
            snapshot.add_list(operator_id, _WRITERS, writers)

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        self._commit(checkpoint_id)

    def finish(self) -> None:
        assert self._writer is not None
        self._writer.finish()
        if self._committer is not None and not self.context.checkpointing:
            # No checkpoint will come. What waits for a savepoint that is under way goes, too.
            left = [item for _, item in self._waiting] + self._prepared
            self._committer.commit([*left, *self._writer.prepare_commit()])
            self._waiting, self._prepared = [], []

    def close(self) -> None:
        writer, self._writer = self._writer, None
        committer, self._committer = self._committer, None
        with ExitStack() as stack:
            if committer is not None:
                stack.callback(committer.close)
            if writer is not None:
                stack.callback(writer.close)

    def _commit(self, checkpoint_id: int) -> None:
        """Commit what belongs to this checkpoint and to earlier ones."""
        due = [item for prepared_for, item in self._waiting if prepared_for <= checkpoint_id]
        if due:
            assert self._committer is not None, "only a sink with a committer has committables"
            self._committer.commit(due)
            self._waiting = [entry for entry in self._waiting if entry[0] > checkpoint_id]
