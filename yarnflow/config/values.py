"""How the text of an option's value becomes a Python value, and back.

A `ValueType` is a pair of functions, text -> value and value -> text, plus words for what is accepted.
The text forms are Flink's: "10 s", "1024m", "a;b", "k:v,k2:v2". `parse(format(v)) == v` holds for every type.

Parsers raise ValueError; `Option.parse` turns it into a ConfigurationError that names key and value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any, Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


class ValueType(Generic[T_co]):
    """One type an option can have.

    Args:
        name: what the documentation calls it, for instance "Duration".
        parse: text -> value; raises ValueError for text it does not accept.
        format: value -> text that `parse` reads back as the same value.
        accepts: completes the sentence "'x' is not ...", for instance "a whole number".
    """

    __slots__ = ("accepts", "format", "name", "parse")

    def __init__(
        self, name: str, parse: Callable[[str], T_co], format: Callable[[Any], str], accepts: str
    ) -> None:
        self.name = name
        self.parse = parse
        self.format = format
        self.accepts = accepts

    def __repr__(self) -> str:
        return f"ValueType({self.name})"


# ------------------------------------------------------------------------------------------------ scalars

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)


def _parse_string(text: str) -> str:
    return text


def _parse_int(text: str) -> int:
    # int() alone would also take "1_000" and digits of other scripts, which other readers of the file do not.
    if not _INTEGER.fullmatch(text.strip()):
        raise ValueError(text)
    return int(text)


def _parse_float(text: str) -> float:
    value = float(text)
    if "_" in text or not math.isfinite(value):
        raise ValueError(text)
    return value


def _parse_bool(text: str) -> bool:
    match text.strip().lower():
        case "true":
            return True
        case "false":
            return False
    raise ValueError(text)


def _format_bool(value: bool) -> str:
    return "true" if value else "false"


STRING: ValueType[str] = ValueType("String", _parse_string, str, "a text")
INTEGER: ValueType[int] = ValueType("Integer", _parse_int, str, "a whole number")
FLOAT: ValueType[float] = ValueType("Float", _parse_float, repr, "a number")
BOOLEAN: ValueType[bool] = ValueType("Boolean", _parse_bool, _format_bool, "true or false")

# ------------------------------------------------------------------------------------------------ durations

_QUANTITY = re.compile(r"([0-9]+)\s*([a-zµμ]*)")

#: Flink's unit labels (TimeUtils in flink-core) and how many nanoseconds each stands for.
_NANOS: dict[str, int] = {}
for _labels, _factor in (
    ("d day days", 86_400_000_000_000),
    ("h hour hours", 3_600_000_000_000),
    ("m min minute minutes", 60_000_000_000),
    ("s sec secs second seconds", 1_000_000_000),
    ("ms milli millis millisecond milliseconds", 1_000_000),
    ("µs μs us micro micros microsecond microseconds", 1_000),
    ("ns nano nanos nanosecond nanoseconds", 1),
):
    _NANOS.update(dict.fromkeys(_labels.split(), _factor))


def parse_duration(text: str) -> timedelta:
    """Read a duration as Flink writes it: "10 s", "1 min", "500ms"; a bare number is milliseconds.

    Raises ValueError for an unknown unit, a sign, a fraction, and for a part of a microsecond.
    """
    match = _QUANTITY.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(text)
    amount, unit = match.groups()
    factor = _NANOS.get(unit or "ms")
    if factor is None:
        raise ValueError(text)
    micros, rest = divmod(int(amount) * factor, 1_000)
    if rest:
        raise ValueError(text)
    try:
        return timedelta(microseconds=micros)
    except OverflowError as error:
        raise ValueError(text) from error


def format_duration(value: timedelta) -> str:
    """Write a duration with the largest unit that divides it: `timedelta(seconds=90)` is "90 s"."""
    micros = value // timedelta(microseconds=1)
    if micros < 0:
        raise ValueError(f"{value} is negative")
    if micros == 0:
        return "0 ms"
    for unit in ("d", "h", "min", "s", "ms"):
        amount, rest = divmod(micros * 1_000, _NANOS[unit])
        if not rest:
            return f"{amount} {unit}"
    return f"{micros} us"


DURATION: ValueType[timedelta] = ValueType(
    "Duration",
    parse_duration,
    format_duration,
    "a duration: a number and one of d, h, min, s, ms, us (10 s, 500ms; a bare number is milliseconds)",
)

# ------------------------------------------------------------------------------------------------ memory

#: Flink's unit labels (MemorySize in flink-core) and how many bytes each stands for.
_BYTES: dict[str, int] = {}
for _power, _labels in enumerate(
    ("b bytes", "k kb kibibytes", "m mb mebibytes", "g gb gibibytes", "t tb tebibytes")
):
    _BYTES.update(dict.fromkeys(_labels.split(), 1024**_power))


class MemorySize:
    """An amount of memory. `str` gives the shortest exact text ("1536m"), which parses back."""

    __slots__ = ("_bytes",)
    _bytes: int

    def __init__(self, bytes: int) -> None:
        if bytes < 0:
            raise ValueError(f"a memory size cannot be negative: {bytes}")
        object.__setattr__(self, "_bytes", bytes)

    @classmethod
    def of_mebibytes(cls, mebibytes: int) -> MemorySize:
        """So many MiB."""
        return cls(mebibytes << 20)

    @classmethod
    def parse(cls, text: str, bare: str = "b") -> MemorySize:
        """Read "1024m", "1 gb", "1024"; `bare` is the unit of a number without one. Raises ValueError."""
        match = _QUANTITY.fullmatch(text.strip().lower())
        if match is None:
            raise ValueError(text)
        amount, unit = match.groups()
        factor = _BYTES.get(unit or bare)
        if factor is None:
            raise ValueError(text)
        return cls(int(amount) * factor)

    @property
    def bytes(self) -> int:
        """In bytes."""
        return self._bytes

    @property
    def mebibytes(self) -> int:
        """In MiB, rounded down."""
        return self._bytes >> 20

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a MemorySize cannot be changed ({name})")

    def __str__(self) -> str:
        for unit in ("t", "g", "m", "k"):
            amount, rest = divmod(self._bytes, _BYTES[unit])
            if amount and not rest:
                return f"{amount}{unit}"
        return f"{self._bytes}b"

    def __repr__(self) -> str:
        return f"MemorySize({self._bytes})"

    def __reduce__(self) -> tuple[type[MemorySize], tuple[int]]:
        return MemorySize, (self._bytes,)

    def __eq__(self, other: object) -> bool:
        return self._bytes == other._bytes if isinstance(other, MemorySize) else NotImplemented

    def __hash__(self) -> int:
        return hash((MemorySize, self._bytes))

    def __lt__(self, other: MemorySize) -> bool:
        return self._bytes < other._bytes

    def __le__(self, other: MemorySize) -> bool:
        return self._bytes <= other._bytes

    def __gt__(self, other: MemorySize) -> bool:
        return self._bytes > other._bytes

    def __ge__(self, other: MemorySize) -> bool:
        return self._bytes >= other._bytes


def _parse_memory_of_mebibytes(text: str) -> MemorySize:
    return MemorySize.parse(text, bare="m")


_MEMORY = "a memory size: a whole number and one of b, k, m, g, t (1024m, 2 gb; a bare number is in {})"
MEMORY: ValueType[MemorySize] = ValueType("MemorySize", MemorySize.parse, str, _MEMORY.format("bytes"))
#: For options and flags where Flink takes a bare number as megabytes (-jm 1024).
MEMORY_MB: ValueType[MemorySize] = ValueType(
    "MemorySize", _parse_memory_of_mebibytes, str, _MEMORY.format("megabytes")
)

# ----------------------------------------------------------------------------------------------- lists, maps


def _find(text: str, separator: str, start: int = 0, opener: str = "") -> int:
    """Where the first `separator` outside quotes stands at or after `start`, or -1.

    A quote opens at the beginning of a part, and behind `opener`. Raises ValueError if one is not closed.
    """
    i = start
    while i < len(text):
        char = text[i]
        before = text[start:i].rstrip() if char in "'\"" else None
        if before == "" or (opener and before and before.endswith(opener)):
            end = text.find(char, i + 1)
            while end >= 0 and text[end + 1 : end + 2] == char:  # a doubled quote stands for one
                end = text.find(char, end + 2)
            if end < 0:
                raise ValueError(f"{text}: the quote is not closed")
            i = end + 1
        elif char == separator:
            return i
        else:
            i += 1
    return -1


def _split(text: str, separator: str, opener: str = "") -> list[str]:
    """Cut `text` at every `separator` outside quotes; blanks around the parts go, their quotes stay."""
    parts: list[str] = []
    start = 0
    while (end := _find(text, separator, start, opener)) >= 0:
        parts.append(text[start:end].strip())
        start = end + 1
    parts.append(text[start:].strip())
    return parts


def _unquote(part: str) -> str:
    if len(part) >= 2 and part[0] in "'\"" and part[-1] == part[0]:
        return part[1:-1].replace(part[0] * 2, part[0])
    return part


def _quote(part: str, special: str) -> str:
    plain = part and part == part.strip() and part[0] not in "'\"[{" and not any(c in part for c in special)
    return part if plain else "'" + part.replace("'", "''") + "'"


def _list_type(name: str, separator: str, example: str) -> ValueType[tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        text = text.strip()
        in_brackets = text.startswith("[") and text.endswith("]")  # YAML's list on one line, as in Flink 2
        parts = _split(text[1:-1], ",") if in_brackets else _split(text, separator)
        # Empty parts come from a trailing separator; a wanted empty text is written ''.
        return tuple(_unquote(part) for part in parts if part)

    def format(value: Sequence[str]) -> str:
        return separator.join(_quote(part, separator) for part in value)

    return ValueType(name, parse, format, f"a list separated by '{separator}' ({example})")


LIST: ValueType[tuple[str, ...]] = _list_type("List", ";", "a;b")
#: Flink's older options (python.files, yarn.view.acls) separate with commas.
COMMA_LIST: ValueType[tuple[str, ...]] = _list_type("List", ",", "a,b")


def _parse_map(text: str) -> dict[str, str]:
    text = text.strip()
    if text.startswith("{") and text.endswith("}"):  # YAML's mapping on one line
        text = text[1:-1]
    entries: dict[str, str] = {}
    for part in _split(text, ",", opener=":"):
        if not part:
            continue
        colon = _find(part, ":")
        if colon < 0:
            raise ValueError(f"{part!r} has no ':'")
        entries[_unquote(part[:colon].strip())] = _unquote(part[colon + 1 :].strip())
    return entries


def _format_map(value: Mapping[str, str]) -> str:
    return ",".join(f"{_quote(key, ',:')}:{_quote(entry, ',:')}" for key, entry in value.items())


MAP: ValueType[Mapping[str, str]] = ValueType("Map", _parse_map, _format_map, "a map (k:v,k2:v2)")

# ------------------------------------------------------------------------------------------------ ports


def _parse_port(text: str) -> int:
    port = _parse_int(text)
    if not 0 <= port <= 65535:
        raise ValueError(text)
    return port


def _parse_ports(text: str) -> tuple[int, ...]:
    ports: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = _parse_port(first)
        high = _parse_port(last) if dash else low
        if high < low:
            raise ValueError(text)
        ports.extend(range(low, high + 1))
    return tuple(ports)


def _format_ports(value: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for port in value:
        if runs and runs[-1][1] == port - 1:
            runs[-1][1] = port
        else:
            runs.append([port, port])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


PORT: ValueType[int] = ValueType("Port", _parse_port, str, "a port: 0 to 65535, 0 takes any free one")
#: The ports to try, in this order.
PORTS: ValueType[tuple[int, ...]] = ValueType(
    "Ports", _parse_ports, _format_ports, "ports: one (8081), several (50100,50101) or a range (50100-50200)"
)

# ------------------------------------------------------------------------------------------------ enums

E = TypeVar("E", bound=Enum)


def _plain(text: str) -> str:
    return text.strip().lower().replace("-", "_")


def enum_type(enum: type[E], aliases: Mapping[str, E] | None = None) -> ValueType[E]:
    """Options whose values are the members of `enum`: by value or name, in any case, as Flink reads them.

    `aliases` are more texts that are read, and never written.
    """
    by_text = {_plain(text): member for member in enum for text in (member.name, str(member.value))}
    by_text.update({_plain(text): member for text, member in (aliases or {}).items()})

    def parse(text: str) -> E:
        try:
            return by_text[_plain(text)]
        except KeyError:
            raise ValueError(text) from None

    def format(value: E) -> str:
        return str(value.value)

    return ValueType("Enum", parse, format, "one of " + ", ".join(str(member.value) for member in enum))


_BUILT_IN: dict[type, ValueType[Any]] = {
    str: STRING,
    int: INTEGER,
    float: FLOAT,
    bool: BOOLEAN,
    timedelta: DURATION,
    MemorySize: MEMORY,
}


def value_type(type: type[T_co] | ValueType[T_co]) -> ValueType[T_co]:
    """The `ValueType` for a Python type: str, int, float, bool, timedelta, MemorySize or an Enum."""
    if isinstance(type, ValueType):
        return type
    if issubclass(type, Enum):
        return enum_type(type)
    return _BUILT_IN[type]
