"""How records become the bytes of a part file."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import date, datetime, time
from typing import Any, BinaryIO

from yarnflow.common.serialization import Encoder
from yarnflow.common.typeinfo import RowTypeInfo
from yarnflow.common.types import Row
from yarnflow.errors import ConfigurationError, DataFormatError, ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.connectors.csv_schema import CsvSchema
from yarnflow.functions.connectors.data_types import arrow_schema


class PartWriter(ABC):
    """Writes one part file into a stream that somebody else closes."""

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Add records."""

    @abstractmethod
    def size(self) -> int:
        """Bytes so far, roughly."""

    def finish(self) -> None:
        """Write what the format wants at the end."""

    def abort(self) -> None:
        """Called instead of `finish` when the file is given up; the stream is closed afterwards."""


class BulkWriterFactory(ABC):
    """Makes the writers of a format. Pickled with its sink.

    Attributes:
        columnar: whether `PartWriter.write` takes ColumnBatch as well.
    """

    columnar: bool = False

    @abstractmethod
    def open(self, stream: BinaryIO) -> PartWriter:
        """Start a part file."""


class EncoderFactory(BulkWriterFactory):
    """Row formats: each record encoded on its own."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def open(self, stream: BinaryIO) -> PartWriter:
        return _EncodingWriter(stream, self.encoder)


class _EncodingWriter(PartWriter):
    def __init__(self, stream: BinaryIO, encoder: Encoder) -> None:
        self._stream = stream
        self._encode_all = encoder.encode_all
        self._size = 0

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, RowBatch)
        self._size += self._stream.write(self._encode_all(batch.rows))

    def size(self) -> int:
        return self._size


# -- CSV -----------------------------------------------------------------------------------------------------


class CsvBulkWriters:
    """Writes CSV."""

    @staticmethod
    def for_schema(schema: CsvSchema) -> BulkWriterFactory:
        """Write rows, tuples or dicts with the columns of the schema; values are quoted where they must be."""
        return _CsvFactory(schema)


class _CsvFactory(BulkWriterFactory):
    def __init__(self, schema: CsvSchema) -> None:
        self.schema = schema

    def open(self, stream: BinaryIO) -> PartWriter:
        return _CsvWriter(stream, self.schema)


class _CsvWriter(PartWriter):
    def __init__(self, stream: BinaryIO, schema: CsvSchema) -> None:
        self._stream = stream
        self._schema = schema
        self._names = [column.name for column in schema.columns]
        self._separators = [column.separator for column in schema.columns]
        self._null = schema.null_value or ""
        special = f"{schema.column_separator}{schema.quote_char or ''}{schema.line_separator}\r\n"
        self._special_pattern = re.compile(f"[{re.escape(special)}]")
        self._special = self._special_pattern.search
        self._size = 0
        if schema.use_header:
            self._put([self._names])

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, RowBatch)
        self._put([self._cells(record) for record in batch.rows])

    def size(self) -> int:
        return self._size

    def _put(self, records: list[list[str]]) -> None:
        separator, end, quoted = self._schema.column_separator, self._schema.line_separator, self._quoted
        text = "".join([separator.join(map(quoted, cells)) + end for cells in records])
        self._size += self._stream.write(text.encode())

    def _quoted(self, cell: str) -> str:
        """A cell as it stands in the file."""
        quote, escape = self._schema.quote_char, self._schema.escape_char
        if escape is not None:
            cell = cell.replace(escape, escape + escape)
        if not self._special(cell):
            # A line that is empty would be no record.
            return cell if cell or len(self._names) > 1 or quote is None else quote + quote
        if quote is not None:
            return f"{quote}{cell.replace(quote, quote + quote)}{quote}"
        if escape is not None:
            return self._special_pattern.sub(lambda match: escape + match[0], cell)
        raise DataFormatError(
            f"{cell!r} cannot be written as CSV without quotes: allow quotes or set an escape char in the schema"
        )

    def _cells(self, record: Any) -> list[str]:
        values: Any
        if isinstance(record, Row):
            values = record.get_fields_by_names(self._names)
        elif isinstance(record, dict):
            values = [record.get(name) for name in self._names]
        elif isinstance(record, (tuple, list)):
            values = record
        else:
            values = [record]
        if len(values) != len(self._names):
            raise ProgramError(
                f"the record {record!r} has {len(values)} fields, and the CSV schema {len(self._names)} columns"
            )
        return [self._cell(value, at) for value, at in zip(values, self._separators, strict=True)]

    def _cell(self, value: Any, separator: str | None = None) -> str:
        if value.__class__ is str:
            return value
        if value is None:
            return self._null
        if value is True or value is False:
            return "true" if value else "false"
        if isinstance(value, (list, tuple)):
            return (separator or "").join([self._cell(item) for item in value])
        if isinstance(value, datetime):
            return value.isoformat(" ")
        if isinstance(value, (date, time)):
            return value.isoformat()
        return str(value)


# -- Parquet -------------------------------------------------------------------------------------------------


class ParquetBulkWriters:
    """Writes Parquet."""

    @staticmethod
    def for_row_type(
        row_type: RowTypeInfo, hadoop_config: object = None, utc_timestamp: bool = False
    ) -> BulkWriterFactory:
        """Write rows, tuples, dicts or columns with the fields of the type.

        Args:
            row_type: a `DataTypes.ROW([...])`.
            hadoop_config: not used: file systems are configured with yarnflow's own options.
            utc_timestamp: not used: timestamps are written as they are.
        """
        return ParquetFactory(row_type)


class ParquetFactory(BulkWriterFactory):
    """Makes writers of Parquet files.

    Args:
        row_type: names and types of the columns.
        compression: of the column chunks, as pyarrow names it.
    """

    columnar = True

    def __init__(self, row_type: RowTypeInfo, compression: str = "snappy") -> None:
        if not isinstance(row_type, RowTypeInfo):
            raise ConfigurationError(f"Parquet needs a row type such as DataTypes.ROW([...]), not {row_type!r}")
        self.row_type = row_type
        self.compression = compression

    def open(self, stream: BinaryIO) -> PartWriter:
        return _ParquetWriter(stream, self)


class _ParquetWriter(PartWriter):
    """Collects batches to row groups of useful size."""

    #: As pyarrow.parquet.write_table; half of what parquet-mr aims at in bytes.
    GROUP_ROWS = 1024 * 1024
    GROUP_BYTES = 64 * 1024 * 1024

    def __init__(self, stream: BinaryIO, factory: ParquetFactory) -> None:
        # Heavy, and only programs that write Parquet need it.
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._arrow = pa
        self._stream = stream
        self._schema = arrow_schema(factory.row_type)
        self._writer = pq.ParquetWriter(stream, self._schema, compression=factory.compression)
        self._batches: list[Any] = []
        self._rows = 0
        self._bytes = 0

    def write(self, batch: Batch) -> None:
        from yarnflow.functions.columns import to_columns

        if isinstance(batch, ColumnBatch):
            columns = self._fitting(batch.columns)
        else:
            columns = to_columns(batch, self._schema).columns
        self._batches.append(columns)
        self._rows += columns.num_rows
        self._bytes += columns.nbytes
        if self._rows >= self.GROUP_ROWS or self._bytes >= self.GROUP_BYTES:
            self._write_group()

    def size(self) -> int:
        return self._stream.tell() + self._bytes

    def finish(self) -> None:
        self._write_group()
        self._writer.close()

    def abort(self) -> None:
        self._writer.close()  # otherwise it would write its footer when it is collected, into a closed stream

    def _write_group(self) -> None:
        if self._batches:
            self._writer.write_table(self._arrow.Table.from_batches(self._batches, self._schema))
            self._batches, self._rows, self._bytes = [], 0, 0

    def _fitting(self, columns: Any) -> Any:
        """The columns of the schema: by name, or by position where the records are tuples or plain values."""
        from yarnflow.functions.columns import is_tuples

        schema, names = self._schema, columns.schema.names
        try:
            if all(name in names for name in schema.names):
                chosen = [columns.column(name) for name in schema.names]
            elif len(names) == len(schema.names) and (is_tuples(columns.schema) or len(names) == 1):
                chosen = columns.columns
            else:
                raise ProgramError(f"the columns {', '.join(names)} lack some of {', '.join(schema.names)}")
            arrays = [column.cast(field.type) for column, field in zip(chosen, schema, strict=True)]
        except self._arrow.ArrowException as error:
            raise ProgramError(f"columns do not fit the row type of the Parquet sink: {error}") from error
        return self._arrow.RecordBatch.from_arrays(arrays, schema=schema)
