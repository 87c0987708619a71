"""A source and a sink of your own with exactly-once: flights from a file into SQLite, although a function fails.

    python examples/flights_to_sqlite.py [--input flights-2013]      a folder that nycflights_extract.py made

`FlightLog` knows its position in the file, so that checkpoints can store it. `SqliteSink` commits in two phases:
before each checkpoint the rows since the last one are put into the table `staged`, and when the checkpoint is
complete they move to `flights`. Half way `FailOnce` fails; the job starts again from its last checkpoint. Rows
that were staged for a checkpoint that never completed stay there, and nobody sees them.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nycflights import input_folder

from yarnflow.common import RestartStrategies, WatermarkStrategy
from yarnflow.datastream import MapFunction, RuntimeContext, StreamExecutionEnvironment
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.sink import Committer, Sink, SinkWriter, WriterContext
from yarnflow.functions.source import Availability, Source, Split, SplitReader

#: Columns of flights.csv, counted from 0.
DEPARTURE_DELAY, CARRIER, NUMBER, ORIGIN, TIME_HOUR = 5, 9, 10, 12, 18

#: (hour, airport, carrier, number, delay in minutes or None if it did not leave).
Flight = tuple[str, str, str, int, "int | None"]


@dataclass(frozen=True)
class LogSplit(Split):
    """Where to read on."""

    offset: int = 0


class FlightLog(Source):
    """Replays flights.csv, a few hundred flights every 20 ms."""

    def __init__(self, path: str) -> None:
        self.path = path

    def splits(self, parallelism: int) -> Sequence[Split]:
        return [LogSplit("log")]

    def open(self, split: Split) -> SplitReader:
        assert isinstance(split, LogSplit)
        return LogReader(self.path, split)


class LogReader(SplitReader):
    """Reads from an offset on."""

    def __init__(self, path: str, split: LogSplit) -> None:
        self.position = split
        self.file = open(path, "rb")  # noqa: SIM115 - `close` closes it
        self.file.seek(split.offset)
        if split.offset == 0:
            self.file.readline()
        self.next = 0.0

    def poll(self) -> Batch | Availability:
        if time.monotonic() < self.next:
            return Availability.NOTHING_YET
        self.next = time.monotonic() + 0.02
        lines = self.file.readlines(20_000)
        if not lines:
            return Availability.END_OF_SPLIT
        self.position = replace(self.position, offset=self.file.tell())
        return RowBatch([flight(line.decode().rstrip()) for line in lines])

    def split(self) -> Split:
        return self.position

    def close(self) -> None:
        self.file.close()


def flight(line: str) -> Flight:
    """The flight of a line."""
    fields = line.split(",")
    delay = None if fields[DEPARTURE_DELAY] == "NA" else int(fields[DEPARTURE_DELAY])
    return fields[TIME_HOUR], fields[ORIGIN], fields[CARRIER], int(fields[NUMBER]), delay


class SqliteSink(Sink):
    """Writes flights into the table `flights` of a database file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def writer(self, context: WriterContext) -> SinkWriter:
        return SqliteWriter(self.path)

    def committer(self, context: WriterContext) -> Committer:
        return SqliteCommitter(self.path)


class SqliteWriter(SinkWriter):
    """Collects flights, and stages them before each checkpoint."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path, timeout=60)
        self.flights: list[Flight] = []

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, RowBatch)
        self.flights += batch.rows

    def prepare_commit(self) -> Sequence[str]:
        if not self.flights:
            return ()
        transaction = uuid.uuid4().hex
        with self.database:
            rows = [(transaction, *flight) for flight in self.flights]
            self.database.executemany("INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?)", rows)
        self.flights.clear()
        return [transaction]

    def finish(self) -> None:
        pass

    def close(self) -> None:
        self.database.close()


class SqliteCommitter(Committer):
    """Moves staged flights. Those that have been moved are staged no more, so it may be asked again."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path, timeout=60)
        with self.database:
            columns = "hour, airport, carrier, number, delay"
            self.database.execute(f"CREATE TABLE IF NOT EXISTS staged (batch, {columns})")
            self.database.execute(f"CREATE TABLE IF NOT EXISTS flights ({columns})")

    def commit(self, committables: Sequence[str]) -> None:
        with self.database:
            for transaction in committables:
                self.database.execute(
                    "INSERT INTO flights SELECT hour, airport, carrier, number, delay FROM staged WHERE batch = ?",
                    (transaction,),
                )
                self.database.execute("DELETE FROM staged WHERE batch = ?", (transaction,))

    def close(self) -> None:
        self.database.close()


class FailOnce(MapFunction):
    """Hands records on, and fails at one of them, unless a file says that it has done so already."""

    def __init__(self, record: int, marker: str) -> None:
        self.record = record
        self.marker = Path(marker)

    def open(self, runtime_context: RuntimeContext) -> None:
        self.seen = 0

    def map(self, value: Flight) -> Flight:
        self.seen += 1
        if self.seen == self.record and not self.marker.exists():
            self.marker.touch()
            raise RuntimeError("failed on purpose")
        return value


def main() -> None:
    """Copy the flights and count them."""
    folder = input_folder("Flights into SQLite.")
    with tempfile.TemporaryDirectory() as scratch:
        env = StreamExecutionEnvironment.get_execution_environment()
        env.enable_checkpointing(100)
        env.get_checkpoint_config().set_checkpoint_storage_dir(f"{scratch}/checkpoints")
        env.set_restart_strategy(RestartStrategies.fixed_delay_restart(1, 100))
        database = f"{scratch}/flights.db"
        source = FlightLog(f"{folder}/flights.csv")
        (
            env.from_source(source, WatermarkStrategy.no_watermarks(), "flights")
            .uid("flights")
            .map(FailOnce(3000, f"{scratch}/failed"))
            .sink_to(SqliteSink(database))
            .uid("sqlite")
        )
        env.execute("flights to SQLite")
        with sqlite3.connect(database) as connection:
            summary = "SELECT airport, count(*), count(delay), avg(delay) FROM flights GROUP BY 1 ORDER BY 1"
            print("failed once and went on:", Path(scratch, "failed").exists())
            print("airport  flights  departed  mean delay (minutes)")
            for airport, flights, departed, mean in connection.execute(summary):
                print(f"{airport:7}  {flights:7,}  {departed:8,}  {mean:20.1f}")


if __name__ == "__main__":
    main()
