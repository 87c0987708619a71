"""Files in and out: text lines to CSV and Parquet, and back.

python examples/sources_and_sinks.py [--folder local or hdfs:// folder]
"""

from __future__ import annotations

import argparse
import tempfile

from yarnflow.common import Encoder, Row, Types, WatermarkStrategy
from yarnflow.datastream import StreamExecutionEnvironment
from yarnflow.datastream.connectors.file_system import FileSink, FileSource, StreamFormat
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.datastream.formats.csv import CsvReaderFormat, CsvSchema


def main() -> None:
    """Write squares as text, read them as CSV, print their sum."""
    parser = argparse.ArgumentParser(description="Write files and read them again.")
    parser.add_argument("--folder", help="an empty folder, local or hdfs://")
    folder = parser.parse_args().folder or tempfile.mkdtemp(prefix="yarnflow-")

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(2)
    none = WatermarkStrategy.no_watermarks()
    numbers = env.from_source(NumberSequenceSource(1, 1000), none, "numbers")
    sink = FileSink.for_row_format(folder, Encoder.simple_string_encoder()).build()
    numbers.map(lambda n: f"{n},{n * n}", output_type=Types.STRING()).sink_to(sink)
    env.execute("write squares")

    schema = (
        CsvSchema.builder()
        .add_number_column("number")
        .add_number_column("square")
        .set_column_separator(",")
        .build()
    )
    source = FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), folder).build()
    rows = env.from_source(source, none, "squares")

    def add(left: Row, right: Row) -> Row:
        return Row(number=left["number"] + right["number"], square=left["square"] + right["square"])

    # In a STREAMING job every record gives an update: the last one is the sum.
    with rows.key_by(lambda row: 0).reduce(add).execute_and_collect("read squares") as sums:
        *_, last = sums
    print("folder:", folder)
    print("sum of numbers and of squares:", last)

    lines = FileSource.for_record_stream_format(StreamFormat.text_line_format(), folder).build()
    with env.from_source(lines, none, "lines").execute_and_collect("count lines") as found:
        print("lines:", sum(1 for _ in found))


if __name__ == "__main__":
    main()
