"""How a stream gets its event time: who reads the timestamp of a record, and how far behind watermarks stay.

A strategy is data that travels in the job's graph; the runtime acts on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

from yarnflow.common.time import Duration

__all__ = ["TimestampAssigner", "WatermarkAlignment", "WatermarkStrategy"]


class TimestampAssigner(ABC):
    """Reads the event time of a record."""

    @abstractmethod
    def extract_timestamp(self, value: Any, record_timestamp: int | None) -> int:
        """Return the record's event time in ms since the epoch.

        `record_timestamp` is the time that the source attached, or None.
        """


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
        max_out_of_orderness: how much older than the newest record a record may be; None: the stream
            has no watermarks.
        timestamp_assigner: reads event times; None: those of the source are used.
        idle_timeout: an input silent for so long does not hold the others back.
        alignment: see WatermarkAlignment.
    """

    max_out_of_orderness: Duration | None = None
    timestamp_assigner: TimestampAssigner | None = None
    idle_timeout: Duration | None = None
    alignment: WatermarkAlignment | None = None

    @staticmethod
    def for_monotonous_timestamps() -> WatermarkStrategy:
        """Timestamps never go back within one input."""
        return WatermarkStrategy(max_out_of_orderness=Duration.of_millis(0))

    @staticmethod
    def for_bounded_out_of_orderness(max_out_of_orderness: Duration) -> WatermarkStrategy:
        """Records come at most so much later than a record with a newer timestamp."""
        return WatermarkStrategy(max_out_of_orderness=max_out_of_orderness)

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

    def with_idleness(self, idle_timeout: Duration) -> WatermarkStrategy:
        """Return a strategy that ignores inputs that are silent for `idle_timeout`."""
        if idle_timeout.nanos <= 0:
            raise ValueError("the idle timeout must be greater than zero")
        return replace(self, idle_timeout=idle_timeout)

    def with_watermark_alignment(
        self, watermark_group: str, max_allowed_watermark_drift: Duration, update_interval: Duration | None = None
    ) -> WatermarkStrategy:
        """Return a strategy whose sources wait for others of `watermark_group` when they are ahead by more
        than `max_allowed_watermark_drift`; checked every `update_interval` (default 1 s, as in Flink)."""
        interval = update_interval or Duration.of_seconds(1)
        return replace(self, alignment=WatermarkAlignment(watermark_group, max_allowed_watermark_drift, interval))
