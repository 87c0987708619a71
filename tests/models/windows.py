"""Event-time windows in plain Python: record by record, without any cleverness.

Records are (key, number). A window gives (key, its numbers in order), however it is computed: `Collect` and `Show`
do the same in programs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from yarnflow.functions.user_functions import AggregateFunction
from yarnflow.functions.windows.window_functions import ProcessWindowFunction
from yarnflow.runtime.network.elements import MIN_WATERMARK


class Collect(AggregateFunction):
    """Keeps the key and all values, sorted, so that the order of merging does not matter."""

    def create_accumulator(self) -> list[Any]:
        return []

    def add(self, value: Any, accumulator: list[Any]) -> list[Any]:
        accumulator.append(value)
        return accumulator

    def get_result(self, accumulator: list[Any]) -> Any:
        return accumulator[0][0], tuple(sorted(number for _, number in accumulator))

    def merge(self, acc_a: list[Any], acc_b: list[Any]) -> list[Any]:
        acc_a.extend(acc_b)
        acc_b.clear()  # merging may change both
        return acc_a


class Show(ProcessWindowFunction[Any, Any, Any, Any]):
    """The key and all values, sorted."""

    def process(self, key: Any, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        yield key, tuple(sorted(number for _, number in elements))


@dataclass
class WindowModel:
    """What should come out.

    Attributes:
        lateness: how long windows are kept after the watermark has passed their end.
        found: (key, numbers, time) of each result.
        late: ((key, number), time) of each record that came too late for all of its windows.
    """

    lateness: int
    watermark: int = MIN_WATERMARK
    windows: dict[Any, list[Any]] = field(default_factory=lambda: defaultdict(list))
    fired: set[Any] = field(default_factory=set)
    found: list[Any] = field(default_factory=list)
    late: list[Any] = field(default_factory=list)

    def fire(self, key: Any, start: int, end: int) -> None:
        numbers = tuple(sorted(number for _, number in self.windows[key, start, end]))
        self.found.append((key, numbers, end - 1))

    def advance(self, watermark: int) -> None:
        """The watermark grows."""
        self.watermark = watermark
        for at in sorted(self.windows, key=lambda at: at[2]):
            if at[2] - 1 <= watermark and at not in self.fired:
                self.fired.add(at)
                self.fire(*at)
            if at[2] - 1 + self.lateness <= watermark:
                del self.windows[at]

    def fixed(self, key: Any, number: int, time: int, size: int, slide: int, offset: int) -> None:
        """A record comes to windows of fixed size."""
        last = time - (time - offset) % slide
        taken = False
        for start in range(last, time - size, -slide):
            end = start + size
            if end - 1 + self.lateness <= self.watermark:
                continue
            taken = True
            self.windows[key, start, end].append((key, number))
            if end - 1 <= self.watermark:
                self.fired.add((key, start, end))
                self.fire(key, start, end)
        if not taken and time + self.lateness <= self.watermark:
            self.late.append(((key, number), time))

    def session(self, key: Any, number: int, time: int, gap: int) -> None:
        """A record comes to sessions."""
        parts = [at for at in self.windows if at[0] == key and at[1] <= time + gap and at[2] >= time]
        start, end = min([time, *(at[1] for at in parts)]), max([time + gap, *(at[2] for at in parts)])
        if end - 1 + self.lateness <= self.watermark:
            if time + self.lateness <= self.watermark:
                self.late.append(((key, number), time))
            return
        records = [(key, number)]
        for at in parts:
            records += self.windows.pop(at)
            self.fired.discard(at)
        self.windows[key, start, end] = records
        if end - 1 <= self.watermark:
            self.fired.add((key, start, end))
            self.fire(key, start, end)
