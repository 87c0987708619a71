"""Keyed process functions: state, timers, side outputs, what errors say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.runtime.operators.harness import MAX_PARALLELISM, Harness, Stored
from yarnflow.common import Types
from yarnflow.errors import ProgramError
from yarnflow.functions.keyed_adapters import KeyedCoMap, KeyedFilter, KeyedFlatMap, KeyedMap
from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.process_functions import KeyedCoProcessFunction, KeyedProcessFunction
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.functions.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from yarnflow.functions.timers import NO_TIMESTAMP, TimeDomain
from yarnflow.functions.user_functions import CoMapFunction, FilterFunction, FlatMapFunction, MapFunction
from yarnflow.graph.key_groups import subtask_for_key
from yarnflow.graph.operators import CoProcessSpec, KeyedProcessSpec
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.processing.timer_service import UnkeyedTimers

LATE = OutputTag("late")


def first(record: Any) -> Any:
    return record[0]


class Count(KeyedProcessFunction):
    """Counts per key, and says so again when the timers fire that the value of a record asks for."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Any:
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield ctx.get_current_key(), count, ctx.timestamp()


class Timers(KeyedProcessFunction):
    """Records are (key, what, time)."""

    def process_element(self, value: Any, ctx: Any) -> Any:
        _, what, time = value
        timers = ctx.timer_service()
        if what == "clocks":
            return [(timers.current_processing_time(), timers.current_watermark())]
        getattr(timers, what)(time)
        return None

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        assert ctx.timestamp() == timestamp
        yield ctx.get_current_key(), timestamp, ctx.time_domain()


def keyed(function: Any, **options: Any) -> Harness:
    return Harness(KeyedProcessSpec(function, first), **options)


def test_state_is_per_key_and_times_are_kept() -> None:
    harness = keyed(Count())
    harness.send(("a", 1), ("b", 1), ("a", 2))
    assert harness.out == [
        (("a", 1, NO_TIMESTAMP), None),
        (("b", 1, NO_TIMESTAMP), None),
        (("a", 2, NO_TIMESTAMP), None),
    ]
    harness.rows()
    harness.send(("a", 1), times=[7])
    assert harness.out == [(("a", 3, 7), 7)]
    harness.rows()
    harness.send(("a", 1))
    assert harness.out == [(("a", 4, NO_TIMESTAMP), None)]


def test_each_result_has_the_time_of_its_record() -> None:
    class Repeat(KeyedProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> Any:
            return [value] * value[1] if value[1] else None

    harness = keyed(Repeat())
    harness.send(("a", 2), ("b", 0), ("c", 1), ("d", 3), times=[1, 2, 3, 4])
    assert [time for _, time in harness.out] == [1, 1, 3, 4, 4, 4]


def test_event_timers_fire_in_order_before_the_watermark_goes_on() -> None:
    harness = keyed(Timers())
    register = "register_event_time_timer"
    harness.send(("b", register, 20), ("a", register, 10), ("a", register, 30), ("a", register, 10))
    harness.send(("b", "delete_event_time_timer", 30))
    harness.watermark(9)
    harness.watermark(20)
    event = TimeDomain.EVENT_TIME
    assert harness.out == [
        ("watermark", 9),
        (("a", 10, event), 10),
        (("b", 20, event), 20),
        ("watermark", 20),
    ]
    harness.rows()
    harness.send(("a", "delete_event_time_timer", 30), ("c", register, 5))
    harness.watermark(MAX_WATERMARK)
    assert harness.out == [(("c", 5, event), 5), ("watermark", MAX_WATERMARK)]


def test_processing_timers_fire_when_the_clock_has_passed_their_time() -> None:
    harness = keyed(Timers())
    assert harness.operator.next_timer() is None
    harness.send(("a", "register_processing_time_timer", 100), ("b", "register_processing_time_timer", 50))
    assert harness.operator.next_timer() == 51
    harness.clock(50)
    assert harness.rows() == []
    harness.clock(51)
    assert harness.out == [(("b", 50, TimeDomain.PROCESSING_TIME), 50)]
    harness.rows()
    harness.send(("a", "delete_processing_time_timer", 100))
    harness.clock(1000)
    assert harness.rows() == []
    harness.send(("a", "register_processing_time_timer", 2000))
    harness.watermark(MAX_WATERMARK)
    assert harness.finish() == [], "Flink drops processing-time timers at the end of input, too"


def test_both_clocks_can_be_read() -> None:
    harness = keyed(Timers())
    harness.now = 123
    harness.send(("a", "clocks", 0))
    harness.watermark(7)
    harness.send(("a", "clocks", 0))
    assert harness.rows() == [(123, MIN_WATERMARK), (123, 7)]


class Chain(KeyedProcessFunction):
    """Each timer sets the next one, ten later, up to 50."""

    def process_element(self, value: Any, ctx: Any) -> Any:
        ctx.timer_service().register_event_time_timer(value[1])

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        if timestamp < 50:
            ctx.timer_service().register_event_time_timer(timestamp + 10)
        return [(timestamp, ctx.timer_service().current_watermark())]


def test_timers_set_by_timers_fire_with_the_same_watermark() -> None:
    harness = keyed(Chain())
    harness.send(("a", 10))
    harness.watermark(35)
    assert harness.rows() == [(10, 35), (20, 35), (30, 35)]
    harness.watermark(100)
    assert harness.rows() == [(40, 100), (50, 100)]


class Tagging(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield value
        yield LATE, value[1]
        yield OutputTag("unread"), value

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield LATE, timestamp


def test_side_outputs_have_their_records_and_times() -> None:
    harness = keyed(Tagging(), side=[LATE])
    harness.send(("a", 1), ("b", 2), times=[5, 6])
    assert harness.out == [(("a", 1), 5), (("b", 2), 6)]
    assert harness.side == {"late": [(1, 5), (2, 6)]}


def test_results_take_their_declared_type() -> None:
    class Lists(KeyedProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> Any:
            yield LATE, [1]
            yield list(value)

    pair = Types.TUPLE([Types.STRING(), Types.INT()])
    harness = keyed(Lists(), output_type=pair, side=[LATE])
    harness.send(("a", 1))
    assert harness.rows() == [("a", 1)]
    assert harness.side == {"late": [([1], None)]}
    with pytest.raises(ProgramError, match=r"'Operator' is declared with .*\['b', 1, 2\]"):
        harness.send(("b", 1, 2))


class EveryState(KeyedProcessFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self.items = runtime_context.get_list_state(ListStateDescriptor("items", Types.INT()))
        self.map = runtime_context.get_map_state(MapStateDescriptor("map", Types.INT(), Types.INT()))
        self.sum = runtime_context.get_reducing_state(
            ReducingStateDescriptor("sum", lambda a, b: a + b, Types.INT())
        )

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.items.add(value[1])
        self.map.put(value[1], value[1] ** 2)
        self.sum.add(value[1])
        ctx.timer_service().register_event_time_timer(1000 + value[1])
        ctx.timer_service().register_processing_time_timer(2000)

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield ctx.get_current_key(), timestamp, list(self.items.get()), dict(self.map.items()), self.sum.get()


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_state_and_timers_come_back_at_any_parallelism(parallelism: int, backend: str) -> None:
    config = {"state.backend.type": backend}
    stored: list[Stored] = []
    keys = [f"key{number}" for number in range(20)]
    for subtask in range(2):
        harness = keyed(EveryState(), subtask=subtask, parallelism=2, config=config)
        own = [key for key in keys if subtask_for_key(key, 2, MAX_PARALLELISM) == subtask]
        harness.send(*((key, number) for number in (1, 2) for key in own))
        stored.append(harness.snapshot())
        assert stored[-1].names == {"items", "map", "sum", "event-time", "processing-time", "watermark"}
        harness.operator.close()
    event, processing = [], []
    for subtask in range(parallelism):
        harness = keyed(EveryState(), subtask=subtask, parallelism=parallelism, restored=stored, config=config)
        harness.watermark(MAX_WATERMARK)
        event += harness.rows()
        harness.clock(3000)
        processing += harness.rows()
        harness.operator.close()
    contents = ([1, 2], {1: 1, 2: 4}, 3)
    assert sorted(event) == [(key, time, *contents) for key in sorted(keys) for time in (1001, 1002)]
    assert sorted(processing) == [(key, 2000, *contents) for key in sorted(keys)]


# -- map-like functions and two inputs -------------------------------------------------------------------------


class Rich:
    def open(self, runtime_context: RuntimeContext) -> None:
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.INT()))

    def count(self) -> int:
        seen: int = (self.seen.value() or 0) + 1
        self.seen.update(seen)
        return seen


class RichMap(Rich, MapFunction):
    def map(self, value: Any) -> Any:
        return value[0], self.count()


class RichFlatMap(Rich, FlatMapFunction):
    def flat_map(self, value: Any) -> Any:
        return [value[0]] * self.count()


class RichFilter(Rich, FilterFunction):
    def filter(self, value: Any) -> Any:
        return self.count() == 1


class RichCoMap(Rich, CoMapFunction):
    def map1(self, value: Any) -> Any:
        return self.count()

    def map2(self, value: Any) -> Any:
        return None if value[1] is None else -self.count()


def test_map_like_functions_use_keyed_state() -> None:
    rows = [("a", 0), ("b", 0), ("a", 0)]
    mapped, flat = keyed(KeyedMap(RichMap())), keyed(KeyedFlatMap(RichFlatMap()))
    filtered = keyed(KeyedFilter(RichFilter()))
    for harness in (mapped, flat, filtered):
        harness.send(*rows)
    assert mapped.rows() == [("a", 1), ("b", 1), ("a", 2)]
    assert flat.rows() == ["a", "b", "a", "a"]
    assert filtered.rows() == [("a", 0), ("b", 0)]


def test_two_inputs_share_state_and_timers() -> None:
    class Join(KeyedCoProcessFunction):
        def open(self, runtime_context: RuntimeContext) -> None:
            self.left = runtime_context.get_state(ValueStateDescriptor("left"))

        def process_element1(self, value: Any, ctx: Any) -> Any:
            self.left.update(value[1])
            ctx.timer_service().register_event_time_timer(100)

        def process_element2(self, value: Any, ctx: Any) -> Any:
            yield ctx.get_current_key(), self.left.value(), value["right"]

        def on_timer(self, timestamp: int, ctx: Any) -> Any:
            yield "expired", ctx.get_current_key(), ctx.time_domain()

    harness = Harness(CoProcessSpec(Join(), (first, "id")))
    harness.send(("a", 1), to=0)
    harness.send({"id": "a", "right": 2}, {"id": "b", "right": 3}, to=1)
    harness.watermark(100)
    assert harness.rows() == [("a", 1, 2), ("b", None, 3), ("expired", "a", TimeDomain.EVENT_TIME)]
    comap = Harness(CoProcessSpec(KeyedCoMap(RichCoMap()), (first, first)))
    comap.send(("a", 1), ("b", 1))
    comap.send(("a", 1), ("a", None), to=1)
    assert comap.rows() == [1, 1, -2]


# -- what errors say -------------------------------------------------------------------------------------------


def test_an_unhashable_key_is_explained() -> None:
    harness = Harness(KeyedProcessSpec(Count(), lambda record: list(record)))
    with pytest.raises(ProgramError, match=r"unhashable key \['a', 1\] .* for the record \('a', 1\)"):
        harness.send(("a", 1))


def test_an_unstable_key_is_noticed_where_records_arrive() -> None:
    other = next(number for number in range(100) if subtask_for_key(number, 4, MAX_PARALLELISM) != 1)
    harness = Harness(KeyedProcessSpec(Count(), lambda record: other), subtask=1, parallelism=4)
    with pytest.raises(ProgramError, match=r"key selector of 'Operator' is not stable: for the record \('a', 1\)"):
        harness.send(("a", 1))


def test_an_unstable_key_is_noticed_by_a_single_subtask() -> None:
    numbers = iter(range(100))
    harness = Harness(KeyedProcessSpec(Count(), lambda record: next(numbers)))
    with pytest.raises(ProgramError, match=r"is not stable: .* it returns the key first 0 and then 1\."):
        harness.send(("a", 1))


def test_a_key_that_is_only_equal_to_itself_is_refused_by_a_single_subtask() -> None:
    harness = Harness(KeyedProcessSpec(Count(), lambda record: object()))
    with pytest.raises(ProgramError, match="a key of type object is only equal to itself"):
        harness.send(("a", 1))


@pytest.mark.parametrize("times", [None, [1]])
def test_results_that_are_no_records_are_explained(times: list[int] | None) -> None:
    class Wrong(KeyedProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> Any:
            return 5

    with pytest.raises(ProgramError, match=r"Wrong.process_element\(\) returned 5 \(int\) for \('a', 1\)"):
        keyed(Wrong()).send(("a", 1), times=times)


def test_what_a_timer_returns_is_explained_with_the_timer() -> None:
    class Wrong(Timers):
        def on_timer(self, timestamp: int, ctx: Any) -> Any:
            return 7

    harness = keyed(Wrong())
    harness.send(("a", "register_event_time_timer", 3))
    with pytest.raises(ProgramError, match=r"on_timer\(\) returned 7 \(int\) for Timer\(time=3, key='a'\)"):
        harness.watermark(3)


def test_state_cannot_be_used_without_a_key() -> None:
    class Early(Count):
        def open(self, runtime_context: RuntimeContext) -> None:
            super().open(runtime_context)
            self.count.update(1)

    with pytest.raises(ProgramError, match="state 'count' was used while there is no current key"):
        keyed(Early())


def test_keyed_state_needs_a_keyed_stream() -> None:
    context = RuntimeContext("Map", 1, 128, 0, 0)
    with pytest.raises(ProgramError, match=r"get_state\('count'\) in 'Map': keyed state belongs to keys"):
        context.get_state(ValueStateDescriptor("count"))
    with pytest.raises(ProgramError, match=r"get_list_state\(\) needs a ListStateDescriptor, not"):
        context.get_list_state(ValueStateDescriptor("count"))  # type: ignore[arg-type]


def test_a_time_must_be_a_number() -> None:
    with pytest.raises(ProgramError, match=r"the time of a timer is an int.* not 1\.5"):
        keyed(Timers()).send(("a", "register_event_time_timer", 1.5))


# -- against a model -------------------------------------------------------------------------------------------

KEYS = st.sampled_from("abc")
TIMES = st.integers(0, 20)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, TIMES),
        st.tuples(st.just("delete"), KEYS, TIMES),
        st.tuples(st.just("advance"), TIMES),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(EVENTS, st.booleans())
def test_timers_are_those_of_a_simple_model(events: list[Any], processing: bool) -> None:
    """A set of (time, key): what is due fires once, earliest first, and restoring a snapshot changes nothing."""
    domain = "processing" if processing else "event"
    harness = keyed(Timers())
    pending: set[tuple[int, str]] = set()
    now = -1
    for event in events:
        if event[0] == "set":
            _, key, time = event
            harness.send((key, f"register_{domain}_time_timer", time))
            pending.add((time, key))
        elif event[0] == "delete":
            _, key, time = event
            harness.send((key, f"delete_{domain}_time_timer", time))
            pending.discard((time, key))
        elif event[0] == "restart":
            harness = keyed(Timers(), restored=[harness.snapshot()])
            harness.now = now
        elif event[1] > now:
            now = event[1]
            if processing:
                harness.clock(now)
            else:
                harness.watermark(now)
            due = sorted(timer for timer in pending if (timer[0] < now if processing else timer[0] <= now))
            pending -= set(due)
            fired = [(time, key) for key, time, _ in harness.rows()]
            assert sorted(fired) == due
            assert [time for time, _ in fired] == [time for time, _ in due]


def test_event_time_is_known_after_a_restart() -> None:
    """Records that were under way at an unaligned checkpoint come before any watermark does."""
    harness = keyed(Timers())
    harness.send(("a", "register_event_time_timer", 150))
    harness.watermark(100)
    restored = keyed(Timers(), restored=[harness.snapshot()])
    restored.send(("a", "clocks", 0))
    assert restored.rows() == [(0, 100)]
    restored.watermark(50)
    assert restored.out == [("watermark", 50)]
    restored.send(("a", "clocks", 0))
    assert restored.rows() == [(0, 100)]
    restored.watermark(150)
    assert [time for (_, time, _), _ in restored.out[:1]] == [150]


def test_process_functions_without_keys_read_clocks_and_have_no_timers() -> None:
    timers = UnkeyedTimers(lambda: 5)
    assert (timers.current_processing_time(), timers.current_watermark()) == (5, MIN_WATERMARK)
    for method in ("register_processing_time_timer", "delete_event_time_timer"):
        with pytest.raises(ProgramError, match=f"{method}.*only there on a keyed stream"):
            getattr(timers, method)(1)
