"""A task from its deployment to its end: order, states, accumulators, exchanges, loss."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from tests.unit.runtime.taskmanager.slot import EVENTS, ListSink, ListSource, Slot, chain, note, written
from yarnflow.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from yarnflow.functions.accumulators import IntCounter
from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.functions.user_functions import MapFunction
from yarnflow.graph.job_graph import Exchange, Partitioning
from yarnflow.graph.operators import (
    ChainEdge,
    ChainOutput,
    CollectSpec,
    CoMapSpec,
    FilterSpec,
    FlatMapSpec,
    MapSpec,
    ProcessSpec,
    ReduceSpec,
    SinkSpec,
    SourceSpec,
    TimestampsSpec,
)
from yarnflow.runtime.network.input import LOCAL_CAPACITY
from yarnflow.runtime.rpc.messages import CollectAcknowledged, CollectedRows
from yarnflow.runtime.taskmanager.chain_compiler import MAX_DEPTH
from yarnflow.runtime.taskmanager.task import CONNECTION_GRACE


class Noting(MapFunction):
    """Tells when it is opened and closed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def open(self, runtime_context: RuntimeContext) -> None:
        note(self.name, "open")

    def map(self, value: Any) -> Any:
        return value

    def close(self) -> None:
        note(self.name, "close")


def test_a_chain_runs_opens_backwards_and_ends_in_order(slot: Slot) -> None:
    task = slot.deploy(
        chain(
            SourceSpec(ListSource([1, 2], [3])),
            MapSpec(Noting("first")),
            ReduceSpec(lambda a, b: a + b, lambda value: 0, final_only=True),
            MapSpec(Noting("last")),
            SinkSpec(ListSink()),
        )
    )
    slot.run()
    assert slot.states(task) == ["INITIALIZING", "RUNNING", "FINISHED"]
    assert EVENTS == [
        ("last", "open"),
        ("first", "open"),
        ("sink", [6], None),
        ("sink", "finish"),
        ("first", "close"),
        ("last", "close"),
        ("sink", "close"),
    ]


def test_one_output_with_several_readers_is_not_shared(slot: Slot) -> None:
    slot.deploy(
        chain(
            SourceSpec(ListSource([[1], [2]])),
            SinkSpec(ListSink("a")),
            SinkSpec(ListSink("b")),
            MapSpec(len),
            SinkSpec(ListSink("c")),
            edges=[ChainEdge(0, 1), ChainEdge(0, 2), ChainEdge(0, 3), ChainEdge(3, 4)],
        )
    )
    slot.run()
    assert written("a") == written("b") == [[1], [2]]
    assert written("c") == [1, 1]
    lists = [event[1] for event in EVENTS if event[0] in "ab" and len(event) == 3]
    assert lists[0] is not lists[1]


def test_side_outputs_reach_their_readers_inside_and_outside_the_chain(slot: Slot) -> None:
    def sort(value: int, context: Any) -> Any:
        yield value
        yield OutputTag("odd" if value % 2 else "even"), (value, context.timestamp())

    slot.deploy(
        chain(
            SourceSpec(ListSource([1, 2, 3], times=True)),
            ProcessSpec(sort),
            SinkSpec(ListSink("main")),
            SinkSpec(ListSink("odd")),
            edges=[ChainEdge(0, 1), ChainEdge(1, 2), ChainEdge(1, 3, OutputTag("odd"))],
            outputs=[ChainOutput(1, 0, Partitioning.FORWARD, OutputTag("even"))],
        ),
        "sorter",
        outputs=[(0, Partitioning.FORWARD, ["reader"])],
    )
    slot.deploy(chain(SinkSpec(ListSink("even"))), "reader", inputs=[(0, 0, ["sorter"])])
    slot.run()
    assert written("main") == [1, 2, 3]
    assert written("odd") == [(1, 1001), (3, 1003)]
    assert written("even") == [(2, 1002)]
    assert ("even", [(2, 1002)], [1002]) in EVENTS


def test_chains_deeper_than_one_function_are_cut(slot: Slot) -> None:
    depth = 2 * MAX_DEPTH + 3
    steps = [FlatMapSpec(lambda value: [value + 1]) for _ in range(depth)]
    slot.deploy(chain(SourceSpec(ListSource([0, 10])), *steps, SinkSpec(ListSink())))
    slot.run()
    assert written() == [depth, 10 + depth]


def test_times_pass_through_every_operator(slot: Slot) -> None:
    slot.deploy(
        chain(
            SourceSpec(ListSource([1, 2, 3], times=True)),
            MapSpec(lambda value: value * 10),
            FilterSpec(lambda value: value != 20),
            FlatMapSpec(lambda value: [value, value]),
            ReduceSpec(lambda a, b: a + b, lambda value: value),
            SinkSpec(ListSink()),
        )
    )
    slot.run()
    assert EVENTS[0] == ("sink", [10, 20, 30, 60], [1001, 1001, 1003, 1003])


def test_times_are_read_where_the_program_says(slot: Slot) -> None:
    class Times(TimestampAssigner):
        def extract_timestamp(self, value: int, record_timestamp: int) -> int:
            return value * 7 + max(record_timestamp, 0)

    strategy = WatermarkStrategy.no_watermarks().with_timestamp_assigner(Times())
    slot.deploy(chain(SourceSpec(ListSource([1, 2]), strategy), TimestampsSpec(strategy), SinkSpec(ListSink())))
    slot.run()
    assert EVENTS[0] == ("sink", [1, 2], [14, 28])


@pytest.mark.parametrize("exchange", list(Exchange))
@pytest.mark.parametrize("rule", [Partitioning.HASH, Partitioning.REBALANCE])
def test_two_by_two_tasks_exchange_everything(slot: Slot, exchange: Exchange, rule: Partitioning) -> None:
    for name in ("p0", "p1"):
        slot.deploy(
            chain(
                SourceSpec(ListSource(*([n] * 100 for n in range(50)))),
                MapSpec(lambda value: (value, 1)),
                outputs=[ChainOutput(1, 0, rule, key=0)],
            ),
            name,
            outputs=[(0, rule, ["c0", "c1"])],
            exchange=exchange,
        )
    for name in ("c0", "c1"):
        slot.deploy(
            chain(
                ReduceSpec(lambda a, b: (a[0], a[1] + b[1]), lambda pair: pair[0], True), SinkSpec(ListSink(name))
            ),
            name,
            inputs=[(0, 0, ["p0", "p1"])],
            exchange=exchange,
        )
    slot.run()
    assert all(slot.last(task).state.value == "FINISHED" for task in slot.tasks)
    counts: dict[int, int] = {}
    for key, count in written("c0") + written("c1"):
        counts[key] = counts.get(key, 0) + count
    assert counts == dict.fromkeys(range(50), 200)
    if rule is Partitioning.HASH:
        assert not {key for key, _ in written("c0")} & {key for key, _ in written("c1")}
    assert sum(slot.last(task).metrics.records_out for task in slot.tasks[:2]) == 10_000
    assert sum(slot.last(task).metrics.records_in for task in slot.tasks[2:]) == 10_000


def test_two_inputs_keep_apart_and_the_task_ends_after_both(slot: Slot) -> None:
    from yarnflow.functions.user_functions import CoMapFunction

    class Mark(CoMapFunction):
        def map1(self, value: Any) -> Any:
            return ("one", value)

        def map2(self, value: Any) -> Any:
            return ("two", value)

    for name, edge, rows in (("a", 0, [1]), ("b", 1, [2]), ("c", 2, [3])):
        slot.deploy(
            chain(SourceSpec(ListSource(rows)), outputs=[ChainOutput(0, edge, Partitioning.FORWARD)]),
            name,
            outputs=[(edge, Partitioning.FORWARD, ["join"])],
        )
    slot.deploy(
        chain(CoMapSpec(Mark()), SinkSpec(ListSink())),
        "join",
        inputs=[(0, 0, ["a"]), (1, 1, ["b"]), (2, 1, ["c"])],
    )
    slot.run()
    assert sorted(written()) == [("one", 1), ("two", 2), ("two", 3)]
    assert EVENTS[-2:] == [("sink", "finish"), ("sink", "close")]


def test_a_producer_waits_for_room_and_memory_stays_bounded(slot: Slot) -> None:
    task = slot.deploy(
        chain(
            SourceSpec(ListSource(*([n] for n in range(1000)))),
            outputs=[ChainOutput(0, 0, Partitioning.FORWARD)],
        ),
        "p",
        outputs=[(0, Partitioning.FORWARD, ["later"])],
    )
    for _ in range(50):
        task.step()
    assert task.metrics().records_out < 10
    slot.deploy(chain(SinkSpec(ListSink())), "later", inputs=[(0, 0, ["p"])])
    slot.run()
    assert written() == list(range(1000))


def test_collected_rows_wait_for_the_client(slot: Slot) -> None:
    task = slot.deploy(chain(SourceSpec(ListSource(*([n] * 10_000 for n in range(10)))), CollectSpec("c")))
    for _ in range(100):
        task.step()
    sent = [message for message in slot.messages if isinstance(message, CollectedRows)]
    assert len(sent) == 4
    assert not task.state.terminal
    acknowledged = 0
    while not task.state.terminal:
        sent = [message for message in slot.messages if isinstance(message, CollectedRows)]
        if acknowledged < len(sent):
            task.receive(CollectAcknowledged("task", acknowledged))
            acknowledged += 1
        task.step()
    sent = [message for message in slot.messages if isinstance(message, CollectedRows)]
    assert [message.sequence for message in sent] == list(range(len(sent)))
    assert [row for message in sent for row in pickle.loads(message.rows)] == [
        n for n in range(10) for _ in range(10_000)
    ]


def test_accumulators_and_job_parameters(slot: Slot) -> None:
    class Count(MapFunction):
        def open(self, runtime_context: RuntimeContext) -> None:
            self.counter = IntCounter()
            runtime_context.add_accumulator("lines", self.counter)
            note("parameter", runtime_context.get_job_parameter("who", "nobody"))

        def map(self, value: Any) -> Any:
            self.counter.add(1)
            return value

    task = slot.deploy(chain(SourceSpec(ListSource([1, 2, 3])), MapSpec(Count())))
    slot.run()
    assert slot.accumulators(task)["lines"].get_local_value() == 3
    assert ("parameter", "me") in EVENTS


def test_cancel_closes_without_finishing(slot: Slot) -> None:
    task = slot.deploy(chain(SourceSpec(ListSource([1], [2])), MapSpec(Noting("map")), SinkSpec(ListSink())))
    task.step()
    task.cancel()
    task.cancel()
    assert slot.states(task) == ["INITIALIZING", "RUNNING", "CANCELING", "CANCELED"]
    assert EVENTS[1:] == [("sink", [1], None), ("map", "close"), ("sink", "close")]


def test_a_lost_connection_fails_the_task_only_after_a_while(slot: Slot) -> None:
    task = slot.deploy(chain(SinkSpec(ListSink())), inputs=[(0, 0, ["nobody"])])
    task.connection_lost("data connection from there: closed")
    slot.clock.now += CONNECTION_GRACE - 0.1
    task.tick(slot.clock.now)
    assert task.state.value == "RUNNING"
    assert task.next_wakeup() == CONNECTION_GRACE
    slot.clock.now += 0.2
    task.tick(slot.clock.now)
    failure = slot.last(task).failure
    assert failure is not None
    assert "data connection from there" in failure.message
    assert failure.retryable


@pytest.mark.parametrize(
    ("own", "default", "expected"),
    [
        ([None], 0.1, 0.1),
        ([None], None, None),
        ([20], 0.1, 0.02),
        ([-1], 0.1, None),
        ([-1, None, 500], 0.1, 0.1),
        ([], 0.1, 0.1),
    ],
)
def test_the_shortest_buffer_timeout_counts(
    slot: Slot, own: list[int | None], default: float | None, expected: float | None
) -> None:
    task = slot.deploy(
        chain(
            SourceSpec(ListSource([1])),
            outputs=[
                ChainOutput(0, edge, Partitioning.FORWARD, buffer_timeout_ms=timeout)
                for edge, timeout in enumerate(own)
            ],
        ),
        outputs=[(edge, Partitioning.FORWARD, ["reader"]) for edge in range(len(own))],
    )
    assert task.buffer_timeout(default) == expected


def test_time_counts_as_busy_idle_or_backpressured(slot: Slot) -> None:
    task = slot.deploy(
        chain(
            SourceSpec(ListSource(*([n] for n in range(LOCAL_CAPACITY)), [9])),
            MapSpec(lambda value: value),
            outputs=[ChainOutput(1, 0, Partitioning.FORWARD)],
        ),
        "p",
        outputs=[(0, Partitioning.FORWARD, ["c"])],
    )
    for _ in range(LOCAL_CAPACITY):
        task.step()
    task.step()
    slot.clock.now += 2
    task.step()
    assert task.metrics().backpressured_ms == 2000
    reader = slot.deploy(chain(SinkSpec(ListSink())), "c", inputs=[(0, 0, ["p"])])
    while reader.step():
        pass
    slot.clock.now += 3
    reader.step()
    assert (reader.metrics().idle_ms, reader.metrics().busy_ms) == (3000, 0)
