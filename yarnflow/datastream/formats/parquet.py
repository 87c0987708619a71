"""Parquet, for FileSource and FileSink."""

from yarnflow.functions.connectors.parquet_format import ParquetColumnarRowInputFormat
from yarnflow.functions.connectors.writer_factories import ParquetBulkWriters

__all__ = ["ParquetBulkWriters", "ParquetColumnarRowInputFormat"]
