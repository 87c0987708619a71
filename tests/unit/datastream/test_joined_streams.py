"""Window joins and co-groups as built by programs, run operator by operator and compared with a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.runtime.operators.harness import Harness
from yarnflow.common import Time, Types
from yarnflow.datastream import DataStream, KeySelector, StreamExecutionEnvironment
from yarnflow.datastream.joined_streams import WindowedCoGroup, WindowedJoin
from yarnflow.datastream.window import (
    CountEvictor,
    CountTrigger,
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from yarnflow.errors import ProgramError
from yarnflow.functions.join_functions import CoGroupFunction, FlatJoinFunction, JoinFunction
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.transformations import (
    OperatorTransformation,
    PartitionTransformation,
    UnionTransformation,
)

Build = Callable[[Any], DataStream]


class Program:
    """Runs what `build` makes of JoinedStreams or CoGroupedStreams; records are (key, number) pairs."""

    def __init__(self, method: str, assigner: Any, build: Build, keys: tuple[Any, Any] = (0, 0)) -> None:
        env = StreamExecutionEnvironment.get_execution_environment()
        first, second = env.from_collection([1]), env.from_collection([2])
        windowed = getattr(first, method)(second).where(keys[0]).equal_to(keys[1]).window(assigner)
        result = build(windowed)._transformation
        assert isinstance(result, OperatorTransformation)
        [keyed] = result.inputs
        assert isinstance(keyed, PartitionTransformation)
        assert keyed.partitioning is Partitioning.HASH
        united = keyed.input
        assert isinstance(united, UnionTransformation)
        self.name = result.name
        self.taggers: list[Any] = []
        for tag, stream in zip(united.inputs, (first, second), strict=True):
            # No exchange but the one by key: the rest runs where the streams come from.
            assert isinstance(tag, OperatorTransformation)
            assert tag.inputs == (stream._transformation,)
            self.taggers.append(tag.spec.function)  # type: ignore[attr-defined]
        for tagger in self.taggers:
            tagger.open(RuntimeContext("tag", 1, 128, 0, 0))
        self.window = Harness(result.spec)

    def send(self, side: int, *records: tuple[Any, int]) -> None:
        tagged = [self.taggers[side].map(record) for record, _ in records]
        self.window.send(*tagged, times=[time for _, time in records])

    def results(self) -> list[Any]:
        return [item for item in self.window.out if item[0] != "watermark"]


def pair(first: Any, second: Any) -> Any:
    return first, second


TUMBLING = TumblingEventTimeWindows.of(Time.milliseconds(10))


def test_a_join_makes_all_pairs_of_a_key_in_a_window():
    program = Program("join", TUMBLING, lambda windowed: windowed.apply(pair))
    program.send(0, (("a", 1), 0), (("a", 2), 9), (("a", 3), 10), (("b", 4), 5))
    program.send(1, (("a", 5), 3), (("c", 6), 3), (("a", 7), 19))
    program.window.watermark(100)
    assert sorted(program.results()) == [
        ((("a", 1), ("a", 5)), 9),
        ((("a", 2), ("a", 5)), 9),
        ((("a", 3), ("a", 7)), 19),
    ]
    assert program.name == "Window Join"


def test_a_co_group_sees_both_sides_also_empty_ones():
    class Sizes(CoGroupFunction):
        def co_group(self, first: list[Any], second: list[Any]) -> Any:
            if not first:
                return None
            return [(first, second)]

    program = Program("co_group", TUMBLING, lambda windowed: windowed.apply(Sizes()))
    program.send(0, (("a", 1), 0), (("a", 2), 9), (("b", 4), 5))
    program.send(1, (("a", 5), 3), (("c", 6), 3))
    program.window.watermark(100)
    assert sorted(program.results()) == [
        (([("a", 1), ("a", 2)], [("a", 5)]), 9),
        (([("b", 4)], []), 9),
    ]
    assert program.name == "Window Co-Group"


def test_flat_joins_and_functions_that_change_records():
    class Update(FlatJoinFunction):
        def join(self, first: Any, second: Any) -> Any:
            first.update(second)
            if first["l"] == 1:
                return None
            return [first, "twice"]

    program = Program("join", TUMBLING, lambda w: w.apply(Update()), keys=(lambda record: 0, lambda record: 0))
    program.send(0, ({"l": 1}, 0), ({"l": 2}, 0))
    program.send(1, ({"r": 1}, 0), ({"r": 2}, 0))
    program.window.watermark(9)
    assert [record for record, _ in program.results()] == [
        *({"l": 2, "r": 1}, "twice"),
        *({"l": 2, "r": 2}, "twice"),
    ]


def test_functions_and_key_selectors_are_opened():
    class Key(KeySelector):
        def open(self, runtime_context: RuntimeContext) -> None:
            self.field = 0

        def get_key(self, value: Any) -> Any:
            return value[self.field]

    class Opened(JoinFunction):
        def open(self, runtime_context: RuntimeContext) -> None:
            self.name = runtime_context.get_task_name()

        def join(self, first: Any, second: Any) -> Any:
            return first[1], second[1], self.name

    program = Program("join", TUMBLING, lambda w: w.apply(Opened()), keys=(Key(), lambda record: "a"))
    program.send(0, (("a", 1), 0))
    program.send(1, (("b", 2), 0))
    program.window.watermark(9)
    assert program.results() == [((1, 2, "task"), 9)]


def test_triggers_and_evictors():
    program = Program(
        "join", TUMBLING, lambda w: w.trigger(CountTrigger.of(3)).evictor(CountEvictor.of(2)).apply(pair)
    )
    program.send(0, (("a", 1), 0), (("a", 2), 0))
    program.send(1, (("a", 3), 0))
    assert [record for record, _ in program.results()] == [(("a", 2), ("a", 3))]


Event = tuple[Any, ...]
events = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 1), st.sampled_from("ab"), st.integers(0, 60)),
        st.tuples(st.just("watermark"), st.integers(1, 15)),
    ),
    max_size=40,
)


def together(first: list[Any], second: list[Any]) -> list[Any]:
    return [(tuple(sorted(first)), tuple(sorted(second)))]


@settings(max_examples=200, deadline=None)
@given(events, st.sampled_from([(10, 10), (20, 10), (15, 5), (7, 7)]), st.sampled_from([0, 8]))
def test_windows_of_fixed_length_against_a_model(happening, shape, lateness):
    """Contents per key and window; a result when the watermark passes the end, and per record after that."""
    size, slide = shape
    assigner = SlidingEventTimeWindows.of(Time.milliseconds(size), Time.milliseconds(slide))
    if size == slide:
        assigner = TumblingEventTimeWindows.of(Time.milliseconds(size))  # type: ignore[assignment]
    programs = {
        method: Program(method, assigner, lambda w, f=function: w.allowed_lateness(lateness).apply(f))
        for method, function in (("join", pair), ("co_group", together))
    }
    contents: dict[tuple[str, int], tuple[list[Any], list[Any]]] = {}
    watermark = -1
    fired: list[Any] = []

    def fire(key: str, start: int) -> None:
        first, second = contents[key, start]
        fired.append((list(first), list(second), start + size - 1))

    for number, event in enumerate(happening):
        if event[0] == "watermark":
            before, watermark = watermark, watermark + event[1]
            for key, start in sorted(contents):
                if before < start + size - 1 <= watermark:
                    fire(key, start)
            for program in programs.values():
                program.window.watermark(watermark)
            continue
        side, key, time = event
        record = (key, number)
        for program in programs.values():
            program.send(side, (record, time))
        start = time - time % slide
        while start > time - size:
            end = start + size - 1
            if end + lateness > watermark:
                contents.setdefault((key, start), ([], []))[side].append(record)
                if end <= watermark:
                    fire(key, start)
            start -= slide
    joined = [((one, other), time) for first, second, time in fired for one in first for other in second]
    assert sorted(programs["join"].results()) == sorted(joined)
    grouped = [((tuple(sorted(first)), tuple(sorted(second))), time) for first, second, time in fired]
    assert sorted(programs["co_group"].results()) == sorted(grouped)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from("ab"), st.integers(0, 100)), max_size=25))
def test_sessions_are_those_of_both_streams_together(happening):
    gap = 10
    assigner = EventTimeSessionWindows.with_gap(Time.milliseconds(gap))
    program = Program("co_group", assigner, lambda w: w.apply(together))
    for number, (side, key, time) in enumerate(happening):
        program.send(side, ((key, number), time))
    program.window.watermark(1000)
    expected = []
    for key in "ab":
        records = enumerate(happening)
        ordered = sorted((time, number, side) for number, (side, known, time) in records if known == key)
        session: list[Any] = []
        for at, (time, number, side) in enumerate(ordered):
            session.append((side, (key, number)))
            if at + 1 == len(ordered) or ordered[at + 1][0] > time + gap:
                first, second = (tuple(sorted(item for s, item in session if s == wanted)) for wanted in (0, 1))
                expected.append(((first, second), time + gap - 1))
                session = []
    assert sorted(program.results()) == sorted(expected)


def test_a_keyed_stream_is_not_exchanged_twice():
    env = StreamExecutionEnvironment.get_execution_environment()
    keyed = env.from_collection([("a", 1)]).key_by(lambda record: record[1])
    joined = keyed.join(keyed).where(0, Types.STRING()).equal_to(0)
    assert joined._united.get_key_type() == Types.STRING()
    for tag in joined._united._transformation.input.inputs:
        assert tag.inputs == (keyed._origin._transformation,)


def test_mistakes():
    env = StreamExecutionEnvironment.get_execution_environment()
    stream = env.from_collection([("a", 1)])
    windowed = stream.join(stream).where(0).equal_to(0).window(TUMBLING)
    assert isinstance(windowed, WindowedJoin)
    with pytest.raises(TypeError, match=r"join\(\).apply\(\) needs a function or a JoinFunction, not 5"):
        windowed.apply(5)
    grouped = stream.co_group(stream).where(0).equal_to(0).window(TUMBLING)
    assert isinstance(grouped, WindowedCoGroup)
    with pytest.raises(TypeError, match="not the class CoGroupFunction"):
        grouped.apply(CoGroupFunction)
    with pytest.raises(TypeError, match=r"where\(\) needs a function or a KeySelector"):
        stream.join(stream).where(None)
    other = StreamExecutionEnvironment.get_execution_environment().from_collection([1])
    with pytest.raises(ProgramError, match=r"join\(\): the streams belong to different environments"):
        stream.join(other)
    with pytest.raises(TypeError, match="needs streams, not 5"):
        stream.co_group(5)
