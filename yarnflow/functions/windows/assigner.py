"""Which windows a record belongs to: what custom assigners derive from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from yarnflow.functions.runtime_context import RuntimeContext
    from yarnflow.functions.windows.trigger import Trigger

__all__ = ["MergingWindowAssigner", "SessionWindowTimeGapExtractor", "WindowAssigner"]

#: What may be written between the brackets when a program annotates its class; nothing reads them.
T = TypeVar("T")
W = TypeVar("W")
W2 = TypeVar("W2")


class WindowAssigner(ABC, Generic[T, W]):
    """Base of all assigners. One instance serves all keys: it keeps nothing but its parameters, and what it must
    remember in keyed state (`context.get_runtime_context().get_state(...)`)."""

    class WindowAssignerContext(ABC):
        """What an assigner can ask for. Valid during the call only."""

        @abstractmethod
        def get_current_processing_time(self) -> int:
            """The machine's clock, ms since the epoch."""

        @abstractmethod
        def get_runtime_context(self) -> RuntimeContext:
            """The operator's runtime context."""

    @abstractmethod
    def assign_windows(
        self, element: T, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[W]:
        """Return the windows of a record.

        Args:
            element: the record.
            timestamp: its event time, ms since the epoch; MIN_LONG_VALUE when it has none (processing time).
            context: see there.
        """

    @abstractmethod
    def get_default_trigger(self, env: Any) -> Trigger[Any, Any]:
        """The trigger of windows for which the program names none."""

    def get_window_serializer(self) -> Any:
        """Not used: windows are pickled. PyFlink's assigners have it."""
        return None

    @abstractmethod
    def is_event_time(self) -> bool:
        """Whether windows end by the watermark (True) or by the machine's clock."""


class MergingWindowAssigner(WindowAssigner[T, W]):
    """Base of assigners whose windows of one key can merge, such as sessions."""

    class MergeCallback(ABC, Generic[W2]):
        """Takes what `merge_windows` finds."""

        @abstractmethod
        def merge(self, to_be_merged: Iterable[W2], merge_result: W2) -> None:
            """These windows become that one."""

    @abstractmethod
    def merge_windows(self, windows: Iterable[W], callback: MergingWindowAssigner.MergeCallback[W]) -> None:
        """Call `callback.merge` for each group of these windows, all of one key, that become one."""


class SessionWindowTimeGapExtractor(ABC):
    """Says per record after how much silence its session ends."""

    @abstractmethod
    def extract(self, element: Any) -> int:
        """Return the gap in ms, greater than zero."""
