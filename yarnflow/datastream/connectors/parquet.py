"""Columns from Parquet files."""

from yarnflow.functions.connectors.parquet_format import ParquetSource

__all__ = ["ParquetSource"]
