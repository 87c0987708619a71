"""What contexts give as `timer_service()`."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any, NoReturn

from yarnflow.errors import ProgramError
from yarnflow.functions.timers import TimerService
from yarnflow.runtime.network.elements import MIN_WATERMARK
from yarnflow.runtime.operators.base import wall_clock
from yarnflow.runtime.state.backend import KeyedStateBackend
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.state.timers import TimerQueue

#: Names under which timers are stored.
_EVENT = "event-time"
_PROCESSING = "processing-time"


class _Clocks(TimerService):
    """Tells both times.

    Attributes:
        watermark: the last one that the operator processed.
    """

    def __init__(self, clock: Callable[[], int] = wall_clock) -> None:
        self._clock = clock
        self.watermark = MIN_WATERMARK

    def current_processing_time(self) -> int:
        return self._clock()

    def current_watermark(self) -> int:
        return self.watermark


class UnkeyedTimers(_Clocks):
    """Tells the time and refuses timers: they belong to keys."""

    def register_processing_time_timer(self, timestamp: int) -> NoReturn:
        _refuse("register_processing_time_timer")

    def register_event_time_timer(self, timestamp: int) -> NoReturn:
        _refuse("register_event_time_timer")

    def delete_processing_time_timer(self, timestamp: int) -> NoReturn:
        _refuse("delete_processing_time_timer")

    def delete_event_time_timer(self, timestamp: int) -> NoReturn:
        _refuse("delete_event_time_timer")


def _refuse(method: str) -> NoReturn:
    raise ProgramError(
        f"{method}(): timers are only there on a keyed stream: call key_by() before process() and use the keyed "
        "kind of the function"
    )


class KeyedTimers(_Clocks):
    """Timers of the backend's current key.

    A processing-time timer fires when the clock is past its time by a millisecond, as in Flink: a watermark of t
    says that nothing up to t will come, and so does the clock at t + 1.

    Attributes:
        event, processing: the timers that are set.
    """

    def __init__(self, backend: KeyedStateBackend, clock: Callable[[], int] = wall_clock) -> None:
        super().__init__(clock)
        self._backend = backend
        self.event = TimerQueue()
        self.processing = TimerQueue()

    def register_processing_time_timer(self, timestamp: int) -> None:
        time = timestamp if timestamp.__class__ is int else _time(timestamp)
        self.processing.add(time, self._backend.current_key)

    def register_event_time_timer(self, timestamp: int) -> None:
        time = timestamp if timestamp.__class__ is int else _time(timestamp)
        self.event.add(time, self._backend.current_key)

    def delete_processing_time_timer(self, timestamp: int) -> None:
        time = timestamp if timestamp.__class__ is int else _time(timestamp)
        self.processing.remove(time, self._backend.current_key)

    def delete_event_time_timer(self, timestamp: int) -> None:
        time = timestamp if timestamp.__class__ is int else _time(timestamp)
        self.event.remove(time, self._backend.current_key)

    def next_wakeup(self) -> int | None:
        """The clock time at which the first processing-time timer is due."""
        first = self.processing.first()
        return None if first is None else first + 1

    def snapshot(self, snapshot: TaskSnapshot, operator_id: str) -> None:
        """Add all timers to a checkpoint."""
        self.event.snapshot(snapshot, operator_id, _EVENT)
        self.processing.snapshot(snapshot, operator_id, _PROCESSING)

    def restore(self, restored: RestoredOperator) -> None:
        """Take back what `snapshot` stored."""
        self.event.restore(restored, _EVENT)
        self.processing.restore(restored, _PROCESSING)


def _time(timestamp: Any) -> int:
    try:
        return index(timestamp)
    except TypeError:
        raise ProgramError(
            f"the time of a timer is an int, milliseconds since 1970-01-01 UTC, not {timestamp!r}"
        ) from None
