"""Process functions with a broadcast input (input 1): every subtask gets its records and keeps what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.process_functions import BroadcastProcessFunction, KeyedBroadcastProcessFunction
from yarnflow.functions.state import (
    BroadcastState,
    MapStateDescriptor,
    ReadOnlyBroadcastState,
    State,
    StateDescriptor,
)
from yarnflow.functions.timers import NO_TIMESTAMP, TimeDomain, TimerService
from yarnflow.graph.operators import BroadcastProcessSpec, Operator
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.processing.checkpointed import FunctionState
from yarnflow.runtime.operators.processing.co_process import UnkeyedOperator
from yarnflow.runtime.operators.processing.keyed_process import KeyedProcessOperator
from yarnflow.runtime.operators.processing.timer_service import KeyedTimers, UnkeyedTimers
from yarnflow.runtime.operators.user_functions import bind
from yarnflow.runtime.state.backend import KeyedStateBackend

_METHODS = ("process_element", "process_broadcast_element")


class ReadOnlyView(ReadOnlyBroadcastState[Any, Any]):
    """Broadcast state as the other input sees it."""

    __slots__ = ("_state",)

    def __init__(self, state: BroadcastState[Any, Any]) -> None:
        self._state = state

    def get(self, key: Any) -> Any:
        return self._state.get(key)

    def contains(self, key: Any) -> bool:
        return self._state.contains(key)

    def items(self) -> Any:
        return self._state.items()

    def keys(self) -> Any:
        return self._state.keys()

    def values(self) -> Any:
        return self._state.values()

    def is_empty(self) -> bool:
        return self._state.is_empty()

    def put(self, key: Any, value: Any) -> NoReturn:
        """Refuses."""
        _refuse("put")

    def put_all(self, dict_value: dict[Any, Any]) -> NoReturn:
        """Refuses."""
        _refuse("put_all")

    def remove(self, key: Any) -> NoReturn:
        """Refuses."""
        _refuse("remove")

    def clear(self) -> NoReturn:
        _refuse("clear")

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        _refuse("[key] = value")

    def __delitem__(self, key: Any) -> NoReturn:
        _refuse("del [key]")


def _refuse(method: str) -> NoReturn:
    raise ProgramError(
        f"{method}: broadcast state is read-only here. It is changed in process_broadcast_element, where every "
        "subtask makes the same change"
    )


class _BaseContext:
    """What all contexts of broadcast functions have."""

    def __init__(self, timers: UnkeyedTimers | KeyedTimers, states: FunctionState) -> None:
        self.element_timestamp = NO_TIMESTAMP
        self._timers = timers
        self._states = states

    def timestamp(self) -> int:
        return self.element_timestamp

    def current_processing_time(self) -> int:
        return self._timers.current_processing_time()

    def current_watermark(self) -> int:
        return self._timers.current_watermark()


class _ReadingContext(_BaseContext):
    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> ReadOnlyView:
        return ReadOnlyView(self._states.store.get_broadcast_state(state_descriptor))


class _WritingContext(_BaseContext):
    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
        return self._states.store.get_broadcast_state(state_descriptor)


class ReadOnlyContext(_ReadingContext, BroadcastProcessFunction.ReadOnlyContext):
    """Of process_element on a stream that is not keyed."""


class WritingContext(_WritingContext, BroadcastProcessFunction.Context):
    """Of process_broadcast_element on a stream that is not keyed."""


class KeyedReadOnlyContext(_ReadingContext, KeyedBroadcastProcessFunction.ReadOnlyContext):
    """Of process_element on a keyed stream."""

    def __init__(self, timers: KeyedTimers, states: FunctionState, backend: KeyedStateBackend) -> None:
        super().__init__(timers, states)
        self._backend = backend

    def timer_service(self) -> TimerService:
        return self._timers

    def get_current_key(self) -> Any:
        return self._backend.current_key


class KeyedTimerContext(KeyedReadOnlyContext, KeyedBroadcastProcessFunction.OnTimerContext):
    """Of on_timer."""

    domain = TimeDomain.EVENT_TIME

    def time_domain(self) -> TimeDomain:
        return self.domain


class KeyedWritingContext(_WritingContext, KeyedBroadcastProcessFunction.Context):
    """Of process_broadcast_element on a keyed stream."""

    def __init__(self, timers: KeyedTimers, states: FunctionState, backend: KeyedStateBackend) -> None:
        super().__init__(timers, states)
        self._backend = backend

    def apply_to_keyed_state(
        self, state_descriptor: StateDescriptor, function: Callable[[Any, State], None]
    ) -> None:
        backend = self._backend
        state = backend.state(state_descriptor)
        try:
            for key in list(backend.table(state_descriptor.name).of(None)):
                backend.current_key = key
                function(key, state)
        finally:
            backend.current_key = backend.NO_KEY


class BroadcastProcessOperator(UnkeyedOperator):
    """A BroadcastProcessFunction."""

    def __init__(self, operator: Operator, context: OperatorContext, spec: BroadcastProcessSpec) -> None:
        super().__init__(operator, context, spec.function, _METHODS)
        self._descriptors = spec.descriptors
        self.contexts = [
            ReadOnlyContext(self.timers, self.states),
            WritingContext(self.timers, self.states),
        ]

    def open(self) -> None:
        _check(self.states, self._descriptors)
        super().open()


class KeyedBroadcastProcessOperator(KeyedProcessOperator):
    """A KeyedBroadcastProcessFunction. Only the first input has keys."""

    def __init__(self, operator: Operator, context: OperatorContext, spec: BroadcastProcessSpec) -> None:
        super().__init__(operator, context, spec.function, (spec.key,), _METHODS[:1])
        self._descriptors = spec.descriptors
        self._broadcast: Callable[..., Any] = bind(spec.function, _METHODS[1])
        self.record_context = KeyedReadOnlyContext(self.timers, self.states, self.backend)
        self.timer_context = KeyedTimerContext(self.timers, self.states, self.backend)
        self._broadcast_context = KeyedWritingContext(self.timers, self.states, self.backend)

    def open(self) -> None:
        _check(self.states, self._descriptors)
        super().open()

    def process_batch(self, batch: Batch, input_index: int) -> None:
        if input_index == 0:
            super().process_batch(batch, 0)
            return
        assert isinstance(batch, RowBatch)
        self.run(batch, self._broadcast, self._broadcast_context)


def _check(states: FunctionState, descriptors: Sequence[MapStateDescriptor]) -> None:
    """Make all broadcast states, so that what is wrong with one of them is found before the first record."""
    for descriptor in descriptors:
        states.store.get_broadcast_state(descriptor)


def make_broadcast(operator: Operator, context: OperatorContext) -> StreamOperator:
    """The running operator of a BroadcastProcessSpec."""
    spec = operator.spec
    assert isinstance(spec, BroadcastProcessSpec)
    if spec.key is None:
        return BroadcastProcessOperator(operator, context, spec)
    return KeyedBroadcastProcessOperator(operator, context, spec)
