"""Windows on columns: delays per carrier, in hours and over the last day. No flight becomes a Python object.

    python examples/columnar_windows.py [--input flights-2013]      a folder that nycflights_extract.py made

yarnflow's own form of `aggregate`: named aggregates of column expressions on a stream keyed by a field. Sliding
windows cost no more than tumbling ones, since a record is added to one pane only.
"""

from __future__ import annotations

from nycflights import input_folder, stream

from yarnflow.common import Duration, Time, WatermarkStrategy
from yarnflow.datastream import DataStream, StreamExecutionEnvironment
from yarnflow.datastream.expressions import col, count, window_end, window_start
from yarnflow.datastream.window import SlidingEventTimeWindows, TumblingEventTimeWindows


def per_hour(flights: DataStream) -> DataStream:
    """Rows of carrier, hour, flights, mean, worst."""
    return (
        flights.key_by("carrier")
        .window(TumblingEventTimeWindows.of(Time.hours(1)))
        .aggregate(
            hour=window_start(),
            flights=count(),
            mean=col("dep_delay").mean(),
            worst=col("dep_delay").max(),
        )
    )


def last_day(flights: DataStream) -> DataStream:
    """Rows of carrier, until, late: minutes of delay of a day, every hour."""
    late = flights.filter(col("dep_delay") > 0).select(carrier=col("carrier"), late=col("dep_delay"))
    windows = SlidingEventTimeWindows.of(Time.days(1), Time.hours(1))
    return late.key_by("carrier").window(windows).aggregate(until=window_end(), late=col("late").sum())


def main() -> None:
    """Print the worst hours and days."""
    watermarks = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_days(1))
    watermarks = watermarks.with_timestamp_column("time_hour")
    folder = input_folder("Delays per carrier on columns.")
    env = StreamExecutionEnvironment.get_execution_environment()
    flights = stream(env, folder, "flights", watermarks).filter(col("dep_delay").is_not_null())
    with per_hour(flights).execute_and_collect("columnar hours") as results:
        hours = sorted(results, key=lambda row: (-row["mean"], row["carrier"]))
    with last_day(flights).execute_and_collect("columnar days") as results:
        days = sorted(results, key=lambda row: (-row["late"], row["carrier"]))
    print(f"{len(hours)} hours, {len(days)} days")
    print("carrier  hour (ms since 1970)  flights    mean   worst   (minutes)")
    for row in hours[:5]:
        print(f"{row['carrier']:7}  {row['hour']:20}  {row['flights']:7} {row['mean']:7.1f} {row['worst']:7}")
    print("carrier  until                 late (minutes in a day)")
    for row in days[:5]:
        print(f"{row['carrier']:7}  {row['until']:20}  {row['late']:23}")


if __name__ == "__main__":
    main()
