"""A sink that drops everything: for benchmarks and tests."""

from __future__ import annotations

from yarnflow.functions.batch import Batch
from yarnflow.functions.sink import Sink, SinkWriter, WriterContext


class DiscardingSink(Sink):
    """Takes rows and columns, and keeps nothing."""

    columnar = True

    def writer(self, context: WriterContext) -> SinkWriter:
        return _DiscardingWriter()


class _DiscardingWriter(SinkWriter):
    def write(self, batch: Batch) -> None:
        """Drop it."""

    def finish(self) -> None:
        """Nothing was kept."""
