"""The contract between a sink and the runtime.

One writer per subtask. What was written becomes visible

- without a committer: whenever the writer says so, at the latest in `finish` (at least once);
- with a committer (two-phase commit, exactly once): the writer prepares *committables* before each checkpoint's
  barrier; they are part of the checkpoint, and are committed when it is complete. After a failure, those of the
  restored checkpoint are committed again, so committing must be safe to repeat.

    write, write, ...  prepare_commit  snapshot_state  write, ...        in the subtask
                             |               |
                             +-> checkpoint <+ --- complete ---> committer.commit(committables)

At the end of the input `finish` is called, and what it leaves is prepared and committed as well: with the last
checkpoint, or at once when the job takes none. A writer that is only closed must leave nothing visible behind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from yarnflow.functions.batch import Batch


@dataclass(frozen=True)
class WriterContext:
    """Where a writer runs, and what it starts from.

    Attributes:
        job_id: 32 hex digits, the same for every attempt of the job.
        subtask_index: 0-based.
        parallelism: number of writers.
        attempt: 0 for the first attempt of this subtask, counting restarts.
        operator_id: 32 hex digits, tells the sinks of one job apart.
        checkpointing: the job takes checkpoints by itself: a failure goes back to the last of them, and the end of
            the input is committed with one. Otherwise a failed job starts over from its beginning.
        checkpoint_id: of the restored checkpoint, 0 for none.
        restored: items that earlier writers returned from `snapshot_state`, dealt out to the new writers.
    """

    job_id: str
    subtask_index: int
    parallelism: int
    attempt: int
    operator_id: str = ""
    checkpointing: bool = False
    checkpoint_id: int = 0
    restored: tuple[Any, ...] = ()


class SinkWriter(ABC):
    """Writes the batches of one subtask. Used by one task only, never concurrently."""

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Take a batch. May block while the outside world is slow."""

    def flush(self) -> None:
        """Called when the input pauses, and before a barrier: push out what is buffered in memory."""

    def prepare_commit(self) -> Sequence[Any]:
        """Return what must be committed so that everything written so far becomes visible; each item once. Items
        are pickled. Called before each barrier and after `finish`, of sinks with a committer only."""
        return ()

    def snapshot_state(self, checkpoint_id: int) -> Sequence[Any]:
        """Return items that a successor needs beside the committables. Nothing is written between
        `prepare_commit` and this call; what is written later belongs to the next checkpoint."""
        return ()

    @abstractmethod
    def finish(self) -> None:
        """The input has ended: without a committer make everything visible, else be ready for `prepare_commit`.
        Must be safe to repeat after a restart."""

    def close(self) -> None:
        """Release what the writer holds. Called exactly once, also after a failure and without `finish`. What was
        returned by `prepare_commit` must survive: it may be part of a completed checkpoint."""


class Committer(ABC):
    """Makes prepared writes visible."""

    @abstractmethod
    def commit(self, committables: Sequence[Any]) -> None:
        """Commit all of these, oldest first. Some or all may have been committed before, by this process or by
        another one: then nothing happens to them. An exception fails the task, and its successor commits again."""

    def close(self) -> None:
        """Release what the committer holds."""


class Sink(ABC):
    """A recipe for writing records, pickled into every sink subtask."""

    #: True when `write` accepts ColumnBatch; otherwise it gets RowBatch only.
    columnar: bool = False

    @abstractmethod
    def writer(self, context: WriterContext) -> SinkWriter:
        """Make the writer of one subtask."""

    def committer(self, context: WriterContext) -> Committer | None:
        """Make the committer of one subtask; None for a sink without two-phase commit."""
        return None
