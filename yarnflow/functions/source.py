"""The contract between a source and the runtime.

A source is a recipe that is pickled into every subtask. It names its *splits* (a file range, a number
range, a socket) and opens one *reader* per split. Every subtask calls `splits()` itself and takes its
share, so the answer must be the same in all of them; there is no enumerator process to lose.
A split is also a position: `SplitReader.split()` says where a new reader must resume.

Checkpoints store these positions and nothing else of a source. For exactly-once, a source must be able to read
again: a reader opened at a position gives the very records that followed it the first time, in the same order
(batches may be cut differently). tests/contract/test_source_positions.py shows how to test that.

Bounded splits of a subtask are read one after the other, and its event time follows the one that is being read, as
in Flink: records of a later split that are older than its watermark are late. Unbounded splits are read in turns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from yarnflow.functions.batch import Batch


class Availability(Enum):
    """What `SplitReader.poll` returns when it has no batch."""

    NOTHING_YET = "nothing yet"
    END_OF_SPLIT = "end of split"


@dataclass(frozen=True)
class Split:
    """A part of a source's input and the position in it. Subclasses add fields; all are picklable.

    Attributes:
        split_id: unique within the source and the same in every process and after a restart.
    """

    split_id: str


class SplitReader(ABC):
    """Reads one split. Used by one task only, never concurrently."""

    @abstractmethod
    def poll(self) -> Batch | Availability:
        """Return the next batch, or why there is none. Must not block for longer than a few milliseconds
        unless the input is a file."""

    @abstractmethod
    def split(self) -> Split:
        """Return the position *after* the last batch that `poll` returned; before the first, where it was opened.

        Called between two polls, at every checkpoint: it must be quick. What is returned must not change any
        more, so make it a frozen dataclass. A source that cannot be read again returns its split as it is;
        records that were read before a failure are then lost.
        """

    def fileno(self) -> int | None:
        """A file descriptor that becomes readable when `poll` has something, or None to be polled
        every few milliseconds."""
        return None

    def close(self) -> None:
        """Release what the reader holds. Called exactly once, also after a failure."""


class Source(ABC):
    """A recipe for reading records, pickled into every source subtask."""

    #: False when reading never ends.
    bounded: bool = True
    #: True when readers can emit ColumnBatch as well as RowBatch.
    columnar: bool = False
    #: What the consumer takes: the runtime sets it before `open`. A source that can do both emits columns
    #: when it is True; one that can do only one ignores it.
    emit_columns: bool = False

    @abstractmethod
    def splits(self, parallelism: int) -> Sequence[Split]:
        """Name all splits, the same in every subtask. Subtask i of p reads splits i, i+p, i+2p, ...; with a
        `discovery_interval`, each split goes to the subtask that its id hashes to instead. Not called after a
        restore, unless there is an interval: the stored splits are read on, at any parallelism.

        Raises FileSystemError or ConfigurationError when the input is not there.
        """

    def discovery_interval(self) -> float | None:
        """Seconds between further calls of `splits` that look for new ones (a directory being filled);
        None to call it once. Subtasks may then see different lists, so ids decide who reads a split."""
        return None

    @abstractmethod
    def open(self, split: Split) -> SplitReader:
        """Start reading `split` at its position."""
