"""Process functions on real workers at parallelism 2: timers of both domains, shared and broadcast state."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from yarnflow.common import Types, WatermarkStrategy
from yarnflow.common.time import Duration
from yarnflow.common.watermark_strategy import TimestampAssigner
from yarnflow.datastream import (
    BroadcastProcessFunction,
    CoProcessFunction,
    DataStream,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    MapFunction,
    OutputTag,
    ProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from yarnflow.errors import JobFailedError

pytestmark = pytest.mark.cluster

COUNT = 2000
SIDE = OutputTag("side", Types.LONG())


class Second(TimestampAssigner):
    """Record n happened n ms after the epoch."""

    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value)


def environment() -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment()


def numbers(env: StreamExecutionEnvironment, count: int = COUNT) -> DataStream:
    return env.from_source(NumberSequenceSource(0, count - 1), WatermarkStrategy.no_watermarks(), "numbers")


def timed(env: StreamExecutionEnvironment, count: int = COUNT) -> DataStream:
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(20))
    return numbers(env, count).assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(Second()))


def collected(stream: DataStream) -> list[Any]:
    with stream.execute_and_collect() as results:
        return list(results)


class SumPerHundred(KeyedProcessFunction):
    """Sums the records of a key in each 100 ms of event time."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.sums = runtime_context.get_map_state(MapStateDescriptor("sums", Types.LONG(), Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Any:
        end = ctx.timestamp() // 100 * 100 + 99
        self.sums.put(end, (self.sums.get(end) or 0) + value)
        ctx.timer_service().register_event_time_timer(end)
        assert ctx.timestamp() > ctx.timer_service().current_watermark()

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield ctx.get_current_key(), timestamp, self.sums.get(timestamp)
        self.sums.remove(timestamp)


def test_event_timers_see_all_records_before_them(cluster):
    env = environment()
    summed = timed(env).key_by(lambda n: n % 7).process(SumPerHundred())
    expected: dict[tuple[int, int], int] = defaultdict(int)
    for n in range(COUNT):
        expected[n % 7, n // 100 * 100 + 99] += n
    assert {(key, end): total for key, end, total in collected(summed)} == expected


class Ticks(KeyedCoProcessFunction):
    """Each timer sets the next; the second input never ends."""

    def process_element1(self, value: Any, ctx: Any) -> Any:
        ctx.timer_service().register_processing_time_timer(0)

    def process_element2(self, value: Any, ctx: Any) -> Any:
        return None

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        if timestamp < 3:
            ctx.timer_service().register_processing_time_timer(timestamp + 1)
        yield ctx.get_current_key(), timestamp


def test_processing_timers_fire_while_the_input_goes_on(cluster):
    env = environment()
    endless = env.from_source(NumberSequenceSource(0, 1 << 60), WatermarkStrategy.no_watermarks(), "endless")
    ticks = env.from_collection([1, 20, 300]).key_by(lambda n: n)
    answers = ticks.connect(endless.filter(lambda n: False).key_by(lambda n: n)).process(Ticks())
    found = set()
    with answers.execute_and_collect() as results:
        for answer in results:
            found.add(answer)
            if len(found) == 12:
                break
    assert found == {(key, tick) for key in (1, 20, 300) for tick in range(4)}


class Seen(MapFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.LONG()))

    def map(self, value: Any) -> Any:
        seen = (self.seen.value() or 0) + 1
        self.seen.update(seen)
        return value % 10, seen


def test_a_map_function_counts_per_key(cluster):
    found = collected(numbers(environment()).key_by(lambda n: n % 10).map(Seen()))
    assert sorted(found) == [(key, seen) for key in range(10) for seen in range(1, COUNT // 10 + 1)]


class Pair(KeyedCoProcessFunction):
    """Waits for the record of the other side."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.waiting = runtime_context.get_state(ValueStateDescriptor("waiting"))

    def process_element1(self, value: Any, ctx: Any) -> Any:
        return self.met(value, ctx, left=True)

    def process_element2(self, value: Any, ctx: Any) -> Any:
        return self.met(value, ctx, left=False)

    def met(self, value: Any, ctx: Any, left: bool) -> Any:
        other = self.waiting.value()
        if other is None:
            self.waiting.update(value)
            return
        self.waiting.clear()
        yield (ctx.get_current_key(), value, other) if left else (ctx.get_current_key(), other, value)


def test_two_streams_meet_by_key(cluster):
    env = environment()
    left = numbers(env).map(lambda n: ("left", n))
    right = numbers(env).map(lambda n: {"number": n})
    met = left.connect(right).key_by(lambda record: record[1], lambda record: record["number"]).process(Pair())
    assert sorted(collected(met)) == [(n, ("left", n), {"number": n}) for n in range(COUNT)]


class Tag(CoProcessFunction):
    def process_element1(self, value: Any, ctx: Any) -> Any:
        yield "one", value

    def process_element2(self, value: Any, ctx: Any) -> Any:
        yield SIDE, value


def test_two_streams_without_keys(cluster):
    env = environment()
    both = numbers(env, 10).connect(numbers(env, 20)).process(Tag())
    found = collected(both.union(both.get_side_output(SIDE).map(lambda n: ("two", n))))
    assert sorted(found) == [("one", n) for n in range(10)] + [("two", n) for n in range(20)]


RULES = MapStateDescriptor("rules", Types.LONG(), Types.STRING())
PENDING = ListStateDescriptor("pending", Types.LONG())


class Name(KeyedBroadcastProcessFunction):
    """Names numbers by rules, whichever comes first."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.pending = runtime_context.get_list_state(PENDING)

    def process_element(self, value: Any, ctx: Any) -> Any:
        name = ctx.get_broadcast_state(RULES).get(ctx.get_current_key())
        if name is None:
            self.pending.add(value)
        else:
            yield name, value

    def process_broadcast_element(self, value: Any, ctx: Any) -> Any:
        key, name = value
        ctx.get_broadcast_state(RULES).put(key, name)
        found: list[Any] = []

        def name_pending(waiting: int, state: Any) -> None:
            if waiting == key:
                found.extend((name, number) for number in state.get())
                state.clear()

        ctx.apply_to_keyed_state(PENDING, name_pending)
        return found


class Collect(BroadcastProcessFunction):
    """Says in the end what every subtask has been told."""

    def process_element(self, value: Any, ctx: Any) -> Any:
        return None

    def process_broadcast_element(self, value: Any, ctx: Any) -> Any:
        ctx.get_broadcast_state(RULES).put(*value)
        yield sorted(ctx.get_broadcast_state(RULES).keys())


def test_broadcast_state_reaches_every_subtask(cluster):
    env = environment()
    rules = env.from_collection([(key, f"rule {key}") for key in range(5)]).broadcast(RULES)
    named = numbers(env).key_by(lambda n: n % 5).connect(rules).process(Name())
    assert sorted(collected(named)) == sorted((f"rule {n % 5}", n) for n in range(COUNT))
    env = environment()
    rules = env.from_collection([(key, "") for key in range(3)]).broadcast(RULES)
    told = collected(numbers(env, 1).connect(rules).process(Collect()))
    assert sorted(told) == [[0], [0], [0, 1], [0, 1], [0, 1, 2], [0, 1, 2]], "two subtasks"


class Failing(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield 1 // (value - 3)


def test_a_failing_function_is_shown_with_operator_subtask_and_record(cluster):
    env = environment()
    with pytest.raises(JobFailedError) as raised:
        collected(numbers(env, 10).key_by(lambda n: n).process(Failing()).name("Divide"))
    text = str(raised.value)
    assert "ZeroDivisionError" in text
    assert "Divide" in text
    assert "with the record 3" in text


class Unkeyed(MapFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self.state = runtime_context.get_state(ValueStateDescriptor("count"))

    def map(self, value: Any) -> Any:
        return self.state.value()


def test_keyed_state_outside_of_a_keyed_stream_is_refused(cluster):
    with pytest.raises(JobFailedError, match=r"get_state\('count'\).*keyed state belongs to keys"):
        collected(numbers(environment(), 1).map(Unkeyed()))


class Behind(ProcessFunction):
    """How far event time is behind a record, at least."""

    def process_element(self, value: Any, ctx: Any) -> Any:
        watermark = ctx.timer_service().current_watermark()
        yield ctx.timestamp() > watermark, ctx.timestamp() == value, watermark > 0


def test_process_functions_without_keys_know_the_time(cluster):
    known = [watermark for *expected, watermark in collected(timed(environment(), 50_000).process(Behind()))
             if expected == [True, True]]  # fmt: skip
    assert len(known) == 50_000
    assert any(known)
