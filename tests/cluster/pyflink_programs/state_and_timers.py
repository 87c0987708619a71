"""Keyed state of all kinds, timers of both domains, side outputs, rich functions on keyed streams."""

from pyflink.common import Duration, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import (
    AggregateFunction,
    KeyedProcessFunction,
    OutputTag,
    ProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from pyflink.datastream.functions import FilterFunction, FlatMapFunction, MapFunction, ReduceFunction
from pyflink.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from pyflink.datastream.time_domain import TimeDomain

ORDERS = [
    ("ann", 3, 1000),
    ("bob", 5, 1500),
    ("ann", 4, 3500),
    ("cid", 1, 2500),
    ("bob", 2, 9000),
    ("ann", 6, 4000),
]
PASSED = OutputTag("passed", Types.STRING())


class Time(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[2]


class Average(AggregateFunction):
    def create_accumulator(self):
        return 0, 0

    def add(self, value, accumulator):
        return accumulator[0] + value, accumulator[1] + 1

    def get_result(self, accumulator):
        return accumulator[0] / accumulator[1]

    def merge(self, acc_a, acc_b):
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


class Largest(ReduceFunction):
    def reduce(self, value1, value2):
        return max(value1, value2)


class Everything(KeyedProcessFunction):
    def open(self, runtime_context: RuntimeContext):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))
        self.amounts = runtime_context.get_list_state(ListStateDescriptor("amounts", Types.INT()))
        self.by_time = runtime_context.get_map_state(MapStateDescriptor("by time", Types.LONG(), Types.INT()))
        self.largest = runtime_context.get_reducing_state(
            ReducingStateDescriptor("largest", Largest(), Types.INT())
        )
        self.average = runtime_context.get_aggregating_state(
            AggregatingStateDescriptor("average", Average(), Types.TUPLE([Types.INT(), Types.INT()]))
        )

    def process_element(self, value, ctx: "KeyedProcessFunction.Context"):
        name, amount, time = value
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        self.amounts.add(amount)
        self.by_time.put(time, amount)
        self.largest.add(amount)
        self.average.add(amount)
        timers = ctx.timer_service()
        timers.register_event_time_timer(ctx.timestamp() + 2000)
        timers.register_event_time_timer(ctx.timestamp() + 2000)
        timers.register_event_time_timer(ctx.timestamp() + 2100)
        timers.delete_event_time_timer(ctx.timestamp() + 2100)
        timers.register_processing_time_timer(timers.current_processing_time() + 3_600_000)
        if count > 1:
            yield PASSED, f"{name} again at {ctx.timestamp()}"
        yield f"{ctx.get_current_key()} {count}: {self.average.get()} at most {self.largest.get()}"

    def on_timer(self, timestamp: int, ctx: "KeyedProcessFunction.OnTimerContext"):
        if ctx.time_domain() == TimeDomain.EVENT_TIME:
            yield (
                f"timer of {ctx.get_current_key()} at {timestamp}, {ctx.timestamp()}: {list(self.amounts.get())} "
                f"{sorted(self.by_time.items())} {1000 in self.by_time}"
            )
        if timestamp == 3000:
            self.amounts.clear()
            self.by_time.clear()


class Time2(ProcessFunction):
    def process_element(self, value, ctx: ProcessFunction.Context):
        yield f"{value} | {ctx.timestamp()}"


class Number(MapFunction):
    def open(self, runtime_context):
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.INT()))

    def map(self, value):
        self.seen.update((self.seen.value() or 0) + 1)
        return f"mapped {value[0]} {self.seen.value()}"


class Twice(FlatMapFunction):
    def open(self, runtime_context):
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.INT()))

    def flat_map(self, value):
        if self.seen.value():
            yield f"seen {value[0]}"
            yield f"seen {value[0]} before {self.seen.value()}"
        self.seen.update(value[1])


class First(FilterFunction):
    def open(self, runtime_context):
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.BOOLEAN()))

    def filter(self, value):
        seen = self.seen.value()
        self.seen.update(True)
        return not seen


env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(20))
orders = env.from_collection(ORDERS, Types.TUPLE([Types.STRING(), Types.INT(), Types.LONG()]))
keyed = orders.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(Time())).key_by(
    lambda order: order[0], Types.STRING()
)
processed = keyed.process(Everything(), Types.STRING())
processed.process(Time2(), Types.STRING()).print()
processed.get_side_output(PASSED).print()
keyed.map(Number(), Types.STRING()).print()
keyed.flat_map(Twice(), Types.STRING()).print()
keyed.filter(First()).map(lambda order: f"first {order[0]} {order[1]}", Types.STRING()).print()
env.execute("state and timers")
