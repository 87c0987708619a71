"""PyFlink 2.3, thread mode (its fastest). W1 to W4. Run it in an *activated* virtual environment."""

from __future__ import annotations

import sys

from _measure import arguments, timed_runs, words_of
from pyflink.common import Configuration, Time, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.base import Sink
from pyflink.datastream.connectors.file_system import FileSource, StreamFormat
from pyflink.datastream.connectors.number_seq import NumberSequenceSource
from pyflink.datastream.functions import AggregateFunction, KeyedProcessFunction
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.datastream.window import TumblingEventTimeWindows
from pyflink.java_gateway import get_gateway

options = arguments(("W1", "W2", "W3", "W4"))
configuration = Configuration()
configuration.set_string("python.execution-mode", "thread")
configuration.set_string("python.executable", sys.executable)
configuration.set_string("python.client.executable", sys.executable)
env = StreamExecutionEnvironment.get_execution_environment(configuration)
env.set_parallelism(options.slots)


class CountRecords(AggregateFunction):
    """Counts."""

    def create_accumulator(self):
        return 0

    def add(self, value, accumulator):
        return accumulator + 1

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a + acc_b


class Second(TimestampAssigner):
    """The time is the second field."""

    def extract_timestamp(self, value, record_timestamp):
        return value[1]


class Count(KeyedProcessFunction):
    """Counts the records of each key."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield value[0], count


def discard():
    return Sink(get_gateway().jvm.org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink())


def run(size: str) -> int:
    none = WatermarkStrategy.no_watermarks()
    if options.workload == "W1":
        records = int(size)
        numbers = env.from_source(NumberSequenceSource(0, records - 1), none, "numbers", Types.LONG())
        numbers.map(lambda x: x * 2 + 1, Types.LONG()).filter(lambda x: x % 3 == 0).sink_to(discard())
    elif options.workload == "W3":
        records = int(size)
        pair = Types.TUPLE([Types.LONG(), Types.LONG()])
        numbers = env.from_source(NumberSequenceSource(0, records - 1), none, "numbers", Types.LONG())
        keyed = numbers.map(lambda x: (x % 10_000, x), pair).key_by(lambda t: t[0], Types.LONG())
        keyed.process(Count(), pair).sink_to(discard())
    elif options.workload == "W4":
        records = int(size)
        pair = Types.TUPLE([Types.LONG(), Types.LONG()])
        numbers = env.from_source(NumberSequenceSource(0, records - 1), none, "numbers", Types.LONG())
        times = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
        (
            numbers.map(lambda x: (x % 1000, x), pair)
            .assign_timestamps_and_watermarks(times)
            .key_by(lambda t: t[0], Types.LONG())
            .window(TumblingEventTimeWindows.of(Time.seconds(1)))
            .aggregate(CountRecords(), accumulator_type=Types.LONG(), output_type=Types.LONG())
            .sink_to(discard())
        )
    else:
        path = options.data / size
        records = words_of(path)
        source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(path)).build()
        (
            env.from_source(source, none, "lines")
            .flat_map(lambda line: line.split(), Types.STRING())
            .map(lambda word: (word, 1), Types.TUPLE([Types.STRING(), Types.LONG()]))
            .key_by(lambda pair: pair[0], Types.STRING())
            .reduce(lambda left, right: (left[0], left[1] + right[1]))
            .sink_to(discard())
        )
    env.execute(options.workload)
    return records


timed_runs(options, run)
