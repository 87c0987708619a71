"""What operators on keyed streams share: the key selector, the state, errors about keys."""

from __future__ import annotations

from typing import Any

from yarnflow.errors import ProgramError
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.user_functions import bind_key, close_functions, open_functions

#: Types whose values cannot change, so that state and output may share them. A tuple may hold something
#: that can; as in Python's own hash rules that is the program's business.
IMMUTABLE = frozenset({tuple, str, int, float, bool, bytes, type(None), frozenset, complex})


class KeyedOperator(StreamOperator):
    """Base of operators with one state value per key.

    Attributes:
        key: key(record).
        state: the values by key. Plain memory; a state backend provides it later.
    """

    def __init__(self, operator: Operator, context: OperatorContext, key_selector: Any) -> None:
        super().__init__(operator, context)
        self._key_selector = key_selector
        self.key = bind_key(key_selector)
        self.state: dict[Any, Any] = {}

    def open(self) -> None:
        open_functions([self._key_selector], self.context.runtime_context)

    def close(self) -> None:
        close_functions([self._key_selector])

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


def shorten(value: Any, limit: int = 300) -> str:
    """The repr of a value for a message, cut to `limit` characters; never raises."""
    try:
        text = repr(value)
    except Exception as error:  # a user's __repr__ must not hide the failure that is being described
        text = f"<{type(value).__name__} whose repr failed: {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
