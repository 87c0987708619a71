"""CSV files: records as rows through Python's csv module, or as columns through Arrow's reader."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from typing import Any

from yarnflow import fs
from yarnflow.common.typeinfo import (
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    ListTypeInfo,
    TimestampTypeInfo,
    TimeTypeInfo,
    TypeInformation,
)
from yarnflow.common.types import make_row
from yarnflow.errors import ConfigurationError, DataFormatError, FileSystemError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.connectors.compression import decompressed
from yarnflow.functions.connectors.csv_schema import CsvColumn, CsvSchema
from yarnflow.functions.connectors.data_types import arrow_schema
from yarnflow.functions.connectors.file_source import StreamFormat
from yarnflow.functions.connectors.file_splits import FileSplit
from yarnflow.functions.source import Availability, Split, SplitReader

ROW_BATCH = 4096

#: Bytes that Arrow parses at once.
_BLOCK = 2 * 1024 * 1024

_INTEGERS = (BasicType.BYTE, BasicType.SHORT, BasicType.INT, BasicType.LONG, BasicType.BIG_INT)

Parser = Callable[[str], Any]


class CsvReaderFormat(StreamFormat):
    """Reads CSV files as rows with the names of the schema. Files are not cut into parts, since a quoted value may
    hold newlines."""

    def __init__(self, schema: CsvSchema) -> None:
        if not schema.columns:
            raise ConfigurationError("a CSV schema needs at least one column")
        self.schema = schema
        self.columnar = _arrow_can_read(schema)
        self._parsers = [_parser(column, schema.null_value) for column in schema.columns]

    @staticmethod
    def for_schema(schema: CsvSchema) -> CsvReaderFormat:
        """Read what the schema describes."""
        return CsvReaderFormat(schema)

    def __reduce__(self) -> tuple[type[CsvReaderFormat], tuple[CsvSchema]]:
        return CsvReaderFormat, (self.schema,)  # parsers are local functions

    def open(self, split: FileSplit, emit_columns: bool) -> SplitReader:
        if emit_columns and self.columnar:
            return _ArrowCsvReader(split, self.schema)
        return _CsvReader(split, self.schema, self._parsers)


class _CsvReader(SplitReader):
    def __init__(self, split: FileSplit, schema: CsvSchema, parsers: list[Parser]) -> None:
        self._split = split
        self._schema = schema
        self._names = tuple(column.name for column in schema.columns)
        self._parsers = parsers
        system, path = fs.get(split.uri)
        stream = decompressed(system.open_read(path), split.uri)
        self._text = io.TextIOWrapper(stream, "utf-8", "replace", newline="")
        lines: Iterable[str] = self._text
        if schema.allow_comments:
            lines = (line for line in lines if not line.startswith("#"))
        self._reader = csv.reader(
            lines,
            delimiter=schema.column_separator,
            quotechar=schema.quote_char,
            quoting=csv.QUOTE_NONE if schema.quote_char is None else csv.QUOTE_MINIMAL,
            escapechar=schema.escape_char,
            strict=False,
        )
        self._records = self._data()
        self._to_skip = split.skip

    def poll(self) -> Batch | Availability:
        if self._to_skip:
            for _ in islice(self._records, self._to_skip):
                pass
            self._to_skip = 0
        names, parsers, width = self._names, self._parsers, len(self._parsers)
        rows = []
        for cells in islice(self._records, ROW_BATCH):
            if len(cells) > width:
                raise DataFormatError(
                    f"{self._where()}: {len(cells)} values, and the schema has {width} columns; the record is "
                    f"{cells!r}"
                )
            try:
                values = [parse(cell) for parse, cell in zip(parsers, cells, strict=False)]
            except (ValueError, ArithmeticError) as error:
                raise self._unreadable(cells) from error
            if len(cells) < width:
                values += [None] * (width - len(cells))
            rows.append(make_row(names, values))
        if not rows:
            return Availability.END_OF_SPLIT
        self._split = replace(self._split, skip=self._split.skip + len(rows))
        return RowBatch(rows)

    def split(self) -> Split:
        return self._split

    def close(self) -> None:
        self._text.close()

    def _data(self) -> Iterator[list[str]]:
        """Records that are not empty lines, without header and what else is to be left out."""
        try:
            records = (cells for cells in self._reader if cells)
            if self._schema.use_header:
                header = next(records, None)
                if self._schema.strict_headers and header is not None:
                    check_header(header, self._names, self._split.uri)
            if self._schema.skip_first_data_row:
                next(records, None)
            yield from records
        except csv.Error as error:
            raise DataFormatError(f"{self._where()}: not a CSV record: {error}") from error
        except (EOFError, OSError, zlib.error) as error:
            raise FileSystemError(f"{self._split.uri} cannot be read: {error}", self._split.uri) from error

    def _where(self) -> str:
        return f"{self._split.uri}, line {self._reader.line_num}"

    def _unreadable(self, cells: list[str]) -> DataFormatError:
        for column, parse, cell in zip(self._schema.columns, self._parsers, cells, strict=False):
            try:
                parse(cell)
            except (ValueError, ArithmeticError) as error:
                return DataFormatError(
                    f"{self._where()}: {cell!r} in column {column.name!r} is no {column.type!r} ({error}); the "
                    f"record is {cells!r}. Change the column's type, or say what stands for a missing value "
                    "(set_null_value)"
                )
        return DataFormatError(f"{self._where()}: the record {cells!r} does not fit the schema")


class _ArrowCsvReader(SplitReader):
    """Columns, parsed by Arrow."""

    def __init__(self, split: FileSplit, schema: CsvSchema) -> None:
        self._split = split
        self._schema = schema
        self._stream = self._open()
        self._reader: Any = None
        self._to_skip = split.skip

    def _open(self) -> Any:
        system, path = fs.get(self._split.uri)
        return decompressed(system.open_read(path), self._split.uri)

    def poll(self) -> Batch | Availability:
        import pyarrow as pa

        try:
            if self._reader is None:
                self._reader = self._start()
                if self._reader is None:
                    return Availability.END_OF_SPLIT
            while True:
                columns = self._reader.read_next_batch()
                skipped = min(self._to_skip, columns.num_rows)
                self._to_skip -= skipped
                columns = columns.slice(skipped)
                if columns.num_rows:
                    self._split = replace(self._split, skip=self._split.skip + columns.num_rows)
                    return ColumnBatch(columns)
        except StopIteration:
            return Availability.END_OF_SPLIT
        except pa.ArrowInvalid as error:
            raise DataFormatError(f"{self._split.uri}: {error}") from error
        except (EOFError, OSError, zlib.error) as error:
            raise FileSystemError(f"{self._split.uri} cannot be read: {error}", self._split.uri) from error

    def split(self) -> Split:
        return self._split

    def close(self) -> None:
        self._stream.close()

    def _start(self) -> Any:
        import pyarrow as pa
        import pyarrow.csv as pacsv

        import yarnflow.functions.columns  # noqa: F401 - sets Arrow's threads

        schema = self._schema
        columns = arrow_schema(schema.row_type)
        skip = int(schema.use_header) + int(schema.skip_first_data_row)
        if not self._has_data(skip):
            return None
        return pacsv.open_csv(
            pa.PythonFile(self._stream, mode="r"),
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=_BLOCK, column_names=columns.names, skip_rows=skip
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=schema.column_separator,
                quote_char=schema.quote_char or False,
                escape_char=schema.escape_char or False,
                newlines_in_values=schema.quote_char is not None,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=columns,
                null_values=[""],
                strings_can_be_null=schema.null_value == "",
                true_values=["true", "True", "TRUE"],
                false_values=["false", "False", "FALSE"],
            ),
        )

    def _has_data(self, skip: int) -> bool:
        """Whether anything follows the skipped lines (Arrow takes that for an error); checks the header."""
        head = _CsvReader(self._split, replace(self._schema, skip_first_data_row=False, use_header=False), [])
        try:
            records = list(islice(head._data(), skip + 1))
        finally:
            head.close()
        if self._schema.use_header and self._schema.strict_headers and records:
            check_header(records[0], tuple(column.name for column in self._schema.columns), self._split.uri)
        return len(records) > skip


def check_header(header: list[str], names: tuple[str, ...], uri: str) -> None:
    """Raise DataFormatError unless the header names the columns, in order."""
    found = [name.strip() for name in header]
    if found != list(names):
        raise DataFormatError(
            f"{uri}: the header names the columns {found}, and the schema {list(names)}; correct the schema, or "
            "leave out set_strict_headers()"
        )


def _arrow_can_read(schema: CsvSchema) -> bool:
    """Whether Arrow's reader gives what ours does."""
    return (
        not schema.allow_comments
        and schema.null_value in (None, "")
        and schema.column_separator.isascii()
        and all(
            isinstance(column.type, (DateTypeInfo, TimestampTypeInfo))
            or (
                isinstance(column.type, BasicTypeInfo)
                and column.type.basic_type not in (BasicType.BIG_INT, BasicType.INSTANT, BasicType.BIG_DEC)
            )
            for column in schema.columns
        )
    )


# -- text to values ------------------------------------------------------------------------------------------


def _parser(column: CsvColumn, null_value: str | None) -> Parser:
    if isinstance(column.type, ListTypeInfo):
        return _list_parser(_value_parser(column, column.type.element_type), column.separator, null_value)
    parse = _value_parser(column, column.type)
    is_text = column.type in (BasicTypeInfo(BasicType.STRING), BasicTypeInfo(BasicType.CHAR))
    if is_text:
        if null_value is None:
            return parse
        return lambda text: None if text == null_value else text
    if null_value is None or null_value == "":
        return lambda text: parse(text) if text else None
    return lambda text: parse(text) if text and text != null_value else None


def _list_parser(parse: Parser, separator: str | None, null_value: str | None) -> Parser:
    def to_list(text: str) -> Any:
        if null_value is not None and text == null_value:
            return None
        if not text:
            return []
        return [parse(item) for item in (text.split(separator) if separator else [text])]

    return to_list


def _value_parser(column: CsvColumn, type_info: TypeInformation) -> Parser:
    if isinstance(type_info, BasicTypeInfo):
        basic = type_info.basic_type
        if basic in (BasicType.STRING, BasicType.CHAR):
            return str
        if basic in _INTEGERS:
            return int
        if basic in (BasicType.FLOAT, BasicType.DOUBLE):
            return float
        if basic is BasicType.BOOLEAN:
            return _boolean
        if basic is BasicType.BIG_DEC:
            return lambda text: Decimal(text.strip())
    if isinstance(type_info, DateTypeInfo):
        return lambda text: date.fromisoformat(text.strip())
    if isinstance(type_info, TimeTypeInfo):
        return lambda text: time.fromisoformat(text.strip())
    if isinstance(type_info, TimestampTypeInfo):
        return lambda text: datetime.fromisoformat(text.strip())
    raise ConfigurationError(f"the CSV column {column.name!r} cannot be of type {type_info!r}")


def _boolean(text: str) -> bool:
    lower = text.strip().lower()
    if lower not in ("true", "false"):
        raise ValueError("neither true nor false")
    return lower == "true"
