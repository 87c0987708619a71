"""The function behind `DataStream.project`."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any


class Projection:
    """Picks fields of a tuple.

    >>> Projection([2, 0])(("a", "b", "c"))
    ('c', 'a')
    """

    def __init__(self, fields: Sequence[int]) -> None:
        self._fields = tuple(fields)
        self._pick = itemgetter(*self._fields)

    def __call__(self, record: Any) -> tuple[Any, ...]:
        picked = self._pick(record)
        return (picked,) if len(self._fields) == 1 else picked
