"""A source that reads like another one and fails where a FaultPlan says."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from yarnflow.functions.batch import Batch
from yarnflow.functions.source import Availability, Source, Split, SplitReader
from yarnflow.runtime.network.output import slice_batch
from yarnflow.testing.fault_plan import FaultKind, FaultPlan


class InjectedFault(Exception):
    """Raised on purpose by a FailingSource."""


@dataclass(frozen=True)
class FailingSplit(Split):
    """A position of the other source, less the first `skip` records from there on: a fault may cut a batch."""

    position: Split
    skip: int = 0


class FailingSource(Source):
    """Reads `source`; each split fails exactly after the records that the plan names.

    >>> source = FailingSource(CollectionSource(range(100)), FaultPlan(folder, after=(10,)))  # doctest: +SKIP
    """

    def __init__(self, source: Source, plan: FaultPlan) -> None:
        self._source = source
        self._plan = plan
        self.bounded = source.bounded

    def splits(self, parallelism: int) -> Sequence[Split]:
        return [FailingSplit(split.split_id, split) for split in self._source.splits(parallelism)]

    def discovery_interval(self) -> float | None:
        return self._source.discovery_interval()

    def open(self, split: Split) -> SplitReader:
        assert isinstance(split, FailingSplit)
        return _FailingReader(self._source.open(split.position), self._plan, split)


class _FailingReader(SplitReader):
    def __init__(self, reader: SplitReader, plan: FaultPlan, split: FailingSplit) -> None:
        self._reader = reader
        self._plan = plan
        self._name = split.split_id.replace("/", "_")
        self._split = split
        self._to_skip = split.skip
        self._left = plan.next_fault(self._name)

    def poll(self) -> Batch | Availability:
        if self._left == 0:
            self._fail()
        batch = self._reader.poll()
        if isinstance(batch, Availability):
            return batch
        skipped = min(self._to_skip, len(batch))
        if skipped:
            self._to_skip -= skipped
            batch = slice_batch(batch, skipped, len(batch) - skipped)
        if self._left is None or len(batch) < self._left:
            self._split = FailingSplit(self._split.split_id, self._reader.split(), self._to_skip)
            if self._left is not None:
                self._left -= len(batch)
            return batch
        # Hand on what comes before the fault; the next poll fails. The position stays where the batch began.
        taken, self._left = self._left, 0
        self._split = FailingSplit(self._split.split_id, self._split.position, self._split.skip + taken)
        return slice_batch(batch, 0, taken)

    def split(self) -> Split:
        return self._split

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

