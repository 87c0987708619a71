"""Timers as user functions see them: the two kinds of time, and the service that sets timers in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum

__all__ = ["NO_TIMESTAMP", "TimeDomain", "TimerService"]

#: What a context gives as the time of a record that has none. (PyFlink's documentation says None; this is what its
#: programs see: Java's Long.MIN_VALUE.)
NO_TIMESTAMP = -(1 << 63)


class TimeDomain(Enum):
    """Whose time a timer waits for. The numbers are PyFlink's."""

    EVENT_TIME = 0  # what watermarks say
    PROCESSING_TIME = 1  # the machine's clock


class TimerService(ABC):
    """Got from a context by `timer_service()`.

    A timer belongs to the current key; there is at most one per key, time and domain. All times are milliseconds
    since the epoch.
    """

    @abstractmethod
    def current_processing_time(self) -> int:
        """The machine's clock."""

    @abstractmethod
    def current_watermark(self) -> int:
        """How far event time is known to have advanced; -2**63 before the first watermark."""

    @abstractmethod
    def register_processing_time_timer(self, timestamp: int) -> None:
        """Call `on_timer` when the clock has passed `timestamp`."""

    @abstractmethod
    def register_event_time_timer(self, timestamp: int) -> None:
        """Call `on_timer` when the watermark has reached `timestamp`; with the next one if it has already."""

    @abstractmethod
    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Take a timer back; nothing happens when there is none."""

    @abstractmethod
    def delete_event_time_timer(self, timestamp: int) -> None:
        """Take a timer back; nothing happens when there is none."""
