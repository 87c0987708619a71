"""The sink of `DataStream.print()`: one line per record in the TaskManager's standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from yarnflow.common.java_text import double_text, float_text, instant_text, timestamp_text
from yarnflow.common.typeinfo import (
    BasicType,
    BasicTypeInfo,
    ListTypeInfo,
    MapTypeInfo,
    RowTypeInfo,
    TimestampTypeInfo,
    TupleTypeInfo,
    TypeInformation,
)
from yarnflow.common.types import Row, RowKind
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.sink import Sink, SinkWriter, WriterContext

Formatter = Callable[[Any], str]


class PrintSink(Sink):
    """Writes `prefix> record`.

    The prefix is `identifier:n`, `identifier` or `n` (the 1-based subtask) as there is an identifier and
    more than one subtask; without either there is none.

    Args:
        identifier: text before each line, "" for none.
        type_info: records print as Flink prints that type; undeclared ones as `str()`.
    """

    def __init__(self, identifier: str = "", type_info: TypeInformation | None = None) -> None:
        self.identifier = identifier
        self.type_info = type_info

    def writer(self, context: WriterContext) -> SinkWriter:
        return _PrintWriter(prefix_of(self.identifier, context), formatter(self.type_info))


class _PrintWriter(SinkWriter):
    def __init__(self, prefix: str, text_of: Formatter) -> None:
        self._prefix = prefix
        self._text_of = text_of

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, RowBatch)
        prefix, text_of = self._prefix, self._text_of
        # One write per batch: subtasks share the stream, and their lines must not mix.
        sys.stdout.write("".join([f"{prefix}{text_of(row)}\n" for row in batch.rows]))

    def flush(self) -> None:
        sys.stdout.flush()

    def finish(self) -> None:
        sys.stdout.flush()


def prefix_of(identifier: str, context: WriterContext) -> str:
    """What stands before each line of a subtask."""
    parts = [identifier] if identifier else []
    if context.parallelism > 1:
        parts.append(str(context.subtask_index + 1))
    return f"{':'.join(parts)}> " if parts else ""


def formatter(type_info: TypeInformation | None) -> Formatter:
    """How a record of that type is shown: as Java's toString() of the type would, since that is what PyFlink
    prints. `(a,1)` for a tuple, `[a, b]` for a list, `{k=v}` for a map. Rows are `+I[a,1]` with Python's text of
    the fields, because PyFlink makes that text in Python; rows inside other types are `+I[a, 1]` as in Java."""
    return _row if isinstance(type_info, RowTypeInfo) else _formatter(type_info)


def _formatter(type_info: TypeInformation | None) -> Formatter:
    if isinstance(type_info, TupleTypeInfo):
        fields = [_formatter(field) for field in type_info.get_field_types()]
        return _none_is_null(lambda value: f"({','.join(_each(fields, value))})")
    if isinstance(type_info, RowTypeInfo):
        fields = [_formatter(field) for field in type_info.get_field_types()]
        return _none_is_null(lambda value: f"{_kind(value)}[{', '.join(_each(fields, value))}]")
    if isinstance(type_info, ListTypeInfo):
        element = _formatter(type_info.element_type)
        return _none_is_null(lambda value: f"[{', '.join(map(element, value))}]")
    if isinstance(type_info, MapTypeInfo):
        key, item = _formatter(type_info.key_type), _formatter(type_info.value_type)
        return _none_is_null(lambda value: "{" + ", ".join(f"{key(k)}={item(v)}" for k, v in value.items()) + "}")
    if isinstance(type_info, TimestampTypeInfo):
        return _none_is_null(timestamp_text)
    if isinstance(type_info, BasicTypeInfo):
        return _none_is_null(_BASIC.get(type_info.basic_type, str))
    return str


#: Basic types whose text is not Python's. Numbers of another type than the declared one show as the declared one.
_BASIC: dict[BasicType, Formatter] = {
    BasicType.BOOLEAN: lambda value: "true" if value else "false",
    BasicType.DOUBLE: lambda value: double_text(float(value)),
    BasicType.FLOAT: lambda value: float_text(float(value)),
    BasicType.INSTANT: instant_text,
}


def _kind(value: Any) -> RowKind:
    return value.get_row_kind() if isinstance(value, Row) else RowKind.INSERT


def _each(formatters: list[Formatter], values: Any) -> list[str]:
    return [text_of(value) for text_of, value in zip(formatters, values, strict=False)]


def _none_is_null(text_of: Formatter) -> Formatter:
    return lambda value: "null" if value is None else text_of(value)


def _row(value: Any) -> str:
    if not isinstance(value, Row):
        return str(value)
    return f"{value.get_row_kind()}[{','.join(map(str, value))}]"
