"""The windows themselves: names of groups of records. They are compared by value and serve as keys of state."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from yarnflow.common.constants import MAX_LONG_VALUE
from yarnflow.common.serializer import TypeSerializer

if TYPE_CHECKING:
    from yarnflow.functions.windows.assigner import MergingWindowAssigner

__all__ = [
    "CountWindow",
    "CountWindowSerializer",
    "GlobalWindow",
    "GlobalWindowSerializer",
    "TimeWindow",
    "TimeWindowSerializer",
    "Window",
]


class Window(ABC):
    """Base of all windows. Subclasses define equality and hash, and can be pickled."""

    __slots__ = ()

    @abstractmethod
    def max_timestamp(self) -> int:
        """The last event time that belongs to it, ms since the epoch; what results of the window carry."""


class _Bounds(NamedTuple):
    start: int
    end: int


class TimeWindow(_Bounds, Window):
    """From `start` up to but without `end`, ms since the epoch. A tuple, because tuples are hashed and compared in
    C, and state is looked up by window."""

    __slots__ = ()

    def max_timestamp(self) -> int:
        return self.end - 1

    def intersects(self, other: TimeWindow) -> bool:
        """Whether they overlap or touch."""
        return self.start <= other.end and self.end >= other.start

    def cover(self, other: TimeWindow) -> TimeWindow:
        """The smallest window that holds both."""
        return TimeWindow(min(self.start, other.start), max(self.end, other.end))

    @staticmethod
    def get_window_start_with_offset(timestamp: int, offset: int, window_size: int) -> int:
        """Start of the window that holds `timestamp` when windows of `window_size` ms start at `offset` + a
        multiple of it."""
        return timestamp - (timestamp - offset) % window_size

    @staticmethod
    def merge_windows(
        windows: Iterable[TimeWindow], callback: MergingWindowAssigner.MergeCallback[TimeWindow]
    ) -> None:
        """Tell `callback` which of these windows overlap or touch, and what covers them."""
        covered: TimeWindow | None = None
        parts: set[TimeWindow] = set()
        for window in sorted(windows):
            if covered is not None and covered.intersects(window):
                covered = covered.cover(window)
                parts.add(window)
                continue
            if covered is not None and len(parts) > 1:
                callback.merge(parts, covered)
            covered, parts = window, {window}
        if covered is not None and len(parts) > 1:
            callback.merge(parts, covered)

    def __repr__(self) -> str:
        return f"TimeWindow(start={self.start}, end={self.end})"


class CountWindow(Window):
    """The `id`-th window of a key, from 0. It has no time."""

    __slots__ = ("id",)

    def __init__(self, id: int) -> None:
        self.id = id

    def max_timestamp(self) -> int:
        return MAX_LONG_VALUE

    def __hash__(self) -> int:
        return hash((CountWindow, self.id))

    def __eq__(self, other: object) -> bool:
        return other.__class__ is CountWindow and self.id == other.id

    def __reduce__(self) -> tuple[Any, ...]:
        return CountWindow, (self.id,)

    def __repr__(self) -> str:
        return f"CountWindow(id={self.id})"


class GlobalWindow(Window):
    """The one window of all records."""

    __slots__ = ()

    @staticmethod
    def get() -> GlobalWindow:
        """A global window; all of them are equal."""
        return _GLOBAL

    def max_timestamp(self) -> int:
        return MAX_LONG_VALUE

    def __hash__(self) -> int:
        return hash(GlobalWindow)

    def __eq__(self, other: object) -> bool:
        return other.__class__ is GlobalWindow

    def __reduce__(self) -> tuple[Any, ...]:
        return GlobalWindow, ()

    def __repr__(self) -> str:
        return "GlobalWindow"


_GLOBAL = GlobalWindow()


class TimeWindowSerializer(TypeSerializer[TimeWindow]):
    """A TimeWindow as 16 bytes. Yarnflow pickles windows; this is for custom assigners written for PyFlink."""

    def serialize(self, element: TimeWindow, stream: BytesIO) -> None:
        stream.write(struct.pack(">qq", element.start, element.end))

    def deserialize(self, stream: BytesIO) -> TimeWindow:
        return TimeWindow(*struct.unpack(">qq", stream.read(16)))


class CountWindowSerializer(TypeSerializer[CountWindow]):
    """As TimeWindowSerializer, for CountWindow."""

    def serialize(self, element: CountWindow, stream: BytesIO) -> None:
        stream.write(struct.pack(">q", element.id))

    def deserialize(self, stream: BytesIO) -> CountWindow:
        return CountWindow(*struct.unpack(">q", stream.read(8)))


class GlobalWindowSerializer(TypeSerializer[GlobalWindow]):
    """As TimeWindowSerializer, for GlobalWindow."""

    def serialize(self, element: GlobalWindow, stream: BytesIO) -> None:
        stream.write(b"\0")

    def deserialize(self, stream: BytesIO) -> GlobalWindow:
        stream.read(1)
        return _GLOBAL
