"""The contract between a sink and the runtime.

One writer per subtask. Without checkpoints (and at the end of bounded input) what was written becomes
visible in `finish`; a writer that is only closed must leave nothing visible behind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from yarnflow.functions.batch import Batch


@dataclass(frozen=True)
class WriterContext:
    """Where a writer runs.

    Attributes:
        job_id: 32 hex digits, the same for every attempt of the job.
        subtask_index: 0-based.
        parallelism: number of writers.
        attempt: 0 for the first attempt of this subtask, counting restarts.
        operator_id: 32 hex digits, tells the sinks of one job apart.
    """

    job_id: str
    subtask_index: int
    parallelism: int
    attempt: int
    operator_id: str = ""


class SinkWriter(ABC):
    """Writes the batches of one subtask. Used by one task only, never concurrently."""

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Take a batch. May block while the outside world is slow."""

    def flush(self) -> None:
        """Called when the input pauses: push out what is buffered in memory if others wait for it."""

    @abstractmethod
    def finish(self) -> None:
        """The input has ended: make everything written visible. Must be safe to repeat after a restart."""

    def close(self) -> None:
        """Release what the writer holds. Called exactly once, also after a failure and without `finish`."""


class Sink(ABC):
    """A recipe for writing records, pickled into every sink subtask."""

    #: True when `write` accepts ColumnBatch; otherwise it gets RowBatch only.
    columnar: bool = False

    @abstractmethod
    def writer(self, context: WriterContext) -> SinkWriter:
        """Make the writer of one subtask."""
