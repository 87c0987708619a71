"""Keyed state and timers: which aircraft did not leave New York again within three days?

    python examples/missing_aircraft.py [--input flights-2013]      a folder that nycflights_extract.py made

Per aircraft a value remembers its last departure, and an event-time timer says when it has been away for too long;
the next departure deletes the timer. A time to live forgets aircraft that are not seen for a month (of the clock).
At the end of bounded input event time comes to its end and all timers that are still set fire: departures of the
last three days show up, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from nycflights import input_folder, stream

from yarnflow.common import Duration, Row, Time, Types, WatermarkStrategy
from yarnflow.common.watermark_strategy import TimestampAssigner
from yarnflow.datastream import DataStream, KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from yarnflow.datastream.state import StateTtlConfig, ValueStateDescriptor

ABSENCE = 3 * 24 * 3_600_000


class ScheduledDeparture(TimestampAssigner):
    """The event time of a flight."""

    def extract_timestamp(self, value: Row, record_timestamp: int) -> int:
        scheduled = value["time_hour"] + timedelta(minutes=value["minute"])
        return int(1000 * scheduled.timestamp())


class Missing(KeyedProcessFunction):
    """Yields (aircraft, time of its last departure in ms, where it went)."""

    def open(self, runtime_context: RuntimeContext) -> None:
        last = ValueStateDescriptor("last departure", Types.TUPLE([Types.LONG(), Types.STRING()]))
        last.enable_time_to_live(StateTtlConfig.new_builder(Time.days(30)).build())
        self.last = runtime_context.get_state(last)

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[tuple[str, int, str]]:
        last, time, timers = self.last.value(), ctx.timestamp(), ctx.timer_service()
        if last is not None:
            if time <= last[0]:
                return
            # Watermarks lag behind: a record may tell of an absence before the timer does.
            if time > last[0] + ABSENCE:
                yield ctx.get_current_key(), *last
            timers.delete_event_time_timer(last[0] + ABSENCE)
        self.last.update((time, value["dest"]))
        timers.register_event_time_timer(time + ABSENCE)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[tuple[str, int, str]]:
        yield ctx.get_current_key(), *self.last.value()
        self.last.clear()


def missing(flights: DataStream) -> DataStream:
    """One record per aircraft and absence."""
    return (
        flights.filter(lambda flight: flight["tailnum"] is not None and flight["dep_time"] is not None)
        .key_by(lambda flight: flight["tailnum"])
        .process(Missing())
        .name("missing")
        .uid("missing")
    )


def main() -> None:
    """Print where most aircraft stayed away."""
    # Flights are in order of actual departure: out of order by up to a day.
    watermarks = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_days(1))
    watermarks = watermarks.with_timestamp_assigner(ScheduledDeparture())
    folder = input_folder("Aircraft that did not come back.")
    env = StreamExecutionEnvironment.get_execution_environment()
    found = missing(stream(env, folder, "flights", watermarks))
    destinations: dict[str, int] = {}
    with found.execute_and_collect("missing aircraft") as results:
        for _, _, destination in results:
            destinations[destination] = destinations.get(destination, 0) + 1
    print("destination  aircraft")
    for destination, aircraft in sorted(destinations.items(), key=lambda item: (-item[1], item[0])):
        print(f"{destination:11}  {aircraft:8}")


if __name__ == "__main__":
    main()
