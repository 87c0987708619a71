"""Sliding windows of a reduce or aggregate: a record is added to one pane, whatever the number of windows it
belongs to, and windows are put together from panes (windows/panes.py). Panes are what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Any

from yarnflow.functions.windows.window import TimeWindow
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.isolation import own
from yarnflow.runtime.operators.windows.contents import MISSING
from yarnflow.runtime.operators.windows.panes import SharedPanes
from yarnflow.runtime.operators.windows.time import State, TimeWindowsOperator


class SlidingPanesOperator(TimeWindowsOperator):
    """Keeps the contents of panes. `open_states` and `to_drop` are about panes, `to_fire` about windows."""

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        self._shared: SharedPanes[Mapping[Any, Any]] = SharedPanes(
            self.pane, self.open_states.get, self.contents.merged
        )
        #: Windows in `to_fire`.
        self._waiting: set[int] = set()

    def layout(self) -> str:
        return f"panes of {super().layout()}"

    def reopen(self, window: TimeWindow) -> None:
        self._pane_at(window.start)

    def take(self, pane: int, records: list[Any]) -> None:
        state = self.open_states.get(pane)
        if state is None:
            state = self._pane_at(pane)
        if self.lateness and (ended := [at for at in self.windows_of(pane) if at + self.size - 1 <= self.now]):
            self._update_ended(state, records, ended)
        else:
            self.contents.absorb(state, records)
        self._shared.changed(pane)

    def _update_ended(self, state: State, records: list[Any], ended: list[int]) -> None:
        """Windows that have fired give a new result for each record."""
        contents = self.contents
        for record in records:
            key = contents.key(record)
            state[key] = contents.add(state.get(key, MISSING), record, None)
            for start in ended:
                self.evaluate_key(TimeWindow(start, start + self.size), key, self._merged(start, key), stays=True)

    def _merged(self, start: int, key: Any) -> Any:
        """What a window holds of one key."""
        merged = MISSING
        for pane in range(start, start + self.size, self.pane):
            state = self.open_states.get(pane)
            known = MISSING if state is None else state.get(key, MISSING)
            if known is not MISSING:
                merged = own(known) if merged is MISSING else self.contents.merge(merged, own(known))
        return merged

    def _pane_at(self, pane: int) -> State:
        state = self.open_states[pane] = self.windows.of(TimeWindow(pane, pane + self.pane))
        for start in range(self.last_window(pane), pane - self.size, -self.slide):
            if start + self.size - 1 > self.now and start not in self._waiting:
                self._waiting.add(start)
                heappush(self.to_fire, start)
        heappush(self.to_drop, pane)
        return state

    def fire_due(self) -> None:
        limit, size = self.now, self.size
        while self.to_fire and self.to_fire[0] + size - 1 <= limit:
            start = heappop(self.to_fire)
            self._waiting.discard(start)
            found = self._shared.window(start, start + size)
            if found:
                self.evaluate(TimeWindow(start, start + size), found, stays=True)
            # Panes that no later window holds; with many windows at once they need not all stay.
            self._drop_until(min(limit, start + size - 1))
        self._drop_until(limit)

    def _drop_until(self, limit: int) -> None:
        rest = self.size - 1 + self.lateness
        while self.to_drop and self.last_window(self.to_drop[0]) + rest <= limit:
            self.drop(heappop(self.to_drop))

    def drop(self, start: int) -> None:
        window = TimeWindow(start, start + self.pane)
        del self.open_states[start]
        self.windows.drop(window)
