"""What AsyncDataStream and interval joins build, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from yarnflow.common import Duration, Time, Types
from yarnflow.datastream import (
    AsyncDataStream,
    AsyncFunction,
    AsyncRetryStrategy,
    DataStream,
    OutputTag,
    ProcessJoinFunction,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.async_retry_strategies import NoRetryStrategy
from yarnflow.errors import ProgramError
from yarnflow.graph.operators import AsyncSpec, IntervalJoinSpec
from yarnflow.graph.transformations import OperatorTransformation

SECOND = Time.seconds(1)


class Ask(AsyncFunction[int, int]):
    async def async_invoke(self, value: int) -> list[int]:
        return [value]


class Blocking(AsyncFunction):
    def async_invoke(self, value: int) -> list[int]:  # type: ignore[override]
        return [value]


class Pairs(ProcessJoinFunction):
    def process_element(self, left: Any, right: Any, ctx: ProcessJoinFunction.Context) -> Any:
        yield left, right


def stream() -> DataStream:
    return StreamExecutionEnvironment.get_execution_environment().from_collection([("a", 1)])


def operator(built: DataStream) -> OperatorTransformation:
    made = built._transformation
    assert isinstance(made, OperatorTransformation)
    return made


def test_all_four_ways_to_wait():
    numbers, function = stream(), Ask()
    retry = AsyncRetryStrategy.fixed_delay(1, 1, None, None)
    built = [
        AsyncDataStream.ordered_wait(numbers, function, SECOND),
        AsyncDataStream.unordered_wait(numbers, function, Duration.of_seconds(2), 7, Types.LONG()),
        AsyncDataStream.ordered_wait_with_retry(numbers, function, SECOND, retry),
        AsyncDataStream.unordered_wait_with_retry(numbers, function, SECOND, retry, 8),
    ]
    assert [operator(made).spec for made in built] == [
        AsyncSpec(function, 1000, 100, ordered=True),
        AsyncSpec(function, 2000, 7, ordered=False),
        AsyncSpec(function, 1000, 100, ordered=True, retry=retry),
        AsyncSpec(function, 1000, 8, ordered=False, retry=retry),
    ]
    assert built[1].get_type() == Types.LONG()
    assert built[0].get_name() == "async wait operator"


class NoPredicate(NoRetryStrategy):
    def get_retry_predicate(self) -> Any:
        return None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data_stream": 5}, TypeError, "needs a stream, not 5"),
        ({"async_function": Blocking()}, ProgramError, r"`async def`; Blocking has none"),
        ({"async_function": Ask}, TypeError, r"not a class: give Ask\(\)"),
        ({"async_function": len}, ProgramError, "`async def`"),
        ({"timeout": 5}, TypeError, r"Time\.seconds"),
        ({"capacity": 0}, ProgramError, "must be 1 or more records, not 0"),
        ({"async_retry_strategy": None}, TypeError, "needs an AsyncRetryStrategy, not None"),
        ({"async_retry_strategy": NoPredicate()}, ProgramError, "returned None"),
        ({"timeout": Time.seconds(0)}, ProgramError, "needs a timeout above 0"),
    ],
)
def test_mistakes_with_async_functions(change, error, message):
    given: dict[str, Any] = {
        "data_stream": stream(),
        "async_function": Ask(),
        "timeout": SECOND,
        "async_retry_strategy": AsyncRetryStrategy.fixed_delay(1, 1, None, None),
    }
    with pytest.raises(error, match=message):
        AsyncDataStream.ordered_wait_with_retry(**{**given, **change})


def test_without_retry_no_timeout_is_needed():
    once = AsyncRetryStrategy.no_restart()
    made = AsyncDataStream.ordered_wait_with_retry(stream(), Ask(), Time.seconds(0), once)
    assert operator(made).spec == AsyncSpec(operator(made).spec.function, 0, 100, ordered=True)  # type: ignore[attr-defined]


def test_interval_joins():
    left, right, tag = stream().key_by(0), None, OutputTag("late")
    right = DataStream(left._environment, left._origin._transformation).key_by("b")
    joined = left.interval_join(right).between(Time.minutes(-1), Duration.of_millis(5))
    function = Pairs()
    assert operator(joined.process(function)).spec == IntervalJoinSpec(function, (0, "b"), -60_000, 5)
    joined.lower_bound_exclusive().upper_bound_exclusive().side_output_right_late_data(tag)
    made = joined.process(function, Types.PICKLED_BYTE_ARRAY())
    assert operator(made).spec == IntervalJoinSpec(function, (0, "b"), -59_999, 4, (None, tag))
    assert operator(made).inputs == (left._transformation, right._transformation)


def test_mistakes_with_interval_joins():
    left = stream().key_by(0)
    with pytest.raises(TypeError, match=r"interval_join\(\) needs a keyed stream"):
        left.interval_join(left._origin)  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match="different environments"):
        left.interval_join(stream().key_by(0))
    join = left.interval_join(left).in_event_time()
    with pytest.raises(ProgramError, match="in event time only"):
        join.in_processing_time()
    with pytest.raises(ProgramError, match="the lower bound is above the upper bound"):
        join.between(Time.seconds(1), Time.seconds(0))
    with pytest.raises(TypeError, match=r"Time\.seconds"):
        join.between(1, 2)  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match="without its bounds is empty"):
        join.between(SECOND, SECOND).lower_bound_exclusive().process(Pairs())
    with pytest.raises(TypeError, match="needs a ProcessJoinFunction"):
        join.between(SECOND, SECOND).process(lambda left, right: None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="named by an OutputTag, not 'late'"):
        join.between(SECOND, SECOND).side_output_left_late_data("late")  # type: ignore[arg-type]
