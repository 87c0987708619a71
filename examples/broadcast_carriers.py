"""Broadcast state: flights with the full names of their carriers, which come in a stream of their own.

    python examples/broadcast_carriers.py [--input flights-2013]      a folder that nycflights_extract.py made

Every subtask gets all names and keeps them in broadcast state. Nothing says that names come before flights, so
flights whose carrier is unknown wait in keyed state; when the name comes, `apply_to_keyed_state` looks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nycflights import input_folder, stream

from yarnflow.common import Row, Types, WatermarkStrategy
from yarnflow.datastream import (
    DataStream,
    KeyedBroadcastProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.state import ListStateDescriptor, MapStateDescriptor

NAMES = MapStateDescriptor("names", Types.STRING(), Types.STRING())
WAITING = ListStateDescriptor("waiting", Types.LONG())


class Named(KeyedBroadcastProcessFunction):
    """Yields (name of the carrier, flight number)."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.waiting = runtime_context.get_list_state(WAITING)

    def process_element(
        self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext
    ) -> Iterator[tuple[str, int]]:
        name = ctx.get_broadcast_state(NAMES).get(value["carrier"])
        if name is None:
            self.waiting.add(value["flight"])
        else:
            yield name, value["flight"]

    def process_broadcast_element(
        self, value: Row, ctx: KeyedBroadcastProcessFunction.Context
    ) -> Iterator[tuple[str, int]]:
        ctx.get_broadcast_state(NAMES).put(value["carrier"], value["name"])
        released: list[int] = []

        def release(carrier: str, waiting: Any) -> None:
            if carrier == value["carrier"]:
                released.extend(waiting.get())
                waiting.clear()

        ctx.apply_to_keyed_state(WAITING, release)
        for flight in released:
            yield value["name"], flight


def named(flights: DataStream, airlines: DataStream) -> DataStream:
    """One record per flight."""
    connected = flights.key_by(lambda flight: flight["carrier"]).connect(airlines.broadcast(NAMES))
    return connected.process(Named()).name("named").uid("named")


def main() -> None:
    """Print the flights per carrier."""
    none = WatermarkStrategy.no_watermarks()
    counts: dict[str, int] = {}
    folder = input_folder("Flights per carrier.")
    env = StreamExecutionEnvironment.get_execution_environment()
    found = named(stream(env, folder, "flights", none), stream(env, folder, "airlines", none))
    with found.execute_and_collect("broadcast carriers") as results:
        for name, _ in results:
            counts[name] = counts.get(name, 0) + 1
    print("carrier                      flights")
    for name, flights in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"{name:28} {flights:7,}")


if __name__ == "__main__":
    main()
