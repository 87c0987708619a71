"""The sink of `DataStream.print()`: one line per record in the TaskManager's standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from yarnflow.common.typeinfo import (
    BasicType,
    BasicTypeInfo,
    ListTypeInfo,
    MapTypeInfo,
    RowTypeInfo,
    TupleTypeInfo,
    TypeInformation,
)
from yarnflow.common.types import Row
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
    prints. `(a,1)` for a tuple, `+I[a,1]` for a row, `[a, b]` for a list, `{k=v}` for a map."""
    if isinstance(type_info, TupleTypeInfo):
        fields = [formatter(field) for field in type_info.get_field_types()]
        return _none_is_null(lambda value: f"({','.join(_each(fields, value))})")
    if isinstance(type_info, RowTypeInfo):
        return _row
    if isinstance(type_info, ListTypeInfo):
        element = formatter(type_info.element_type)
        return _none_is_null(lambda value: f"[{', '.join(map(element, value))}]")
    if isinstance(type_info, MapTypeInfo):
        key, item = formatter(type_info.key_type), formatter(type_info.value_type)
        return _none_is_null(lambda value: "{" + ", ".join(f"{key(k)}={item(v)}" for k, v in value.items()) + "}")
    if type_info == BasicTypeInfo(BasicType.BOOLEAN):
        return _none_is_null(lambda value: "true" if value else "false")
    if isinstance(type_info, BasicTypeInfo):
        return _none_is_null(str)
    return str


def _each(formatters: list[Formatter], values: Any) -> list[str]:
    return [text_of(value) for text_of, value in zip(formatters, values, strict=False)]


def _none_is_null(text_of: Formatter) -> Formatter:
    return lambda value: "null" if value is None else text_of(value)


def _row(value: Any) -> str:
    if not isinstance(value, Row):
        return str(value)
    return f"{value.get_row_kind()}[{','.join(map(str, value))}]"
