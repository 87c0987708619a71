"""Values as Java's toString() shows them: what Flink's text sinks write."""

from __future__ import annotations

import datetime
import math
import struct
from typing import Any

from yarnflow.common.time import Instant
from yarnflow.common.types import Row


def java_text(value: Any) -> str:
    """The text of a value.

    >>> java_text(("word", 1)), java_text(Row("a", None)), java_text([True, 1e7])
    ('(word,1)', '+I[a, null]', '[true, 1.0E7]')
    """
    kind = value.__class__
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return str(value)
    if kind is tuple:
        return f"({','.join(map(java_text, value))})"
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return double_text(value)
    if kind is Row:
        return f"{value.get_row_kind()}[{', '.join(map(java_text, value))}]"
    if kind is list:
        return f"[{', '.join(map(java_text, value))}]"
    if kind is dict:
        return "{" + ", ".join(f"{java_text(k)}={java_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, datetime.datetime):
        return timestamp_text(value)
    if kind is Instant:
        return instant_text(value)
    return str(value)


def timestamp_text(value: datetime.datetime) -> str:
    """As java.sql.Timestamp.toString(): at least one digit after the seconds, and no zeros behind them."""
    return f"{value:%Y-%m-%d %H:%M:%S}.{f'{value.microsecond:06}'.rstrip('0') or '0'}"


def instant_text(value: Instant) -> str:
    """As java.time.Instant.toString(): ISO-8601 in UTC, with 0, 3, 6 or 9 digits after the seconds."""
    moment = _EPOCH + datetime.timedelta(seconds=value.seconds)
    digits = f"{value.nanos:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' if digits else ''}{digits}Z"


def float_text(value: float) -> str:
    """As Float.toString: the shortest digits that stand for this number in 32 bits."""
    single = _to_single(value)
    if not math.isfinite(single):
        return double_text(single)
    texts = (f"{value:.{digits}g}" for digits in range(1, 9))
    # Nine digits always stand for it.
    return double_text(float(next((text for text in texts if _to_single(float(text)) == single), f"{value:.9g}")))


def _to_single(value: float) -> float:
    (single,) = _SINGLE.unpack(_SINGLE.pack(value))
    return float(single)


#: The machine's own format: unlike the standardised ones it turns too large numbers into infinity.
_SINGLE = struct.Struct("@f")
_EPOCH = datetime.datetime(1970, 1, 1)


def double_text(value: float) -> str:
    """As Double.toString (since Java 19, the shortest digits): plain from 1e-3 to 1e7, else scientific."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value) if "e" not in repr(value) else f"{value:f}"
    digits, _, exponent = f"{value!r}".partition("e")
    if not exponent:
        # repr() writes 1e7 to 1e16 and 1e-4 to 1e-3 plainly.
        sign = "-" if value < 0 else ""
        whole, _, fraction = digits.lstrip("-").partition(".")
        if whole != "0":
            shift = len(whole) - 1
            mantissa = whole + ("" if fraction == "0" else fraction)
        else:
            mantissa = fraction.lstrip("0")
            shift = len(mantissa) - len(fraction) - 1
        mantissa = mantissa.rstrip("0") or "0"
        return f"{sign}{mantissa[0]}.{mantissa[1:] or '0'}E{shift}"
    return f"{digits if '.' in digits else digits + '.0'}E{int(exponent)}"
