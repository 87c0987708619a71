"""What operators on keyed streams share: the key selector, the state, errors about keys."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from yarnflow.errors import ProgramError
from yarnflow.graph.key_groups import stable_hash, subtask_of
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.user_functions import bind_key, close_functions, open_functions
from yarnflow.runtime.state.factory import make_backend
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot

#: Types whose values cannot change, so that state and output may share them. A tuple may hold something
#: that can; as in Python's own hash rules that is the program's business.
IMMUTABLE = frozenset({tuple, str, int, float, bool, bytes, type(None), frozenset, complex})


#: Tables of an operator that keeps one value per key, and the latest time of each key if results are final.
VALUES = "values"
TIMES = "times"


class KeyedOperator(StreamOperator):
    """Base of operators with one state value per key.

    Attributes:
        key: key(record).
        backend: the keyed state.
        state: the values by key; a dict when state is in memory.
        times: the latest event times by key, where they are needed.
    """

    def __init__(self, operator: Operator, context: OperatorContext, key_selector: Any) -> None:
        super().__init__(operator, context)
        self._key_selector = key_selector
        self.key = bind_key(key_selector)
        self.backend = make_backend(context, operator)
        self.state: MutableMapping[Any, Any] = {}
        self.times: MutableMapping[Any, int] = {}
        self._bind_tables()

    def _bind_tables(self) -> None:
        self.state = self.backend.table(VALUES).of(None)
        self.times = self.backend.table(TIMES).of(None)

    def restore(self, restored: RestoredOperator) -> None:
        self.backend.restore(restored)
        self._bind_tables()

    def open(self) -> None:
        open_functions([self._key_selector], self.context.runtime_context)

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        self.backend.snapshot(snapshot, self.operator.operator_id)

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        self.backend.checkpoint_completed(checkpoint_id)

    def close(self) -> None:
        try:
            close_functions([self._key_selector])
        finally:
            self.backend.close()

    def check_first(self, rows: list[Any]) -> None:
        """Look whether the first record of a batch belongs here."""
        if rows:
            check_selector(self.operator.name, self.context, self.key, rows[0])

    def explain_key(self, error: TypeError, key: Any, record: Any) -> None:
        """Raise a ProgramError in place of `error` when the reason is that `key` cannot be hashed."""
        check_key(self.operator.name, error, key, record)


def check_key(operator_name: str, error: TypeError, key: Any, record: Any) -> None:
    """Raise a ProgramError that names operator, key and record when `key` cannot be hashed."""
    try:
        hash(key)
    except TypeError:
        raise ProgramError(
            f"the key selector of '{operator_name}' returned the unhashable key {shorten(key)} "
            f"({type(key).__name__}) for the record {shorten(record)}: return a tuple, string or number "
            "instead of a list or dict"
        ) from error


def check_selector(operator_name: str, context: OperatorContext, select: Any, record: Any) -> None:
    """Raise ProgramError when the key of a record cannot be one, or is another one than when it was sent here.

    Operators look at one record per batch: a key selector that is wrong about one in a hundred is found soon, and
    that costs next to nothing.

    Args:
        operator_name: for the message.
        context: of the operator that the record was sent to.
        select: select(record) is the key.
        record: to look at.
    """
    key = select(record)
    try:
        hash(key)
    except TypeError as error:
        check_key(operator_name, error, key, record)
    hashed = stable_hash(key)
    owner = subtask_of(hashed % context.max_parallelism, context.parallelism, context.max_parallelism)
    if owner != context.subtask_index:
        found = (
            f"{shorten(key)}, which belongs to subtask {owner + 1}, but the record was sent to subtask "
            f"{context.subtask_index + 1} because of another key"
        )
    elif context.parallelism > 1 or stable_hash(again := select(record)) == hashed:
        return
    else:
        found = f"first {shorten(key)} and then {shorten(again)}"
    raise ProgramError(
        f"the key selector of '{operator_name}' is not stable: for the record {shorten(record)} it returns "
        f"the key {found}. A key must be the same whenever and wherever it is computed, and equal keys must have "
        "equal hashes: no random numbers, clocks or object identities"
    )


def shorten(value: Any, limit: int = 300) -> str:
    """The repr of a value for a message, cut to `limit` characters; never raises."""
    try:
        text = repr(value)
    except Exception as error:  # a user's __repr__ must not hide the failure that is being described
        text = f"<{type(value).__name__} whose repr failed: {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
