"""Event-time windows: how late was each carrier in each hour? Flights, mean and worst delay.

    python examples/flight_delays.py [--input flights-2013]      a folder that nycflights_extract.py made
    yarnflow run -p 2 -py examples/flight_delays.py --input hdfs:///flights-2013 [--output hdfs:///delays]

An hour is one of scheduled departures. The file is in order of actual departures, so scheduled ones are out of
order by up to a day: watermarks wait that long. Without --output the worst hours are printed here, in the client.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

from yarnflow.common import Duration, Encoder, Time, Types, WatermarkStrategy
from yarnflow.common.watermark_strategy import TimestampAssigner
from yarnflow.datastream import (
    AggregateFunction,
    DataStream,
    ProcessWindowFunction,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.file_system import FileSink, FileSource, StreamFormat
from yarnflow.datastream.window import TimeWindow, TumblingEventTimeWindows

#: Columns of flights.csv, counted from 0.
DEPARTURE_DELAY, CARRIER, MINUTE, TIME_HOUR = 5, 9, 17, 18

#: (scheduled departure in ms, carrier, delay in minutes).
Flight = tuple[int, str, int]

#: (flights, sum of delays, worst delay).
Sums = tuple[int, int, int]


def parse(line: str) -> Iterator[Flight]:
    """The flight of a line; nothing for the header and for cancelled flights."""
    fields = line.split(",")
    if fields[DEPARTURE_DELAY] not in ("NA", "dep_delay"):
        hour = datetime.fromisoformat(fields[TIME_HOUR].replace("Z", "+00:00"))
        scheduled = round(hour.timestamp()) + 60 * int(fields[MINUTE])
        yield 1000 * scheduled, fields[CARRIER], int(fields[DEPARTURE_DELAY])


class ScheduledDeparture(TimestampAssigner):
    """The event time of a flight."""

    def extract_timestamp(self, value: Flight, record_timestamp: int) -> int:
        return value[0]


class Delays(AggregateFunction):
    """Sums up flights one by one: a window keeps three numbers."""

    def create_accumulator(self) -> Sums:
        return 0, 0, -1000

    def add(self, value: Flight, accumulator: Sums) -> Sums:
        flights, total, worst = accumulator
        return flights + 1, total + value[2], max(worst, value[2])

    def get_result(self, accumulator: Sums) -> Sums:
        return accumulator

    def merge(self, acc_a: Sums, acc_b: Sums) -> Sums:
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1], max(acc_a[2], acc_b[2])


class WithHour(ProcessWindowFunction[Sums, tuple, str, TimeWindow]):
    """Says which hour and carrier the sums are of."""

    def process(
        self, key: str, context: ProcessWindowFunction.Context[TimeWindow], elements: Iterable[Sums]
    ) -> Iterator[tuple[str, str, int, float, int]]:
        hour = datetime.fromtimestamp(context.window().start / 1000, timezone.utc)
        for flights, total, worst in elements:
            yield f"{hour:%Y-%m-%d %H:00}", key, flights, round(total / flights, 1), worst


def delays(lines: DataStream) -> DataStream:
    """(hour, carrier, flights, mean delay, worst delay), one record per hour and carrier."""
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_days(1)).with_timestamp_assigner(
        ScheduledDeparture()
    )
    return (
        lines.flat_map(parse)
        .name("parse")
        .assign_timestamps_and_watermarks(strategy)
        .key_by(lambda flight: flight[1])
        .window(TumblingEventTimeWindows.of(Time.hours(1)))
        .aggregate(Delays(), WithHour())
        .name("delays per hour")
    )


def main() -> None:
    """Build and run the job."""
    parser = argparse.ArgumentParser(description="Delays of flights per carrier and hour.")
    parser.add_argument("--input", help="the folder with flights.csv, local or hdfs://")
    parser.add_argument("--output", help="a folder to write to, local or hdfs://")
    arguments = parser.parse_args()
    if not arguments.input:
        from nycflights import sample  # the module beside this one, which only this needs

        arguments.input = sample()

    env = StreamExecutionEnvironment.get_execution_environment()
    source = FileSource.for_record_stream_format(
        StreamFormat.text_line_format(), f"{arguments.input}/flights.csv"
    ).build()
    hours = delays(env.from_source(source, WatermarkStrategy.no_watermarks(), "flights"))

    if arguments.output:
        sink = FileSink.for_row_format(arguments.output, Encoder.simple_string_encoder()).build()
        hours.map(lambda row: ",".join(map(str, row)), output_type=Types.STRING()).sink_to(sink)
        env.execute("flight delays")
        return
    with hours.execute_and_collect("flight delays") as results:
        worst = sorted(results, key=lambda row: -row[3])[:20]
    print("hour (UTC)        carrier  flights    mean   worst   (minutes)")
    for hour, carrier, flights, mean, most in worst:
        print(f"{hour:17} {carrier:7} {flights:8} {mean:7.1f} {most:7}")


if __name__ == "__main__":
    main()
