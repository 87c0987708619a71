"""An interval join: flights with the weather at their airport, measured at most an hour before departure.

    python examples/weather_join.py [--input flights-2013]      a folder that nycflights_extract.py made
    yarnflow run -p 2 -py examples/weather_join.py --input hdfs:///flights-2013 [--output hdfs:///flights-weather]

Without --output the client prints how delays go with visibility.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timezone

from yarnflow.common import Duration, Encoder, Time, Types, WatermarkStrategy
from yarnflow.common.watermark_strategy import TimestampAssigner
from yarnflow.datastream import DataStream, ProcessJoinFunction, StreamExecutionEnvironment
from yarnflow.datastream.connectors.file_system import FileSink, FileSource, StreamFormat

#: Columns of flights.csv and weather.csv, counted from 0.
DEPARTURE_DELAY, CARRIER, NUMBER, ORIGIN, MINUTE, TIME_HOUR = 5, 9, 10, 12, 17, 18
STATION, TEMPERATURE, WIND, RAIN, VISIBILITY, MEASURED = 0, 5, 9, 11, 13, 14

#: (scheduled departure in ms, airport, flight, delay in minutes).
Flight = tuple[int, str, str, int]

#: (time in ms, airport, temperature in F, wind and visibility in miles, rain in inches; None: not measured).
Weather = tuple[int, str, "float | None", "float | None", "float | None", "float | None"]


def parse_flight(line: str) -> Iterator[Flight]:
    """The flight of a line; nothing for the header and for cancelled flights."""
    fields = line.split(",")
    if fields[DEPARTURE_DELAY] not in ("NA", "dep_delay"):
        scheduled = milliseconds(fields[TIME_HOUR]) + 60_000 * int(fields[MINUTE])
        yield scheduled, fields[ORIGIN], fields[CARRIER] + fields[NUMBER], int(fields[DEPARTURE_DELAY])


def parse_weather(line: str) -> Iterator[Weather]:
    """The measurements of a line; nothing for the header."""
    fields = line.split(",")
    if fields[STATION] != "origin":
        temperature, wind, rain, visibility = (
            None if fields[at] == "NA" else float(fields[at]) for at in (TEMPERATURE, WIND, RAIN, VISIBILITY)
        )
        yield milliseconds(fields[MEASURED]), fields[STATION], temperature, wind, visibility, rain


def milliseconds(time: str) -> int:
    """2013-01-01T10:00:00Z in ms since the epoch."""
    return 1000 * round(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp())


class FirstField(TimestampAssigner):
    """Where both kinds of records have their time."""

    def extract_timestamp(self, value: Flight | Weather, record_timestamp: int) -> int:
        return value[0]


class WithWeather(ProcessJoinFunction):
    """Puts both together."""

    def process_element(self, left: Flight, right: Weather, ctx: ProcessJoinFunction.Context) -> Iterator[tuple]:
        departure = datetime.fromtimestamp(ctx.get_left_timestamp() / 1000, timezone.utc)
        yield f"{departure:%Y-%m-%d %H:%M}", *left[1:], *right[2:]


def flights_with_weather(flights: DataStream, weather: DataStream) -> DataStream:
    """(departure, airport, flight, delay, temperature, wind, visibility, rain) per flight with known weather."""
    # Flights are out of order by up to a day, see flight_delays.py; weather is in order.
    late = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_days(1))
    in_order = WatermarkStrategy.for_monotonous_timestamps()
    left = (
        flights.flat_map(parse_flight)
        .name("parse flights")
        .assign_timestamps_and_watermarks(late.with_timestamp_assigner(FirstField()))
        .key_by(lambda flight: flight[1])
    )
    right = (
        weather.flat_map(parse_weather)
        .name("parse weather")
        .assign_timestamps_and_watermarks(in_order.with_timestamp_assigner(FirstField()))
        .key_by(lambda measured: measured[1])
    )
    joined = left.interval_join(right).between(Time.hours(-1), Time.hours(0)).lower_bound_exclusive()
    return joined.process(WithWeather()).name("with weather")


def main() -> None:
    """Build and run the job."""
    parser = argparse.ArgumentParser(description="Flights with the weather at departure.")
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

    joined = flights_with_weather(lines("flights"), lines("weather"))
    if arguments.output:
        sink = FileSink.for_row_format(arguments.output, Encoder.simple_string_encoder()).build()
        joined.map(lambda row: ",".join(map(str, row)), output_type=Types.STRING()).sink_to(sink)
        env.execute("weather join")
        return
    found: dict[int, list[int]] = defaultdict(list)
    with joined.execute_and_collect("weather join") as results:
        for *_, delay, _, _, visibility, _ in results:
            if visibility is not None:
                found[int(visibility)].append(delay)
    print("visibility (miles)  flights  mean delay (minutes)")
    for miles, delays in sorted(found.items()):
        print(f"{miles:18} {len(delays):8,} {sum(delays) / len(delays):21.1f}")


if __name__ == "__main__":
    main()
