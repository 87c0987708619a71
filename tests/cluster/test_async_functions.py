"""AsyncDataStream on real workers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from yarnflow.common import Time, Types
from yarnflow.datastream import (
    AsyncDataStream,
    AsyncFunction,
    AsyncRetryStrategy,
    ProcessFunction,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.async_retry_predicates import has_exception_predicate
from yarnflow.errors import JobFailedError
from yarnflow.testing.scripted_source import At, ScriptedSource, watermark_per_batch

pytestmark = pytest.mark.cluster

PATIENCE = Time.seconds(60)


class Jitter(AsyncFunction):
    """Answers in another order than it is asked."""

    async def async_invoke(self, value: int) -> list[int]:
        await asyncio.sleep(0.001 * (value % 7))
        return [value, -value]


class Moody(AsyncFunction):
    """Fails for every record once."""

    def open(self, runtime_context: Any) -> None:
        self._asked: set[int] = set()

    async def async_invoke(self, value: int) -> list[int]:
        if value not in self._asked:
            self._asked.add(value)
            raise OSError("not now")
        return [value]


class Stuck(AsyncFunction):
    async def async_invoke(self, value: int) -> list[int]:
        if value == 7:
            await asyncio.sleep(3600)
        return [value]


def environment(parallelism: int = 1) -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    return env


def test_ordered_results_keep_the_order_and_all_come_before_the_end(cluster):
    env = environment()
    answers = AsyncDataStream.ordered_wait(env.from_sequence(1, 2000), Jitter(), PATIENCE, 50, Types.LONG())
    with answers.map(lambda value: value * 2).execute_and_collect() as results:
        assert list(results) == [2 * value for n in range(1, 2001) for value in (n, -n)]


def test_unordered_results_in_parallel_behind_an_exchange(cluster):
    env = environment(parallelism=2)
    numbers = env.from_sequence(1, 5000).key_by(lambda n: n % 10)
    answers = AsyncDataStream.unordered_wait(numbers, Jitter(), PATIENCE, 1000).rebalance().map(abs)
    with answers.execute_and_collect() as results:
        assert sorted(results) == sorted(2 * list(range(1, 5001)))


class Clock(ProcessFunction):
    """Each record with its time and the watermark it meets."""

    def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Any:
        yield value, ctx.timestamp(), ctx.timer_service().current_watermark()


@pytest.mark.parametrize("ordered", [True, False])
def test_no_record_is_late_because_it_had_to_wait(cluster, ordered):
    env = environment()
    source = ScriptedSource([At(10 * n, n) for n in range(500)], batch_size=10)
    stream = env.from_source(source, watermark_per_batch(), "numbers")
    wait = AsyncDataStream.ordered_wait if ordered else AsyncDataStream.unordered_wait
    with wait(stream, Jitter(), PATIENCE, 100).process(Clock()).execute_and_collect() as results:
        found = list(results)
    assert sorted((abs(value), time) for value, time, _ in found) == sorted([(n, 10 * n) for n in range(500)] * 2)
    assert all(watermark < time for _, time, watermark in found)
    assert max(watermark for _, _, watermark in found) > 0


def test_retries(cluster):
    env = environment()
    strategy = AsyncRetryStrategy.exponential_backoff(3, 1, 10, 2.0, None, has_exception_predicate)
    stream = AsyncDataStream.unordered_wait_with_retry(env.from_sequence(1, 100), Moody(), PATIENCE, strategy)
    with stream.execute_and_collect() as results:
        assert sorted(results) == list(range(1, 101))


def test_a_timeout_fails_the_job_with_operator_and_record(cluster):
    env = environment()
    stream = AsyncDataStream.ordered_wait(env.from_sequence(1, 10), Stuck(), Time.milliseconds(50)).name("ask")
    stream.print()
    with pytest.raises(JobFailedError) as caught:
        env.execute()
    message = str(caught.value)
    assert "TimeoutError" in message
    assert "In operator 'ask', with the record 7" in message


def test_a_failure_names_operator_and_record(cluster):
    env = environment()
    AsyncDataStream.ordered_wait(env.from_sequence(1, 10), Moody(), PATIENCE).name("ask").print()
    with pytest.raises(JobFailedError) as caught:
        env.execute()
    assert "In operator 'ask', with the record 1" in str(caught.value)
    assert "not now" in str(caught.value)
