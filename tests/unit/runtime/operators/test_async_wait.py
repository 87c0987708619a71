"""Asynchronous functions: order, capacity, timeouts, retries, failures, checkpoints."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.runtime.operators.harness import operator_context
from yarnflow.errors import ProgramError
from yarnflow.functions.async_functions import AsyncFunction
from yarnflow.functions.async_retry import (
    AsyncRetryStrategy,
    ExponentialBackoffDelayRetryStrategy,
    empty_result_predicate,
    has_exception_predicate,
)
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.graph.operators import AsyncSpec, Operator
from yarnflow.runtime.operators.asynchronous import calls as async_calls
from yarnflow.runtime.operators.asynchronous.queue import Call, OrderedQueue, UnorderedQueue
from yarnflow.runtime.operators.asynchronous.wait import IN_FLIGHT, AsyncWaitOperator
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.taskmanager.failures import describe

#: Seconds before a test that waits for something gives up.
PATIENCE = 20.0


class Running:
    """An operator with the part of a worker that it needs; `out` gathers what it emits in order."""

    def __init__(self, function: Any, restored: list[Any] | None = None, **settings: Any) -> None:
        given = {"timeout": 0, "capacity": 100, "ordered": True, "retry": None, **settings}
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.wake_ups = 0
        context = operator_context(call_soon=self.calls.put)
        self.operator = AsyncWaitOperator(Operator("0" * 32, "ask", AsyncSpec(function, **given)), context)
        self.out: list[Any] = []
        self.operator.emit = self._emit
        self.operator.emit_watermark = lambda timestamp: self.out.append(("watermark", timestamp))
        self.operator.emit_status = lambda idle: self.out.append(("idle", idle))
        if restored is not None:
            self.operator.restore(Restored(restored))
        self.operator.open()

    def _emit(self, batch: Any) -> None:
        times = batch.timestamps or [None] * len(batch)
        self.out += list(zip(batch.rows, times, strict=True))

    def take(self, *rows: Any, times: list[int] | None = None) -> None:
        self.operator.process_batch(RowBatch(list(rows), times), 0)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.calls.get(timeout=max(0.0, deadline - time.monotonic()))()
            self.wake_ups += 1

    def finish(self) -> list[Any]:
        self.until(self.operator.can_finish)
        self.operator.finish()
        return self.out


class Restored(RestoredOperator):
    def __init__(self, items: list[Any]) -> None:
        super().__init__(None, "", 0, 1, range(0), 1)
        self._items = items

    def items(self, name: str, kind: Any = None) -> list[Any]:
        assert name == IN_FLIGHT
        return self._items


class Gated(AsyncFunction):
    """Answers a record when its gate is opened."""

    def __init__(self) -> None:
        self.gates: dict[Any, asyncio.Event] = {}
        self.seen: list[Any] = []
        self.cancelled: list[Any] = []
        self.loop: asyncio.AbstractEventLoop | None = None

    def _gate(self, value: Any) -> asyncio.Event:
        return self.gates.setdefault(value, asyncio.Event())

    async def async_invoke(self, value: Any) -> list[Any]:
        self.loop = asyncio.get_running_loop()
        self.seen.append(value)
        try:
            await self._gate(value).wait()
        except asyncio.CancelledError:
            self.cancelled.append(value)
            raise
        return [value, -value]

    def answer(self, running: Running, *values: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not set(values) <= set(self.seen):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert self.loop is not None
        for value in values:
            self.loop.call_soon_threadsafe(lambda value=value: self._gate(value).set())


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(function: Any, **settings: Any) -> Running:
        started.append(Running(function, **settings))
        return started[-1]

    yield start
    for running in started:
        running.operator.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("async ask")]


def test_ordered_results_come_in_the_order_of_the_records(run):
    function = Gated()
    running = run(function, ordered=True)
    running.take(1, 2, 3, times=[10, 20, 30])
    running.operator.process_watermark(30)
    function.answer(running, 3, 2)
    assert not running.operator.can_finish()
    function.answer(running, 1)
    assert running.finish() == [(1, 10), (-1, 10), (2, 20), (-2, 20), (3, 30), (-3, 30), ("watermark", 30)]


def test_unordered_results_come_when_they_are_there_but_never_pass_a_watermark(run):
    function = Gated()
    running = run(function, ordered=False)
    running.take(1, 2, times=[10, 20])
    running.operator.process_watermark(20)
    running.operator.process_status(True)
    running.take(3, 4, times=[30, 40])
    function.answer(running, 4)
    function.answer(running, 2)
    running.until(lambda: bool(running.out))
    assert running.out == [(2, 20), (-2, 20)]
    function.answer(running, 1)
    running.until(lambda: len(running.out) >= 8)
    assert running.out[2:] == [(1, 10), (-1, 10), ("watermark", 20), ("idle", True), (4, 40), (-4, 40)]
    function.answer(running, 3)
    assert running.finish()[8:] == [(3, 30), (-3, 30)]


def test_watermarks_pass_at_once_when_nothing_is_under_way(run):
    running = run(Gated(), ordered=False)
    running.operator.process_watermark(5)
    running.operator.process_watermark(6)
    assert running.out == [("watermark", 5), ("watermark", 6)]


def test_no_more_than_the_capacity_is_under_way(run):
    function = Gated()
    running = run(function, capacity=2)
    running.take(1, 2)
    assert running.operator.has_room()
    running.take(3, 4, 5)
    assert not running.operator.has_room()
    function.answer(running, 2)
    function.answer(running, 1)
    running.until(lambda: len(running.out) == 4)
    function.answer(running, 3, 4)
    running.until(lambda: len(running.out) == 8)
    assert running.operator.has_room()
    function.answer(running, 5)
    assert [value for value, _ in running.finish()] == [1, -1, 2, -2, 3, -3, 4, -4, 5, -5]


class Highest(AsyncFunction):
    under_way = highest = 0

    async def async_invoke(self, value: Any) -> list[Any]:
        self.under_way += 1
        self.highest = max(self.highest, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        return [value]


@pytest.mark.parametrize("ordered", [True, False])
def test_many_records_with_few_wake_ups(run, ordered):
    function = Highest()
    running = run(function, capacity=1000, ordered=ordered)
    for start in range(0, 20_000, 500):
        running.take(*range(start, start + 500))
        running.until(running.operator.has_room)
    assert sorted(value for value, _ in running.finish()) == list(range(20_000))
    assert 1 < function.highest <= 1000
    assert running.wake_ups < 1000


class Slow(AsyncFunction):
    def __init__(self) -> None:
        self.ended = threading.Event()

    async def async_invoke(self, value: Any) -> list[Any]:
        if value != 2:
            return [value]
        try:
            await asyncio.sleep(3600)
        finally:
            self.ended.set()
        return []


class SlowWithAnswer(Slow):
    def timeout(self, value: Any) -> list[Any]:
        return [("late", value)]


def test_a_timeout_emits_what_the_function_says_and_cancels_the_coroutine(run):
    function = SlowWithAnswer()
    running = run(function, timeout=20)
    running.take(1, 2, 3)
    assert [value for value, _ in running.finish()] == [1, ("late", 2), 3]
    assert function.ended.wait(PATIENCE)


def test_a_timeout_fails_the_task_otherwise(run):
    running = run(Slow(), timeout=20, ordered=False)
    running.take(1, 2, 3)
    with pytest.raises(TimeoutError, match=r"Slow.async_invoke\(\) has timed out for the record 2") as raised:
        running.finish()
    failure = describe(raised.value, ["ask"], lambda: "")
    assert "In operator 'ask', with the record 2:" in failure.traceback


class Failing(AsyncFunction):
    async def async_invoke(self, value: Any) -> list[Any]:
        await asyncio.sleep(0)
        raise OSError("no answer")


def test_an_exception_fails_the_task_with_the_record(run):
    running = run(Failing())
    running.take("a")
    with pytest.raises(OSError, match="no answer") as raised:
        running.finish()
    failure = describe(raised.value, ["ask"], lambda: "")
    assert "In operator 'ask', with the record 'a':" in failure.traceback
    assert "async_invoke" in failure.traceback


class Cancelling(AsyncFunction):
    async def async_invoke(self, value: Any) -> list[Any]:
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        return await waiting


def test_a_cancelled_wait_of_the_function_is_a_failure_too(run):
    running = run(Cancelling())
    running.take("a")
    with pytest.raises(asyncio.CancelledError):
        running.finish()


class Returning(AsyncFunction):
    def __init__(self, result: Any) -> None:
        self.result = result

    async def async_invoke(self, value: Any) -> Any:
        return self.result


@pytest.mark.parametrize("result", [None, 5, "text", {"a": 1}])
def test_a_result_that_is_no_list_is_refused(run, result):
    running = run(Returning(result))
    running.take("a")
    with pytest.raises(ProgramError, match=r"of Returning must return a list of records, not .* record 'a'"):
        running.finish()


def test_other_iterables_are_results(run):
    running = run(Returning((1, 2)))
    running.take("a", times=[3])
    assert running.finish() == [(1, 3), (2, 3)]


class Flaky(AsyncFunction):
    """Fails twice, then has no result twice, then one."""

    def __init__(self) -> None:
        self.attempts: dict[Any, int] = {}

    async def async_invoke(self, value: Any) -> list[Any]:
        attempt = self.attempts[value] = self.attempts.get(value, 0) + 1
        if attempt <= 2:
            raise OSError("try again")
        return [value] if attempt > 4 else []


def strategy(attempts: int) -> AsyncRetryStrategy:
    return AsyncRetryStrategy.fixed_delay(attempts, 1, empty_result_predicate, has_exception_predicate)


def test_retries_until_the_predicates_are_content(run):
    function = Flaky()
    running = run(function, timeout=60_000, retry=strategy(10))
    running.take("a", "b")
    assert [value for value, _ in running.finish()] == ["a", "b"]
    assert function.attempts == {"a": 5, "b": 5}


def test_the_last_outcome_counts_when_the_attempts_are_used_up(run):
    running = run(Flaky(), timeout=60_000, retry=strategy(3))
    running.take("a")
    assert running.finish() == []
    failing = run(Flaky(), timeout=60_000, retry=strategy(1))
    failing.take("a")
    with pytest.raises(OSError, match="try again"):
        failing.finish()


def test_the_timeout_is_for_all_attempts_together(run):
    class Never(Flaky):
        async def async_invoke(self, value: Any) -> list[Any]:
            raise OSError("never")

        def timeout(self, value: Any) -> list[Any]:
            return ["gave up"]

    retry = AsyncRetryStrategy.fixed_delay(10**9, 1, None, has_exception_predicate)
    running = run(Never(), timeout=30, retry=retry)
    running.take("a")
    assert running.finish() == [("gave up", None)]


def test_exponential_backoff():
    strategy = ExponentialBackoffDelayRetryStrategy(10**6, 100, 1000, 2.0, None, None)
    delays = [strategy.get_backoff_time_millis(attempt) for attempt in (1, 2, 3, 4, 5, 10**6)]
    assert delays == [100, 200, 400, 800, 1000, 1000]
    assert strategy.can_retry(10**6)
    assert not strategy.can_retry(10**6 + 1)
    with pytest.raises(ValueError, match="needs a positive multiplier, not 0"):
        ExponentialBackoffDelayRetryStrategy(1, 100, 1000, 0, None, None)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_checkpoint_stores_what_has_not_been_emitted_and_a_restore_asks_again(run, ordered):
    function = Gated()
    running = run(function, ordered=ordered, capacity=2)
    running.take(1, 2, 3, times=[10, 20, 30])
    function.answer(running, 1)
    running.until(lambda: bool(running.out))
    running.operator.process_watermark(30)
    snapshot = TaskSnapshot(1, False, 128, (0, 127))
    running.operator.prepare_snapshot()
    running.operator.snapshot(snapshot)
    [stored] = snapshot.lists
    assert (stored.operator_id, stored.name, stored.items) == ("0" * 32, IN_FLIGHT, [(2, 20), (3, 30)])

    again = Gated()
    restored = run(again, restored=stored.items, ordered=ordered)
    again.answer(restored, 2, 3)
    assert sorted(restored.finish()) == [(-3, 30), (-2, 20), (2, 20), (3, 30)]


def test_nothing_is_stored_when_nothing_is_under_way(run):
    snapshot = TaskSnapshot(1, False, 128, (0, 127))
    run(Gated()).operator.snapshot(snapshot)
    assert snapshot.lists == []


def test_closing_cancels_what_is_under_way(run):
    function = Gated()
    running = run(function)
    running.take(1)
    deadline = time.monotonic() + PATIENCE
    while not function.seen:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    running.operator.close()
    assert function.cancelled == [1]


class Clients(AsyncFunction):
    """Opens and closes in the loop."""

    def __init__(self) -> None:
        self.loops: list[Any] = []

    async def open(self, runtime_context: RuntimeContext) -> None:  # type: ignore[override]
        assert runtime_context.get_index_of_this_subtask() == 0
        self.loops.append(asyncio.get_running_loop())

    async def close(self) -> None:  # type: ignore[override]
        self.loops.append(asyncio.get_running_loop())

    async def async_invoke(self, value: Any) -> list[Any]:
        self.loops.append(asyncio.get_running_loop())
        return [value]


def test_open_and_close_may_be_coroutines_in_the_same_loop(run):
    function = Clients()
    running = run(function)
    running.take(1)
    running.finish()
    running.operator.close()
    assert len(function.loops) == 3
    assert len(set(function.loops)) == 1


class Stubborn(AsyncFunction):
    """Goes on when it is cancelled, until it is let go."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.let_go = threading.Event()
        self.closed = False

    async def async_invoke(self, value: Any) -> list[Any]:
        self.started.set()
        self.let_go.wait(PATIENCE)
        return []

    def close(self) -> None:
        self.closed = True


def test_a_coroutine_that_blocks_does_not_keep_the_task_from_closing(run, monkeypatch, caplog):
    monkeypatch.setattr(async_calls, "STOP_TIMEOUT", 0.05)
    function = Stubborn()
    running = run(function)
    running.take(1)
    assert function.started.wait(PATIENCE)
    running.operator.close()
    assert function.closed
    assert "ask: a coroutine did not end" in caplog.text
    function.let_go.set()
    deadline = time.monotonic() + PATIENCE
    while any(thread.name.startswith("async ask") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_close_comes_when_nothing_is_under_way(run):
    class Watching(Gated):
        def close(self) -> None:
            assert self.cancelled == [1]

    function = Watching()
    running = run(function)
    running.take(1)
    deadline = time.monotonic() + PATIENCE
    while not function.seen:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    running.operator.close()


def test_queues_keep_the_order_of_elements():
    ordered, unordered = OrderedQueue(), UnorderedQueue()
    for waiting in (ordered, unordered):
        calls = [Call(number, None) for number in range(4)]
        waiting.put(calls[:2])
        waiting.put_element("w1")  # type: ignore[arg-type]
        waiting.put_element("w2")  # type: ignore[arg-type]
        waiting.put(calls[2:])
        waiting.put_element("w3")  # type: ignore[arg-type]
        assert waiting.take([calls[3]]) == []
        assert waiting.calls() == calls
        assert waiting.take([calls[1], calls[0]])[2:] == (
            ["w1", "w2"] if waiting is ordered else ["w1", "w2", calls[3]]
        )
        assert len(waiting) == (2 if waiting is ordered else 1)
        assert waiting.take([calls[2]])[-2:] == ([calls[3], "w3"] if waiting is ordered else [calls[2], "w3"])
        assert len(waiting) == 0


@pytest.mark.parametrize("ordered", [True, False])
def test_results_wait_until_those_behind_have_room(run, ordered):
    function = Gated()
    running = run(function, ordered=ordered, capacity=2)
    running.operator.room = lambda: False
    running.take(1, 2, 3)
    function.answer(running, 1, 2)
    running.until(lambda: len(running.operator._ended) == 2)
    running.operator.process_watermark(5)
    assert running.out == []
    assert running.operator.wants_room()
    assert function.seen == [1, 2], "no more calls than the capacity"
    snapshot = TaskSnapshot(1, False, 128, (0, 127))
    running.operator.snapshot(snapshot)
    assert [record for record, _ in snapshot.lists[0].items] == [1, 2, 3], "none has left"
    running.operator.emit_waiting()
    assert sorted(row for row, _ in running.out) == [-2, -1, 1, 2]
    assert not running.operator.wants_room()
    running.operator.room = lambda: True
    function.answer(running, 3)
    assert running.finish()[4:] == [(3, None), (-3, None), ("watermark", 5)]
