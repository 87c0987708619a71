"""Tumbling and sliding windows that fire when time passes their end, in event or processing time.

All keys of a window fire together, so there is no timer per key: the ends of windows are in a heap, a window that
fires is one mapping from key to contents, and forgetting it is dropping that mapping. Records are grouped by
*pane* (the stretch of time that belongs to the same windows) before they are added, which for records in order
costs next to nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, MutableMapping
from heapq import heappop, heappush
from itertools import compress, groupby
from operator import itemgetter
from typing import Any

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.windows.time_windows import PanedWindows
from yarnflow.functions.windows.window import TimeWindow
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.windows.base import FiredByTimeOperator
from yarnflow.runtime.operators.windows.contents import MISSING
from yarnflow.runtime.state.restore import RestoredOperator

State = MutableMapping[Any, Any]


class TimeWindowsOperator(FiredByTimeOperator):
    """Keeps the contents of each window by itself. Windows are told by their starts."""

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assigner = self.spec.assigner
        assert isinstance(assigner, PanedWindows)
        self.size, self.slide = assigner.size, assigner.slide
        self.offset, self.pane = assigner.offset, assigner.pane
        #: Contents by start of the window (or pane, in windows/sliding.py).
        self.open_states: dict[int, State] = {}
        #: Starts of windows that are to fire, and (for windows that stay) that are to go: heaps.
        self.to_fire: list[int] = []
        self.to_drop: list[int] = []

    def restore(self, restored: RestoredOperator) -> None:
        super().restore(restored)
        for window in list(self.windows.namespaces()):
            self.reopen(window)

    def reopen(self, window: TimeWindow) -> None:
        """Take up a stored namespace."""
        self._state_of(window.start)

    # -- records ---------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        rows = batch.rows
        if not rows:
            return
        self.check_keys(rows)
        if self.in_event_time:
            times = self.needs_time(batch)
            oldest = min(times)
            if oldest + self.lateness <= self.now:
                rows, times = self._without_late(rows, times)
            # Where each record gives a result at once, these must come in the order of the records.
            group = by_run if self.lateness and oldest <= self.now else by_pane
        else:
            times, group = [self.read_clock()] * len(rows), by_pane
        for start, records in group(rows, times, self.offset, self.pane):
            self.take(start, records)
        self.emit_results()

    def _without_late(self, rows: list[Any], times: list[int]) -> tuple[list[Any], list[int]]:
        """The records of which a window is left, or that never had one."""
        limit = self.now - self.lateness
        late = [
            time <= limit and time - (time - self.offset) % self.slide + self.size - 1 <= limit for time in times
        ]
        if any(late):
            self.late(list(compress(rows, late)), list(compress(times, late)))
            left = [not item for item in late]
            return list(compress(rows, left)), list(compress(times, left))
        return rows, times

    def last_window(self, pane: int) -> int:
        """Start of the last window that holds the pane."""
        return pane - (pane - self.offset) % self.slide

    def windows_of(self, pane: int) -> Iterable[int]:
        """Starts of the windows that hold the pane and have not gone."""
        last, now = self.last_window(pane), self.now - self.size + 1 - self.lateness
        return [start for start in range(last, pane - self.size, -self.slide) if start > now]

    def take(self, pane: int, records: list[Any]) -> None:
        """Add records of one pane."""
        for start in self.windows_of(pane):
            state = self.open_states.get(start)
            if state is None:
                state = self._state_of(start)
            if start + self.size - 1 > self.now:
                self.contents.absorb(state, records)
            else:
                self._update(TimeWindow(start, start + self.size), state, records)

    def _update(self, window: TimeWindow, state: State, records: list[Any]) -> None:
        """The window has fired before: each record gives a new result."""
        contents = self.contents
        for record in records:
            key = contents.key(record)
            known = state[key] = contents.add(state.get(key, MISSING), record, None)
            self.evaluate_key(window, key, known, stays=True)

    def _state_of(self, start: int) -> State:
        state = self.open_states[start] = self.windows.of(TimeWindow(start, start + self.size))
        if start + self.size - 1 > self.now:
            heappush(self.to_fire, start)
        if self.lateness:
            heappush(self.to_drop, start)
        return state

    # -- time ------------------------------------------------------------------------------------------------

    def next_timer(self) -> int | None:
        if self.in_event_time or not self.to_fire:
            return None
        return self.to_fire[0] + self.size

    def fire_due(self) -> None:
        limit, size, lateness = self.now, self.size, self.lateness
        while self.to_fire and self.to_fire[0] + size - 1 <= limit:
            self.fire(heappop(self.to_fire))
        while self.to_drop and self.to_drop[0] + size - 1 + lateness <= limit:
            self.drop(heappop(self.to_drop))

    def fire(self, start: int) -> None:
        """The window has ended."""
        window = TimeWindow(start, start + self.size)
        stays = bool(self.lateness)
        self.evaluate(window, self.open_states[start], stays)
        if not stays:
            self.drop(start)

    def drop(self, start: int) -> None:
        """The window has gone."""
        window = TimeWindow(start, start + self.size)
        state = self.open_states.pop(start)
        if self.has_clear:
            for key in list(state):
                self.clear_key(window, key)
        self.window_states.forget(window)
        self.windows.drop(window)


def by_run(rows: list[Any], times: list[int], offset: int, pane: int) -> Iterable[tuple[int, list[Any]]]:
    """As `by_pane` for records that follow each other, so that a pane may come several times."""
    starts = [time - (time - offset) % pane for time in times]
    for start, run in groupby(zip(starts, rows, strict=True), itemgetter(0)):
        yield start, [record for _, record in run]


def by_pane(rows: list[Any], times: list[int], offset: int, pane: int) -> Iterable[tuple[int, list[Any]]]:
    """Group records by pane, in order within each: (start of the pane, its records)."""
    if not rows:
        return ()
    first = times[0] - (times[0] - offset) % pane
    if sorted(times) == times:  # a few ns per record, and most streams are in order
        if times[-1] < first + pane:
            return ((first, rows),)
        found = []
        at = 0
        while at < len(rows):
            start = times[at] - (times[at] - offset) % pane
            end = bisect_left(times, start + pane, at)
            found.append((start, rows[at:end]))
            at = end
        return found
    groups: dict[int, list[Any]] = {}
    get = groups.get
    for record, time in zip(rows, times, strict=True):
        start = time - (time - offset) % pane
        group = get(start)
        if group is None:
            groups[start] = [record]
        else:
            group.append(record)
    return groups.items()
