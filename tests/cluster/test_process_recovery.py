"""Process functions and aggregates after failures: every record counts once in all kinds of state."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from typing import Any

import pytest

from tests.cluster.recovering import KEYS, environment, script, slowly, stream
from yarnflow.datastream import (
    DataStream,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    RuntimeContext,
)
from yarnflow.datastream.expressions import col
from yarnflow.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from yarnflow.functions.checkpointed import (
    CheckpointedFunction,
    FunctionInitializationContext,
    FunctionSnapshotContext,
)
from yarnflow.functions.connectors.number_sequence import NumberSequenceSource
from yarnflow.testing import FailingSource, FaultKind
from yarnflow.testing.scripted_source import watermark_per_batch

pytestmark = pytest.mark.cluster

COUNT = 600


def collected(results: DataStream) -> list[Any]:
    with results.execute_and_collect() as found:
        return list(found)


class Count(KeyedProcessFunction, CheckpointedFunction):
    """Counts records per key, per key and second (told by timers), and per subtask."""

    def initialize_state(self, context: FunctionInitializationContext) -> None:
        self.stored = context.get_operator_state_store().get_list_state(ListStateDescriptor("records"))
        self.records = sum(self.stored.get())

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        self.stored.update([self.records])

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count"))
        self.seconds = runtime_context.get_map_state(MapStateDescriptor("seconds"))

    def process_element(self, value: Any, ctx: Any) -> Any:
        end = ctx.timestamp() // 1000 * 1000 + 999
        self.seconds.put(end, (self.seconds.get(end) or 0) + 1)
        ctx.timer_service().register_event_time_timer(end)
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        self.records += 1
        yield "count", ctx.get_current_key(), count
        yield "record", None, self.records

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield "second", (ctx.get_current_key(), timestamp), self.seconds.get(timestamp)
        self.seconds.remove(timestamp)


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("kind", [FaultKind.RAISE, FaultKind.KILL])
def test_keyed_state_timers_and_operator_state(cluster, plan, tmp_path, backend, kind):
    env = environment(tmp_path, backend)
    source = stream(env, [script(1, COUNT), script(2, COUNT)], "records", plan("faults", kind, 150, 320))
    found = collected(source.key_by(lambda record: record[0]).process(Count()))
    records = [*script(1, COUNT), *script(2, COUNT)]
    keys = Counter(record.value[0] for record in records)
    assert sorted((key, count) for what, key, count in found if what == "count") == [
        (key, count) for key in range(KEYS) for count in range(1, keys[key] + 1)
    ]
    seconds: dict[Any, int] = defaultdict(int)
    for record in records:
        seconds[record.value[0], record.timestamp // 1000 * 1000 + 999] += 1
    assert sorted((key, count) for what, key, count in found if what == "second") == sorted(seconds.items())
    totals = Counter(count for what, _, count in found if what == "record")
    # Each of the two subtasks has counted from 1 to its number of records, without gaps or repetitions.
    assert sum(totals.values()) == len(records)
    assert [totals[number] for number in range(1, len(totals) + 1)] == sorted(totals.values(), reverse=True)


class Later(KeyedProcessFunction):
    """Gives each record back after a while."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.waiting = runtime_context.get_list_state(ListStateDescriptor("waiting"))

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.waiting.add(value)
        timers = ctx.timer_service()
        timers.register_processing_time_timer(timers.current_processing_time() + 300)

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield from self.waiting.get()
        self.waiting.clear()


def test_processing_timers(cluster, plan, tmp_path):
    env = environment(tmp_path)
    source = stream(
        env, [script(1, COUNT), script(2, COUNT)], "records", plan("faults", FaultKind.KILL, 150, 320), ends=False
    )
    given = source.key_by(lambda record: record).process(Later())
    found: list[Any] = []
    with given.execute_and_collect() as results:
        for record in results:
            found.append(record)
            if len(found) == 2 * COUNT:
                break
    assert sorted(found) == sorted(record.value for seed in (1, 2) for record in script(seed, COUNT))


class Meet(KeyedCoProcessFunction):
    """Pairs the records of a key in the order of their numbers."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.met = runtime_context.get_map_state(MapStateDescriptor("met"))

    def process_element1(self, value: Any, ctx: Any) -> Any:
        return self.meet(value)

    def process_element2(self, value: Any, ctx: Any) -> Any:
        return self.meet(value)

    def meet(self, value: Any) -> Any:
        other = self.met.get(value[2])
        if other is None:
            self.met.put(value[2], value)
        else:
            self.met.remove(value[2])
            yield tuple(sorted((value, other)))


def test_two_inputs(cluster, plan, tmp_path):
    env = environment(tmp_path)
    left = stream(env, [script(1, COUNT)], "left", plan("left faults", FaultKind.KILL, 150))
    right = stream(env, [script(2, COUNT)], "right", plan("right faults", FaultKind.RAISE, 320))
    met = left.connect(right).key_by(lambda record: record[0], lambda record: record[0]).process(Meet())
    ones, others = script(1, COUNT), script(2, COUNT)
    expected = sorted((one.value, other.value) for one, other in zip(ones, others, strict=True))
    assert sorted(collected(met)) == expected


RULES = MapStateDescriptor("rules")
PENDING = ListStateDescriptor("pending")


class Name(KeyedBroadcastProcessFunction):
    """Names records by the rule of their key, whichever comes first."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.pending = runtime_context.get_list_state(PENDING)

    def process_element(self, value: Any, ctx: Any) -> Any:
        rule = ctx.get_broadcast_state(RULES).get(ctx.get_current_key())
        if rule is None:
            self.pending.add(value)
        else:
            yield rule, value

    def process_broadcast_element(self, value: Any, ctx: Any) -> Any:
        # The first COUNT / 2 records change nothing: rules come when many records wait already.
        if value[2] < COUNT // 2 or ctx.get_broadcast_state(RULES).contains(value[0]):
            return None
        ctx.get_broadcast_state(RULES).put(value[0], f"rule {value[0]}")
        found: list[Any] = []

        def name_pending(key: int, state: Any) -> None:
            if key == value[0]:
                found.extend((f"rule {key}", record) for record in state.get())
                state.clear()

        ctx.apply_to_keyed_state(PENDING, name_pending)
        return found


def test_broadcast_state(cluster, plan, tmp_path):
    env = environment(tmp_path)
    faults = plan("rule faults", FaultKind.RAISE, 80, 80)
    rules = stream(env, [script(3, COUNT)], "rules", faults).broadcast(RULES)
    source = stream(env, [script(1, COUNT), script(2, COUNT)], "records", plan("faults", FaultKind.KILL, 150, 320))
    named = source.key_by(lambda record: record[0]).connect(rules).process(Name())
    assert sorted(collected(named)) == sorted(
        (f"rule {record.value[0]}", record.value) for seed in (1, 2) for record in script(seed, COUNT)
    )


@pytest.mark.parametrize("columns", [False, True])
def test_aggregates_on_rows_and_columns(cluster, plan, tmp_path, columns):
    env = environment(tmp_path)
    faults = plan("faults", FaultKind.KILL, 300, 900)
    numbers = env.from_source(
        FailingSource(NumberSequenceSource(0, 2999), faults), watermark_per_batch(), "numbers"
    )
    if columns:
        paced = numbers.map_batches(slow_batch, scalar=True).select(key=col("value") % KEYS, value=col("value"))
    else:
        paced = numbers.map(slowly).map(lambda n: (n % KEYS, n))
    found = collected(paced.key_by("key" if columns else 0).count())
    expected = [(key, count) for key in range(KEYS) for count in range(1, len(range(key, 3000, KEYS)) + 1)]
    assert sorted(found) == expected


def slow_batch(batch: Any) -> Any:
    time.sleep(0.0005 * batch.num_rows)
    return batch
