"""Connected streams that share keyed state: the wind at the airport when a flight was scheduled to leave.

    python examples/departure_wind.py [--input flights-2013]      a folder that nycflights_extract.py made

Both streams are keyed by airport. Measurements go into a map; flights wait in another one until a timer says
that event time has reached their departure, and with it all measurements up to then have come. Then the last one
counts, however old it is; examples/weather_join.py shows the interval join, which needs no state of your own.
"""

from __future__ import annotations

from collections.abc import Iterator

from nycflights import input_folder, stream

from yarnflow.common import Duration, Row, Types, WatermarkStrategy
from yarnflow.datastream import DataStream, KeyedCoProcessFunction, RuntimeContext, StreamExecutionEnvironment
from yarnflow.datastream.state import MapStateDescriptor


class Wind(KeyedCoProcessFunction):
    """Yields (airport, hour in ms, delay of the flight, wind in miles per hour or None)."""

    def open(self, runtime_context: RuntimeContext) -> None:
        delays = Types.LIST(Types.LONG())
        self.flights = runtime_context.get_map_state(MapStateDescriptor("flights", Types.LONG(), delays))
        self.wind = runtime_context.get_map_state(MapStateDescriptor("wind", Types.LONG(), Types.DOUBLE()))

    def process_element1(self, value: Row, ctx: KeyedCoProcessFunction.Context) -> None:
        hour = ctx.timestamp()
        if hour in self.flights:
            self.flights.put(hour, [*self.flights.get(hour), value["dep_delay"]])
        else:
            self.flights.put(hour, [value["dep_delay"]])
            ctx.timer_service().register_event_time_timer(hour)

    def process_element2(self, value: Row, ctx: KeyedCoProcessFunction.Context) -> None:
        self.wind.put(ctx.timestamp(), value["wind_speed"])

    def on_timer(
        self, timestamp: int, ctx: KeyedCoProcessFunction.OnTimerContext
    ) -> Iterator[tuple[str, int, int, float | None]]:
        past = sorted(hour for hour in self.wind if hour <= timestamp)
        wind = self.wind.get(past[-1]) if past else None
        for hour in past[:-1]:
            self.wind.remove(hour)
        for delay in self.flights.get(timestamp):
            yield ctx.get_current_key(), timestamp, delay, wind
        self.flights.remove(timestamp)


def with_wind(flights: DataStream, weather: DataStream) -> DataStream:
    """One record per flight that left."""
    departed = flights.filter(lambda flight: flight["dep_delay"] is not None)
    by_airport = departed.key_by(lambda flight: flight["origin"])
    connected = by_airport.connect(weather.key_by(lambda measured: measured["origin"]))
    return connected.process(Wind()).name("wind").uid("wind")


def main() -> None:
    """Print how delays go with the wind."""
    late = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_days(1)).with_timestamp_column("time_hour")
    in_order = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("time_hour")
    delays: dict[int, list[int]] = {}
    folder = input_folder("Delays and wind.")
    env = StreamExecutionEnvironment.get_execution_environment()
    flights = stream(env, folder, "flights", late)
    found = with_wind(flights, stream(env, folder, "weather", in_order))
    with found.execute_and_collect("departure wind") as results:
        for _, _, delay, wind in results:
            if wind is not None:
                delays.setdefault(round(wind) // 5 * 5, []).append(delay)
    print("wind (mph)  flights  mean delay (minutes)")
    for wind, minutes in sorted(delays.items()):
        print(f"{wind:6} -{wind + 4:3} {len(minutes):8,} {sum(minutes) / len(minutes):21.1f}")


if __name__ == "__main__":
    main()
