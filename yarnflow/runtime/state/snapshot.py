"""What a task gathers for one checkpoint, before anything is written.

The synchronous part of a checkpoint only collects here: references to what shall be stored and how to read it.
Writing (runtime/state/writer.py) happens afterwards, in the background, on a picture of memory that no longer
changes: a forked child, or copies that were taken when they are small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from yarnflow.runtime.checkpoint.handles import StateFile, StateKind

#: Types whose values cannot change: a copy of the list that holds them is a copy of all.
ATOMS: frozenset[type] = frozenset({int, float, str, bytes, bool, type(None)})


class Chunk(NamedTuple):
    """Entries of one namespace: keys and their values, in parallel. For timers the values are their times."""

    namespace: Any
    keys: Sequence[Any]
    values: Sequence[Any]


@dataclass
class KeyedPart:
    """A table of a heap backend, or its timers.

    Attributes:
        chunks: reads the entries; called once, on the picture.
        entries: how many there are, about.
        freeze: for what is cheap to copy (arrays), and for databases: called during the synchronous part, gives a
            function that takes the place of `chunks` and may be called in another thread later. Dicts have none:
            copying a million keys and values takes 130 ms, forking a process 10.
        database: the entries do not lie in memory: a forked child cannot read them, `freeze` is needed.
    """

    operator_id: str
    name: str
    kind: StateKind
    chunks: Callable[[], Iterable[Chunk]]
    entries: int
    details: dict[str, str] = field(default_factory=dict)
    freeze: Callable[[], Callable[[], Iterable[Chunk]]] | None = None
    database: bool = False


@dataclass
class ListPart:
    """Operator state: items in a list of its own (a shallow copy that nobody changes)."""

    operator_id: str
    name: str
    kind: StateKind
    items: list[Any]
    details: dict[str, str] = field(default_factory=dict)


@dataclass
class FilesPart:
    """Files of a backend's own format. `upload` runs in a background thread: it is given a function that stores
    a local file (local path, name, shared) and returns what the checkpoint refers to; `release` runs in the
    worker's thread afterwards, also after a failure."""

    operator_id: str
    upload: Callable[[Callable[[str, str, bool], StateFile]], Sequence[StateFile]]
    release: Callable[[], None]


@dataclass
class TaskSnapshot:
    """The synchronous part of one checkpoint of one task.

    Attributes:
        checkpoint_id: of the checkpoint.
        savepoint: everything whole and portable: no FilesPart. So it is for savepoints, and for checkpoints that
            have no directory.
        max_parallelism: number of key groups.
        key_groups: first and last group of this subtask.
        timestamp: when the checkpoint was triggered, ms since the epoch.
    """

    checkpoint_id: int
    savepoint: bool
    max_parallelism: int
    key_groups: tuple[int, int]
    timestamp: int = 0
    keyed: list[KeyedPart] = field(default_factory=list)
    lists: list[ListPart] = field(default_factory=list)
    files: list[FilesPart] = field(default_factory=list)

    def add_list(self, operator_id: str, name: str, items: list[Any], kind: StateKind = StateKind.SPLIT) -> None:
        """Store operator state. `items` must not be changed afterwards; the items themselves neither."""
        self.lists.append(ListPart(operator_id, name, kind, items))
