"""The source of `from_collection`: a list that travels with the program."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from yarnflow.errors import SerializationError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.source import Availability, Source, Split, SplitReader

#: Records per batch: enough to make the cost per batch vanish, few enough to keep the first result quick.
BATCH_SIZE = 1000


@dataclass(frozen=True)
class CollectionSplit(Split):
    """Records `position` to `end` (exclusive) of the collection."""

    position: int
    end: int


class CollectionSource(Source):
    """Reads a list. The list is pickled at once, so later changes to it have no effect.

    Args:
        rows: the records.

    Raises:
        SerializationError: one of the records cannot be pickled.
    """

    bounded = True

    def __init__(self, rows: Sequence[Any]) -> None:
        import cloudpickle  # only a program that runs needs it, and importing it takes a while

        self._count = len(rows)
        try:
            self._pickled: bytes = cloudpickle.dumps(list(rows))
        except Exception as error:  # pickling runs arbitrary code of the records
            raise SerializationError(
                f"from_collection(): {_first_unpicklable(rows)} cannot be pickled: {error}"
            ) from error

    def __len__(self) -> int:
        return self._count

    def splits(self, parallelism: int) -> Sequence[Split]:
        bounds = [index * self._count // parallelism for index in range(parallelism + 1)]
        return [
            CollectionSplit(str(index), start, end)
            for index, (start, end) in enumerate(pairwise(bounds))
        ]

    def open(self, split: Split) -> SplitReader:
        assert isinstance(split, CollectionSplit)
        return _CollectionReader(pickle.loads(self._pickled), split)


class _CollectionReader(SplitReader):
    def __init__(self, rows: list[Any], split: CollectionSplit) -> None:
        self._rows = rows
        self._split = split

    def poll(self) -> Batch | Availability:
        start = self._split.position
        stop = min(start + BATCH_SIZE, self._split.end)
        if start == stop:
            return Availability.END_OF_SPLIT
        self._split = replace(self._split, position=stop)
        return RowBatch(self._rows[start:stop])

    def split(self) -> Split:
        return self._split


def _first_unpicklable(rows: Sequence[Any]) -> str:
    import cloudpickle

    for index, row in enumerate(rows):
        try:
            cloudpickle.dumps(row)
        except Exception:  # this is the one the caller asks for
            return f"record {index} ({type(row).__name__})"
    return "the collection"
