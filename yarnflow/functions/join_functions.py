"""Functions of joins: by interval (ProcessJoinFunction), and of what shares a window (the others).

Records of a join are kept in state and handed out again and again. What can be changed in place is handed out as a
shallow copy, so that a function that changes a dict or Row changes its own.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from yarnflow.functions.user_functions import Function

__all__ = ["CoGroupFunction", "FlatJoinFunction", "JoinFunction", "ProcessJoinFunction"]

#: Types whose values need no copy.
_SHARED = frozenset({tuple, str, int, float, bool, bytes, type(None), frozenset, complex})


def handed_out(record: Any) -> Any:
    """The record, or a shallow copy of one that can be changed."""
    return record if record.__class__ in _SHARED else copy.copy(record)


class ProcessJoinFunction(Function):
    """Called for each pair of records that an interval join finds."""

    class Context(ABC):
        """Times of the pair in hand, in ms since the epoch. Valid during the call only."""

        @abstractmethod
        def get_left_timestamp(self) -> int:
            """Event time of the left record."""

        @abstractmethod
        def get_right_timestamp(self) -> int:
            """Event time of the right record."""

        @abstractmethod
        def get_timestamp(self) -> int:
            """Event time of what the function emits: the later one of the two."""

    @abstractmethod
    def process_element(self, left: Any, right: Any, ctx: ProcessJoinFunction.Context) -> Iterable[Any] | None:
        """Return or yield records for the main output, and (OutputTag, record) for side outputs; None for none."""


class JoinFunction(Function):
    """Makes one record of each pair in a window."""

    @abstractmethod
    def join(self, first: Any, second: Any) -> Any:
        """Return the record for a pair, whatever that is."""


class FlatJoinFunction(Function):
    """Makes any number of records of each pair in a window."""

    @abstractmethod
    def join(self, first: Any, second: Any) -> Iterable[Any] | None:
        """Return or yield the records for a pair; None for none."""


class CoGroupFunction(Function):
    """Sees all records of one key in a window, those of both streams; either side may be empty."""

    @abstractmethod
    def co_group(self, first: list[Any], second: list[Any]) -> Iterable[Any] | None:
        """Return or yield records; None for none."""
