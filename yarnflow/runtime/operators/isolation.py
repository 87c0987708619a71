"""Records with several readers: each reader gets an object of its own.

PyFlink serialises records between operators, so a function that changes its argument never shows that to another
consumer of the same stream. Here records are handed on by reference; where a stream has several consumers, all but
the last get a copy. What cannot be changed is shared.
"""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterable
from typing import Any

from yarnflow.errors import ProgramError

#: Types whose values cannot be changed and hold nothing that can.
_ATOMS = frozenset(
    {
        *(str, int, float, bool, bytes, complex, type(None)),
        *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
    }
)


def own(record: Any) -> Any:
    """The record itself if nothing in it can be changed, else a deep copy.

    Raises ProgramError when the record cannot be copied.
    """
    kind = record.__class__
    if kind in _ATOMS:
        return record
    if kind is tuple:
        for value in record:
            if value.__class__ not in _ATOMS:
                break
        else:
            return record
    try:
        return copy.deepcopy(record)
    except Exception as error:  # whatever a class of the user's raises while it is copied
        raise ProgramError(
            f"a record of type {kind.__module__}.{kind.__qualname__} has several readers, each of which gets a "
            f"copy, and cannot be copied: {type(error).__name__}: {error}. Emit values that can be pickled"
        ) from error


def own_all(records: Iterable[Any]) -> list[Any]:
    """A list with `own` of each record."""
    return [own(record) for record in records]
