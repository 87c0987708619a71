"""What an operator gets back: its part of the states of one or several former subtasks.

Blocks are read on demand, checked against their checksum, and cut down to the subtask's key groups or share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from yarnflow.runtime.checkpoint.handles import OperatorRestore, StateBlock, StateFile, StateKind
from yarnflow.runtime.state.snapshot import Chunk

if TYPE_CHECKING:
    from yarnflow.runtime.state.reader import Rows


class RestoredOperator:
    """State of one operator for this subtask; empty when nothing is restored.

    Args:
        restore: what the JobManager gave, or None.
        directory: URI that relative paths start from.
        subtask_index: of the new subtask.
        parallelism: of the new operator.
        key_groups: of the new subtask; empty for an operator without keyed state.
        checkpoint_id: the restored checkpoint; None when nothing is restored.
        max_parallelism: number of key groups.
    """

    def __init__(
        self,
        restore: OperatorRestore | None,
        directory: str,
        subtask_index: int,
        parallelism: int,
        key_groups: range,
        checkpoint_id: int | None = None,
        max_parallelism: int = 0,
    ) -> None:
        self.restore = restore
        self.directory = directory
        self.subtask_index = subtask_index
        self.parallelism = parallelism
        self.key_groups = key_groups
        self.checkpoint_id = checkpoint_id
        self.max_parallelism = max_parallelism

    @property
    def restored(self) -> bool:
        """Whether the job was started from a checkpoint (which may know nothing of this operator)."""
        return self.checkpoint_id is not None

    @property
    def rescaled(self) -> bool:
        """Whether the operator had another parallelism when the checkpoint was taken."""
        return self.restore is not None and self.restore.parallelism != self.parallelism

    def keyed_names(self, kind: StateKind = StateKind.KEYED) -> list[str]:
        """Names of the stored tables."""
        return self._names(kind)

    def keyed(self, name: str, kind: StateKind = StateKind.KEYED) -> Iterator[Chunk]:
        """The entries of a table (or the timers) in this subtask's key groups.

        Raises CheckpointCorruptedError, naming the file, when a block is missing or damaged.
        """
        for _, block in self._blocks(name, kind):
            for rows in self._read(block):
                keys = rows.column("key")
                mask = None if self._owns(block) else self._mask(rows, keys)
                if mask is not None:
                    keys = [key for key, ours in zip(keys, mask, strict=True) if ours]
                    rows = rows.filter(mask)
                if keys:
                    yield from _by_namespace(rows, keys, rows.column("value"))

    def list_names(self, kind: StateKind = StateKind.SPLIT) -> list[str]:
        """Names of the stored operator states of a kind."""
        return self._names(kind)

    def details(self, name: str) -> dict[str, str]:
        """What was stored with a state: its kind, types."""
        for block in self._all_blocks():
            if block.name == name:
                return block.details
        return {}

    def items(self, name: str, kind: StateKind = StateKind.SPLIT) -> list[Any]:
        """The items of operator state that this subtask gets, as StateKind says.

        SPLIT: what the same subtask stored, or, at another parallelism, each n-th item of all. CHANNEL: what the
        same subtask stored, or, at another parallelism, everything: who asks must choose. BROADCAST: pairs.

        Raises CheckpointCorruptedError as `keyed` does.
        """
        blocks = list(self._blocks(name, kind))
        if kind is StateKind.BROADCAST and blocks:
            # One copy; another one for each subtask, so that not all read the same file.
            subtasks = sorted({former for former, _ in blocks})
            chosen = subtasks[self.subtask_index % len(subtasks)]
            blocks = [(former, block) for former, block in blocks if former == chosen]
        elif kind in (StateKind.SPLIT, StateKind.CHANNEL) and not self.rescaled:
            blocks = [(former, block) for former, block in blocks if former == self.subtask_index]
        items: list[Any] = []
        for _, block in blocks:
            for rows in self._read(block):
                values = rows.column("value")
                if kind is StateKind.BROADCAST:
                    values = list(zip(rows.column("key"), values, strict=True))
                items += values
        if kind is StateKind.SPLIT and self.rescaled:
            return items[self.subtask_index :: self.parallelism]
        return items

    def items_by_subtask(self, name: str, kind: StateKind) -> Iterator[tuple[int, list[Any]]]:
        """What each former subtask stored, whatever the kind says."""
        for former, block in self._blocks(name, kind):
            yield former, [item for rows in self._read(block) for item in rows.column("value")]

    def files(self) -> Sequence[tuple[int, Sequence[StateFile]]]:
        """Files of a backend's own format, by former subtask."""
        if self.restore is None:
            return []
        return [(former, state.files) for former, state in sorted(self.restore.states.items()) if state.files]

    def _names(self, kind: StateKind) -> list[str]:
        return list(dict.fromkeys(block.name for block in self._all_blocks() if block.kind is kind))

    def _all_blocks(self) -> Iterator[StateBlock]:
        if self.restore is not None:
            for _, state in sorted(self.restore.states.items()):
                yield from state.blocks

    def _blocks(self, name: str, kind: StateKind) -> Iterator[tuple[int, StateBlock]]:
        if self.restore is not None:
            for former, state in sorted(self.restore.states.items()):
                for block in state.blocks:
                    if block.name == name and block.kind is kind:
                        yield former, block

    def _read(self, block: StateBlock) -> Iterable[Rows]:
        # pyarrow takes long to import, and most jobs start afresh.
        from yarnflow.runtime.state.reader import read_block

        return read_block(block, self.directory)

    def _owns(self, block: StateBlock) -> bool:
        """Whether all keys of a block belong to this subtask."""
        if block.key_groups is None or not self.key_groups:
            return False
        return self.key_groups[0] <= block.key_groups[0] and block.key_groups[1] <= self.key_groups[-1]

    def _mask(self, rows: Rows, keys: list[Any]) -> Any:
        assert self.max_parallelism > 0, "keyed state needs the number of key groups"
        groups = rows.hashes(keys) % self.max_parallelism
        return (groups >= self.key_groups.start) & (groups < self.key_groups.stop)


def _by_namespace(rows: Rows, keys: list[Any], values: list[Any]) -> Iterator[Chunk]:
    start = 0
    for namespace, count in rows.namespaces():
        yield Chunk(namespace, keys[start : start + count], values[start : start + count])
        start += count
