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

from abc import ABC, abstractmethod
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yarnflow.functions.state import State, StateDescriptor
    from yarnflow.runtime.state.restore import RestoredOperator
    from yarnflow.runtime.state.snapshot import TaskSnapshot


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


class KeyedStateBackend(ABC):
    """All keyed state of one operator and subtask.

    Attributes:
        current_key: the key that handles work on. Operators assign it per record; that is all it takes.
        namespace: the window that handles from `window_state` work on.
    """

    #: No record is being processed: using a handle now is an error that says so.
    NO_KEY: Any = object()

    def __init__(self) -> None:
        self.current_key: Any = self.NO_KEY
        self.namespace: Any = None

    @abstractmethod
    def table(self, name: str) -> StateTable:
        """The table of an operator's own state; the same one for the same name."""

    @abstractmethod
    def state(self, descriptor: StateDescriptor) -> State:
        """The handle that a user function gets from the runtime context. Asking twice gives equal handles.

        Raises ProgramError when the name is taken by a state of another kind.
        """

    @abstractmethod
    def window_state(self, descriptor: StateDescriptor) -> State:
        """As `state`, for the namespace that is current when the handle is used."""

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
