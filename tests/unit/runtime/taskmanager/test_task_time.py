"""Event time, timers and calls from other threads in a task."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.unit.runtime.taskmanager.probe import ProbeSpec, feed, make_probe, write
from tests.unit.runtime.taskmanager.slot import EVENTS, ListSink, Slot, chain, written
from yarnflow.functions.async_functions import AsyncFunction
from yarnflow.functions.output_tag import OutputTag
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.operators import AsyncSpec, ChainEdge, ChainOutput, FilterSpec, MapSpec, ProcessSpec, SinkSpec
from yarnflow.runtime.network.elements import (
    MAX_WATERMARK,
    Element,
    EndOfChannel,
    EndOfData,
    Watermark,
    WatermarkStatus,
)
from yarnflow.runtime.network.input import TaskInput
from yarnflow.runtime.rpc.messages import Channel
from yarnflow.runtime.states import ExecutionState
from yarnflow.runtime.taskmanager.task import Task


@pytest.fixture(autouse=True)
def probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains know the probe, and outputs that no task reads do not hold tasks back."""
    monkeypatch.setattr("yarnflow.runtime.network.input.LOCAL_CAPACITY", 100)
    monkeypatch.setattr("yarnflow.runtime.taskmanager.chain.make_operator", make_probe)


def events(name: str, *kinds: str) -> list[Any]:
    """What a probe noted, without its name."""
    return [event[1:] for event in EVENTS if event[0] == name and (not kinds or event[1] in kinds)]


def step(task: Task) -> None:
    """Step until nothing happens any more."""
    while task.step():
        assert not task.state.terminal


def reader(slot: Slot, edge: int, producer: str, consumer: str) -> TaskInput:
    """What a task writes into a channel, without a task at the other end."""
    gathered = TaskInput()
    gathered.add(slot.exchange.open_input(Channel(f"{edge}:{producer}:{consumer}", slot.address, 0), 0), 0)
    return gathered


def taken(gathered: TaskInput) -> list[Any]:
    """Everything that has come: rows and elements."""
    found: list[Any] = []
    while gathered.has_data():
        _, element = gathered.take()
        found += [element] if isinstance(element, Element) else element.rows  # type: ignore[union-attr]
    return found


def test_event_time_is_the_minimum_of_the_channels_and_goes_through_the_chain(slot: Slot) -> None:
    task = slot.deploy(
        chain(
            ProbeSpec("head"), MapSpec(lambda value: value + 1), FilterSpec(bool), ProbeSpec("tail"),
            outputs=[ChainOutput(3, 1, Partitioning.FORWARD), ChainOutput(1, 2, Partitioning.BROADCAST)],
        ),
        "t", [(0, 0, ["a", "b"])],
        [(1, Partitioning.FORWARD, ["x"]), (2, Partitioning.BROADCAST, ["y", "z"])],
    )  # fmt: skip
    a, b = feed(slot, 0, "a", "t"), feed(slot, 0, "b", "t")
    readers = [reader(slot, 1, "t", "x"), reader(slot, 2, "t", "y"), reader(slot, 2, "t", "z")]
    write(a, [1], Watermark(10))
    step(task)
    assert events("head", "watermark") == []
    write(b, [2], Watermark(7))
    step(task)
    assert events("head", "watermark") == [("watermark", 7)]
    assert events("tail", "watermark") == [("watermark", 7)]
    write(b, WatermarkStatus(True))
    step(task)
    assert events("tail", "watermark", "idle")[1:] == [("watermark", 10)]
    write(a, WatermarkStatus(True))
    step(task)
    assert events("tail", "idle") == [("idle", True)]
    expected = [2, 3, Watermark(7), Watermark(10), WatermarkStatus(True)]
    for gathered in readers:
        assert taken(gathered) == expected


def test_the_end_of_event_time_comes_before_the_end_of_the_data(slot: Slot) -> None:
    task = slot.deploy(
        chain(ProbeSpec("p"), outputs=[ChainOutput(0, 1, Partitioning.FORWARD)]),
        "t", [(0, 0, ["a", "b"])], [(1, Partitioning.FORWARD, ["x"])],
    )  # fmt: skip
    out = reader(slot, 1, "t", "x")
    for name in ("a", "b"):
        write(feed(slot, 0, name, "t"), [1], Watermark(MAX_WATERMARK), EndOfData(), EndOfChannel())
    slot.run()
    assert task.state is ExecutionState.FINISHED
    assert [event[0] for event in events("p")] == ["open", "rows", "rows", "watermark", "end", "finish", "close"]
    assert taken(out) == [1, 1, Watermark(MAX_WATERMARK), EndOfData(), EndOfChannel()]


def test_a_suspended_channel_holds_event_time(slot: Slot) -> None:
    slot.deploy(chain(ProbeSpec("p")), "t", [(0, 0, ["a", "b"])])
    write(feed(slot, 0, "a", "t"), Watermark(5), EndOfData(drain=False), EndOfChannel())
    write(feed(slot, 0, "b", "t"), Watermark(9), EndOfData(drain=False), EndOfChannel())
    slot.run()
    assert events("p", "watermark") == [("watermark", 5)]


def test_an_operator_behind_several_others_sees_their_minimum(slot: Slot) -> None:
    tag = OutputTag("side")
    task = slot.deploy(
        chain(
            ProcessSpec(lambda value, context: [value]), ProbeSpec("slow", hold_back=100), ProbeSpec("joined"),
            edges=[ChainEdge(0, 1), ChainEdge(0, 2, tag), ChainEdge(1, 2)],
        ),
        "t", [(0, 0, ["a"])],
    )  # fmt: skip
    a = feed(slot, 0, "a", "t")
    write(a, Watermark(1000), Watermark(2000), WatermarkStatus(True))
    step(task)
    assert events("joined", "watermark") == [("watermark", time) for time in (900, 1000, 1900, 2000)]
    assert events("joined")[-1] == ("idle", True)


def test_timers_fire_between_batches_and_wake_the_task(slot: Slot) -> None:
    probe = ProbeSpec("p", timers=(1000, 2000, 9000))
    task = slot.deploy(chain(probe, SinkSpec(ListSink())), "t", [(0, 0, ["a"])])
    step(task)
    assert task.next_wakeup() == 1.0
    slot.clock.now = 0.999
    step(task)
    assert written() == []
    slot.clock.now = 2.5
    step(task)
    assert written() == [("timer", 1000), ("timer", 2000)]
    assert task.next_wakeup() == 9.0
    write(feed(slot, 0, "a", "t"), EndOfData(), EndOfChannel())
    slot.run()
    assert written() == [("timer", 1000), ("timer", 2000)]


def test_other_threads_call_into_the_task(slot: Slot) -> None:
    task = slot.deploy(chain(ProbeSpec("p")), "t", [(0, 0, ["a"])])
    called: list[int] = []
    thread = threading.Thread(target=lambda: task.call_soon(lambda: called.append(threading.get_ident())))
    thread.start()
    thread.join()
    assert slot.wakes == 1
    assert task.can_go_on()
    step(task)
    assert called == [threading.get_ident()]
    assert not task.can_go_on()


def test_what_a_call_raises_fails_the_task_and_later_calls_are_dropped(slot: Slot) -> None:
    task = slot.deploy(chain(ProbeSpec("p")), "t", [(0, 0, ["a"])])

    def bad() -> None:
        raise ValueError("from outside")

    task.call_soon(bad)
    task.call_soon(lambda: EVENTS.append("never"))
    task.step()
    assert task.state is ExecutionState.FAILED
    failure = slot.last(task).failure
    assert failure is not None
    assert failure.message == "ValueError: from outside"
    assert "never" not in EVENTS
    task.call_soon(lambda: EVENTS.append("never"))
    assert not task.can_go_on()


class Echo(AsyncFunction):
    async def async_invoke(self, value: Any) -> list[Any]:
        return [value]


@pytest.mark.parametrize("ordered", [True, False])
def test_results_of_asynchronous_calls_wait_for_room(
    slot: Slot, monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    monkeypatch.setattr("yarnflow.runtime.network.input.LOCAL_CAPACITY", 1)
    calls = [AsyncSpec(Echo(), 0, capacity, ordered, None) for capacity in (2, 3)]
    task = slot.deploy(
        chain(ProbeSpec("p"), *calls, outputs=[ChainOutput(2, 1, Partitioning.FORWARD)]),
        "t", [(0, 0, ["a"])], [(1, Partitioning.FORWARD, ["x"])],
    )  # fmt: skip
    out = reader(slot, 1, "t", "x")
    write(feed(slot, 0, "a", "t"), list(range(12)))
    chained = task._chain
    assert chained is not None
    waiting = chained.operators[1]
    deadline = time.monotonic() + 20
    while not waiting.wants_room() or task.can_go_on():
        assert time.monotonic() < deadline
        task.step()
        task.flush()
        time.sleep(0.001)
    found: list[Any] = []
    while len(found) < 12:
        assert time.monotonic() < deadline
        found += taken(out)
        task.step()
        task.flush()
    assert sorted(found) == list(range(12))
    task.cancel()
