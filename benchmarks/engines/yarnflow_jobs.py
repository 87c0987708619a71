"""yarnflow, on its MiniCluster. W1, W2, W3 with Python functions; W1C, W2C, W3C, PARQUET on columns."""

from __future__ import annotations

from pathlib import Path

from _measure import arguments, timed_runs, words_of

from yarnflow.common import Types, WatermarkStrategy
from yarnflow.datastream import DataStream, RuntimeExecutionMode, StreamExecutionEnvironment
from yarnflow.datastream.connectors.discard import DiscardingSink
from yarnflow.datastream.connectors.file_system import FileSource, StreamFormat
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.datastream.connectors.parquet import ParquetSource
from yarnflow.datastream.expressions import col
from yarnflow.datastream.functions import KeyedProcessFunction, RuntimeContext
from yarnflow.datastream.state import ValueStateDescriptor

options = arguments(("W1", "W1C", "W2", "W2C", "W3", "W3C", "PARQUET", "PARQUET_BATCH"))
env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(options.slots)


def numbers(count: int) -> DataStream:
    """0 .. count-1."""
    return env.from_source(NumberSequenceSource(0, count - 1), WatermarkStrategy.no_watermarks(), "numbers")


def lines(path: Path) -> DataStream:
    """The lines of a text file."""
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(path)).build()
    return env.from_source(source, WatermarkStrategy.no_watermarks(), "lines")


def w1(size: str) -> int:
    """Sequence -> map -> filter, opaque lambdas."""
    numbers(int(size)).map(lambda x: x * 2 + 1).filter(lambda x: x % 3 == 0).sink_to(DiscardingSink())
    env.execute("W1")
    return int(size)


def w1_columns(size: str) -> int:
    """W1 as column expressions."""
    numbers(int(size)).select(value=col("value") * 2 + 1).filter(col("value") % 3 == 0).sink_to(DiscardingSink())
    env.execute("W1C")
    return int(size)


def w2(size: str) -> int:
    """Words of a text -> (word, 1) -> key_by -> reduce, every update emitted."""
    path = options.data / size
    (
        lines(path)
        .flat_map(lambda line: line.split())
        .map(lambda word: (word, 1))
        .key_by(lambda pair: pair[0])
        .reduce(lambda left, right: (left[0], left[1] + right[1]))
        .sink_to(DiscardingSink())
    )
    env.execute("W2")
    return words_of(path)


def split_words(batch):  # type: ignore[no-untyped-def]
    """Vectorised split: a batch of lines to a batch of words."""
    import pyarrow as pa
    import pyarrow.compute as pc

    words = pc.list_flatten(pc.split_pattern(batch.column(0), " "))
    return pa.record_batch([words], names=["value"])


def w2_columns(size: str) -> int:
    """W2 with a vectorised split and the built-in count, every update emitted."""
    path = options.data / size
    lines(path).map_batches(split_words).key_by("value").count().sink_to(DiscardingSink())
    env.execute("W2C")
    return words_of(path)


class Count(KeyedProcessFunction):
    """Counts the records of each key."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):  # type: ignore[no-untyped-def]
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield value[0], count


def w3(size: str) -> int:
    """Sequence -> key_by -> KeyedProcessFunction with a counter in a ValueState."""
    pairs = numbers(int(size)).map(lambda x: (x % 10_000, x))
    pairs.key_by(lambda pair: pair[0]).process(Count()).sink_to(DiscardingSink())
    env.execute("W3")
    return int(size)


def w3_columns(size: str) -> int:
    """W3 as an expression and the built-in count, every update emitted."""
    keys = numbers(int(size)).select(key=col("value") % 10_000, value=col("value"))
    keys.key_by("key").count().sink_to(DiscardingSink())
    env.execute("W3C")
    return int(size)


def parquet(size: str) -> int:
    """Parquet -> filter -> key_by field -> sum."""
    import pyarrow.parquet as pq

    path = options.data / size
    source = ParquetSource.for_paths(str(path)).build()
    (
        env.from_source(source, WatermarkStrategy.no_watermarks(), "rows")
        .filter(col("amount") > 10)
        .key_by("shop")
        .sum("amount")
        .sink_to(DiscardingSink())
    )
    env.execute("PARQUET")
    return int(pq.read_metadata(path).num_rows)


if options.workload == "PARQUET_BATCH":
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
runs = {
    "W1": w1,
    "W1C": w1_columns,
    "W2": w2,
    "W2C": w2_columns,
    "W3": w3,
    "W3C": w3_columns,
    "PARQUET": parquet,
    "PARQUET_BATCH": parquet,
}
timed_runs(options, runs[options.workload])
