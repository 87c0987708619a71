"""Values as Java's toString() shows them: what Flink's text sinks write."""

from __future__ import annotations

import math
from typing import Any

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
        return _double(value)
    if kind is Row:
        return f"{value.get_row_kind()}[{', '.join(map(java_text, value))}]"
    if kind is list:
        return f"[{', '.join(map(java_text, value))}]"
    if kind is dict:
        return "{" + ", ".join(f"{java_text(k)}={java_text(v)}" for k, v in value.items()) + "}"
    return str(value)


def _double(value: float) -> str:
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
