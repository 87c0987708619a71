"""Keys and values as bytes.

Equal keys must be the same bytes, whatever they are made of: 1, 1.0 and True, a tuple and a named tuple, two
pickles of one dataclass. So keys are not pickled. They are written by kind, and what is not *exact* (cannot be
made again from these bytes) travels in the record beside the value:

    s text   i 64-bit integer   I larger integer   b bytes   N None   f float   t tuple       exact
    q fraction   c complex   F frozenset   R row   d date or time   E enum member   O object

Which keys there can be and when two are equal says graph/key_groups.py.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum
from typing import Any

from yarnflow.common.types import Row
from yarnflow.graph.key_groups import content_of
from yarnflow.runtime.state.pickling import dump_value

_INTEGER = struct.Struct(">cq")
_FLOAT = struct.Struct(">cd")
_LENGTH = struct.Struct(">I")
_NAN = b"f" + b"\xff" * 8

#: Types that are always exact.
PLAIN = frozenset({str, int, bytes, type(None)})

#: First byte of every pickle of protocol 2 and later: a record that is only a value.
_PICKLE = 0x80
_WITH_KEY = b"K"


def encode_key(key: Any) -> bytes:
    """The bytes of a key; the same for equal keys. Raises ProgramError for what cannot be a key."""
    kind = type(key)
    if kind is str:
        encoded: bytes = b"s" + key.encode("utf-8", "surrogatepass")
        return encoded
    if kind is int:
        return _integer(key)
    if kind is tuple:
        return b"t" + _joined(map(encode_key, key))
    return _other(key)


def is_exact(key: Any) -> bool:
    """Whether `decode_key` makes the same key again, of the same type."""
    kind = type(key)
    if kind in PLAIN:
        return True
    if kind is tuple:
        return all(map(is_exact, key))
    return kind is float and not key.is_integer()


def decode_key(data: bytes) -> Any:
    """The key of an exact encoding."""
    kind, content = data[:1], data[1:]
    if kind == b"s":
        return content.decode("utf-8", "surrogatepass")
    if kind == b"i":
        return _INTEGER.unpack(data)[1]
    if kind == b"t":
        return tuple(map(decode_key, split(content)))
    if kind == b"b":
        return content
    if kind == b"N":
        return None
    if kind == b"f":
        return _FLOAT.unpack(data)[1]
    if kind == b"I":
        return int(content, 16)
    raise ValueError(f"a key that begins with {kind!r} does not stand alone")


def encode_record(key: Any, value: Any) -> bytes:
    """What is stored at a key."""
    if type(key) in PLAIN or is_exact(key):
        return dump_value(value)
    return _WITH_KEY + dump_value((key, value))


def decode_value(record: bytes) -> Any:
    """The value of a record."""
    if record[0] == _PICKLE:
        return pickle.loads(record)
    return pickle.loads(record[1:])[1]


def decode_entry(encoded_key: bytes, record: bytes) -> tuple[Any, Any]:
    """Key and value of a record."""
    if record[0] == _PICKLE:
        return decode_key(encoded_key), pickle.loads(record)
    entry: tuple[Any, Any] = pickle.loads(record[1:])
    return entry


def with_length(data: bytes) -> bytes:
    """`data` with its length before it, so that more can follow."""
    return _LENGTH.pack(len(data)) + data


def split(data: bytes) -> Iterable[bytes]:
    """The parts that `with_length` made."""
    position = 0
    while position < len(data):
        part, position = first_part(data, position)
        yield part


def first_part(data: bytes, position: int) -> tuple[bytes, int]:
    """The part that begins at `position`, and where it ends."""
    start = position + _LENGTH.size
    end = start + _LENGTH.unpack_from(data, position)[0]
    return data[start:end], end


def successor(prefix: bytes) -> bytes:
    """The least bytes that are greater than everything that begins with `prefix`, which is not all 0xff."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1])


def _joined(parts: Iterable[bytes]) -> bytes:
    return b"".join(map(with_length, parts))


def _integer(key: int) -> bytes:
    try:
        return _INTEGER.pack(b"i", key)
    except struct.error:
        return b"I%x" % key if key >= 0 else b"I-%x" % -key


def _other(key: Any) -> bytes:
    # The order is that of key_groups: what is a string or a number is equal to the plain one.
    if key is None:
        return b"N"
    if isinstance(key, str):
        return b"s" + str.encode(key, "utf-8", "surrogatepass")
    if isinstance(key, bytes):
        return b"b" + key
    if isinstance(key, tuple):
        return b"t" + _joined(map(encode_key, key))
    if isinstance(key, Row):
        return b"R" + _row(key)
    if isinstance(key, frozenset):
        return b"F" + _joined(sorted(map(encode_key, key)))
    if isinstance(key, (datetime, date, time, timedelta)):
        return b"d" + _moment(key)
    if isinstance(key, (int, float, complex)) or _is_number(key):
        return _number(key)
    if isinstance(key, Enum):
        return b"E" + encode_key((type(key).__module__, type(key).__qualname__, key.name))
    if type(key).__module__ == "numpy" and hasattr(key, "item"):
        return encode_key(key.item())
    return b"O" + encode_key(content_of(key))


def _row(key: Row) -> bytes:
    kind, names, values = key.get_row_kind().name, key._fields, list(key)
    if names is not None:  # of the same names in another order: equal
        pairs = sorted(zip(names, values, strict=False), key=lambda pair: pair[0])
        values = [item for pair in pairs for item in pair]
    return encode_key((kind, names is None, *values))


def _is_number(key: Any) -> bool:
    from numbers import Number  # rarely needed

    return isinstance(key, Number)


def _number(key: Any) -> bytes:
    if key != key:
        return _NAN
    if isinstance(key, complex):
        if key.imag:
            return b"c" + _FLOAT.pack(b"f", key.real) + _FLOAT.pack(b"f", key.imag)
        key = key.real
    try:
        numerator, denominator = key.as_integer_ratio()
    except OverflowError:  # infinity
        return _FLOAT.pack(b"f", float(key))
    except AttributeError:  # NumPy's
        return encode_key(key.item())
    if denominator == 1:
        return _integer(int(numerator))
    try:
        if float(key).as_integer_ratio() == (numerator, denominator):
            return _FLOAT.pack(b"f", float(key))
    except OverflowError:
        pass
    return b"q%d/%d" % (numerator, denominator)


def _moment(key: Any) -> bytes:
    if isinstance(key, timedelta):
        return b"%d/%d/%d" % (key.days, key.seconds, key.microseconds)
    if key.__class__ is date or not isinstance(key, (datetime, time)):
        return bytes(key.isoformat(), "ascii")
    if isinstance(key, datetime):
        aware = key.utcoffset() is not None
        return bytes((key.astimezone(timezone.utc) if aware else key).isoformat(), "ascii")
    offset = key.utcoffset()
    if offset is None:
        return bytes(key.isoformat(), "ascii")
    since_midnight = timedelta(hours=key.hour, minutes=key.minute, seconds=key.second) - offset
    return b"utc" + _moment(since_midnight + timedelta(microseconds=key.microsecond))
