"""State of a subtask that belongs to no key: for functions, sources and sinks that implement CheckpointedFunction.

    class Buffering(MapFunction, CheckpointedFunction):
        def initialize_state(self, context):
            store = context.get_operator_state_store()
            self.stored = store.get_list_state(ListStateDescriptor("buffer", Types.STRING()))
            self.buffer = list(self.stored.get())

        def snapshot_state(self, context):
            self.stored.update(self.buffer)

PyFlink has no such interface; this is Flink's (org.apache.flink.streaming.api.checkpoint.CheckpointedFunction)
with Python's names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from yarnflow.functions.state import OperatorStateStore

__all__ = ["CheckpointedFunction", "FunctionInitializationContext", "FunctionSnapshotContext"]


@dataclass(frozen=True)
class FunctionSnapshotContext:
    """What is known when a snapshot is taken.

    Attributes:
        checkpoint_id: of the checkpoint that it is for.
        checkpoint_timestamp: when that was triggered, ms since the epoch.
        operator_state_store: the subtask's states.
    """

    checkpoint_id: int
    checkpoint_timestamp: int
    operator_state_store: OperatorStateStore

    def get_checkpoint_id(self) -> int:
        """The checkpoint that the snapshot is for."""
        return self.checkpoint_id

    def get_checkpoint_timestamp(self) -> int:
        """When it was triggered, in ms since the epoch."""
        return self.checkpoint_timestamp

    def get_operator_state_store(self) -> OperatorStateStore:
        """The subtask's states."""
        return self.operator_state_store


@dataclass(frozen=True)
class FunctionInitializationContext:
    """What is known when a function starts, before its `open`.

    Attributes:
        restored_checkpoint_id: where the job starts from; None when it starts afresh.
        operator_state_store: the subtask's states, restored if there is something to restore.
    """

    restored_checkpoint_id: int | None
    operator_state_store: OperatorStateStore

    def is_restored(self) -> bool:
        """Whether the job starts from a checkpoint or savepoint (which may hold nothing for this function)."""
        return self.restored_checkpoint_id is not None

    def get_restored_checkpoint_id(self) -> int | None:
        """The checkpoint that the job starts from, None when it starts afresh."""
        return self.restored_checkpoint_id

    def get_operator_state_store(self) -> OperatorStateStore:
        """The subtask's states."""
        return self.operator_state_store


class CheckpointedFunction(ABC):
    """Mixin of functions that keep operator state."""

    @abstractmethod
    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        """A checkpoint is taken: bring the states up to date."""

    @abstractmethod
    def initialize_state(self, context: FunctionInitializationContext) -> None:
        """Called once in every subtask, before `open`: get the states and take back what they hold."""
