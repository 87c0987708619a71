"""What an interval join remembers of one of its inputs.

Records lie in buckets of event time, which are namespaces of a state table; a bucket maps keys to their records,
ordered by time. So a look-up touches a few buckets, and forgetting is dropping a bucket when the watermark has
passed, without a timer or a look at single records.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import MutableMapping
from typing import Any

from yarnflow.runtime.network.elements import MAX_WATERMARK
from yarnflow.runtime.state.backend import KeyedStateBackend

#: Least width of a bucket in ms: narrower ones would be many and hold little.
LEAST_WIDTH = 1000

#: Times, and the records of these times, both in ascending order of time.
Series = tuple[list[int], list[Any]]


class IntervalBuffer:
    """Records of one input.

    Args:
        backend: where they are kept.
        name: of the state table.
        first, last: a record at `t` meets records of the other input from `t + first` to `t + last` (ms).

    Attributes:
        width: of a bucket in ms.
        buckets: by their number, `time // width`.
    """

    def __init__(self, backend: KeyedStateBackend, name: str, first: int, last: int) -> None:
        self.first = first
        self.last = last
        # Half a span: a look-up touches two or three buckets, and a record stays at most half a span too long.
        self.width = max((last - first) // 2, LEAST_WIDTH)
        self.buckets: dict[int, MutableMapping[Any, Series]] = {}
        self._table = backend.table(name)
        self._next_expiry = MAX_WATERMARK

    def add(self, key: Any, time: int, record: Any) -> None:
        """Remember a record. Raises TypeError for a key that cannot be hashed."""
        number = time // self.width
        bucket = self.buckets.get(number)
        if bucket is None:
            bucket = self._bucket(number)
        series = bucket.get(key)
        if series is None:
            series = ([time], [record])
        else:
            times, records = series
            if time >= times[-1]:
                times.append(time)
                records.append(record)
            else:
                at = bisect_right(times, time)
                times.insert(at, time)
                records.insert(at, record)
        bucket[key] = series

    def expire(self, watermark: int) -> None:
        """Forget what no record at or after `watermark` can meet."""
        if watermark <= self._next_expiry:
            return
        for number in [number for number in self.buckets if self._expiry(number) < watermark]:
            del self.buckets[number]
            self._table.drop((self.width, number))
        self._next_expiry = min(map(self._expiry, self.buckets), default=MAX_WATERMARK)

    def restored(self) -> None:
        """The backend has been filled. Buckets of another width (the bounds have changed) are sorted anew."""
        for namespace in list(self._table.namespaces()):
            width, number = namespace
            if width == self.width:
                self._bucket(number)
                continue
            for key, (times, records) in list(self._table.of(namespace).items()):
                for time, record in zip(times, records, strict=True):
                    self.add(key, time, record)
            self._table.drop(namespace)

    def _bucket(self, number: int) -> MutableMapping[Any, Series]:
        bucket = self.buckets[number] = self._table.of((self.width, number))
        self._next_expiry = min(self._next_expiry, self._expiry(number))
        return bucket

    def _expiry(self, number: int) -> int:
        """The last watermark at which records of a bucket may be wanted."""
        return (number + 1) * self.width - 1 + self.last
