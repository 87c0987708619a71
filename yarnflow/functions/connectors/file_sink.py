"""FileSink: writes part files below a base path, and publishes them by rename (two-phase commit).

    <base>/<bucket>/.part-<uid>-<subtask>-<n>.inprogress.<writer>     until it is committed
    <base>/<bucket>/part-<uid>-<subtask>-<n>                          committed

Every barrier completes the open part files; they are published when the checkpoint is complete. The uid differs
between attempts, so a file name is used once.

In a job that takes no checkpoints, files are published when the input ends (or by a savepoint), and a failed job
reads its whole input again. There the uid is the same for every attempt: a restarted writer publishes under the
names of the earlier one, and removes what that one published beyond. After a checkpoint by hand, from which such a
job can restart, the uid has its number, so that what was published with it stays. When a job has finished, each
record is there once. A job that failed for good may have left the files of those subtasks that had reached their
end.
"""

from __future__ import annotations

from yarnflow.common.serialization import Encoder
from yarnflow.errors import ConfigurationError
from yarnflow.functions.connectors.file_sink_config import (
    BucketAssigner,
    DefaultRollingPolicy,
    OnCheckpointRollingPolicy,
    OutputFileConfig,
    OutputFileConfigBuilder,
    RollingPolicy,
)
from yarnflow.functions.connectors.file_sink_writer import FileCommitter, FileSinkWriter
from yarnflow.functions.connectors.writer_factories import BulkWriterFactory, EncoderFactory
from yarnflow.functions.sink import Committer, Sink, SinkWriter, WriterContext


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
        return FileSinkWriter(self.base_path, self.factory, self.assigner, self.rolling, self.names, context)

    def committer(self, context: WriterContext) -> Committer:
        return FileCommitter()


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
