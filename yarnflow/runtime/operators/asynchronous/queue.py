"""The order in which results of asynchronous calls leave: records whose calls are under way, and what may not
overtake them (watermarks, idleness).

Both queues have the same methods. `take` is given the calls that have ended and returns what can be emitted now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Union

from yarnflow.runtime.network.elements import Element


class Call:
    """A record and what has become of it.

    Attributes:
        record: the input.
        time: its event time in ms, or None.
        results: what the function returned.
        error: what it raised.
        deadline: time of the event loop at which the call has timed out.
        ended: the task has seen its end.
        segment: of the unordered queue.
    """

    __slots__ = ("deadline", "ended", "error", "record", "results", "segment", "time")

    def __init__(self, record: Any, time: int | None) -> None:
        self.record = record
        self.time = time
        self.results: Any = None
        self.error: BaseException | None = None
        self.deadline = 0.0
        self.ended = False
        self.segment: Segment | None = None


Item = Union[Call, Element]  # noqa: UP007 - evaluated at run time


class OrderedQueue:
    """Everything leaves as it came."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._calls = 0

    def __len__(self) -> int:
        """Records that have not left."""
        return self._calls

    def put(self, calls: Sequence[Call]) -> None:
        """Append records."""
        self._items.extend(calls)
        self._calls += len(calls)

    def put_element(self, element: Element) -> None:
        """Append what no record may overtake and what overtakes none."""
        self._items.append(element)

    def take(self, ended: Iterable[Call]) -> list[Item]:
        """Remove and return what can leave, in order."""
        for call in ended:
            call.ended = True
        items, ready = self._items, []
        while items:
            item = items[0]
            if isinstance(item, Call):
                if not item.ended:
                    break
                self._calls -= 1
            ready.append(items.popleft())
        return ready

    def calls(self) -> list[Call]:
        """The records that have not left, oldest first."""
        return [item for item in self._items if isinstance(item, Call)]


class Segment:
    """Records between two elements, and the elements behind them."""

    __slots__ = ("calls", "elements", "ended")

    def __init__(self) -> None:
        self.calls: dict[Call, None] = {}
        self.ended: list[Call] = []
        self.elements: list[Element] = []


class UnorderedQueue:
    """Records leave when their call ends, but stay between the elements they came between."""

    def __init__(self) -> None:
        self._segments: deque[Segment] = deque([Segment()])
        self._calls = 0

    def __len__(self) -> int:
        """As OrderedQueue."""
        return self._calls

    def put(self, calls: Sequence[Call]) -> None:
        """As OrderedQueue."""
        if self._segments[-1].elements:
            self._segments.append(Segment())
        segment = self._segments[-1]
        for call in calls:
            call.segment = segment
            segment.calls[call] = None
        self._calls += len(calls)

    def put_element(self, element: Element) -> None:
        """As OrderedQueue."""
        self._segments[-1].elements.append(element)

    def take(self, ended: Iterable[Call]) -> list[Item]:
        """As OrderedQueue."""
        for call in ended:
            assert call.segment is not None
            call.segment.ended.append(call)
        ready: list[Item] = []
        while True:
            segment = self._segments[0]
            for call in segment.ended:
                del segment.calls[call]
            ready += segment.ended
            self._calls -= len(segment.ended)
            segment.ended = []
            if segment.calls or not segment.elements:
                return ready
            ready += segment.elements
            segment.elements = []
            if len(self._segments) > 1:
                self._segments.popleft()

    def calls(self) -> list[Call]:
        """As OrderedQueue."""
        return [call for segment in self._segments for call in segment.calls]
