"""Windows that overlap, from panes that they share.

A window of n panes is the end of what came before a *boundary* and the beginning of what came after. Windows come
in order, so the ends are merged once, from the boundary backwards, when a window begins at or after the old
boundary; the beginning grows by one pane per window. That is about three merges per pane, however many panes a
window has (the "two stacks" of Tangwongsan, Hirzel, Schneider: General Incremental Sliding-Window Aggregation,
VLDB 2015).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Generic, TypeVar

P = TypeVar("P")


class SharedPanes(Generic[P]):
    """Puts windows together.

    Args:
        pane: length of a pane, ms.
        get: what is in the pane with that start; None for nothing.
        merge: what is in two adjacent parts together, earlier part first; changes neither.
    """

    def __init__(self, pane: int, get: Callable[[int], P | None], merge: Callable[[P, P], P]) -> None:
        self._pane = pane
        self._get = get
        self._merge = merge
        self.reset()

    def reset(self) -> None:
        """Forget everything that was derived."""
        self._boundary = self._done = -(1 << 70)
        #: Starts of the panes before the boundary that hold something, and what lies from there to the boundary.
        self._starts: list[int] = []
        self._ends: list[P] = []
        #: What lies from the boundary up to `_done`.
        self._beginning: P | None = None

    def window(self, start: int, end: int) -> P | None:
        """What is in a window. Cheap when windows are asked for in order."""
        if start >= self._boundary or end < self._done:
            self._turn(start, end)
        for pane in range(self._done, end, self._pane):
            more = self._get(pane)
            if more is not None:
                self._beginning = more if self._beginning is None else self._merge(self._beginning, more)
        self._done = end
        at = bisect_left(self._starts, start)
        if at == len(self._starts):
            return self._beginning
        return self._ends[at] if self._beginning is None else self._merge(self._ends[at], self._beginning)

    def changed(self, pane: int) -> None:
        """Something was added to a pane."""
        if self._boundary <= pane < self._done:
            self._beginning, self._done = None, self._boundary
        elif pane < self._boundary:
            # What lies after the pane is as it was.
            at = bisect_left(self._starts, pane + self._pane)
            first = self._starts[0] if self._starts else pane
            ends = self._ends[at] if at < len(self._ends) else None
            starts, merged = self._backwards(min(first, pane), pane + self._pane, ends)
            self._starts[:at], self._ends[:at] = starts, merged

    def _turn(self, start: int, end: int) -> None:
        """Make the end of this window the boundary."""
        self._starts, self._ends = self._backwards(start, end, None)
        self._beginning, self._boundary, self._done = None, end, end

    def _backwards(self, start: int, end: int, merged: P | None) -> tuple[list[int], list[P]]:
        starts: list[int] = []
        ends: list[P] = []
        for pane in range(end - self._pane, start - 1, -self._pane):
            more = self._get(pane)
            if more is not None:
                merged = more if merged is None else self._merge(more, merged)
                starts.append(pane)
                ends.append(merged)
        return starts[::-1], ends[::-1]
