"""A bounded log of what a machine did and why: shown by REST, attached to errors, written to the log file."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Transition:
    """Something changed.

    Attributes:
        time: seconds since the epoch.
        what: "job RUNNING -> RESTARTING", "Map (2/4) attempt 1: DEPLOYING -> RUNNING".
        cause: the event or decision behind it.
    """

    time: float
    what: str
    cause: str


class TransitionLog:
    """The newest transitions.

    Args:
        capacity: how many are kept.
    """

    def __init__(self, capacity: int = 500) -> None:
        self._entries: deque[Transition] = deque(maxlen=capacity)
        self._unread: list[Transition] = []

    def add(self, now: float, what: str, cause: str) -> None:
        """Note one."""
        entry = Transition(now, what, cause)
        self._entries.append(entry)
        self._unread.append(entry)

    def take_new(self) -> list[Transition]:
        """Those since the last call: the shell writes them to the log file."""
        unread, self._unread = self._unread, []
        return unread

    def as_tuples(self) -> tuple[tuple[float, str, str], ...]:
        """(time, what, cause), oldest first."""
        return tuple((entry.time, entry.what, entry.cause) for entry in self._entries)
