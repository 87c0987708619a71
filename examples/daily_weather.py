"""A co-group in windows: per airport and day, how many flights were cancelled, and what was the weather?

    python examples/daily_weather.py [--input flights-2013]      a folder that nycflights_extract.py made
    yarnflow run -p 2 -py examples/daily_weather.py --input hdfs:///flights-2013 [--output hdfs:///days]

A co-group sees all records of a key and window of both streams at once, so days without weather or without flights
come out, too, which a join would leave out. Days are those of New York (UTC-5; windows have an offset). Without
--output the days with the most cancellations are printed here, in the client.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime, timezone

from yarnflow.common import Duration, Encoder, Time, Types, WatermarkStrategy
from yarnflow.common.watermark_strategy import TimestampAssigner
from yarnflow.datastream import CoGroupFunction, DataStream, StreamExecutionEnvironment
from yarnflow.datastream.connectors.file_system import FileSink, FileSource, StreamFormat
from yarnflow.datastream.window import TumblingEventTimeWindows

#: Columns of flights.csv and weather.csv, counted from 0.
DEPARTURE, ORIGIN, TIME_HOUR = 3, 12, 18
STATION, WIND, RAIN, MEASURED = 0, 9, 11, 14

NEW_YORK = Time.hours(5)

#: (scheduled hour in ms, airport, cancelled).
Flight = tuple[int, str, bool]

#: (hour in ms, airport, wind in miles per hour, rain in inches).
Weather = tuple[int, str, float, float]


def parse_flight(line: str) -> Iterator[Flight]:
    """The flight of a line; nothing for the header."""
    fields = line.split(",")
    if fields[ORIGIN] != "origin":
        yield milliseconds(fields[TIME_HOUR]), fields[ORIGIN], fields[DEPARTURE] == "NA"


def parse_weather(line: str) -> Iterator[Weather]:
    """The measurements of a line; nothing for the header. What was not measured counts as 0."""
    fields = line.split(",")
    if fields[STATION] != "origin":
        wind, rain = (0.0 if fields[at] == "NA" else float(fields[at]) for at in (WIND, RAIN))
        yield milliseconds(fields[MEASURED]), fields[STATION], wind, rain


def milliseconds(time: str) -> int:
    """2013-01-01T10:00:00Z in ms since the epoch."""
    return 1000 * round(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp())


class FirstField(TimestampAssigner):
    """Where both kinds of records have their time."""

    def extract_timestamp(self, value: Flight | Weather, record_timestamp: int) -> int:
        return value[0]


class Day(CoGroupFunction):
    """Describes a day at an airport: (day, airport, flights, cancelled, rain, strongest wind)."""

    def co_group(self, first: list[Flight], second: list[Weather]) -> Iterator[tuple]:
        time, airport = min(first + second)[:2]
        day = datetime.fromtimestamp((time - NEW_YORK.to_milliseconds()) / 1000, timezone.utc)
        rain = round(sum(measured[3] for measured in second), 2)
        wind = round(max((measured[2] for measured in second), default=0.0))
        yield f"{day:%Y-%m-%d}", airport, len(first), sum(flight[2] for flight in first), rain, wind


def days(flights: DataStream, weather: DataStream) -> DataStream:
    """One record per airport and day."""
    # Flights are out of order by up to a day, see flight_delays.py; weather is in order.
    late = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_days(1))
    in_order = WatermarkStrategy.for_monotonous_timestamps()
    left = (
        flights.flat_map(parse_flight)
        .name("parse flights")
        .assign_timestamps_and_watermarks(late.with_timestamp_assigner(FirstField()))
    )
    right = (
        weather.flat_map(parse_weather)
        .name("parse weather")
        .assign_timestamps_and_watermarks(in_order.with_timestamp_assigner(FirstField()))
    )
    return (
        left.co_group(right)
        .where(lambda flight: flight[1])
        .equal_to(lambda measured: measured[1])
        .window(TumblingEventTimeWindows.of(Time.days(1), NEW_YORK))
        .apply(Day())
        .name("days")
    )


def main() -> None:
    """Build and run the job."""
    parser = argparse.ArgumentParser(description="Cancelled flights and weather per airport and day.")
    parser.add_argument("--input", help="the folder with flights.csv and weather.csv")
    parser.add_argument("--output", help="a folder to write to, local or hdfs://")
    arguments = parser.parse_args()
    if not arguments.input:
        from nycflights import sample  # the module beside this one, which only this needs

        arguments.input = sample()

    env = StreamExecutionEnvironment.get_execution_environment()

    def lines(name: str) -> DataStream:
        path = f"{arguments.input}/{name}.csv"
        source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), path).build()
        return env.from_source(source, WatermarkStrategy.no_watermarks(), name)

    found = days(lines("flights"), lines("weather"))
    if arguments.output:
        sink = FileSink.for_row_format(arguments.output, Encoder.simple_string_encoder()).build()
        found.map(lambda row: ",".join(map(str, row)), output_type=Types.STRING()).sink_to(sink)
        env.execute("daily weather")
        return
    with found.execute_and_collect("daily weather") as results:
        worst = sorted(results, key=lambda row: (-row[3], row))[:20]
    print("day         airport  flights  cancelled  rain (in)  wind (mph)")
    for day, airport, flights, cancelled, rain, wind in worst:
        print(f"{day}  {airport:7} {flights:8} {cancelled:10} {rain:10.2f} {wind:11}")


if __name__ == "__main__":
    main()
