"""Windows of the general operator: triggers, evictors, merging, contexts, state; and what errors say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.runtime.operators.harness import Harness
from yarnflow.common.constants import MIN_LONG_VALUE
from yarnflow.common.time import Time
from yarnflow.common.typeinfo import Types
from yarnflow.errors import ProgramError
from yarnflow.functions.expressions import count
from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from yarnflow.functions.user_functions import AggregateFunction
from yarnflow.functions.windows.assigner import MergingWindowAssigner
from yarnflow.functions.windows.count_windows import CountTumblingWindowAssigner, GlobalWindows
from yarnflow.functions.windows.evictors import CountEvictor
from yarnflow.functions.windows.time_windows import (
    EventTimeSessionWindows,
    ProcessingTimeSessionWindows,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from yarnflow.functions.windows.trigger import Trigger, TriggerResult
from yarnflow.functions.windows.triggers import (
    ContinuousEventTimeTrigger,
    ContinuousProcessingTimeTrigger,
    CountTrigger,
    DeltaTrigger,
    EventTimeTrigger,
    NeverTrigger,
    PurgingTrigger,
)
from yarnflow.functions.windows.window import GlobalWindow, TimeWindow
from yarnflow.functions.windows.window_functions import (
    AllWindowFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
)
from yarnflow.graph.operators import AggregateSpec, WindowSpec
from yarnflow.runtime.network.elements import MAX_WATERMARK

SIDE = OutputTag("side")


class Apply(WindowFunction[Any, Any, Any, Any]):
    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        return [(key, window, list(inputs))]


class Sum(AggregateFunction):
    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator + value

    def get_result(self, accumulator: int) -> int:
        return accumulator

    def merge(self, acc_a: int, acc_b: int) -> int:
        return acc_a + acc_b


def key(record: Any) -> Any:
    return record % 10


GLOBAL = WindowSpec(key, GlobalWindows(), aggregate=Sum())
TUMBLING = WindowSpec(key, TumblingEventTimeWindows(10), aggregate=Sum())


def spec(base: WindowSpec, **changes: Any) -> WindowSpec:
    return replace(base, **changes)


def test_a_count_trigger_fires_and_keeps_what_is_there() -> None:
    harness = Harness(spec(GLOBAL, trigger=CountTrigger.of(2)))
    harness.send(1, 11, 2, 21, 31, 41)
    assert harness.rows() == [12, 64]


def test_a_purging_trigger_starts_anew() -> None:
    harness = Harness(spec(GLOBAL, trigger=PurgingTrigger.of(CountTrigger.of(2))))
    harness.send(1, 11, 2, 21, 31, 41)
    assert harness.rows() == [12, 52]


def test_a_delta_trigger_fires_when_records_are_far_apart() -> None:
    far = DeltaTrigger.of(10, lambda old, new: new - old)
    harness = Harness(spec(GLOBAL, trigger=far, key=lambda record: 0))
    harness.send(1, 5, 11, 12, 13, 30)
    assert harness.rows() == [29, 72]


def test_the_default_trigger_of_global_windows_never_fires() -> None:
    for trigger in (None, NeverTrigger()):
        harness = Harness(spec(GLOBAL, trigger=trigger))
        harness.send(1, 2, 3, times=[1, 2, 3])
        harness.watermark(MAX_WATERMARK)
        assert harness.rows() == []


def test_a_continuous_trigger_fires_in_between_and_at_the_end() -> None:
    harness = Harness(spec(TUMBLING, trigger=ContinuousEventTimeTrigger.of(Time.milliseconds(4))))
    harness.send(1, 11, times=[1, 5])
    harness.watermark(3)
    assert harness.rows() == []
    harness.watermark(4)
    assert harness.rows() == [12]
    harness.send(21, times=[6])
    harness.watermark(8)
    assert harness.rows() == [33]
    harness.watermark(9)
    assert harness.rows() == [33]
    assert not harness.operator.event_timers  # type: ignore[attr-defined]


def test_a_continuous_trigger_by_the_clock() -> None:
    harness = Harness(
        WindowSpec(
            key, TumblingProcessingTimeWindows(10), ContinuousProcessingTimeTrigger.of(Time.milliseconds(4)),
            aggregate=Sum(),
        )
    )  # fmt: skip
    harness.clock(101)
    harness.send(1, 11)
    harness.clock(104)
    assert harness.rows() == []
    harness.clock(105)
    assert harness.rows() == [12]
    harness.clock(109)
    assert harness.rows() == [12]
    harness.clock(130)
    assert harness.rows() == [12]  # at the end, 109
    assert harness.operator.next_timer() is None


@pytest.mark.parametrize("assigner", [TumblingProcessingTimeWindows(10), SlidingProcessingTimeWindows(10, 5)])
def test_windows_by_the_clock(assigner: Any) -> None:
    harness = Harness(WindowSpec(key, assigner, aggregate=Sum()))
    harness.clock(3)
    harness.send(1, 11, 2)
    harness.clock(9)
    harness.send(21)
    early = [] if assigner.slide == 10 else [(12, 4), (2, 4)]
    assert harness.out == early
    harness.clock(10)
    assert harness.out == [*early, (33, 9), (2, 9)]
    harness.watermark(MAX_WATERMARK)
    harness.send(1)
    harness.finish()
    assert harness.out == []


def test_windows_by_the_clock_give_all_at_the_end_in_batch_mode() -> None:
    for assigner in (TumblingProcessingTimeWindows(10), ProcessingTimeSessionWindows(10)):
        harness = Harness(WindowSpec(key, assigner, aggregate=Sum(), final_only=True))
        harness.send(1, 11, 2)
        assert harness.finish() == [12, 2]


def test_sessions_by_the_clock() -> None:
    harness = Harness(WindowSpec(key, ProcessingTimeSessionWindows(10), window_function=Apply()))
    harness.clock(3)
    harness.send(1)
    harness.clock(9)
    harness.send(11)
    harness.clock(18)
    assert harness.rows() == []
    harness.clock(19)
    assert harness.rows() == [(1, TimeWindow(3, 19), [1, 11])]


def test_sessions_merge_reductions_and_lists_across_a_restart() -> None:
    for base in ({"reduce": lambda left, right: left + right}, {"window_function": Apply()}, {"aggregate": Sum()}):
        sessions = WindowSpec(key, EventTimeSessionWindows(10), **base)  # type: ignore[arg-type]
        harness = Harness(sessions)
        harness.send(1, 11, 2, times=[0, 15, 3])
        harness = Harness(sessions, restored=[harness.snapshot()])
        harness.send(21, times=[8])
        harness.watermark(100)
        expected = [(2, 12), (33, 24)] if "window_function" not in base else [
            ((2, TimeWindow(3, 13), [2]), 12), ((1, TimeWindow(0, 25), [1, 11, 21]), 24),
        ]  # fmt: skip
        assert harness.out == [*expected, ("watermark", 100)]
        left = harness.snapshot()
        assert not left.keyed


def test_a_session_keeps_its_trigger_state_when_it_merges() -> None:
    harness = Harness(
        WindowSpec(key, EventTimeSessionWindows(10), CountTrigger(3), aggregate=Sum(), window_function=Apply())
    )
    harness.send(1, 11, times=[0, 15])
    harness.send(21, times=[7])
    assert harness.rows() == [(1, TimeWindow(0, 25), [33])]


class Remembers(EventTimeTrigger):
    """Fires with every record and merges all kinds of state."""

    descriptors = (
        ListStateDescriptor("list", Types.LONG()),
        ReducingStateDescriptor("sum", lambda left, right: left + right, Types.LONG()),
        AggregatingStateDescriptor("total", Sum(), Types.LONG()),
    )
    seen: list[Any] = []

    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> TriggerResult:
        states = [ctx.get_partitioned_state(descriptor) for descriptor in self.descriptors]
        for state in states:
            state.add(element)
        self.seen.append((sorted(states[0].get()), states[1].get(), states[2].get()))
        return TriggerResult.CONTINUE

    def on_merge(self, window: Any, ctx: Any) -> None:
        for descriptor in self.descriptors:
            ctx.merge_partitioned_state(descriptor)

    def clear(self, window: Any, ctx: Any) -> None:
        for descriptor in self.descriptors:
            ctx.get_partitioned_state(descriptor).clear()


def test_all_states_that_can_be_merged_are_merged() -> None:
    Remembers.seen.clear()
    harness = Harness(WindowSpec(key, EventTimeSessionWindows(10), Remembers(), aggregate=Sum()))
    harness.send(1, 11, 21, times=[0, 15, 7])
    assert Remembers.seen == [([1], 1, 1), ([11], 11, 11), ([1, 11, 21], 33, 33)]
    harness.watermark(100)
    assert not harness.snapshot().keyed


class MergesAValue(Remembers):
    descriptors = (ValueStateDescriptor("value", Types.LONG()),)  # type: ignore[assignment]

    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> TriggerResult:
        return TriggerResult.CONTINUE


def test_a_value_state_cannot_be_merged() -> None:
    harness = Harness(WindowSpec(key, EventTimeSessionWindows(10), MergesAValue(), aggregate=Sum()))
    with pytest.raises(ProgramError, match="ValueStateDescriptor 'value' describes no state that can be merged"):
        harness.send(1, 11, times=[0, 5])


@pytest.mark.parametrize("base", [GLOBAL, TUMBLING], ids=["any", "tumbling"])
def test_unstable_keys_are_noticed(base: WindowSpec) -> None:
    numbers = iter(range(100))
    harness = Harness(spec(base, key=lambda record: next(numbers)))
    with pytest.raises(ProgramError, match="key selector of 'Operator' is not stable"):
        harness.send(1, times=[0])


def test_an_assigner_that_returns_no_windows_is_explained() -> None:
    class Wrong(GlobalWindows):
        def assign_windows(self, element: Any, timestamp: int, context: Any) -> Any:
            return 5

    with pytest.raises(ProgramError, match=r"assign_windows\(\) of Wrong returned 5 for the record 1"):
        Harness(spec(GLOBAL, assigner=Wrong())).send(1)


def test_evictors_see_all_records_before_and_after() -> None:
    harness = Harness(
        spec(GLOBAL, aggregate=None, window_function=Apply(), trigger=CountTrigger(2), evictor=CountEvictor(3))
    )
    harness.send(1, 11, 21, 31, 41, 51)
    assert [row[2] for row in harness.rows()] == [[1, 11], [11, 21, 31], [31, 41, 51]]
    evictor = CountEvictor(1, True)
    after = Harness(
        spec(GLOBAL, aggregate=None, window_function=Apply(), trigger=CountTrigger(2), evictor=evictor)
    )
    after.send(1, 11, 21, 31)
    assert [row[2] for row in after.rows()] == [[1, 11], [11, 21, 31]]


def test_an_evictor_works_with_reduce_and_aggregate() -> None:
    for kept in ({"aggregate": Sum()}, {"aggregate": None, "reduce": lambda left, right: left + right}):
        harness = Harness(spec(GLOBAL, trigger=CountTrigger(2), evictor=CountEvictor(2), **kept))
        harness.send(1, 11, 21, 31)
        assert harness.rows() == [12, 52]
        left = Harness(
            spec(GLOBAL, trigger=CountTrigger(2), evictor=CountEvictor(2), **kept), restored=[harness.snapshot()]
        )
        left.send(41, 51)
        assert left.rows() == [92]


class Contexts(ProcessWindowFunction[Any, Any, Any, Any]):
    """Uses everything there is."""

    fired = ValueStateDescriptor("fired", Types.LONG())
    total = ValueStateDescriptor("total", Types.LONG())

    def process(self, key: Any, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        fired = context.window_state().get_state(self.fired)
        fired.update((fired.value() or 0) + 1)
        total = context.global_state().get_state(self.total)
        total.update((total.value() or 0) + 1)
        yield SIDE, (key, context.current_processing_time())
        yield key, context.window(), fired.value(), total.value(), context.current_watermark(), sum(elements)

    def clear(self, context: Any) -> None:
        context.window_state().get_state(self.fired).clear()


@pytest.mark.parametrize("trigger", [None, PurgingTrigger(EventTimeTrigger())])
def test_process_window_functions_have_state_time_and_side_outputs(trigger: Any) -> None:
    window = TimeWindow(0, 10)
    process = spec(
        TUMBLING, aggregate=None, window_function=Contexts(), allowed_lateness=5, trigger=trigger
    )
    harness = Harness(process, side=[SIDE])
    harness.now = 77
    harness.send(1, 11, 2, times=[1, 2, 3])
    harness.watermark(9)
    assert harness.rows() == [(1, window, 1, 1, 9, 12), (2, window, 1, 1, 9, 2)]
    harness = Harness(process, side=[SIDE], restored=[harness.snapshot()])
    harness.now = 78
    harness.send(21, times=[4])
    assert harness.rows() == [(1, window, 2, 2, 9, 33 if trigger is None else 21)]
    assert harness.side == {"side": [((1, 78), 9)]}
    harness.watermark(14)
    assert {name for name, _ in harness.snapshot().keyed} == {"total"}


def test_process_with_an_aggregate_gets_one_element() -> None:
    harness = Harness(
        spec(TUMBLING, assigner=SlidingEventTimeWindows(10, 5), window_function=Contexts()), side=[SIDE]
    )
    harness.send(1, 11, times=[1, 6])
    harness.watermark(20)
    assert [(row[1], row[2], row[-1]) for row in harness.rows()] == [
        (TimeWindow(-5, 5), 1, 1), (TimeWindow(0, 10), 1, 12), (TimeWindow(5, 15), 1, 11),
    ]  # fmt: skip


def test_sessions_have_no_state_of_a_window() -> None:
    harness = Harness(WindowSpec(key, EventTimeSessionWindows(10), window_function=Contexts()))
    harness.send(1, times=[1])
    with pytest.raises(ProgramError, match="windows that merge have no state of their own"):
        harness.watermark(100)


class All(AllWindowFunction[Any, Any, Any]):
    def apply(self, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        yield window.start, sorted(inputs)


class ProcessAll(ProcessAllWindowFunction[Any, Any, Any]):
    def process(self, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        yield context.window().start, sorted(elements)


@pytest.mark.parametrize("function", [All(), ProcessAll()])
def test_windows_of_all_records(function: Any) -> None:
    harness = Harness(WindowSpec(None, TumblingEventTimeWindows(10), window_function=function))
    harness.send(1, 2, 3, times=[1, 12, 3])
    harness = Harness(harness.operator.spec, restored=[harness.snapshot()])  # type: ignore[attr-defined]
    harness.watermark(30)
    assert harness.rows() == [(0, [1, 3]), (10, [2])]


def test_built_in_aggregates_of_a_field() -> None:
    first = lambda record: record[0]  # noqa: E731
    for kind, expected in (("sum", ("a", 6)), ("min", ("a", 1)), ("max_by", ("a", 3))):
        harness = Harness(WindowSpec(first, TumblingEventTimeWindows(10), reduce=AggregateSpec(kind, 1, first)))
        harness.send(("a", 2), ("a", 3), ("a", 1), times=[1, 2, 3])
        harness.watermark(10)
        assert harness.rows() == [expected]


@pytest.mark.parametrize("aggregates", [(), (("n", count()),)])
def test_what_was_late_stays_late_after_a_restart_and_a_drained_job_begins_anew(aggregates: Any) -> None:
    base = replace(TUMBLING, key=None, late_tag=SIDE, aggregates=aggregates)
    for watermark, late in ((15, [(1, 5)]), (MAX_WATERMARK, None)):
        harness = Harness(base)
        harness.watermark(watermark)
        harness = Harness(base, side=[SIDE], restored=[harness.snapshot()])
        harness.send(1, times=[5])
        assert harness.side.get("side") == late
        harness.watermark(12)  # sources may begin a little earlier
        assert harness.out[-1] == ("watermark", 12)
        harness.send(2, times=[16])
        harness.watermark(30)
        assert len(harness.rows()) == (1 if late else 2)


def test_late_records_are_counted_or_go_to_a_side_output() -> None:
    for trigger in (None, PurgingTrigger(EventTimeTrigger())):
        harness = Harness(spec(TUMBLING, trigger=trigger))
        harness.watermark(9)
        harness.send(1, 2, times=[5, 12])
        counter = harness.operator.context.runtime_context.get_metrics_group().counter("numLateRecordsDropped")
        assert counter.get_count() == 1
        harness = Harness(spec(TUMBLING, trigger=trigger, late_tag=SIDE), side=[SIDE])
        harness.watermark(9)
        harness.send(1, 2, times=[5, 12])
        harness.watermark(30)
        assert harness.side == {"side": [(1, 5)]}
        assert harness.rows() == [2]


def test_results_carry_the_end_of_the_window_and_come_before_the_watermark() -> None:
    harness = Harness(TUMBLING)
    harness.send(1, 11, 2, times=[1, 25, 3])
    harness.watermark(100)
    assert harness.out == [(1, 9), (2, 9), (11, 29), ("watermark", 100)]


def test_state_goes_to_the_subtask_of_its_key() -> None:
    for assigner, each in (
        (TumblingEventTimeWindows(10), 1), (SlidingEventTimeWindows(10, 5), 2), (EventTimeSessionWindows(5), 1),
    ):  # fmt: skip
        base = spec(TUMBLING, assigner=assigner)
        harness = Harness(base)
        harness.send(*range(10), times=[1] * 10)
        harness.watermark(3)
        stored = harness.snapshot()
        parts = []
        for subtask in range(2):
            one = Harness(base, subtask=subtask, parallelism=2, restored=[stored])
            one.watermark(9)
            parts.append(one.rows())
        assert all(parts)
        assert sorted(parts[0] + parts[1]) == sorted(list(range(10)) * each)


class NoMerge(Sum):
    def merge(self, acc_a: int, acc_b: int) -> Any:
        return None


def test_an_aggregate_that_cannot_merge_still_slides() -> None:
    harness = Harness(spec(TUMBLING, aggregate=NoMerge(), assigner=SlidingEventTimeWindows(10, 5)))
    harness.send(1, 11, times=[1, 6])
    harness.watermark(20)
    assert harness.rows() == [1, 12, 11]


class Wrong(EventTimeTrigger):
    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> Any:
        return True


class Shrinks(EventTimeSessionWindows):
    def merge_windows(self, windows: Iterable[TimeWindow], callback: Any) -> None:
        windows = list(windows)
        if len(windows) > 1:
            callback.merge(windows, TimeWindow(0, 2))


class ReturnsANumber(Apply):
    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Any:
        return 5


@pytest.mark.parametrize(
    ("changes", "times", "message"),
    [
        ({}, None, "'Operator' works in event time, and the record 1 has no timestamp: say where"),
        ({"trigger": Wrong()}, [1, 2], "returned True: a trigger's methods return a TriggerResult"),
        ({"assigner": Shrinks(10)}, [21, 22], "which has ended already"),
        ({"aggregate": None, "window_function": ReturnsANumber()}, [1, 2], r"ReturnsANumber.apply\(\) returned 5"),
        ({"key": lambda record: [record]}, [1, 2], "unhashable key"),
    ],
)
def test_errors_say_what_is_wrong(changes: Any, times: Any, message: str) -> None:
    harness = Harness(spec(TUMBLING, **changes))

    def run() -> None:
        harness.watermark(5)
        harness.send(1, 11, times=times)
        harness.watermark(50)

    if changes.get("trigger") is None and times == [1, 2]:
        harness.watermark(-1)
    with pytest.raises(ProgramError, match=message):
        run()


def test_an_assigner_gets_the_lowest_time_when_there_is_none() -> None:
    seen = []

    class Looks(GlobalWindows):
        def assign_windows(self, element: Any, timestamp: int, context: Any) -> Any:
            seen.append(timestamp)
            return (GlobalWindow.get(),)

    harness = Harness(spec(GLOBAL, assigner=Looks()))
    harness.send(1)
    harness.send(1, times=[7])
    assert seen == [MIN_LONG_VALUE, 7]


class Days(MergingWindowAssigner[Any, TimeWindow]):
    """A custom merging assigner: whatever starts in the same hundred is one window."""

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Any:
        return [TimeWindow(timestamp, timestamp + 1)]

    def merge_windows(self, windows: Iterable[TimeWindow], callback: Any) -> None:
        groups: dict[int, list[TimeWindow]] = {}
        for window in windows:
            groups.setdefault(window.start // 100, []).append(window)
        for group in groups.values():
            if len(group) > 1:
                callback.merge(group, TimeWindow(min(w.start for w in group), max(w.end for w in group)))

    def get_default_trigger(self, env: Any) -> Trigger[Any, Any]:
        return EventTimeTrigger()

    def is_event_time(self) -> bool:
        return True


def test_custom_merging_windows() -> None:
    harness = Harness(WindowSpec(lambda record: 0, Days(), window_function=Apply()))
    harness.send(1, 2, 3, times=[10, 150, 90])
    harness.watermark(1000)
    assert harness.rows() == [(0, TimeWindow(10, 91), [1, 3]), (0, TimeWindow(150, 151), [2])]


def test_count_windows_forget_what_they_have_given() -> None:
    harness = Harness(WindowSpec(key, CountTumblingWindowAssigner(2), window_function=Apply()))
    harness.send(1, 11, 2, 21, 31)
    assert [row[2] for row in harness.rows()] == [[1, 11], [21, 31]]
    stored = harness.snapshot()
    restored = Harness(WindowSpec(key, CountTumblingWindowAssigner(2), window_function=Apply()), restored=[stored])
    restored.send(12)
    assert [row[2] for row in restored.rows()] == [[2, 12]]


SESSIONS = WindowSpec(key, EventTimeSessionWindows(10), aggregate=Sum())
COUNTS = WindowSpec(key, CountTumblingWindowAssigner(2), aggregate=Sum())


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        (TUMBLING, {"assigner": TumblingEventTimeWindows(20)}, r"TumblingEventTimeWindows\(10, 0\) with accumul"),
        (TUMBLING, {"trigger": CountTrigger(2)}, "now has windows with timers and accumulators"),
        (TUMBLING, {"aggregate": None, "aggregates": (("n", count()),)}, "on columns"),
        (spec(TUMBLING, assigner=SlidingEventTimeWindows(10, 5)), {"aggregate": NoMerge()}, "of panes of"),
        (SESSIONS, {"trigger": PurgingTrigger(EventTimeTrigger())}, "state is of sessions with accumulators"),
        (SESSIONS, {"aggregate": None, "window_function": Apply()}, "now has sessions with records"),
        (COUNTS, {"assigner": CountTumblingWindowAssigner(3)}, "of windows of 2 records every 2 with acc"),
    ],
)
def test_windows_of_another_kind_are_refused(base: WindowSpec, changes: Any, message: str) -> None:
    harness = Harness(base)
    harness.send(1, times=[1])
    stored = [harness.snapshot()]
    with pytest.raises(ProgramError, match=message):
        Harness(replace(base, **changes), restored=stored)


def test_sessions_may_go_on_with_another_gap() -> None:
    harness = Harness(SESSIONS)
    harness.send(1, times=[1])
    harness = Harness(replace(SESSIONS, assigner=EventTimeSessionWindows(20)), restored=[harness.snapshot()])
    harness.send(11, times=[5])
    harness.watermark(24)
    assert harness.out == [(12, 24), ("watermark", 24)]
