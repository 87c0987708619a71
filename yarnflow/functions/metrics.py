"""Metrics that user functions register: counters, gauges, meters and distributions in named groups.

A group is a plain object; whoever reports metrics reads `MetricGroup.snapshot()` from the task's thread or
another one (single values are read and written atomically).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["Counter", "Distribution", "Meter", "MetricGroup"]


M = TypeVar("M")


class Counter:
    """Counts up and down."""

    def __init__(self) -> None:
        self._count = 0

    def inc(self, n: int = 1) -> None:
        """Add n."""
        self._count += n

    def dec(self, n: int = 1) -> None:
        """Subtract n."""
        self._count -= n

    def get_count(self) -> int:
        """The count."""
        return self._count


class Meter:
    """Counts events and gives their rate over the last `time_span_in_seconds`."""

    def __init__(self, time_span_in_seconds: int = 60, clock: Callable[[], float] = time.monotonic) -> None:
        self._span = time_span_in_seconds
        self._clock = clock
        self._count = 0
        #: (second, events in it), oldest first
        self._seconds: deque[tuple[int, int]] = deque()

    def mark_event(self, value: int = 1) -> None:
        """So many events have happened."""
        self._count += value
        second = int(self._clock())
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + value)
        else:
            self._seconds.append((second, value))
            while self._seconds[0][0] <= second - self._span:
                self._seconds.popleft()

    def get_count(self) -> int:
        """All events."""
        return self._count

    def get_rate(self) -> float:
        """Events per second."""
        oldest = self._clock() - self._span
        return sum(events for second, events in list(self._seconds) if second > oldest) / self._span


class Distribution:
    """Count, sum, least and greatest of the values given."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0
        self.min: int | None = None
        self.max: int | None = None

    def update(self, value: int) -> None:
        """Take a value in."""
        self.count += 1
        self.sum += value
        self.min = value if self.min is None else min(self.min, value)
        self.max = value if self.max is None else max(self.max, value)


class MetricGroup:
    """A named container of metrics and of further groups. Asking twice for a name gives the same metric."""

    def __init__(self, path: tuple[str, ...] = ()) -> None:
        self.path = path
        self._groups: dict[tuple[str, ...], MetricGroup] = {}
        self._metrics: dict[str, Any] = {}

    def add_group(self, name: str, extra: str | None = None) -> MetricGroup:
        """The group `name` below this one; with `extra` the group `extra` below that (a key and its value)."""
        path = (*self.path, name) if extra is None else (*self.path, name, extra)
        return self._groups.setdefault(path, MetricGroup(path))

    def counter(self, name: str) -> Counter:
        """Register a counter."""
        return self._register(name, Counter, Counter())

    def gauge(self, name: str, obj: Callable[[], Any]) -> None:
        """Register a function that gives the value when asked. It is called from another thread."""
        self._metrics[name] = obj

    def meter(self, name: str, time_span_in_seconds: int = 60) -> Meter:
        """Register a meter."""
        return self._register(name, Meter, Meter(time_span_in_seconds))

    def distribution(self, name: str) -> Distribution:
        """Register a distribution."""
        return self._register(name, Distribution, Distribution())

    def _register(self, name: str, kind: type[M], new: M) -> M:
        metric = self._metrics.setdefault(name, new)
        if not isinstance(metric, kind):
            raise ValueError(f"metric {name!r} is a {type(metric).__name__} already, not a {kind.__name__}")
        return metric

    def snapshot(self) -> dict[str, float | int | str | None]:
        """All values by dotted name."""
        values: dict[str, Any] = {}
        for name, metric in list(self._metrics.items()):
            key = ".".join((*self.path, name))
            if isinstance(metric, Counter):
                values[key] = metric.get_count()
            elif isinstance(metric, Meter):
                values[f"{key}.count"], values[f"{key}.rate"] = metric.get_count(), metric.get_rate()
            elif isinstance(metric, Distribution):
                for part in ("count", "sum", "min", "max"):
                    values[f"{key}.{part}"] = getattr(metric, part)
            else:
                values[key] = metric()
        for group in list(self._groups.values()):
            values.update(group.snapshot())
        return values
