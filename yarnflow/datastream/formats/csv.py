"""CSV, for FileSource and FileSink."""

from yarnflow.functions.connectors.csv_format import CsvReaderFormat
from yarnflow.functions.connectors.csv_schema import CsvSchema, CsvSchemaBuilder
from yarnflow.functions.connectors.writer_factories import CsvBulkWriters

__all__ = ["CsvBulkWriters", "CsvReaderFormat", "CsvSchema", "CsvSchemaBuilder"]
