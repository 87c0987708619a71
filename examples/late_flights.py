"""Event time that is sometimes wrong: watermarks of your own, allowed lateness, and what comes too late.

    python examples/late_flights.py [--input flights-2013]      a folder that nycflights_extract.py made

How many flights are scheduled per hour? They come as they leave, the cancelled ones at the end of the day. A
flight that leaves on time says what time it is: `OnTime` takes all that was scheduled more than an hour before for
complete. Flights with more delay come late: for six hours a window fires again for each of them, and those that
come later than that go to a side output.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nycflights import input_folder, stream

from yarnflow.common import Row, Time, WatermarkStrategy
from yarnflow.common.watermark_strategy import WatermarkGenerator, WatermarkOutput
from yarnflow.datastream import (
    AggregateFunction,
    DataStream,
    OutputTag,
    ProcessWindowFunction,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.window import TimeWindow, TumblingEventTimeWindows

HOUR = 3_600_000
TOO_LATE = OutputTag("too late")


class OnTime(WatermarkGenerator):
    """Watermarks from flights that leave on time."""

    def on_event(self, event: Row, event_timestamp: int, output: WatermarkOutput) -> None:
        if event["dep_delay"] is not None and event["dep_delay"] <= 0:
            output.emit_watermark(event_timestamp - HOUR)

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        pass


class Count(AggregateFunction):
    """Counts records."""

    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Row, accumulator: int) -> int:
        return accumulator + 1

    def get_result(self, accumulator: int) -> int:
        return accumulator

    def merge(self, acc_a: int, acc_b: int) -> int:
        return acc_a + acc_b


class Hour(ProcessWindowFunction[int, tuple, str, TimeWindow]):
    """Yields (airport, hour in ms, flights so far)."""

    def process(
        self, key: str, context: ProcessWindowFunction.Context[TimeWindow], elements: Iterable[int]
    ) -> Iterator[tuple[str, int, int]]:
        for flights in elements:
            yield key, context.window().start, flights


def hourly(flights: DataStream) -> DataStream:
    """(airport, hour, flights), once more for each late flight; flights that are too late at the side."""
    return (
        flights.key_by(lambda flight: flight["origin"])
        .window(TumblingEventTimeWindows.of(Time.hours(1)))
        .allowed_lateness(Time.hours(6))
        .side_output_late_data(TOO_LATE)
        .aggregate(Count(), Hour())
        .name("hours")
    )


def main() -> None:
    """Print how many flights came in time."""
    watermarks = WatermarkStrategy.for_generator(OnTime).with_timestamp_column("time_hour")
    latest: dict[tuple[str, int], int] = {}
    updates = too_late = 0
    folder = input_folder("Late flights.")
    env = StreamExecutionEnvironment.get_execution_environment()
    hours = hourly(stream(env, folder, "flights", watermarks))
    at_the_side = hours.get_side_output(TOO_LATE).map(lambda flight: (flight["origin"], None, 1))
    with hours.union(at_the_side).execute_and_collect("late flights") as results:
        for airport, hour, flights in results:
            if hour is None:
                too_late += flights
            else:
                updates += (airport, hour) in latest
                latest[airport, hour] = flights
    in_time = f"{sum(latest.values()):,} flights in {len(latest):,} windows"
    print(f"{in_time}, {updates:,} updates, {too_late:,} too late")


if __name__ == "__main__":
    main()
