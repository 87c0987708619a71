"""State as user functions see it: descriptors that name a state, and handles that work on it.

    descriptor           handle             asked for with
    ValueStateDescriptor ValueState         RuntimeContext.get_state
    ListStateDescriptor  ListState          RuntimeContext.get_list_state
    MapStateDescriptor   MapState           RuntimeContext.get_map_state
    ReducingStateDescriptor ReducingState   RuntimeContext.get_reducing_state
    AggregatingStateDescriptor AggregatingState RuntimeContext.get_aggregating_state

Handles of keyed state work on the key of the record in hand. Names and signatures are PyFlink's
(pyflink.datastream.state); state_ttl.py has StateTtlConfig, checkpointed.py operator state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from yarnflow.common.typeinfo import TypeInformation, Types
from yarnflow.functions.state_ttl import StateTtlConfig

if TYPE_CHECKING:
    from yarnflow.functions.user_functions import AggregateFunction, ReduceFunction

__all__ = [
    "AggregatingState",
    "AggregatingStateDescriptor",
    "AppendingState",
    "BroadcastState",
    "ListState",
    "ListStateDescriptor",
    "MapState",
    "MapStateDescriptor",
    "MergingState",
    "OperatorStateStore",
    "ReadOnlyBroadcastState",
    "ReducingState",
    "ReducingStateDescriptor",
    "State",
    "StateDescriptor",
    "StateTtlConfig",
    "ValueState",
    "ValueStateDescriptor",
]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
IN = TypeVar("IN")
OUT = TypeVar("OUT")


class State(ABC):
    """Base of all handles."""

    __slots__ = ()

    @abstractmethod
    def clear(self) -> None:
        """Forget the value of the current key."""


class ValueState(State, Generic[T]):
    """One value per key."""

    __slots__ = ()

    @abstractmethod
    def value(self) -> T:
        """The value, None if there is none. Call `update` after changing it in place."""

    @abstractmethod
    def update(self, value: T) -> None:
        """Replace the value; None removes it."""


class AppendingState(State, Generic[IN, OUT]):
    """Takes values in and shows something made of them."""

    __slots__ = ()

    @abstractmethod
    def get(self) -> OUT:
        """What was made of the values so far."""

    @abstractmethod
    def add(self, value: IN) -> None:
        """Take in a value."""


class MergingState(AppendingState[IN, OUT]):
    """One whose states can be merged, as those of merging windows are."""

    __slots__ = ()


class ReducingState(MergingState[T, T]):
    """Values combined by a ReduceFunction. `get` is None before the first."""

    __slots__ = ()


class AggregatingState(MergingState[IN, OUT]):
    """Values combined by an AggregateFunction, whose accumulator is what is stored. `get` is None before the
    first value; adding None clears the state."""

    __slots__ = ()


class ListState(MergingState[T, Iterable[T]]):
    """A list per key. `get` gives the elements in order; what is done to the result does not reach the state."""

    __slots__ = ()

    @abstractmethod
    def update(self, values: list[T]) -> None:
        """Replace the whole list; an empty one removes it."""

    @abstractmethod
    def add_all(self, values: list[T]) -> None:
        """Append all of these."""

    def __iter__(self) -> Iterator[T]:
        return iter(self.get())


class MapState(State, Generic[K, V]):
    """A map per key. The state may be changed while one of its iterables is used."""

    __slots__ = ()

    @abstractmethod
    def get(self, key: K) -> V:
        """The value at `key`, None if there is none."""

    @abstractmethod
    def put(self, key: K, value: V) -> None:
        """Set the value at `key`."""

    @abstractmethod
    def put_all(self, dict_value: dict[K, V]) -> None:
        """Set several values."""

    @abstractmethod
    def remove(self, key: K) -> None:
        """Remove the value at `key`; fine when there is none."""

    @abstractmethod
    def contains(self, key: K) -> bool:
        """Whether there is a value at `key`."""

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]:
        """All pairs."""

    @abstractmethod
    def keys(self) -> Iterable[K]:
        """All keys of the map."""

    @abstractmethod
    def values(self) -> Iterable[V]:
        """All values."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether there is nothing in the map."""

    def __getitem__(self, key: K) -> V:
        return self.get(key)

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class ReadOnlyBroadcastState(State, Generic[K, V]):
    """Broadcast state on the side that may only read it. Values must not be changed in place."""

    __slots__ = ()

    @abstractmethod
    def get(self, key: K) -> V:
        """The value at `key`, None if there is none."""

    @abstractmethod
    def contains(self, key: K) -> bool:
        """Whether there is a value at `key`."""

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]:
        """All pairs."""

    @abstractmethod
    def keys(self) -> Iterable[K]:
        """All keys of the map."""

    @abstractmethod
    def values(self) -> Iterable[V]:
        """All values."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether there is nothing in the map."""

    def __getitem__(self, key: K) -> V:
        return self.get(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class BroadcastState(ReadOnlyBroadcastState[K, V]):
    """A map that is the same in every subtask, because each of them sees the same broadcast records and makes the
    same of them. Restoring gives every subtask one of the copies."""

    __slots__ = ()

    @abstractmethod
    def put(self, key: K, value: V) -> None:
        """Set the value at `key`."""

    @abstractmethod
    def put_all(self, dict_value: dict[K, V]) -> None:
        """Set several values."""

    @abstractmethod
    def remove(self, key: K) -> None:
        """Remove the value at `key`; fine when there is none."""

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)


class OperatorStateStore(ABC):
    """State that belongs to a subtask, not to a key. Each name has one kind."""

    @abstractmethod
    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
        """A map that is the same in every subtask."""

    @abstractmethod
    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """A list whose items are dealt out again when the parallelism changes."""

    @abstractmethod
    def get_union_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """A list that is restored with the items of all subtasks."""


class StateDescriptor(ABC):
    """Names a state and says what it holds.

    Args:
        name: unique among the states of the operator; it finds the state again when a job is restored.
        type_info: the type of what is stored. Values are stored as they are, whatever it says.
    """

    def __init__(self, name: str, type_info: TypeInformation | None = None) -> None:
        self.name = name
        self.type_info = _any_type(type_info)
        self._ttl_config: StateTtlConfig | None = None

    def get_name(self) -> str:
        """The name of the state."""
        return self.name

    def enable_time_to_live(self, ttl_config: StateTtlConfig) -> None:
        """Let values expire."""
        self._ttl_config = ttl_config

    @property
    def ttl_config(self) -> StateTtlConfig | None:
        """How values expire; None when they do not."""
        return self._ttl_config if self._ttl_config is not None and self._ttl_config.is_enabled() else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.type_info!r})"


class ValueStateDescriptor(StateDescriptor):
    """Describes a ValueState."""

    def __init__(self, name: str, value_type_info: TypeInformation | None = None) -> None:
        super().__init__(name, value_type_info)


class ListStateDescriptor(StateDescriptor):
    """Describes a ListState."""

    def __init__(self, name: str, elem_type_info: TypeInformation | None = None) -> None:
        super().__init__(name, Types.LIST(_any_type(elem_type_info)))


class MapStateDescriptor(StateDescriptor):
    """Describes a MapState or BroadcastState."""

    def __init__(
        self,
        name: str,
        key_type_info: TypeInformation | None = None,
        value_type_info: TypeInformation | None = None,
    ) -> None:
        super().__init__(name, Types.MAP(_any_type(key_type_info), _any_type(value_type_info)))


class ReducingStateDescriptor(StateDescriptor):
    """Describes a ReducingState.

    Args:
        reduce_function: ReduceFunction, or a callable of two values.

    Raises TypeError when it is neither.
    """

    def __init__(
        self,
        name: str,
        reduce_function: ReduceFunction | Callable[[Any, Any], Any],
        type_info: TypeInformation | None = None,
    ) -> None:
        super().__init__(name, type_info)
        if not callable(getattr(reduce_function, "reduce", reduce_function)):
            raise TypeError(
                f"the reduce function of state {name!r} must be a ReduceFunction or a callable of two values, "
                f"not {reduce_function!r}"
            )
        self._reduce_function = reduce_function

    def get_reduce_function(self) -> ReduceFunction | Callable[[Any, Any], Any]:
        """The function as it was given."""
        return self._reduce_function


class AggregatingStateDescriptor(StateDescriptor):
    """Describes an AggregatingState.

    Args:
        agg_function: AggregateFunction.
        state_type_info: the type of its accumulator.

    Raises TypeError for another function.
    """

    def __init__(
        self, name: str, agg_function: AggregateFunction, state_type_info: TypeInformation | None = None
    ) -> None:
        # Here, because runtime_context.py needs this module and user_functions.py needs that one.
        from yarnflow.functions.user_functions import AggregateFunction

        super().__init__(name, state_type_info)
        if not isinstance(agg_function, AggregateFunction):
            raise TypeError(f"the function of state {name!r} must be an AggregateFunction, not {agg_function!r}")
        self._agg_function = agg_function

    def get_agg_function(self) -> AggregateFunction:
        """The function."""
        return self._agg_function


def _any_type(type_info: TypeInformation | None) -> TypeInformation:
    return Types.PICKLED_BYTE_ARRAY() if type_info is None else type_info
