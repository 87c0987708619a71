"""Session windows: when does an aircraft work, and how much? Its flights without a break of eight hours or more.

    python examples/aircraft_sessions.py [--input flights-2013]      a folder that nycflights_extract.py made
    yarnflow run -p 2 -py examples/aircraft_sessions.py --input hdfs:///flights-2013 [--output hdfs:///sessions]

Only departures from New York are in the data, so a session of an aircraft is its round trips from there. Without
--output the busiest sessions are printed here, in the client.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

from yarnflow.common import Duration, Encoder, Time, Types, WatermarkStrategy
from yarnflow.common.watermark_strategy import TimestampAssigner
from yarnflow.datastream import DataStream, ProcessWindowFunction, StreamExecutionEnvironment
from yarnflow.datastream.connectors.file_system import FileSink, FileSource, StreamFormat
from yarnflow.datastream.window import EventTimeSessionWindows, TimeWindow

#: Columns of flights.csv, counted from 0.
TAIL_NUMBER, ORIGIN, DESTINATION, AIR_TIME, MINUTE, TIME_HOUR = 11, 12, 13, 14, 17, 18

BREAK = Time.hours(8)

#: (scheduled departure in ms, tail number, origin, destination, minutes in the air).
Flight = tuple[int, str, str, str, int]


def parse(line: str) -> Iterator[Flight]:
    """The flight of a line; nothing for the header, and for flights that did not take place."""
    fields = line.split(",")
    if fields[AIR_TIME] not in ("NA", "air_time"):
        hour = datetime.fromisoformat(fields[TIME_HOUR].replace("Z", "+00:00"))
        scheduled = 1000 * (round(hour.timestamp()) + 60 * int(fields[MINUTE]))
        yield scheduled, fields[TAIL_NUMBER], fields[ORIGIN], fields[DESTINATION], int(fields[AIR_TIME])


class ScheduledDeparture(TimestampAssigner):
    """The event time of a flight."""

    def extract_timestamp(self, value: Flight, record_timestamp: int) -> int:
        return value[0]


class Session(ProcessWindowFunction[Flight, tuple, str, TimeWindow]):
    """Describes what an aircraft did between two breaks."""

    def process(
        self, key: str, context: ProcessWindowFunction.Context[TimeWindow], elements: Iterable[Flight]
    ) -> Iterator[tuple[str, str, int, int, str]]:
        flights = sorted(elements)
        begin = datetime.fromtimestamp(flights[0][0] / 1000, timezone.utc)
        route = " ".join(f"{origin}-{destination}" for _, _, origin, destination, _ in flights)
        yield key, f"{begin:%Y-%m-%d %H:%M}", len(flights), sum(flight[4] for flight in flights), route


def sessions(lines: DataStream) -> DataStream:
    """(tail number, first departure, flights, minutes in the air, route), one record per session."""
    # Why a day: see flight_delays.py.
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_days(1)).with_timestamp_assigner(
        ScheduledDeparture()
    )
    return (
        lines.flat_map(parse)
        .name("parse")
        .assign_timestamps_and_watermarks(strategy)
        .key_by(lambda flight: flight[1])
        .window(EventTimeSessionWindows.with_gap(BREAK))
        .process(Session())
        .name("sessions")
    )


def main() -> None:
    """Build and run the job."""
    parser = argparse.ArgumentParser(description="Sessions of aircraft.")
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
    found = sessions(env.from_source(source, WatermarkStrategy.no_watermarks(), "flights"))

    if arguments.output:
        sink = FileSink.for_row_format(arguments.output, Encoder.simple_string_encoder()).build()
        found.map(lambda row: ",".join(map(str, row)), output_type=Types.STRING()).sink_to(sink)
        env.execute("aircraft sessions")
        return
    with found.execute_and_collect("aircraft sessions") as results:
        busiest = sorted(results, key=lambda row: (-row[2], -row[3], row))[:20]
    print("aircraft  begin (UTC)       flights  minutes  route")
    for aircraft, begin, flights, minutes, route in busiest:
        print(f"{aircraft:8}  {begin:16} {flights:8} {minutes:8}  {route}")


if __name__ == "__main__":
    main()
