"""Asynchronous functions: ask a service about each aircraft, many at a time. How many seats took off, by maker?

    python examples/async_lookup.py [--input flights-january]      a folder that nycflights_extract.py made
    yarnflow run -p 2 -py examples/async_lookup.py --input hdfs:///flights-january --service host:port

The service is a small TCP server: a line with a tail number is answered by "maker,model,seats". Without --service
one is started here, in the client, with the registry planes.csv of the input folder; every answer takes a moment.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yarnflow.common import Time, WatermarkStrategy
from yarnflow.datastream import (
    AsyncDataStream,
    AsyncFunction,
    AsyncRetryStrategy,
    DataStream,
    RuntimeContext,
    RuntimeExecutionMode,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.async_retry_predicates import has_exception_predicate
from yarnflow.datastream.connectors.file_system import FileSource, StreamFormat

#: Columns of flights.csv, counted from 0.
DEPARTURE, TAIL_NUMBER = 3, 11

#: Connections of a subtask to the service.
CONNECTIONS = 16

#: (maker, flights, seats).
Seats = tuple[str, int, int]


class Registry(AsyncFunction[str, Seats]):
    """Asks the service about tail numbers over a pool of connections."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    # Connections belong to the event loop that uses them, so `open` and `close` are coroutines.
    async def open(self, runtime_context: RuntimeContext) -> None:  # type: ignore[override]
        self.idle: asyncio.Queue[Any] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            self.idle.put_nowait(await asyncio.open_connection(self.host, self.port))

    async def close(self) -> None:  # type: ignore[override]
        while not self.idle.empty():
            _, writer = self.idle.get_nowait()
            writer.close()

    async def async_invoke(self, value: str) -> list[Seats]:
        connection = await self.idle.get()
        reader, writer = connection
        try:
            writer.write(f"{value}\n".encode())
            maker, _, seats = (await reader.readline()).decode().strip().split(",")
        finally:
            self.idle.put_nowait(connection)
        return [(maker, 1, int(seats))]

    def timeout(self, value: str) -> list[Seats]:
        return [("no answer", 1, 0)]


def departed(line: str) -> Iterator[str]:
    """The aircraft of a line; nothing for the header, cancelled flights and unknown aircraft."""
    fields = line.split(",")
    if fields[DEPARTURE] not in ("NA", "dep_time") and fields[TAIL_NUMBER] != "NA":
        yield fields[TAIL_NUMBER]


def add(left: Seats, right: Seats) -> Seats:
    """Put two counts of one maker together."""
    return left[0], left[1] + right[1], left[2] + right[2]


def seats_by_maker(lines: DataStream, service: tuple[str, int]) -> DataStream:
    """One record per maker."""
    aircraft = lines.flat_map(departed).name("departed")
    retry = AsyncRetryStrategy.exponential_backoff(5, 10, 1000, 2.0, None, has_exception_predicate)
    answers = AsyncDataStream.unordered_wait_with_retry(aircraft, Registry(*service), Time.seconds(30), retry, 500)
    return answers.name("ask the registry").key_by(lambda seats: seats[0]).reduce(add)


def start_service(planes: Path) -> tuple[str, int]:
    """Start the service in a thread of this process; returns host and port."""
    with planes.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    known = {row["tailnum"]: f"{row['manufacturer']},{row['model']},{row['seats']}" for row in rows}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await asyncio.sleep(0.001)
            writer.write(f"{known.get(line.decode().strip(), 'unknown,unknown,0')}\n".encode())
        writer.close()

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(answer, "127.0.0.1", 0), loop).result()
    host, port = server.sockets[0].getsockname()
    return host, port


def main() -> None:
    """Build and run the job; print the table."""
    parser = argparse.ArgumentParser(description="Seats by maker of the aircraft.")
    parser.add_argument("--input", help="the folder with flights.csv, local or hdfs://")
    parser.add_argument("--service", help="host:port of a registry")
    arguments = parser.parse_args()
    if not arguments.input:
        from nycflights import sample  # the module beside this one, which only this needs

        arguments.input = sample()
    if arguments.service:
        host, _, port = arguments.service.rpartition(":")
        service = host, int(port)
    else:
        service = start_service(Path(arguments.input) / "planes.csv")

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    path = f"{arguments.input}/flights.csv"
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), path).build()
    makers = seats_by_maker(env.from_source(source, WatermarkStrategy.no_watermarks(), "flights"), service)
    with makers.execute_and_collect("seats by maker") as results:
        print("maker                          flights       seats")
        for maker, flights, seats in sorted(results, key=lambda row: -row[2]):
            print(f"{maker:30} {flights:7,} {seats:11,}")


if __name__ == "__main__":
    main()
