"""A source that reads like another one and fails where a FaultPlan says."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.source import Availability, Source, Split, SplitReader
from yarnflow.testing.fault_plan import FaultKind, FaultPlan


class InjectedFault(Exception):
    """Raised on purpose by a FailingSource."""


class FailingSource(Source):
    """Reads `source`; each split fails exactly after the records that the plan names.

    >>> source = FailingSource(CollectionSource(range(100)), FaultPlan(folder, after=(10,)))  # doctest: +SKIP
    """

    def __init__(self, source: Source, plan: FaultPlan) -> None:
        self._source = source
        self._plan = plan
        self.bounded = source.bounded

    def splits(self, parallelism: int) -> Sequence[Split]:
        return self._source.splits(parallelism)

    def discovery_interval(self) -> float | None:
        return self._source.discovery_interval()

    def open(self, split: Split) -> SplitReader:
        return _FailingReader(self._source.open(split), self._plan, split.split_id.replace("/", "_"))


class _FailingReader(SplitReader):
    def __init__(self, reader: SplitReader, plan: FaultPlan, name: str) -> None:
        self._reader = reader
        self._plan = plan
        self._name = name
        self._left = plan.next_fault(name)

    def poll(self) -> Batch | Availability:
        if self._left == 0:
            self._fail()
        batch = self._reader.poll()
        if isinstance(batch, Availability) or self._left is None:
            return batch
        if len(batch) < self._left:
            self._left -= len(batch)
            return batch
        # Hand on what comes before the fault; the next poll fails.
        taken, self._left = self._left, 0
        return _head(batch, taken)

    def split(self) -> Split:
        return self._reader.split()

    def fileno(self) -> int | None:
        return self._reader.fileno()

    def close(self) -> None:
        self._reader.close()

    def _fail(self) -> None:
        self._left = None
        if not self._plan.strike(self._name):
            return
        if self._plan.kind is FaultKind.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        raise InjectedFault(f"fault {self._plan.struck(self._name)} of split {self._name}")


def _head(batch: Batch, count: int) -> Batch:
    if isinstance(batch, RowBatch):
        times = batch.timestamps
        return RowBatch(batch.rows[:count], None if times is None else times[:count])
    assert isinstance(batch, ColumnBatch)
    column_times = batch.timestamps
    return ColumnBatch(
        batch.columns.slice(0, count),
        None if column_times is None else column_times.slice(0, count),
        batch.scalar,
    )
