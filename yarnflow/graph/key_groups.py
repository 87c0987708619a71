"""Which subtask a key belongs to.

    key --stable_hash--> 32 bits --% max_parallelism--> key group --Flink's formula--> subtask

The hash is the same in every process and on every machine, which Python's own is not for strings. Keys
that are equal have equal hashes: 1, 1.0 and True, "a" and a str subclass, rows with the same named values
in another order. What can be a key:

- None, numbers (also Decimal, Fraction and NumPy's), str, bytes, dates and times, enum members;
- tuples, rows and frozensets of keys;
- objects of other classes that define equality and hash (frozen dataclasses, UUIDs, ...): hashed by their
  class and what they would pickle, field by field.

A list, dict or set is refused because it can change, an object without `__eq__` because its copy on another
machine would be another key.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum
from typing import Any

from yarnflow.common.types import Row
from yarnflow.errors import ProgramError

#: Flink's bounds of the derived maximum parallelism (KeyGroupRangeAssignment).
LOWER_BOUND = 128
UPPER_BOUND = 1 << 15

_MASK = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B97F4A7C15

_NONE = 0x6E6F6E65
_NAN = 0x7FF80000
_EMPTY = 0x7475706C65


def default_max_parallelism(parallelism: int) -> int:
    """Number of key groups when none is set: 1.5 times the parallelism, rounded up to a power of two, within
    128 and 32768 (Flink's KeyGroupRangeAssignment.computeDefaultMaxParallelism)."""
    wanted = parallelism + parallelism // 2
    return min(max(1 << max(wanted - 1, 0).bit_length(), LOWER_BOUND), UPPER_BOUND)


def key_group(key: Any, max_parallelism: int) -> int:
    """The key group of a key, 0 to max_parallelism - 1. Raises ProgramError for what cannot be a key."""
    return stable_hash(key) % max_parallelism


def subtask_of(group: int, parallelism: int, max_parallelism: int) -> int:
    """The subtask that owns a key group (Flink's computeOperatorIndexForKeyGroup)."""
    return group * parallelism // max_parallelism


def subtask_for_key(key: Any, parallelism: int, max_parallelism: int) -> int:
    """The subtask that a record with this key goes to."""
    return stable_hash(key) % max_parallelism * parallelism // max_parallelism


def key_groups_of(index: int, parallelism: int, max_parallelism: int) -> range:
    """The key groups of a subtask (Flink's computeKeyGroupRangeForOperatorIndex)."""
    start = (index * max_parallelism + parallelism - 1) // parallelism
    return range(start, ((index + 1) * max_parallelism - 1) // parallelism + 1)


def mix(value: int) -> int:
    """Spread a 64-bit pattern over 32 bits: fold, multiply by 2^64 / golden ratio, keep the upper half.

    Negative numbers count as their two's complement. Vectorised code must do exactly this on uint64.
    """
    value &= _MASK
    return ((value ^ (value >> 32)) * _GOLDEN & _MASK) >> 32


def stable_hash(key: Any) -> int:
    """32 bits, the same for equal keys in every process.

    Numbers are `mix(hash(number))` (Python's hash of numbers is stable, and equal for equal ones), strings and
    bytes `mix(crc32)` of their UTF-8 or content. Raises ProgramError for what cannot be a key.
    """
    kind = type(key)
    if kind is str:
        return mix(zlib.crc32(key.encode("utf-8", "surrogatepass")))
    if kind is int:
        return mix(hash(key))
    if kind is tuple:
        return _sequence(key)
    return _other(key)


def _other(key: Any) -> int:
    if key is None:
        return mix(_NONE)
    if isinstance(key, str):
        return mix(zlib.crc32(str.encode(key, "utf-8", "surrogatepass")))
    if isinstance(key, (int, float, complex)):
        # hash() of NaN is its address.
        return mix(hash(key) if key == key else _NAN)
    if isinstance(key, bytes):
        return mix(zlib.crc32(key))
    if isinstance(key, tuple):
        return _sequence(key)
    if isinstance(key, Row):
        names = key._fields
        if names is None:
            return _sequence(key)
        return _sequence([value for _, value in sorted(zip(names, key, strict=False), key=lambda pair: pair[0])])
    if isinstance(key, frozenset):
        return mix(sum(map(stable_hash, key)))
    if isinstance(key, (datetime, date, time, timedelta)):
        return _sequence(_time_parts(key))
    if isinstance(key, Enum):
        return _sequence((type(key).__qualname__, key.name))
    return _object(key)


def _sequence(items: Iterable[Any]) -> int:
    # A polynomial over mixed hashes: order matters, and (a,) differs from a.
    value = _EMPTY
    for item in items:
        value = (31 * value + stable_hash(item)) & _MASK
    return mix(value)


def _time_parts(key: Any) -> tuple[Any, ...]:
    if isinstance(key, timedelta):
        return (key.days, key.seconds, key.microseconds)
    if isinstance(key, datetime):
        # Aware ones are equal when they mean the same instant.
        utc = key.astimezone(timezone.utc) if key.utcoffset() is not None else key
        return (utc.toordinal(), utc.hour, utc.minute, utc.second, utc.microsecond)
    if isinstance(key, date):
        return (key.toordinal(),)
    offset = key.utcoffset()
    since_midnight = timedelta(hours=key.hour, minutes=key.minute, seconds=key.second) - (offset or timedelta())
    return (since_midnight.days, since_midnight.seconds, key.microsecond)


def _object(key: Any) -> int:
    cls = type(key)
    if cls.__hash__ is None:
        raise ProgramError(
            f"a key of type {cls.__name__} cannot be hashed because it can change: return a tuple, string or "
            f"number from the key selector. The key was {key!r}"
        )
    if cls.__module__ == "numpy" and hasattr(key, "item"):
        return stable_hash(key.item())
    if _is_number(key):
        return mix(hash(key) if key == key else _NAN)
    methods = {name: getattr(cls, name) for name in ("__eq__", "__hash__")}
    if methods["__eq__"] is object.__eq__ or methods["__hash__"] is object.__hash__:
        raise ProgramError(
            f"a key of type {cls.__name__} is only equal to itself, so its copy in another process would be "
            "another key: define __eq__ and __hash__ (a frozen dataclass does), or return a tuple, string or "
            f"number from the key selector. The key was {key!r}"
        )
    hash(key)  # a TypeError from inside says which part can change
    return _sequence(content_of(key))


def content_of(key: Any) -> tuple[Any, ...]:
    """What makes up an object of a class of its own, as a key: equal for equal objects."""
    cls = type(key)
    return (cls.__module__, cls.__qualname__, _content(_state(key)))


def _is_number(key: Any) -> bool:
    from numbers import Number  # rarely needed, and only by programs with Decimal or Fraction keys

    return isinstance(key, Number)


def _state(key: Any) -> Any:
    """What makes up an object, without what pickle adds: the arguments and state of its reduction."""
    try:
        reduced = key.__reduce_ex__(4)
    except TypeError as error:
        raise ProgramError(
            f"a key of type {type(key).__name__} cannot be pickled ({error}): return a tuple, string or number "
            f"from the key selector. The key was {key!r}"
        ) from error
    return reduced if isinstance(reduced, str) else reduced[1:3]


def _content(value: Any) -> Any:
    """A key with the same content: what an object holds may be lists and dicts that equality looks into."""
    if isinstance(value, dict):
        return frozenset((_content(name), _content(item)) for name, item in value.items())
    if isinstance(value, (set, frozenset)):
        return frozenset(map(_content, value))
    if isinstance(value, (list, tuple)):
        return tuple(map(_content, value))
    if isinstance(value, type):
        return (value.__module__, value.__qualname__)
    return value
