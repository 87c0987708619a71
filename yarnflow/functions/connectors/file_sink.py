"""FileSink: writes part files below a base path, and publishes them at the end.

    <base>/<bucket>/.part-<uid>-<subtask>-<n>.inprogress.<attempt>     while it is written
    <base>/<bucket>/part-<uid>-<subtask>-<n>                           published by `finish`

Without checkpoints a failed job reads its whole input again. The uid is the same for every attempt, so a restarted
writer publishes under the names of the earlier one; what that one published beyond, is removed. After a job has
finished, each record is there once. A job that failed for good may have left the files of those subtasks that had
reached their end; those of all others are gone.
"""

from __future__ import annotations

import hashlib
import posixpath
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO

from yarnflow import fs
from yarnflow.common.serialization import Encoder
from yarnflow.errors import ConfigurationError
from yarnflow.fs import FileSystem
from yarnflow.functions.batch import Batch
from yarnflow.functions.connectors.file_sink_config import (
    BucketAssigner,
    DefaultRollingPolicy,
    OnCheckpointRollingPolicy,
    OutputFileConfig,
    OutputFileConfigBuilder,
    RollingPolicy,
)
from yarnflow.functions.connectors.writer_factories import BulkWriterFactory, EncoderFactory
from yarnflow.functions.sink import Sink, SinkWriter, WriterContext


class FileSink(Sink):
    """Writes files.

    >>> sink = FileSink.for_row_format("hdfs:///counts", Encoder.simple_string_encoder()).build()
    """

    def __init__(
        self,
        base_path: str,
        factory: BulkWriterFactory,
        assigner: BucketAssigner,
        rolling: RollingPolicy,
        names: OutputFileConfig,
    ) -> None:
        self.base_path = base_path
        self.factory = factory
        self.assigner = assigner
        self.rolling = rolling
        self.names = names
        self.columnar = factory.columnar

    @staticmethod
    def for_row_format(base_path: str, encoder: Encoder) -> RowFormatBuilder:
        """Write records one after the other, as the encoder makes them."""
        return RowFormatBuilder(base_path, EncoderFactory(encoder), DefaultRollingPolicy())

    @staticmethod
    def for_bulk_format(base_path: str, writer_factory: BulkWriterFactory) -> BulkFormatBuilder:
        """Write many records at a time: ParquetBulkWriters.for_row_type(...) or CsvBulkWriters.for_schema(...)."""
        return BulkFormatBuilder(base_path, writer_factory, OnCheckpointRollingPolicy())

    def writer(self, context: WriterContext) -> SinkWriter:
        return FileSinkWriter(self, context)


class _Builder:
    """What the builders of both formats share."""

    def __init__(self, base_path: str, factory: BulkWriterFactory, rolling: RollingPolicy) -> None:
        self._base_path = str(base_path)
        self._factory = factory
        self._rolling = rolling
        self._assigner = BucketAssigner.date_time_bucket_assigner()
        self._names = OutputFileConfig()

    def build(self) -> FileSink:
        """Make the sink."""
        return FileSink(self._base_path, self._factory, self._assigner, self._rolling, self._names)


class RowFormatBuilder(_Builder):
    """Configures a FileSink of a row format."""

    def with_rolling_policy(self, rolling_policy: RollingPolicy) -> RowFormatBuilder:
        """When to start the next part file."""
        self._rolling = rolling_policy
        return self

    def with_bucket_assigner(self, bucket_assigner: BucketAssigner) -> RowFormatBuilder:
        """Which directory to write to; by default one per hour."""
        self._assigner = bucket_assigner
        return self

    def with_output_file_config(
        self, output_file_config: OutputFileConfig | OutputFileConfigBuilder
    ) -> RowFormatBuilder:
        """How part files are named."""
        self._names = _built(output_file_config)
        return self

    def with_bucket_check_interval(self, interval: int) -> RowFormatBuilder:
        """Accepted for PyFlink programs: the policy is asked with every batch and when the input pauses."""
        return self

    def disable_compact(self) -> RowFormatBuilder:
        """Accepted for PyFlink programs: there is no compaction."""
        return self


class BulkFormatBuilder(_Builder):
    """Configures a FileSink of a bulk format."""

    def with_rolling_policy(self, rolling_policy: RollingPolicy) -> BulkFormatBuilder:
        """Only the on-checkpoint policy is accepted, as in PyFlink. Raises ValueError for others."""
        if not isinstance(rolling_policy, OnCheckpointRollingPolicy):
            raise ValueError("a bulk format rolls on checkpoints only: use on_checkpoint_rolling_policy()")
        return self

    def with_bucket_assigner(self, bucket_assigner: BucketAssigner) -> BulkFormatBuilder:
        """Which directory to write to; by default one per hour."""
        self._assigner = bucket_assigner
        return self

    def with_output_file_config(
        self, output_file_config: OutputFileConfig | OutputFileConfigBuilder
    ) -> BulkFormatBuilder:
        """How part files are named."""
        self._names = _built(output_file_config)
        return self

    def with_bucket_check_interval(self, interval: int) -> BulkFormatBuilder:
        """Accepted for PyFlink programs: there is nothing to check between checkpoints."""
        return self

    def disable_compact(self) -> BulkFormatBuilder:
        """Accepted for PyFlink programs: there is no compaction."""
        return self


def _built(config: OutputFileConfig | OutputFileConfigBuilder) -> OutputFileConfig:
    if not isinstance(config, OutputFileConfig):
        raise ConfigurationError("with_output_file_config() takes what OutputFileConfig.builder()...build() makes")
    return config


class _Part:
    """A part file that is being written."""

    def __init__(self, stream: BinaryIO, tmp: str, final: str, factory: BulkWriterFactory, now: float) -> None:
        self.stream = stream
        self.tmp = tmp
        self.final = final
        self.created = now
        self.last_written = now
        self.writer = factory.open(stream)

    def complete(self) -> None:
        """Write the rest and close the file."""
        self.writer.finish()
        self.stream.close()


class FileSinkWriter(SinkWriter):
    """The part files of one subtask.

    Args:
        sink: the configuration.
        context: where the writer runs.
        clock: seconds since the epoch.
    """

    def __init__(self, sink: FileSink, context: WriterContext, clock: Callable[[], float] = time.time) -> None:
        self._sink = sink
        self._clock = clock
        self._attempt = context.attempt
        system, base = fs.get(sink.base_path)
        self._fs: FileSystem = system
        self._base = base
        identity = f"{context.job_id}/{context.operator_id}"
        uid = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._stem = f"{sink.names.part_prefix}-{uid}-{context.subtask_index}-"
        self._count = 0
        self._open: dict[str, _Part] = {}
        #: (temporary, final) of files that are complete but not visible.
        self._pending: list[tuple[str, str]] = []
        self._published: set[str] = set()

    def write(self, batch: Batch) -> None:
        now = self._clock()
        bucket = self._sink.assigner.bucket_id(now)
        self._roll(now)
        part = self._open.get(bucket)
        if part is None:
            part = self._open[bucket] = self._new_part(bucket, now)
        part.writer.write(batch)
        part.last_written = now
        self._roll(now)

    def flush(self) -> None:
        self._roll(self._clock())

    def finish(self) -> None:
        for bucket in list(self._open):
            self._complete(bucket)
        while self._pending:
            tmp, final = self._pending[0]
            # An earlier attempt may have published this name.
            self._fs.publish(tmp, final, overwrite=True)
            self._published.add(final)
            self._pending.pop(0)
        if self._attempt > 0:
            self._remove_leftovers()

    def close(self) -> None:
        parts = list(self._open.values())
        self._open.clear()
        with ExitStack() as stack:  # go on when one step raises
            for tmp in [part.tmp for part in parts] + [tmp for tmp, _ in self._pending]:
                stack.callback(self._fs.delete, tmp)
            for part in parts:
                stack.callback(part.stream.close)
                stack.callback(part.writer.abort)
        self._pending.clear()

    def _new_part(self, bucket: str, now: float) -> _Part:
        names = self._sink.names
        name = f"{self._stem}{self._count}{names.part_suffix}"
        self._count += 1
        directory = posixpath.join(self._base, bucket) if bucket else self._base
        tmp = posixpath.join(directory, f".{name}.inprogress.{self._attempt}")
        stream = self._fs.open_write(tmp, overwrite=True)
        try:
            return _Part(stream, tmp, posixpath.join(directory, name), self._sink.factory, now)
        except BaseException:
            stream.close()
            self._fs.delete(tmp)
            raise

    def _roll(self, now: float) -> None:
        """Complete the parts that the policy wants closed."""
        for bucket, part in list(self._open.items()):
            if self._sink.rolling.should_roll(part.writer.size(), part.created, part.last_written, now):
                self._complete(bucket)

    def _complete(self, bucket: str) -> None:
        part = self._open[bucket]
        part.complete()
        del self._open[bucket]
        self._pending.append((part.tmp, part.final))

    def _remove_leftovers(self) -> None:
        """Delete what earlier attempts of this writer left under names that this one did not use."""
        if self._fs.status(self._base) is None:
            return
        for status in self._fs.list(self._base, recursive=True):
            own = status.name.startswith((self._stem, f".{self._stem}"))
            if own and not status.is_directory and status.path not in self._published:
                self._fs.delete(status.path)
