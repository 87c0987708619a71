"""FileSource: reads files, once or as they appear."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from yarnflow.common.time import Duration
from yarnflow.errors import ConfigurationError
from yarnflow.functions.connectors.file_splits import FileSplit, file_splits
from yarnflow.functions.source import Source, Split, SplitReader


class FileFormat(ABC):
    """How records are read from a part of a file. Pickled with its source.

    Attributes:
        splittable: whether a part may start within a file.
        columnar: whether readers can emit columns.
    """

    splittable: bool = False
    columnar: bool = False

    @abstractmethod
    def open(self, split: FileSplit, emit_columns: bool) -> SplitReader:
        """Start reading a part; `emit_columns` asks for ColumnBatch, if `columnar`."""


class StreamFormat(FileFormat):
    """Reads record by record from a stream; compressed files are decompressed by their ending."""

    @staticmethod
    def text_line_format(charset_name: str = "UTF-8") -> StreamFormat:
        """Lines, without what ends them: newline, carriage return, or both.

        Args:
            charset_name: of the files; bytes that are not valid in it become U+FFFD.
        """
        from yarnflow.functions.connectors.text_format import TextLineFormat  # a format is a FileFormat

        return TextLineFormat(charset_name)


class BulkFormat(FileFormat):
    """Reads and decodes many records at a time."""


class FileEnumeratorProvider:
    """Whether files are cut into parts."""

    def __init__(self, splittable: bool) -> None:
        self.splittable = splittable

    @staticmethod
    def default_splittable_file_enumerator() -> FileEnumeratorProvider:
        """Cut large files into parts if the format allows it; the default."""
        return FileEnumeratorProvider(True)

    @staticmethod
    def default_non_splittable_file_enumerator() -> FileEnumeratorProvider:
        """Each file is read by one subtask."""
        return FileEnumeratorProvider(False)


class FileSplitAssignerProvider:
    """Which subtask reads which part."""

    @staticmethod
    def locality_aware_split_assigner() -> FileSplitAssignerProvider:
        """PyFlink's only choice. Here every subtask takes each p-th part, so that no process decides for all."""
        return FileSplitAssignerProvider()


class FileSource(Source):
    """Reads the files at and below some paths.

    >>> source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), "hdfs:///books").build()
    """

    def __init__(
        self, file_format: FileFormat, paths: Sequence[str], splittable: bool, discovery: float | None
    ) -> None:
        self.format = file_format
        self.paths = tuple(paths)
        self.splittable = splittable and file_format.splittable
        self.columnar = file_format.columnar
        self.bounded = discovery is None
        self._discovery = discovery

    @staticmethod
    def for_record_stream_format(stream_format: StreamFormat, *paths: str) -> FileSourceBuilder:
        """Read files or directories with a format such as `StreamFormat.text_line_format()`."""
        return FileSourceBuilder(stream_format, paths)

    @staticmethod
    def for_bulk_file_format(bulk_format: BulkFormat, *paths: str) -> FileSourceBuilder:
        """Read files or directories with a format such as ParquetColumnarRowInputFormat."""
        return FileSourceBuilder(bulk_format, paths)

    def splits(self, parallelism: int) -> Sequence[Split]:
        return file_splits(self.paths, parallelism, self.splittable, whole_files=not self.bounded)

    def discovery_interval(self) -> float | None:
        return self._discovery

    def open(self, split: Split) -> SplitReader:
        assert isinstance(split, FileSplit)
        return self.format.open(split, self.emit_columns)


class FileSourceBuilder:
    """Configures a FileSource."""

    def __init__(self, file_format: FileFormat, paths: Sequence[str]) -> None:
        if not paths:
            raise ConfigurationError("a file source needs at least one path")
        self._format = file_format
        self._paths = [str(path) for path in paths]
        self._splittable = True
        self._discovery: float | None = None

    def monitor_continuously(self, discovery_interval: Duration) -> FileSourceBuilder:
        """Never end: look for new files after each interval, and read those that have appeared.

        A file is read once, when it is first seen: put files into the directory under their final name by a
        rename, when they are complete. Each file is read by one subtask.
        """
        seconds = discovery_interval.nanos / 1e9
        if seconds <= 0:
            raise ConfigurationError(f"the discovery interval must be positive, not {seconds} s")
        self._discovery = seconds
        return self

    def process_static_file_set(self) -> FileSourceBuilder:
        """Read the files that are there when the job starts, and end. This is the default."""
        self._discovery = None
        return self

    def set_file_enumerator(self, file_enumerator: FileEnumeratorProvider) -> FileSourceBuilder:
        """Choose whether files are cut into parts."""
        self._splittable = file_enumerator.splittable
        return self

    def set_split_assigner(self, split_assigner: FileSplitAssignerProvider) -> FileSourceBuilder:
        """Accepted for PyFlink programs; there is one way to assign parts."""
        return self

    def build(self) -> FileSource:
        """Make the source."""
        return FileSource(self._format, self._paths, self._splittable, self._discovery)
