"""State outlives its job: stop with a savepoint, look into it, go on from it with twice the parallelism.

    python examples/stop_and_resume.py [--input flights-2013]      a folder that nycflights_extract.py made

State is kept by rocksdb here (`pip install yarnflow[rocksdb]`); the savepoint could be resumed with hashmap as
well. On a cluster, `yarnflow stop -p <folder> <job>` and `yarnflow run -s <savepoint> ...` do the same.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from flights_to_sqlite import Flight, FlightLog
from nycflights import input_folder

from yarnflow.common import Configuration, Types, WatermarkStrategy
from yarnflow.datastream import (
    DataStream,
    EmbeddedRocksDBStateBackend,
    KeyedProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.discard import DiscardingSink
from yarnflow.datastream.state import ValueStateDescriptor
from yarnflow.state_reader import read_state


class Delays(KeyedProcessFunction):
    """Yields (carrier, flights so far, minutes of delay so far)."""

    def open(self, runtime_context: RuntimeContext) -> None:
        sums = ValueStateDescriptor("sums", Types.TUPLE([Types.LONG(), Types.LONG()]))
        self.sums = runtime_context.get_state(sums)

    def process_element(self, value: Flight, ctx: KeyedProcessFunction.Context) -> Iterator[tuple[str, int, int]]:
        flights, minutes = self.sums.value() or (0, 0)
        sums = flights + 1, minutes + (value[4] or 0)
        self.sums.update(sums)
        yield ctx.get_current_key(), *sums


def program(path: str, checkpoints: str, parallelism: int, savepoint: str | None = None) -> DataStream:
    """The job, from the beginning or from a savepoint."""
    configuration = Configuration()
    if savepoint is not None:
        configuration.set_string("execution.state-recovery.path", savepoint)
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    env.set_parallelism(parallelism)
    env.set_state_backend(EmbeddedRocksDBStateBackend(enable_incremental_checkpointing=True))
    env.enable_checkpointing(200)
    env.get_checkpoint_config().set_checkpoint_storage_dir(checkpoints)
    return (
        env.from_source(FlightLog(path), WatermarkStrategy.no_watermarks(), "flights")
        .uid("flights")
        .key_by(lambda flight: flight[2])
        .process(Delays())
        .uid("delays")
    )


def main() -> None:
    """Run the job in two parts."""
    folder = input_folder("Stop and resume.")
    with tempfile.TemporaryDirectory() as scratch:
        path, checkpoints = f"{folder}/flights.csv", f"{scratch}/checkpoints"
        first = program(path, checkpoints, parallelism=1)
        first.sink_to(DiscardingSink())
        job = first.get_execution_environment().execute_async("delays")
        while not list(Path(checkpoints).glob("*/chk-*/_metadata")):
            time.sleep(0.02)
        savepoint = job.stop_with_savepoint(False, f"{scratch}/savepoints").result()

        state = read_state(savepoint, "delays", "sums").flatten()  # a pyarrow.Table; .to_pandas() works, too
        carrier, flights, minutes = state.to_pydict().values()
        totals = dict(zip(carrier, zip(flights, minutes, strict=True), strict=True))
        print(f"in the savepoint: {sum(flights for flights, _ in totals.values()):,} flights, a part of the data")

        rest = program(path, checkpoints, parallelism=2, savepoint=savepoint)
        with rest.execute_and_collect("delays") as results:
            for carrier, flights, minutes in results:
                totals[carrier] = flights, minutes
    print("carrier  flights  delay (minutes)")
    for carrier, (flights, minutes) in sorted(totals.items()):
        print(f"{carrier:7}  {flights:7,}  {minutes:15,}")


if __name__ == "__main__":
    main()
