"""State of a subtask that belongs to no key: list state, union list state, broadcast state.

Lives in memory with every backend. `snapshot` stores shallow copies: items must not be changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from yarnflow.errors import ProgramError
from yarnflow.functions.state import (
    BroadcastState,
    ListState,
    ListStateDescriptor,
    MapStateDescriptor,
    OperatorStateStore,
    StateDescriptor,
)
from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import ListPart, TaskSnapshot

_LIST_KINDS = (StateKind.SPLIT, StateKind.UNION)

#: Tells states of this store from lists that an operator stores by itself.
_OURS = "operator"


class OperatorListState(ListState[Any]):
    """A list of a subtask."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def get(self) -> list[Any]:
        return self.items.copy()

    def add(self, value: Any) -> None:
        self.items.append(value)

    def add_all(self, values: Iterable[Any]) -> None:
        self.items.extend(values)

    def update(self, values: Iterable[Any]) -> None:
        self.items = list(values)

    def clear(self) -> None:
        self.items = []


class HeapBroadcastState(BroadcastState[Any, Any]):
    """A map of a subtask."""

    __slots__ = ("entries",)

    def __init__(self, entries: dict[Any, Any]) -> None:
        self.entries = entries

    def get(self, key: Any) -> Any:
        return self.entries.get(key)

    def contains(self, key: Any) -> bool:
        return key in self.entries

    def put(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def put_all(self, dict_value: dict[Any, Any]) -> None:
        self.entries.update(dict_value)

    def remove(self, key: Any) -> None:
        self.entries.pop(key, None)

    # Lists, so that the map may be changed meanwhile.

    def items(self) -> list[tuple[Any, Any]]:
        return list(self.entries.items())

    def keys(self) -> list[Any]:
        return list(self.entries)

    def values(self) -> list[Any]:
        return list(self.entries.values())

    def is_empty(self) -> bool:
        return not self.entries

    def clear(self) -> None:
        self.entries.clear()


class HeapOperatorStateStore(OperatorStateStore):
    """The states of one operator and subtask. An operator makes one in `restore`, or without arguments."""

    def __init__(self, restored: RestoredOperator | None = None) -> None:
        self._restored = restored
        self._states: dict[str, tuple[StateKind, OperatorListState | HeapBroadcastState]] = {}

    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> HeapBroadcastState:
        """The same one for the same name. Raises ProgramError when the name is taken by another kind."""
        found = self._known(state_descriptor, StateKind.BROADCAST)
        if found is None:
            found = HeapBroadcastState(dict(self._items(state_descriptor, StateKind.BROADCAST)))
            self._states[state_descriptor.name] = StateKind.BROADCAST, found
        assert isinstance(found, HeapBroadcastState)
        return found

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> OperatorListState:
        """As `get_broadcast_state`."""
        return self._list(state_descriptor, StateKind.SPLIT)

    def get_union_list_state(self, state_descriptor: ListStateDescriptor) -> OperatorListState:
        """As `get_broadcast_state`."""
        return self._list(state_descriptor, StateKind.UNION)

    def snapshot(self, snapshot: TaskSnapshot, operator_id: str) -> None:
        """Add all states, also those that were restored and not asked for."""
        self._take_the_rest()
        for name, (kind, state) in self._states.items():
            items = state.items() if isinstance(state, HeapBroadcastState) else state.get()
            if items:
                snapshot.lists.append(ListPart(operator_id, name, kind, items, {"state": _OURS}))

    def _list(self, descriptor: StateDescriptor, kind: StateKind) -> OperatorListState:
        found = self._known(descriptor, kind)
        if found is None:
            found = OperatorListState(self._items(descriptor, kind))
            self._states[descriptor.name] = kind, found
        assert isinstance(found, OperatorListState)
        return found

    def _known(
        self, descriptor: StateDescriptor, kind: StateKind
    ) -> OperatorListState | HeapBroadcastState | None:
        if descriptor.ttl_config is not None:
            raise ProgramError(
                f"state {descriptor.name!r} has a time to live: only keyed state can expire. Describe it without"
            )
        taken, state = self._states.get(descriptor.name, (kind, None))
        if taken is not kind:
            raise ProgramError(
                f"there are two states named {descriptor.name!r} in one operator, of kinds {taken.value} and "
                f"{kind.value}: give each descriptor a name of its own"
            )
        return state

    def _items(self, descriptor: StateDescriptor, kind: StateKind) -> list[Any]:
        if self._restored is None:
            return []
        for other in (*_LIST_KINDS, StateKind.BROADCAST):
            if other is not kind and descriptor.name in self._restored.list_names(other):
                raise ProgramError(
                    f"state {descriptor.name!r} was stored as a {other.value} state, and the program now asks for "
                    f"a {kind.value} state: ask for what was stored, or use another name"
                )
        return self._restored.items(descriptor.name, kind)

    def _take_the_rest(self) -> None:
        """Keep what the program has not asked for (yet): it must not be lost with the next checkpoint."""
        restored, self._restored = self._restored, None
        if restored is None:
            return
        for kind in (*_LIST_KINDS, StateKind.BROADCAST):
            for name in restored.list_names(kind):
                if name in self._states or restored.details(name).get("state") != _OURS:
                    continue
                items = restored.items(name, kind)
                if kind is StateKind.BROADCAST:
                    self._states[name] = kind, HeapBroadcastState(dict(items))
                    continue
                if kind is StateKind.UNION:
                    # All subtasks were given everything: stored again by each, it would grow.
                    items = items[restored.subtask_index :: restored.parallelism]
                self._states[name] = kind, OperatorListState(items)
