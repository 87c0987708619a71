"""Timers of one operator and subtask, by key and namespace.

Timers of one time share a bucket, so that a million windows that end together cost one heap entry. Both time
domains use a queue each; timers live in memory with every state backend.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any

from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import Chunk, KeyedPart, TaskSnapshot

_GONE: Any = object()


class TimerQueue:
    """Timers of one time domain; one per time, key and namespace."""

    def __init__(self) -> None:
        #: By time; what is in a bucket is what `due` yields.
        self._buckets: dict[int, dict[tuple[int, Any, Any], None]] = {}
        self._times: list[int] = []

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def add(self, time: int, key: Any, namespace: Any = None) -> None:
        """Set a timer; once more changes nothing. `time` in ms since the epoch."""
        bucket = self._buckets.get(time)
        if bucket is None:
            bucket = self._buckets[time] = {}
            heappush(self._times, time)
        bucket[time, key, namespace] = None

    def remove(self, time: int, key: Any, namespace: Any = None) -> None:
        """Delete a timer; fine when there is none."""
        bucket = self._buckets.get(time)
        if bucket is not None:
            bucket.pop((time, key, namespace), None)

    def first(self) -> int | None:
        """The earliest time, None without timers."""
        while self._times and not self._buckets[self._times[0]]:
            del self._buckets[heappop(self._times)]
        return self._times[0] if self._times else None

    def due(self, limit: int) -> Iterator[tuple[int, Any, Any]]:
        """Remove and yield (time, key, namespace) of all timers up to `limit`, earliest first; also of those that
        are set meanwhile. Timers that are deleted meanwhile do not come."""
        while self._times and self._times[0] <= limit:
            time = self._times[0]
            bucket = self._buckets[time]
            pop = bucket.pop
            for timer in list(bucket):
                if pop(timer, _GONE) is not _GONE:
                    yield timer
            if not bucket and self._times[0] == time:
                heappop(self._times)
                del self._buckets[time]

    def snapshot(self, snapshot: TaskSnapshot, operator_id: str, name: str) -> None:
        """Add all timers to a checkpoint, by namespace, with their times as values."""
        if len(self):
            snapshot.keyed.append(KeyedPart(operator_id, name, StateKind.TIMERS, self._chunks, len(self)))

    def restore(self, restored: RestoredOperator, name: str) -> None:
        """Take back what was stored under `name`."""
        if name in restored.keyed_names(StateKind.TIMERS):
            for namespace, keys, times in restored.keyed(name, StateKind.TIMERS):
                for key, time in zip(keys, times, strict=True):
                    self._buckets.setdefault(time, {})[time, key, namespace] = None
            self._times = list(self._buckets)
            heapify(self._times)

    def _chunks(self) -> Iterable[Chunk]:
        by_namespace: dict[Any, tuple[list[Any], list[int]]] = {}
        for bucket in self._buckets.values():
            for time, key, namespace in bucket:
                keys, times = by_namespace.setdefault(namespace, ([], []))
                keys.append(key)
                times.append(time)
        return [Chunk(namespace, keys, times) for namespace, (keys, times) in by_namespace.items()]
