"""The interface of state backends: where an operator keeps values per key.

A backend belongs to one operator and subtask and holds named *tables*. A table has *namespaces* (windows; None for
state that belongs to a key alone), and a namespace is a mapping from key to value:

    table = backend.table("counts")
    counts = table.of(None)                 # a MutableMapping; in the hashmap backend a plain dict
    counts[key] = counts.get(key, 0) + 1

Operators write a value back after they have changed it (`counts[key] = value`), also when it was changed in place:
that costs nothing in memory and is what another backend sees. Handles for user functions (ValueState, ...) work on
`backend.current_key`, which the operator sets before it calls the function.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from yarnflow.errors import ProgramError
from yarnflow.runtime.state.handles import Handle, kind_of, make_handle
from yarnflow.runtime.state.ttl import reader_of_living

if TYPE_CHECKING:
    from yarnflow.functions.state import State, StateDescriptor
    from yarnflow.runtime.state.restore import RestoredOperator
    from yarnflow.runtime.state.snapshot import TaskSnapshot

#: The kind of an operator's own table.
TABLE = "table"

#: How far up the stack a handle is looked for.
_FRAMES = 6


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class StateTable(ABC):
    """One named state."""

    @abstractmethod
    def of(self, namespace: Any) -> MutableMapping[Any, Any]:
        """The mapping of a namespace; created empty when there is none. It may be kept and used until `drop`."""

    @abstractmethod
    def drop(self, namespace: Any) -> None:
        """Forget a namespace with all its keys; fine when there is none."""

    @abstractmethod
    def namespaces(self) -> Iterable[Any]:
        """Namespaces that hold something, in no order; safe against changes while iterating."""


class NoKey:
    """The key while no record is in hand. Looking something up with it is an error that names the state, so that
    handles need not check on every access."""

    def __hash__(self) -> int:
        raise ProgramError(
            f"{_state_in_use()} was used while there is no current key. Keyed state belongs to the key of the "
            "record or timer in hand: use it in process_element, on_timer and their like, not in open() or close()"
        )

    def __reduce__(self) -> Any:
        hash(self)  # backends that store bytes meet it here


class KeyedStateBackend(ABC):
    """All keyed state of one operator and subtask.

    Args:
        clock: processing time in ms since the epoch, for time to live.

    Attributes:
        current_key: the key that handles work on. Operators assign it per record; that is all it takes.
        kinds: what each table holds: "table" for an operator's own, else the kind of state of the handle.
    """

    #: No record is being processed: using a handle now is an error that says so.
    NO_KEY: Any = NoKey()

    def __init__(self, clock: Callable[[], int] = wall_clock) -> None:
        self.current_key: Any = self.NO_KEY
        self.clock = clock
        self.kinds: dict[str, str] = {}
        self._restored: dict[str, dict[str, str]] = {}
        self._descriptors: dict[str, StateDescriptor] = {}
        self._namespace: Any = None
        self._windowed: list[tuple[StateTable, Handle]] = []

    @property
    def namespace(self) -> Any:
        """The window that handles from `window_state` work on. Assign it before a window's functions are called;
        to be assigned again after the window was dropped."""
        return self._namespace

    @namespace.setter
    def namespace(self, namespace: Any) -> None:
        self._namespace = namespace
        for table, handle in self._windowed:
            handle.mapping = table.of(namespace)

    @abstractmethod
    def table(self, name: str) -> StateTable:
        """The table of an operator's own state; the same one for the same name."""

    def state(self, descriptor: StateDescriptor) -> State:
        """The handle that a user function gets from the runtime context. Asking twice gives equal handles.

        Raises ProgramError when the name is taken by a state of another kind.
        """
        table = self._table_for(descriptor)
        return make_handle(descriptor, self, table.of(None))

    def window_state(self, descriptor: StateDescriptor) -> State:
        """As `state`, for the namespace that is current when the handle is used."""
        table = self._table_for(descriptor)
        handle = make_handle(descriptor, self, table.of(self._namespace))
        self._windowed.append((table, handle))
        return handle

    @abstractmethod
    def snapshot(self, snapshot: TaskSnapshot, operator_id: str) -> None:
        """Add all tables. Called between two batches; must take milliseconds (see snapshot.py)."""

    @abstractmethod
    def restore(self, restored: RestoredOperator) -> None:
        """Fill the tables. Called once, before anything else but `table` and `state`."""

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        """The checkpoint is complete: files of earlier ones that it does not use will go."""

    def close(self) -> None:
        """Release memory and files."""

    def details(self, name: str) -> dict[str, str]:
        """What is stored beside a table: enough to check it against the program that restores it."""
        descriptor = self._descriptors.get(name)
        if descriptor is None:  # restored, and not asked for since
            return self._restored.get(name, {"state": self.kinds.get(name, TABLE)})
        found = {"state": self.kinds[name], "type": repr(descriptor.type_info)}
        if descriptor.ttl_config is not None:
            found["ttl"] = str(descriptor.ttl_config.get_ttl().to_milliseconds())
        return found

    def expired(self, name: str) -> Callable[[Any], Any] | None:
        """A function that gives a stored value without what has expired, None for nothing left; None when values
        of this table do not expire. It may be called in another process."""
        descriptor = self._descriptors.get(name)
        return None if descriptor is None else reader_of_living(descriptor, self.clock())

    def restored_table(self, name: str, details: dict[str, str]) -> None:
        """Remember with what a table was stored. To be called by `restore` before the table is filled."""
        self._restored[name] = details
        if name in self._descriptors:
            self._check_restored(self._descriptors[name])
        else:
            self.kinds.setdefault(name, details.get("state", TABLE))

    def _table_for(self, descriptor: StateDescriptor) -> StateTable:
        kind = kind_of(descriptor)
        name = descriptor.name
        taken = self.kinds.get(name, kind)
        if taken != kind and name not in self._restored:
            raise ProgramError(
                f"there are two states named {name!r} in one operator, a {taken} and a {kind} state: give each "
                "descriptor a name of its own"
            )
        self._descriptors[name] = descriptor
        self._check_restored(descriptor)
        self.kinds[name] = kind
        return self.table(name)

    def _check_restored(self, descriptor: StateDescriptor) -> None:
        stored = self._restored.get(descriptor.name)
        if stored is None:
            return
        kind = kind_of(descriptor)
        if stored.get("state", TABLE) != kind:
            raise ProgramError(
                f"state {descriptor.name!r} was stored as a {stored.get('state', TABLE)} state, and the program "
                f"now describes a {kind} state: use the descriptor that it was stored with, or another name"
            )
        if ("ttl" in stored) != (descriptor.ttl_config is not None):
            raise ProgramError(
                f"state {descriptor.name!r} was stored {'with' if 'ttl' in stored else 'without'} a time to live, "
                f"and the program now describes it {'without' if 'ttl' in stored else 'with'} one: keep it as it "
                "was, or use another name"
            )


def _state_in_use() -> str:
    """Names the state whose handle is on the stack."""
    frame = sys._getframe(2)
    for _ in range(_FRAMES):
        owner = frame.f_locals.get("self")
        if isinstance(owner, Handle):
            return f"state {owner.name!r}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return "keyed state"
