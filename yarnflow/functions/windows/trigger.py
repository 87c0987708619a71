"""When a window gives a result: what custom triggers derive from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeVar

from yarnflow.errors import ProgramError

if TYPE_CHECKING:
    from yarnflow.functions.metrics import MetricGroup
    from yarnflow.functions.state import State, StateDescriptor

__all__ = ["Trigger", "TriggerResult"]

#: What may be written between the brackets when a program annotates its class; nothing reads them.
T = TypeVar("T")
W = TypeVar("W")


class TriggerResult(Enum):
    """What happens to a window. The values are (fire, purge).

    FIRE    the window function is called on what is in the window, which stays
    PURGE   what is in the window is forgotten
    """

    CONTINUE = (False, False)
    FIRE_AND_PURGE = (True, True)
    FIRE = (True, False)
    PURGE = (False, True)

    def is_fire(self) -> bool:
        """Whether the window function is called."""
        return self in _FIRING

    def is_purge(self) -> bool:
        """Whether the contents are forgotten."""
        return self in _PURGING


# Looked up for each firing; the values of an Enum are slow to get.
_FIRING = (TriggerResult.FIRE, TriggerResult.FIRE_AND_PURGE)
_PURGING = (TriggerResult.FIRE_AND_PURGE, TriggerResult.PURGE)


class Trigger(ABC, Generic[T, W]):
    """Base of all triggers. One instance serves all keys and windows: what it must remember it keeps in the state
    that its context gives."""

    class TriggerContext(ABC):
        """Timers and state of the key and window in hand. Valid during the call only."""

        @abstractmethod
        def get_current_processing_time(self) -> int:
            """The machine's clock, ms since the epoch."""

        @abstractmethod
        def get_metric_group(self) -> MetricGroup:
            """Where the trigger registers metrics."""

        @abstractmethod
        def get_current_watermark(self) -> int:
            """Event time, ms since the epoch; MIN_LONG_VALUE before the first watermark."""

        @abstractmethod
        def register_processing_time_timer(self, time: int) -> None:
            """Have `on_processing_time` called when the clock has reached `time`."""

        @abstractmethod
        def register_event_time_timer(self, time: int) -> None:
            """Have `on_event_time` called when the watermark has reached `time`."""

        @abstractmethod
        def delete_processing_time_timer(self, time: int) -> None:
            """Delete a timer; fine when there is none."""

        @abstractmethod
        def delete_event_time_timer(self, time: int) -> None:
            """Delete a timer; fine when there is none."""

        @abstractmethod
        def get_partitioned_state(self, state_descriptor: StateDescriptor) -> State:
            """State of the key and window in hand."""

    class OnMergeContext(TriggerContext):
        """The context of `on_merge`; the window in hand is the merged one."""

        @abstractmethod
        def merge_partitioned_state(self, state_descriptor: StateDescriptor) -> None:
            """Move the state of the windows that were merged into the merged one. Works for reducing, aggregating
            and list state."""

    @abstractmethod
    def on_element(self, element: T, timestamp: int, window: W, ctx: Trigger.TriggerContext) -> TriggerResult:
        """A record was added to the window."""

    @abstractmethod
    def on_processing_time(self, time: int, window: W, ctx: Trigger.TriggerContext) -> TriggerResult:
        """A processing-time timer of this trigger has come."""

    @abstractmethod
    def on_event_time(self, time: int, window: W, ctx: Trigger.TriggerContext) -> TriggerResult:
        """An event-time timer of this trigger has come."""

    def can_merge(self) -> bool:
        """Whether the trigger works with windows that merge; then `on_merge` must be there."""
        return False

    def on_merge(self, window: W, ctx: Trigger.OnMergeContext) -> None:
        """Several windows have become `window`: merge their state, set timers."""
        raise ProgramError(
            f"{type(self).__name__} says that it can merge windows, and has no on_merge(): write it, or let "
            "can_merge() return False"
        )

    @abstractmethod
    def clear(self, window: W, ctx: Trigger.TriggerContext) -> None:
        """The window is gone: delete timers and state."""
