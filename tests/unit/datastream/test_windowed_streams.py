"""Building windows: which spec, name and type come of it, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from yarnflow.common import Duration, Time, Types
from yarnflow.datastream import (
    AggregateFunction,
    AllWindowFunction,
    OutputTag,
    StreamExecutionEnvironment,
    WindowFunction,
)
from yarnflow.datastream.expressions import col, count
from yarnflow.datastream.window import (
    CountEvictor,
    CountSlidingWindowAssigner,
    CountTrigger,
    CountTumblingWindowAssigner,
    DeltaTrigger,
    EventTimeSessionWindows,
    EventTimeTrigger,
    GlobalWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from yarnflow.errors import ProgramError
from yarnflow.graph.operators import AggregateSpec, WindowSpec


class Count(AggregateFunction):
    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator + 1

    def get_result(self, accumulator: int) -> int:
        return accumulator

    def merge(self, acc_a: int, acc_b: int) -> int:
        return acc_a + acc_b


class Show(WindowFunction[Any, Any, Any, Any]):
    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        return []


class ShowAll(AllWindowFunction[Any, Any, Any]):
    def apply(self, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        return []


TUMBLING = TumblingEventTimeWindows.of(Time.seconds(1))


@pytest.fixture
def stream() -> Any:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(3)
    return env.from_collection([("a", 1)], Types.TUPLE([Types.STRING(), Types.LONG()]))


def spec_of(result: Any) -> WindowSpec:
    spec = result._transformation.spec
    assert isinstance(spec, WindowSpec)
    return spec


def test_a_windowed_stream_collects_what_is_said(stream: Any) -> None:
    tag, trigger, evictor = OutputTag("late"), CountTrigger.of(3), CountEvictor.of(2)
    windows = stream.key_by("f0").window(TUMBLING).trigger(trigger).evictor(evictor)
    result = windows.allowed_lateness(Duration.of_seconds(2)).side_output_late_data(tag).apply(Show(), Types.INT())
    spec = spec_of(result)
    assert (spec.key, spec.assigner, spec.trigger, spec.evictor) == ("f0", TUMBLING, trigger, evictor)
    assert (spec.allowed_lateness, spec.late_tag) == (2000, tag)
    assert isinstance(spec.window_function, Show)
    assert result.get_type() == Types.INT()
    assert result.get_name() == "TumblingEventTimeWindows"
    assert result._transformation.description == "Window(TumblingEventTimeWindows(1000, 0), CountTrigger, Show)"
    assert result._transformation.parallelism == 3


def test_reduce_keeps_the_type_and_aggregate_has_none(stream: Any) -> None:
    windows = stream.key_by(lambda record: record[0]).window(TUMBLING)
    assert windows.reduce(lambda left, right: left).get_type() == stream.get_type()
    assert windows.sum(1).get_type() == stream.get_type()
    assert spec_of(windows.sum(1)).reduce == AggregateSpec("sum", 1, windows._spec.key)
    assert windows.aggregate(Count()).get_type() == Types.PICKLED_BYTE_ARRAY()
    assert spec_of(windows.aggregate(Count(), Show())).aggregate is not None


def test_count_windows(stream: Any) -> None:
    keyed = stream.key_by(lambda record: record[0])
    assert isinstance(spec_of(keyed.count_window(3).apply(Show())).assigner, CountTumblingWindowAssigner)
    assert isinstance(spec_of(keyed.count_window(3, 1).apply(Show())).assigner, CountSlidingWindowAssigner)
    assert isinstance(spec_of(stream.count_window_all(3).apply(ShowAll())).assigner, CountTumblingWindowAssigner)


def test_window_all_runs_once(stream: Any) -> None:
    result = stream.window_all(TUMBLING).apply(ShowAll())
    assert spec_of(result).key is None
    assert result._transformation.parallelism == 1
    with pytest.raises(ProgramError, match="cannot run in parallel"):
        result.set_parallelism(2)


def test_columns(stream: Any) -> None:
    spec = spec_of(stream.key_by("f0").window(TUMBLING).aggregate(n=count(), total=col("f1").sum()))
    assert [name for name, _ in spec.aggregates] == ["n", "total"]
    assert repr(spec.aggregates) == "(('n', count()), ('total', sum(f1)))"


class Alone(DeltaTrigger):
    """Cannot merge."""


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda s, k: s.window(TUMBLING), ProgramError, r"window\(\) needs a keyed stream: call key_by\(\)"),
        (lambda s, k: s.count_window(5), ProgramError, r"count_window\(\) needs a keyed stream"),
        (lambda s, k: k.window(5), TypeError, "needs a window assigner"),
        (lambda s, k: k.window(TUMBLING).trigger(TUMBLING), TypeError, "needs a trigger"),
        (lambda s, k: k.window(TUMBLING).evictor(5), TypeError, "needs an evictor"),
        (lambda s, k: k.window(TUMBLING).side_output_late_data("late"), TypeError, "needs an OutputTag"),
        (lambda s, k: k.window(TUMBLING).allowed_lateness(-1), ProgramError, "0 ms or more, not -1"),
        (lambda s, k: k.window(TUMBLING).reduce(5), TypeError, r"reduce\(\) needs a function"),
        (lambda s, k: k.window(TUMBLING).reduce(max, ShowAll()), TypeError, "must be a WindowFunction or Process"),
        (lambda s, k: k.window(TUMBLING).aggregate(max), TypeError, "needs an AggregateFunction"),
        (lambda s, k: k.window(TUMBLING).aggregate(), TypeError, "or named columns"),
        (lambda s, k: k.window(TUMBLING).aggregate(Count(), n=count()), TypeError, "not both"),
        (lambda s, k: k.window(TUMBLING).aggregate(n=col("f1")), TypeError, "n must be an aggregate"),
        (lambda s, k: k.window(TUMBLING).aggregate(n=count()), ProgramError, "needs the key to be a field"),
        (lambda s, k: k.window(TUMBLING).apply(ShowAll()), TypeError, r"apply\(\) needs a WindowFunction"),
        (lambda s, k: k.window(TUMBLING).process(Show()), TypeError, r"process\(\) needs a ProcessWindowFunction"),
        (lambda s, k: k.window(TUMBLING).sum(True), TypeError, "the position or the name of a field"),
        (
            lambda s, k: k.window(EventTimeSessionWindows(5)).trigger(Alone(1, max)),
            ProgramError,
            r"merges windows, and DeltaTrigger\(1\) cannot|merges windows, and Alone",
        ),
        (
            lambda s, k: s.key_by("f0").window(EventTimeSessionWindows(5)).aggregate(n=count()),
            ProgramError,
            "works for tumbling and sliding time windows",
        ),
        (
            lambda s, k: s.key_by("f0").window(TUMBLING).trigger(CountTrigger(5)).aggregate(n=count()),
            ProgramError,
            r"with CountTrigger\(5\): use an AggregateFunction",
        ),
        (
            lambda s, k: s.key_by("n").window(TUMBLING).aggregate(n=count()),
            ProgramError,
            "'n' is the name of the key as well",
        ),
        (
            lambda s, k: k.window(TumblingProcessingTimeWindows(5)).allowed_lateness(1).apply(Show()),
            ProgramError,
            "goes by the machine's clock",
        ),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(stream: Any, build: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        build(stream, stream.key_by(lambda record: record[0]))


def test_the_assigners_own_trigger_may_be_named(stream: Any) -> None:
    windows = stream.key_by("f0").window(SlidingEventTimeWindows(10, 5)).trigger(EventTimeTrigger.create())
    assert spec_of(windows.aggregate(n=count())).aggregates


def test_types_of_the_environment_are_there(stream: Any) -> None:
    windows = stream.window_all(GlobalWindows.create())
    assert windows.get_input_type() == stream.get_type()
    assert windows.get_execution_environment() is stream.get_execution_environment()
