"""Functions that see more than the record: its time, its key, timers, side outputs, broadcast state.

    ProcessFunction                 one input
    KeyedProcessFunction            one keyed input: keyed state and timers
    CoProcessFunction               two inputs
    KeyedCoProcessFunction          two inputs with keys in common: shared keyed state and timers
    BroadcastProcessFunction        any input, and one that every subtask gets whole
    KeyedBroadcastProcessFunction   as before, the first input being keyed

All their methods return or yield records for the main output, and (OutputTag, record) for side outputs; None
stands for nothing. A context is one object that is used again for every call: do not keep it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from yarnflow.functions.timers import TimeDomain, TimerService
from yarnflow.functions.user_functions import Function

if TYPE_CHECKING:
    from yarnflow.functions.state import State, StateDescriptor

__all__ = [
    "BaseBroadcastProcessFunction",
    "BroadcastProcessFunction",
    "CoProcessFunction",
    "KeyedBroadcastProcessFunction",
    "KeyedCoProcessFunction",
    "KeyedProcessFunction",
    "ProcessFunction",
]

#: What may be written between the brackets when a program annotates its class; nothing reads them.
IN1 = TypeVar("IN1")
IN2 = TypeVar("IN2")
KEY = TypeVar("KEY")
OUT = TypeVar("OUT")


class _Context(ABC):
    """What every context has."""

    @abstractmethod
    def timestamp(self) -> int:
        """Event time of the record in hand or of the timer that fires, in ms since the epoch; NO_TIMESTAMP
        (-2**63) if the record has none."""

    @abstractmethod
    def timer_service(self) -> TimerService:
        """Reads both clocks; sets timers on a keyed stream."""


class _KeyedContext(_Context):
    @abstractmethod
    def get_current_key(self) -> Any:
        """The key of the record or timer in hand."""


class _OnTimerContext(_KeyedContext):
    @abstractmethod
    def time_domain(self) -> TimeDomain:
        """Which kind of time the firing timer was set in."""


class ProcessFunction(Function):
    """One record in, any number out, to the main output and to side outputs."""

    class Context(_Context):
        """What is known about the record in hand. Valid during the call only."""

    @abstractmethod
    def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Iterable[Any] | None:
        """Yield records for the main output, and (OutputTag, record) for side outputs."""


class KeyedProcessFunction(Function):
    """As ProcessFunction on a keyed stream: with state per key (RuntimeContext.get_state, ...) and timers."""

    class Context(_KeyedContext):
        """What is known about the record in hand. Valid during the call only."""

    class OnTimerContext(Context, _OnTimerContext):
        """What is known about the timer that fires."""

    @abstractmethod
    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any] | None:
        """Yield records for the main output, and (OutputTag, record) for side outputs."""

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[Any] | None:
        """A timer set for `timestamp` fires for the current key. Yields as `process_element`."""
        return None


class CoProcessFunction(Function):
    """Two connected streams, a method for each."""

    class Context(_Context):
        """What is known about the record in hand. Valid during the call only."""

    @abstractmethod
    def process_element1(self, value: Any, ctx: CoProcessFunction.Context) -> Iterable[Any] | None:
        """Take a record of the first stream."""

    @abstractmethod
    def process_element2(self, value: Any, ctx: CoProcessFunction.Context) -> Iterable[Any] | None:
        """Take a record of the second stream."""


class KeyedCoProcessFunction(Function):
    """Two connected keyed streams; records of both with one key share its state and timers."""

    class Context(_KeyedContext):
        """What is known about the record in hand. Valid during the call only."""

    class OnTimerContext(Context, _OnTimerContext):
        """What is known about the timer that fires."""

    @abstractmethod
    def process_element1(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterable[Any] | None:
        """Take a record of the first stream."""

    @abstractmethod
    def process_element2(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterable[Any] | None:
        """Take a record of the second stream."""

    def on_timer(self, timestamp: int, ctx: KeyedCoProcessFunction.OnTimerContext) -> Iterable[Any] | None:
        """A timer set for `timestamp` fires for the current key."""
        return None


class BaseBroadcastProcessFunction(Function):
    """What the two kinds of broadcast functions share: the contexts."""

    class BaseContext(ABC):
        """What every context has."""

        @abstractmethod
        def timestamp(self) -> int:
            """Event time of the record in hand in ms since the epoch, NO_TIMESTAMP if it has none."""

        @abstractmethod
        def current_processing_time(self) -> int:
            """The machine's clock in ms since the epoch."""

        @abstractmethod
        def current_watermark(self) -> int:
            """How far event time is known to have advanced."""

    class Context(BaseContext):
        """For records of the broadcast stream: may change broadcast state."""

        @abstractmethod
        def get_broadcast_state(self, state_descriptor: Any) -> Any:
            """The broadcast state of that name. Every subtask must change it in the same way."""

    class ReadOnlyContext(BaseContext):
        """For records of the other stream: may read broadcast state."""

        @abstractmethod
        def get_broadcast_state(self, state_descriptor: Any) -> Any:
            """The broadcast state of that name, read-only."""


class BroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[IN1, IN2, OUT]):
    """A stream connected with a broadcast stream."""

    class Context(BaseBroadcastProcessFunction.Context):
        """For records of the broadcast stream."""

    class ReadOnlyContext(BaseBroadcastProcessFunction.ReadOnlyContext):
        """For records of the other stream."""

    @abstractmethod
    def process_element(
        self, value: Any, ctx: BroadcastProcessFunction.ReadOnlyContext
    ) -> Iterable[Any] | None:
        """Take a record of the stream that is not broadcast."""

    @abstractmethod
    def process_broadcast_element(
        self, value: Any, ctx: BroadcastProcessFunction.Context
    ) -> Iterable[Any] | None:
        """Take a record of the broadcast stream."""


class KeyedBroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[KEY, IN1, IN2, OUT]):
    """A keyed stream connected with a broadcast stream."""

    class Context(BaseBroadcastProcessFunction.Context):
        """For records of the broadcast stream. There is no current key."""

        @abstractmethod
        def apply_to_keyed_state(
            self, state_descriptor: StateDescriptor, function: Callable[[Any, State], None]
        ) -> None:
            """Call `function(key, state)` for every key of this subtask that has a value in that state. (Flink's;
            PyFlink has no such method.)"""

    class ReadOnlyContext(BaseBroadcastProcessFunction.ReadOnlyContext, _KeyedContext):
        """For records of the keyed stream."""

    class OnTimerContext(ReadOnlyContext, _OnTimerContext):
        """What is known about the timer that fires."""

    @abstractmethod
    def process_element(
        self, value: Any, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext
    ) -> Iterable[Any] | None:
        """Take a record of the keyed stream."""

    @abstractmethod
    def process_broadcast_element(
        self, value: Any, ctx: KeyedBroadcastProcessFunction.Context
    ) -> Iterable[Any] | None:
        """Take a record of the broadcast stream."""

    def on_timer(
        self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext
    ) -> Iterable[Any] | None:
        """A timer set for `timestamp` fires for the current key."""
        return None
