"""What is done with the contents of a window that fires."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

from yarnflow.functions.user_functions import Function

if TYPE_CHECKING:
    from yarnflow.functions.runtime_context import KeyedStateStore

__all__ = ["AllWindowFunction", "ProcessAllWindowFunction", "ProcessWindowFunction", "WindowFunction"]

#: What may be written between the brackets when a program annotates its class; nothing reads them.
IN = TypeVar("IN")
OUT = TypeVar("OUT")
KEY = TypeVar("KEY")
W = TypeVar("W")
W2 = TypeVar("W2")


class WindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """Evaluates the windows of a keyed stream."""

    @abstractmethod
    def apply(self, key: KEY, window: W, inputs: Iterable[IN]) -> Iterable[OUT] | None:
        """Return or yield the results of a window.

        Args:
            key: of the records.
            window: that fires.
            inputs: its records; behind reduce() or aggregate() their one result.
        """


class AllWindowFunction(Function, Generic[IN, OUT, W]):
    """As WindowFunction, for `window_all`: there is no key."""

    @abstractmethod
    def apply(self, window: W, inputs: Iterable[IN]) -> Iterable[OUT] | None:
        """Return or yield the results of a window."""


class _WindowContext(ABC, Generic[W2]):
    """What is known about the window that fires. Valid during the call only."""

    @abstractmethod
    def window(self) -> W2:
        """The window."""

    @abstractmethod
    def current_processing_time(self) -> int:
        """The machine's clock, ms since the epoch."""

    @abstractmethod
    def current_watermark(self) -> int:
        """Event time, ms since the epoch; MIN_LONG_VALUE before the first watermark."""

    @abstractmethod
    def window_state(self) -> KeyedStateStore:
        """Gives state of this key and window (`get_state`, ...). Windows may fire more than once; forget the
        state in `clear`. Windows that merge (sessions) have none."""

    @abstractmethod
    def global_state(self) -> KeyedStateStore:
        """Gives state of this key, the same in all windows."""


class ProcessWindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """As WindowFunction, with a context."""

    class Context(_WindowContext[W2]):
        """See `_WindowContext`'s methods."""

    @abstractmethod
    def process(
        self, key: KEY, context: ProcessWindowFunction.Context[W], elements: Iterable[IN]
    ) -> Iterable[OUT] | None:
        """Return or yield the results of a window; (OutputTag, record) goes to a side output.

        Args:
            key: of the records.
            context: see there.
            elements: the window's records; behind reduce() or aggregate() their one result.
        """

    def clear(self, context: ProcessWindowFunction.Context[W]) -> None:
        """The window is gone for good: forget its `window_state`."""


class ProcessAllWindowFunction(Function, Generic[IN, OUT, W]):
    """As ProcessWindowFunction, for `window_all`: there is no key."""

    class Context(_WindowContext[W2]):
        """See `_WindowContext`'s methods."""

    @abstractmethod
    def process(
        self, context: ProcessAllWindowFunction.Context[W], elements: Iterable[IN]
    ) -> Iterable[OUT] | None:
        """Return or yield the results of a window; (OutputTag, record) goes to a side output."""

    def clear(self, context: ProcessAllWindowFunction.Context[W]) -> None:
        """The window is gone for good: forget its `window_state`."""
