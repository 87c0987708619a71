"""Two-phase commit: what is prepared when, stored with which checkpoint, and committed at last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.runtime.operators.harness import operator_context
from yarnflow.errors import ProgramError, YarnflowError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.sink import Committer, Sink, SinkWriter, WriterContext
from yarnflow.graph.operators import Operator, SinkSpec
from yarnflow.runtime.checkpoint.handles import OperatorRestore, StateKind
from yarnflow.runtime.operators.sink import SinkOperator
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot


class Ledger(Sink):
    """A sink whose outside world is a list."""

    def __init__(self) -> None:
        self.committed: list[Any] = []
        self.contexts: list[WriterContext] = []
        self.failing = False

    def writer(self, context: WriterContext) -> SinkWriter:
        self.contexts.append(context)
        return LedgerWriter()

    def committer(self, context: WriterContext) -> Committer:
        return LedgerCommitter(self)


class LedgerWriter(SinkWriter):
    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.calls: list[str] = []

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, RowBatch)
        self.rows += batch.rows

    def prepare_commit(self) -> Sequence[Any]:
        prepared, self.rows = self.rows, []
        return prepared

    def snapshot_state(self, checkpoint_id: int) -> Sequence[Any]:
        return [f"writer state of {checkpoint_id}"]

    def finish(self) -> None:
        self.rows.append("end")


class LedgerCommitter(Committer):
    def __init__(self, sink: Ledger) -> None:
        self.sink = sink

    def commit(self, committables: Sequence[Any]) -> None:
        if self.sink.failing:
            raise YarnflowError("the outside world is down")
        self.sink.committed += committables


class Restored(RestoredOperator):
    """Lists as they were stored."""

    def __init__(self, snapshot: TaskSnapshot | None) -> None:
        checkpoint = None if snapshot is None else snapshot.checkpoint_id
        super().__init__(OperatorRestore(1, {}), "", 0, 1, range(0), checkpoint)
        self.lists = {} if snapshot is None else {part.name: part.items for part in snapshot.lists}

    def items(self, name: str, kind: StateKind = StateKind.SPLIT) -> list[Any]:
        return list(self.lists.get(name, []))


def running(sink: Ledger, restored: TaskSnapshot | None = None, checkpointing: bool = True) -> SinkOperator:
    context = operator_context(checkpointing=checkpointing)
    operator = SinkOperator(Operator("1" * 32, "sink", SinkSpec(sink)), context)
    operator.restore(Restored(restored))
    operator.open()
    return operator


def checkpoint(operator: SinkOperator, number: int) -> TaskSnapshot:
    snapshot = TaskSnapshot(number, False, 128, (0, 127))
    operator.prepare_snapshot()
    operator.snapshot(snapshot)
    return snapshot


def write(operator: SinkOperator, *rows: Any) -> None:
    operator.process_batch(RowBatch(list(rows)), 0)


def test_each_checkpoint_commits_what_came_before_its_barrier() -> None:
    sink = Ledger()
    operator = running(sink)
    write(operator, 1, 2)
    checkpoint(operator, 1)
    write(operator, 3)
    assert sink.committed == []
    operator.checkpoint_completed(1)
    assert sink.committed == [1, 2]
    checkpoint(operator, 2)
    operator.checkpoint_completed(2)
    operator.checkpoint_completed(2)
    assert sink.committed == [1, 2, 3]


def test_an_aborted_checkpoint_goes_with_the_next() -> None:
    sink = Ledger()
    operator = running(sink)
    write(operator, 1)
    checkpoint(operator, 1)
    operator.checkpoint_aborted(1)
    write(operator, 2)
    snapshot = checkpoint(operator, 2)
    assert next(item for item in snapshot.lists if item.name == "committables").items == [(1, 1), (2, 2)]
    operator.checkpoint_completed(2)
    assert sink.committed == [1, 2]


def test_concurrent_checkpoints_complete_in_order() -> None:
    sink = Ledger()
    operator = running(sink)
    write(operator, 1)
    checkpoint(operator, 1)
    write(operator, 2)
    checkpoint(operator, 2)
    operator.checkpoint_completed(1)
    assert sink.committed == [1]
    operator.checkpoint_completed(2)
    assert sink.committed == [1, 2]


def test_a_successor_commits_what_its_checkpoint_holds() -> None:
    sink = Ledger()
    first = running(sink)
    write(first, 1)
    snapshot = checkpoint(first, 4)
    write(first, 2)
    checkpoint(first, 5)
    running(sink, snapshot)
    assert sink.committed == [1]
    assert sink.contexts[-1].restored == ("writer state of 4",)
    assert sink.contexts[-1].checkpoint_id == 4


def test_the_end_is_committed_with_the_last_checkpoint() -> None:
    sink = Ledger()
    operator = running(sink)
    write(operator, 1)
    operator.finish()
    assert sink.committed == []
    checkpoint(operator, 1)
    operator.checkpoint_completed(1)
    assert sink.committed == [1, "end"]


def test_without_checkpoints_the_end_commits() -> None:
    sink = Ledger()
    operator = running(sink, checkpointing=False)
    write(operator, 1)
    checkpoint(operator, 1)  # a savepoint that is still under way
    write(operator, 2)
    operator.finish()
    assert sink.committed == [1, 2, "end"]
    operator.checkpoint_completed(1)
    assert sink.committed == [1, 2, "end"]


def test_what_could_not_be_committed_is_still_there() -> None:
    sink = Ledger()
    operator = running(sink)
    write(operator, 1)
    checkpoint(operator, 1)
    sink.failing = True
    with pytest.raises(YarnflowError):
        operator.checkpoint_completed(1)
    sink.failing = False
    operator.checkpoint_completed(1)
    assert sink.committed == [1]


def test_a_sink_without_a_writer_is_explained() -> None:
    sink = Ledger()
    sink.writer = lambda context: 5  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(ProgramError, match=r"writer\(\) of Ledger returned 5: no SinkWriter"):
        running(sink)
