"""Parquet files: some columns of some row groups, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from yarnflow import fs
from yarnflow.common.typeinfo import RowTypeInfo
from yarnflow.errors import ConfigurationError, DataFormatError
from yarnflow.functions.batch import Batch, ColumnBatch
from yarnflow.functions.connectors.data_types import arrow_schema
from yarnflow.functions.connectors.file_source import BulkFormat, FileSource, FileSourceBuilder
from yarnflow.functions.connectors.file_splits import FileSplit
from yarnflow.functions.source import Availability, Split, SplitReader


class ParquetFormat(BulkFormat):
    """Reads Parquet files as columns.

    A part of a file holds the row groups whose middle lies in it (as parquet-mr assigns them), so that naming the
    parts needs no look into the files.

    Args:
        columns: names of the columns to read, in this order; None for all.
        row_type: names and types of the columns to read, to which the file's are converted; instead of `columns`.
        batch_size: rows per batch; None for what suits column operators.
    """

    splittable = True
    columnar = True

    def __init__(
        self,
        columns: Sequence[str] | None = None,
        row_type: RowTypeInfo | None = None,
        batch_size: int | None = None,
        case_sensitive: bool = True,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise ConfigurationError(f"the batch size must be at least 1, not {batch_size}")
        if row_type is not None:
            columns = row_type.get_field_names()
        self.columns = None if columns is None else tuple(columns)
        self.row_type = row_type
        self.batch_size = batch_size
        self.case_sensitive = case_sensitive

    def open(self, split: FileSplit, emit_columns: bool) -> SplitReader:
        return _ParquetReader(split, self)


class ParquetColumnarRowInputFormat(ParquetFormat):
    """PyFlink's name and arguments.

    Args:
        row_type: columns to read, a `DataTypes.ROW([...])`.
        hadoop_config: not used: file systems are configured with yarnflow's own options.
        batch_size: rows per batch.
        is_utc_timestamp: not used: timestamps are what the file says.
        is_case_sensitive: whether column names must match in case.
    """

    def __init__(
        self,
        row_type: RowTypeInfo,
        hadoop_config: object = None,
        batch_size: int = 2048,
        is_utc_timestamp: bool = False,
        is_case_sensitive: bool = True,
    ) -> None:
        super().__init__(row_type=row_type, batch_size=batch_size, case_sensitive=is_case_sensitive)


class ParquetSource:
    """The short way to a FileSource of Parquet files.

    >>> source = ParquetSource.for_paths("hdfs:///sales").columns(["shop", "amount"]).build()
    """

    @staticmethod
    def for_paths(*paths: str) -> ParquetSourceBuilder:
        """Read the files at and below these paths."""
        return ParquetSourceBuilder(ParquetFormat(), paths)


class ParquetSourceBuilder(FileSourceBuilder):
    """Configures a FileSource of Parquet files."""

    def columns(self, names: Sequence[str]) -> ParquetSourceBuilder:
        """Read only these columns; the others are not even fetched."""
        self._format = ParquetFormat(columns=names)
        return self

    def build(self) -> FileSource:
        """Make the source."""
        return super().build()


class _ParquetReader(SplitReader):
    """Opens the file at the first poll."""

    def __init__(self, split: FileSplit, file_format: ParquetFormat) -> None:
        self._split = split
        self._format = file_format
        self._file: Any = None
        self._batches: Any = None
        self._to_skip = 0

    def poll(self) -> Batch | Availability:
        import pyarrow as pa

        try:
            if self._batches is None:
                self._start()
            for columns in self._batches:
                skipped = min(self._to_skip, columns.num_rows)
                self._to_skip -= skipped
                if skipped < columns.num_rows:
                    columns = self._shaped(columns.slice(skipped))
                    self._split = replace(self._split, skip=self._split.skip + columns.num_rows)
                    return ColumnBatch(columns)
        except pa.ArrowException as error:
            raise DataFormatError(f"{self._split.uri} cannot be read as Parquet: {error}") from error
        return Availability.END_OF_SPLIT

    def split(self) -> Split:
        return self._split

    def close(self) -> None:
        if self._file is not None:
            self._file.close(force=True)

    def _start(self) -> None:
        # Heavy, and only programs that read Parquet need it.
        import pyarrow.parquet as pq

        from yarnflow.functions.columns import COLUMN_BATCH

        split = self._split
        system, path = fs.get(split.uri)
        # Remote files are fetched ahead, a column chunk at a time.
        self._file = pq.ParquetFile(
            system.arrow().open_input_file(path), pre_buffer=system.scheme not in ("file",)
        )
        groups: list[int] = []
        self._to_skip = split.skip
        metadata = self._file.metadata
        for index in range(metadata.num_row_groups):
            if not _is_in(metadata.row_group(index), split):
                continue
            rows = metadata.row_group(index).num_rows
            if not groups and self._to_skip >= rows:
                self._to_skip -= rows  # read entirely before; no need to decode it again
            else:
                groups.append(index)
        self._batches = self._file.iter_batches(
            batch_size=self._format.batch_size or COLUMN_BATCH,
            row_groups=groups,
            columns=self._names(),
            use_threads=False,
        )

    def _names(self) -> list[str] | None:
        wanted = self._format.columns
        if wanted is None:
            return None
        present: list[str] = self._file.schema_arrow.names
        by_name = {name: name for name in present}
        if not self._format.case_sensitive:
            by_name = {name.lower(): name for name in present}
            wanted = tuple(name.lower() for name in wanted)
        missing = [name for name in wanted if name not in by_name]
        if missing:
            raise DataFormatError(
                f"{self._split.uri} has no column {missing[0]!r}: its columns are {', '.join(present)}"
            )
        return [by_name[name] for name in wanted]

    def _shaped(self, columns: Any) -> Any:
        """The columns in the order that was asked for, with the names and types of the row type."""
        names = self._names()
        if names is None:
            return columns.replace_schema_metadata(None)
        if columns.schema.names != names:
            columns = columns.select(names)
        if self._format.row_type is None:
            return columns.replace_schema_metadata(None)
        import pyarrow as pa

        schema = arrow_schema(self._format.row_type)
        arrays = [column.cast(field.type) for column, field in zip(columns.columns, schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _is_in(row_group: Any, split: FileSplit) -> bool:
    first = row_group.column(0)
    start = first.data_page_offset
    if first.has_dictionary_page and first.dictionary_page_offset is not None:
        start = min(start, first.dictionary_page_offset)
    size = sum(row_group.column(index).total_compressed_size for index in range(row_group.num_columns))
    middle = start + size // 2
    return split.start <= middle and (split.end is None or middle < split.end)
