"""Operator state of user functions: what an operator does for functions that implement CheckpointedFunction."""

from __future__ import annotations

from typing import Any

from yarnflow.functions.checkpointed import (
    CheckpointedFunction,
    FunctionInitializationContext,
    FunctionSnapshotContext,
)
from yarnflow.functions.keyed_adapters import users
from yarnflow.runtime.state.operator_state import HeapOperatorStateStore
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot


class FunctionState:
    """The operator state of one operator and its function; nothing is done for other functions.

    Attributes:
        store: where it is.
    """

    def __init__(self, function: Any) -> None:
        function = users(function)
        self._function = function if isinstance(function, CheckpointedFunction) else None
        self._restored_id: int | None = None
        self.store = HeapOperatorStateStore()

    def restore(self, restored: RestoredOperator) -> None:
        """To be called by the operator's `restore`."""
        self._restored_id = restored.checkpoint_id
        self.store = HeapOperatorStateStore(restored)

    def open(self) -> None:
        """To be called before the function is opened."""
        if self._function is not None:
            self._function.initialize_state(FunctionInitializationContext(self._restored_id, self.store))

    def snapshot(self, snapshot: TaskSnapshot, operator_id: str) -> None:
        """Let the function bring its state up to date, and add it to a checkpoint."""
        if self._function is not None:
            self._function.snapshot_state(
                FunctionSnapshotContext(snapshot.checkpoint_id, snapshot.timestamp, self.store)
            )
        self.store.snapshot(snapshot, operator_id)
