"""yarnflow, on its MiniCluster. W1 to W6 with Python functions; W1C to W4C and PARQUET on columns. W4O is W4 with
times out of order, W4S with sliding windows."""

from __future__ import annotations

from pathlib import Path

from _measure import arguments, timed_runs, words_of

from yarnflow.common import Duration, Time, Types, WatermarkStrategy
from yarnflow.common.watermark_strategy import TimestampAssigner
from yarnflow.datastream import DataStream, RuntimeExecutionMode, StreamExecutionEnvironment
from yarnflow.datastream.connectors.discard import DiscardingSink
from yarnflow.datastream.connectors.file_system import FileSource, StreamFormat
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.datastream.connectors.parquet import ParquetSource
from yarnflow.datastream.expressions import col, count
from yarnflow.datastream.functions import AggregateFunction, KeyedProcessFunction, RuntimeContext
from yarnflow.datastream.state import ValueStateDescriptor
from yarnflow.datastream.window import EventTimeSessionWindows, SlidingEventTimeWindows, TumblingEventTimeWindows

W4 = ("W4", "W4O", "W4S", "W4C", "W4OC", "W4SC")
options = arguments(("W1", "W1C", "W2", "W2C", "W3", "W3C", *W4, "W5", "W6", "PARQUET", "PARQUET_BATCH"))
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


class CountRecords(AggregateFunction):
    """Counts."""

    def create_accumulator(self) -> int:
        return 0

    def add(self, value: tuple[int, int], accumulator: int) -> int:
        return accumulator + 1

    def get_result(self, accumulator: int) -> int:
        return accumulator

    def merge(self, acc_a: int, acc_b: int) -> int:
        return acc_a + acc_b


class Second(TimestampAssigner):
    """The time is the second field."""

    def extract_timestamp(self, value: tuple[int, int], record_timestamp: int | None) -> int:
        return value[1]


def w4(size: str) -> int:
    """Sequence -> event time -> key_by -> windows -> count per key and window. Record x has the key x % 1,000 and
    the time x ms, or up to 1 s less where times are out of order."""
    workload = options.workload
    columns, disorder = workload.endswith("C"), "O" in workload
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    if disorder:
        strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1))
    windows = TumblingEventTimeWindows.of(Time.seconds(1))
    if "S" in workload:
        windows = SlidingEventTimeWindows.of(Time.seconds(60), Time.seconds(1))
    if columns:
        value = col("value")
        time = value - value * 7919 % 1000 if disorder else value
        records = numbers(int(size)).select(key=value % 1000, time=time)
        timed = records.assign_timestamps_and_watermarks(strategy.with_timestamp_column("time"))
        counts = timed.key_by("key").window(windows).aggregate(records=count())
    else:
        pair = (lambda x: (x % 1000, x - x * 7919 % 1000)) if disorder else (lambda x: (x % 1000, x))
        timed = numbers(int(size)).map(pair).assign_timestamps_and_watermarks(
            strategy.with_timestamp_assigner(Second())
        )
        counts = timed.key_by(lambda pair: pair[0]).window(windows).aggregate(CountRecords())
    counts.sink_to(DiscardingSink())
    env.execute(workload)
    return int(size)


def w5(size: str) -> int:
    """Sequence -> event time -> key_by -> sessions -> count. Each of 1,000 keys has a record per second, and after
    ten of them a pause of 10 s."""
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    pairs = numbers(int(size)).map(lambda x: (x % 1000, x + x // 10_000 * 9000))
    sessions = (
        pairs.assign_timestamps_and_watermarks(strategy)
        .key_by(lambda pair: pair[0])
        .window(EventTimeSessionWindows.with_gap(Time.seconds(2)))
    )
    sessions.aggregate(CountRecords()).sink_to(DiscardingSink())
    env.execute("W5")
    return int(size)


def w6(size: str) -> int:
    """Sequence -> key_by -> count windows of 100 records -> sum."""
    pairs = numbers(int(size)).map(lambda x: (x % 1000, x))
    windows = pairs.key_by(lambda pair: pair[0]).count_window(100)
    windows.reduce(lambda left, right: (left[0], left[1] + right[1])).sink_to(DiscardingSink())
    env.execute("W6")
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
    **dict.fromkeys(W4, w4),
    "W5": w5,
    "W6": w6,
    "PARQUET": parquet,
    "PARQUET_BATCH": parquet,
}
timed_runs(options, runs[options.workload])
