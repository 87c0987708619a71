"""What an operator gets back: its part of the states of one or several former subtasks.

Blocks are read on demand, checked against their checksum, and cut down to the subtask's key groups or share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from yarnflow.runtime.checkpoint.handles import OperatorRestore, StateFile, StateKind
from yarnflow.runtime.state.snapshot import Chunk


class RestoredOperator:
    """State of one operator for this subtask; empty when nothing is restored.

    Args:
        restore: what the JobManager gave, or None.
        directory: URI that relative paths start from.
        subtask_index: of the new subtask.
        parallelism: of the new operator.
        key_groups: of the new subtask; empty for an operator without keyed state.
        checkpoint_id: the restored checkpoint; None when nothing is restored.
    """

    def __init__(
        self,
        restore: OperatorRestore | None,
        directory: str,
        subtask_index: int,
        parallelism: int,
        key_groups: range,
        checkpoint_id: int | None = None,
    ) -> None:
        self.restore = restore
        self.directory = directory
        self.subtask_index = subtask_index
        self.parallelism = parallelism
        self.key_groups = key_groups
        self.checkpoint_id = checkpoint_id

    @property
    def restored(self) -> bool:
        """Whether the job was started from a checkpoint (which may know nothing of this operator)."""
        return self.checkpoint_id is not None

    def keyed_names(self, kind: StateKind = StateKind.KEYED) -> list[str]:
        """Names of the stored tables."""
        raise NotImplementedError

    def keyed(self, name: str, kind: StateKind = StateKind.KEYED) -> Iterable[Chunk]:
        """The entries of a table (or the timers) in this subtask's key groups.

        Raises CheckpointCorruptedError, naming the file, when a block is missing or damaged.
        """
        raise NotImplementedError

    def list_names(self, kind: StateKind = StateKind.SPLIT) -> list[str]:
        """Names of the stored operator states of a kind."""
        raise NotImplementedError

    def details(self, name: str) -> dict[str, str]:
        """What was stored with a table: the kind of state, types."""
        raise NotImplementedError

    def items(self, name: str, kind: StateKind = StateKind.SPLIT) -> list[Any]:
        """The items of operator state that this subtask gets, as StateKind says."""
        raise NotImplementedError

    def files(self) -> Sequence[tuple[int, Sequence[StateFile]]]:
        """Files of a backend's own format, by former subtask."""
        raise NotImplementedError
