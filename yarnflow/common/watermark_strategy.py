"""How a stream gets its event time: who reads the timestamp of a record, and how far behind watermarks stay.

A strategy is data that travels in the job's graph; the runtime acts on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from typing import Any

from yarnflow.common.time import Duration, Instant

__all__ = [
    "TimestampAssigner",
    "TimestampColumn",
    "WatermarkAlignment",
    "WatermarkGenerator",
    "WatermarkOutput",
    "WatermarkStrategy",
]


class TimestampAssigner(ABC):
    """Reads the event time of a record."""

    @abstractmethod
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        """Return the record's event time in ms since the epoch.

        `record_timestamp` is the time that the record has already, from its source or an assigner before;
        -2**63 when it has none, as in PyFlink.
        """


class TimestampColumn(TimestampAssigner):
    """Reads the event time from a field. On columns it works without touching single records.

    Args:
        field: name or position of a field, or an expression such as `col("seconds") * 1000`. It holds milliseconds
            since the epoch, or a date or time; one without time zone is taken for UTC.
    """

    def __init__(self, field: Any) -> None:
        self.field = field

    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        """The time in the field `field` of a record; plain values are their own only field."""
        time: int = milliseconds(value[self.field] if hasattr(value, "__getitem__") else value)
        return time


def milliseconds(value: Any) -> Any:
    """A point of time as ms since the epoch, rounded down; what is none is returned as it is."""
    if isinstance(value, Instant):
        return value.to_epoch_milli()
    if isinstance(value, datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=timezone.utc)
        since = value - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    if isinstance(value, date):
        return (value - _EPOCH.date()).days * 86_400_000
    return value


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class WatermarkOutput(ABC):
    """What a WatermarkGenerator speaks to. Watermarks leave after the batch that is being read."""

    @abstractmethod
    def emit_watermark(self, timestamp: int) -> None:
        """Say that no record at or before `timestamp` (ms) is expected; ignored unless it is a new high. Makes the
        output active again."""

    @abstractmethod
    def mark_idle(self) -> None:
        """Do not hold others back, until the next watermark."""

    @abstractmethod
    def mark_active(self) -> None:
        """The opposite of `mark_idle`."""


class WatermarkGenerator(ABC):
    """Makes watermarks from events, from time, or both. One instance per split or subtask; it is not part of
    checkpoints: after a restore a new one starts, and its watermarks count once they pass the restored one."""

    @abstractmethod
    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        """Called for every record. `event_timestamp` is -2**63 for a record without time."""

    @abstractmethod
    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """Called every `pipeline.auto-watermark-interval`, never when that is 0."""


@dataclass(frozen=True)
class WatermarkAlignment:
    """Sources of one group wait for each other when their watermarks drift too far apart."""

    group: str
    max_drift: Duration
    update_interval: Duration


@dataclass
class WatermarkStrategy:
    """Made with one of the static methods below and refined with the `with_` methods.

    Attributes:
        max_out_of_orderness: how much older than the newest record a record may be; None, and no `generator`: the
            stream has no watermarks.
        timestamp_assigner: reads event times; None: those of the source are used.
        idle_timeout: an input silent for so long does not hold the others back.
        alignment: see WatermarkAlignment.
        generator: makes a WatermarkGenerator, instead of `max_out_of_orderness`.
    """

    max_out_of_orderness: Duration | None = None
    timestamp_assigner: TimestampAssigner | None = None
    idle_timeout: Duration | None = None
    alignment: WatermarkAlignment | None = None
    generator: Callable[[], WatermarkGenerator] | None = None

    @staticmethod
    def for_monotonous_timestamps() -> WatermarkStrategy:
        """Timestamps never go back within one input."""
        return WatermarkStrategy(max_out_of_orderness=Duration.of_millis(0))

    @staticmethod
    def for_bounded_out_of_orderness(max_out_of_orderness: Duration) -> WatermarkStrategy:
        """Records come at most so much later than a record with a newer timestamp."""
        if max_out_of_orderness.nanos < 0:
            raise ValueError("the bound of the out-of-orderness must not be negative")
        return WatermarkStrategy(max_out_of_orderness=max_out_of_orderness)

    @staticmethod
    def for_generator(generator: Callable[[], WatermarkGenerator]) -> WatermarkStrategy:
        """Watermarks as a generator of your own makes them, which PyFlink does not offer.

        Args:
            generator: called without arguments in the worker; returns a WatermarkGenerator. A class will do.
        """
        if not callable(generator):
            raise TypeError(
                "for_generator() needs something to call that returns a WatermarkGenerator, for instance its "
                f"class, not {type(generator).__name__}"
            )
        return WatermarkStrategy(generator=generator)

    @staticmethod
    def no_watermarks() -> WatermarkStrategy:
        """No event time, or none that operators wait for."""
        return WatermarkStrategy()

    def with_timestamp_assigner(self, timestamp_assigner: TimestampAssigner) -> WatermarkStrategy:
        """Read timestamps with `timestamp_assigner`. Changes this strategy, as PyFlink does."""
        if not isinstance(timestamp_assigner, TimestampAssigner):
            raise TypeError(
                f"with_timestamp_assigner() needs a TimestampAssigner, not {type(timestamp_assigner).__name__}"
            )
        self.timestamp_assigner = timestamp_assigner
        return self

    def with_timestamp_column(self, field: Any) -> WatermarkStrategy:
        """Return a strategy that reads timestamps from a field or an expression: see TimestampColumn. Streams of
        columns stay columns. PyFlink has no such method."""
        return replace(self, timestamp_assigner=TimestampColumn(field))

    def with_idleness(self, idle_timeout: Duration) -> WatermarkStrategy:
        """Return a strategy that ignores inputs that are silent for `idle_timeout`."""
        if idle_timeout.nanos <= 0:
            raise ValueError("the idle timeout must be greater than zero")
        return replace(self, idle_timeout=idle_timeout)

    def with_watermark_alignment(
        self, watermark_group: str, max_allowed_watermark_drift: Duration, update_interval: Duration | None = None
    ) -> WatermarkStrategy:
        """Return a strategy whose sources wait for others of `watermark_group` when they are ahead by more
        than `max_allowed_watermark_drift`; checked every `update_interval` (default 1 s, as in Flink).

        It acts in `from_source`; in the middle of a stream there is nothing that could wait.
        """
        interval = update_interval or Duration.of_seconds(1)
        return replace(self, alignment=WatermarkAlignment(watermark_group, max_allowed_watermark_drift, interval))
