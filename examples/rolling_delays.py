"""Windows without time: after every 50 flights of a carrier, the mean delay of its last 200.

    python examples/rolling_delays.py [--input flights-2013]      a folder that nycflights_extract.py made

A global window never ends. The trigger says when it fires, the evictor what it still holds then. (The short form
`count_window(200, 50)` fires for full windows only: not before the 200th flight, as in PyFlink.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nycflights import input_folder, stream

from yarnflow.common import Row, WatermarkStrategy
from yarnflow.datastream import DataStream, ProcessWindowFunction, StreamExecutionEnvironment
from yarnflow.datastream.window import CountEvictor, CountTrigger, GlobalWindow, GlobalWindows


class Mean(ProcessWindowFunction[Row, tuple, str, GlobalWindow]):
    """Yields (carrier, flights in the window, mean delay)."""

    def process(
        self, key: str, context: ProcessWindowFunction.Context[GlobalWindow], elements: Iterable[Row]
    ) -> Iterator[tuple[str, int, float]]:
        delays = [flight["dep_delay"] for flight in elements]
        yield key, len(delays), sum(delays) / len(delays)


def rolling_means(flights: DataStream) -> DataStream:
    """One record per 50 flights of a carrier."""
    return (
        flights.filter(lambda flight: flight["dep_delay"] is not None)
        .key_by(lambda flight: flight["carrier"])
        .window(GlobalWindows.create())
        .trigger(CountTrigger.of(50))
        .evictor(CountEvictor.of(200))
        .process(Mean())
        .name("rolling means")
    )


def main() -> None:
    """Print the worst moment of each carrier."""
    worst: dict[str, float] = {}
    folder = input_folder("Rolling means of delays.")
    env = StreamExecutionEnvironment.get_execution_environment()
    means = rolling_means(stream(env, folder, "flights", WatermarkStrategy.no_watermarks()))
    with means.execute_and_collect("rolling delays") as results:
        for carrier, _, mean in results:
            worst[carrier] = max(mean, worst.get(carrier, mean))
    print("carrier  worst mean of 200 (minutes)")
    for carrier, mean in sorted(worst.items(), key=lambda item: -item[1]):
        print(f"{carrier:7}  {mean:27.1f}")


if __name__ == "__main__":
    main()
