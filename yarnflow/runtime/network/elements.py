"""What travels through a channel: batches of data, and control elements in band between them.

A channel keeps the order in which its producer wrote. Data is a `RowBatch` or `ColumnBatch` (functions/batch.py);
everything else is an `Element`, so `isinstance(x, Element)` tells control from data.
"""

from __future__ import annotations

from dataclasses import dataclass

#: "Event time is over": every timer and window fires. Flink's Watermark.MAX_WATERMARK.
MAX_WATERMARK = (1 << 63) - 1

#: Before the first watermark. Flink's Long.MIN_VALUE.
MIN_WATERMARK = -(1 << 63)


@dataclass(frozen=True)
class Element:
    """Base of control elements. They are small and travel pickled between workers."""


@dataclass(frozen=True)
class Watermark(Element):
    """No record with a time at or before `timestamp` (ms since the epoch) is expected any more."""

    timestamp: int


@dataclass(frozen=True)
class WatermarkStatus(Element):
    """Whether this channel has gone idle; an idle channel does not hold event time back."""

    idle: bool


@dataclass(frozen=True)
class CheckpointBarrier(Element):
    """What came before belongs to the checkpoint, what comes after does not.

    Attributes:
        checkpoint_id: counts up over the life of a job.
        timestamp: when it was triggered, ms since the epoch.
        directory: URI where tasks store their part; "" when it travels inline.
        savepoint: state is written whole and in the portable form.
        unaligned: overtakes data; see runtime/taskmanager/in_flight.py.
        unaligned_at: when it becomes unaligned, ms since the epoch; 0 for never.
        suspend: the job ends with this savepoint: whoever has taken it emits nothing more, unless it fails.
    """

    checkpoint_id: int
    timestamp: int
    directory: str = ""
    savepoint: bool = False
    unaligned: bool = False
    unaligned_at: int = 0
    suspend: bool = False


@dataclass(frozen=True)
class EndOfData(Element):
    """The producer has written its last record into this channel. Barriers may still follow, until EndOfChannel.

    `drain` false: the job is being suspended with a savepoint; operators must not emit final results.
    """

    drain: bool = True


@dataclass(frozen=True)
class EndOfChannel(Element):
    """Nothing follows."""
