"""A source that does what a script says: records with their times, waits, and faults through FailingSource."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yarnflow.common.watermark_strategy import WatermarkGenerator, WatermarkOutput, WatermarkStrategy
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.source import Availability, Source, Split, SplitReader


@dataclass(frozen=True)
class At:
    """A record with its event time, in ms since the epoch."""

    timestamp: int
    value: Any


@dataclass(frozen=True)
class Until:
    """Nothing comes until this file exists, whoever creates it."""

    path: str


@dataclass(frozen=True)
class ScriptSplit(Split):
    """The steps of a script from `position` on."""

    position: int = 0


class ScriptedSource(Source):
    """Plays scripts, one per split: whatever the parallelism, there are as many splits as scripts.

    A step is `At(timestamp, value)`, `Until(path)`, or anything else for a record without event time. Together
    with `watermark_per_batch()` a test knows exactly when event time advances.

    >>> source = ScriptedSource([At(1000, "a"), Until("/tmp/go"), At(2000, "b")], [At(1500, "c")])

    Args:
        scripts: must be picklable.
        batch_size: records in a batch at most.
        bounded: True: scripts of a subtask are played one after the other; False: in turns.
        ends: whether a split ends after its last step, or stays silent for ever; None: as `bounded`.
    """

    def __init__(
        self, *scripts: Sequence[Any], batch_size: int = 1, bounded: bool = True, ends: bool | None = None
    ) -> None:
        self.scripts = [tuple(script) for script in scripts]
        self.batch_size = batch_size
        self.bounded = bounded
        self.ends = bounded if ends is None else ends

    def splits(self, parallelism: int) -> Sequence[Split]:
        return [ScriptSplit(f"script-{number}") for number in range(len(self.scripts))]

    def open(self, split: Split) -> SplitReader:
        assert isinstance(split, ScriptSplit)
        return _ScriptReader(self, split)


class _ScriptReader(SplitReader):
    def __init__(self, source: ScriptedSource, split: ScriptSplit) -> None:
        self._source = source
        self._split = split
        self._script = source.scripts[int(split.split_id.rpartition("-")[2])]

    def poll(self) -> Batch | Availability:
        position = self._split.position
        while position < len(self._script):
            step = self._script[position]
            if not isinstance(step, Until):
                return self._records(position)
            if not Path(step.path).exists():
                return Availability.NOTHING_YET
            position += 1
        return Availability.END_OF_SPLIT if self._source.ends else Availability.NOTHING_YET

    def split(self) -> Split:
        return self._split

    def _records(self, position: int) -> Batch:
        """A batch of neighbours that all have times, or all have none."""
        timed = isinstance(self._script[position], At)
        steps = []
        for step in self._script[position : position + self._source.batch_size]:
            if isinstance(step, Until) or isinstance(step, At) != timed:
                break
            steps.append(step)
        self._split = replace(self._split, position=position + len(steps))
        if timed:
            return RowBatch([step.value for step in steps], [step.timestamp for step in steps])
        return RowBatch(steps)


class _PerBatch(WatermarkGenerator):
    def __init__(self, bound_ms: int) -> None:
        self._bound_ms = bound_ms

    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        output.emit_watermark(event_timestamp - self._bound_ms - 1)

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """Watermarks come from events only."""


def watermark_per_batch(bound_ms: int = 0) -> WatermarkStrategy:
    """A strategy whose watermarks follow each batch at once, not after an interval: newest time - bound - 1."""
    return WatermarkStrategy.for_generator(lambda: _PerBatch(bound_ms))
