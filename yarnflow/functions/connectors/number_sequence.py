"""A range of integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.expressions import VALUE_COLUMN
from yarnflow.functions.source import Availability, Source, Split, SplitReader

#: Integers per batch of rows: their objects stay in the processor's cache from one operator to the next.
ROW_BATCH = 4096


@dataclass(frozen=True)
class NumberSplit(Split):
    """Integers `position` to `end`, both included."""

    position: int
    end: int


class NumberSequenceSource(Source):
    """The integers from `start` to `end`, both included; parallel readers each take a consecutive part.

    Rows are ints; columns have one int64 column "value".
    """

    bounded = True
    columnar = True

    def __init__(self, start: int, end: int) -> None:
        if start > end:
            raise ValueError(f"a number sequence must not end ({end}) before it starts ({start})")
        self.start = start
        self.end = end

    def splits(self, parallelism: int) -> Sequence[Split]:
        count = self.end - self.start + 1
        bounds = [self.start + index * count // parallelism for index in range(parallelism + 1)]
        return [
            NumberSplit(str(index), bounds[index], bounds[index + 1] - 1)
            for index in range(parallelism)
            if bounds[index] < bounds[index + 1]
        ]

    def open(self, split: Split) -> SplitReader:
        assert isinstance(split, NumberSplit)
        return _ColumnReader(split) if self.emit_columns else _RowReader(split)


class _RowReader(SplitReader):
    def __init__(self, split: NumberSplit) -> None:
        self._split = split

    def poll(self) -> Batch | Availability:
        start = self._split.position
        stop = min(start + ROW_BATCH, self._split.end + 1)
        if start >= stop:
            return Availability.END_OF_SPLIT
        self._split = replace(self._split, position=stop)
        return RowBatch(list(range(start, stop)))

    def split(self) -> Split:
        return self._split


class _ColumnReader(SplitReader):
    def __init__(self, split: NumberSplit) -> None:
        # Heavy, and only columnar chains need them.
        import numpy
        import pyarrow

        from yarnflow.functions.columns import COLUMN_BATCH

        self._arrow, self._numpy, self._size = pyarrow, numpy, COLUMN_BATCH
        self._schema = pyarrow.schema([pyarrow.field(VALUE_COLUMN, pyarrow.int64())])
        self._split = split

    def poll(self) -> Batch | Availability:
        start = self._split.position
        stop = min(start + self._size, self._split.end + 1)
        if start >= stop:
            return Availability.END_OF_SPLIT
        self._split = replace(self._split, position=stop)
        values = self._arrow.array(self._numpy.arange(start, stop))
        return ColumnBatch(self._arrow.RecordBatch.from_arrays([values], schema=self._schema), None, True)

    def split(self) -> Split:
        return self._split
