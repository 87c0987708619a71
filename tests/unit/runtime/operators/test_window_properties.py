"""Windows compared with a simple model: random records, order, watermarks, lateness, a snapshot in the middle."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.windows import Collect, Show, WindowModel
from tests.unit.runtime.operators.harness import Harness
from yarnflow.common.constants import MAX_LONG_VALUE
from yarnflow.common.typeinfo import Types
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.columns import to_columns
from yarnflow.functions.expressions import col, count, window_end, window_start
from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.state import ValueStateDescriptor
from yarnflow.functions.windows.assigner import SessionWindowTimeGapExtractor
from yarnflow.functions.windows.count_windows import (
    CountSlidingWindowAssigner,
    CountTumblingWindowAssigner,
    GlobalWindows,
)
from yarnflow.functions.windows.time_windows import (
    DynamicEventTimeSessionWindows,
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from yarnflow.functions.windows.triggers import CountTrigger, EventTimeTrigger, PurgingTrigger
from yarnflow.functions.windows.window import CountWindow, GlobalWindow
from yarnflow.graph.operators import WindowSpec
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.columns.window import ColumnarWindowOperator
from yarnflow.runtime.operators.windows.count import CountWindowOperator
from yarnflow.runtime.operators.windows.operator import WindowOperator
from yarnflow.runtime.operators.windows.session import SessionOperator
from yarnflow.runtime.operators.windows.sliding import SlidingPanesOperator
from yarnflow.runtime.operators.windows.time import TimeWindowsOperator

LATE = OutputTag("late")


class AnyEventTimeTrigger(EventTimeTrigger):
    """Not the assigner's own, so that the general operator runs."""


@dataclass
class Plan:
    """Steps: ("record", key, number, time) or ("watermark", time); a snapshot and restore before step `cut`."""

    steps: list[tuple[Any, ...]]
    batch: int
    cut: int | None


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    steps: list[tuple[Any, ...]] = []
    watermark = MIN_WATERMARK
    for number in range(draw(st.integers(0, 40))):
        if draw(st.integers(0, 4)) == 0:
            watermark = max(watermark, draw(st.integers(-5, 60)))
            steps.append(("watermark", watermark))
        steps.append(("record", draw(st.integers(0, 2)), number, draw(st.integers(-5, 60))))
    return Plan(steps, draw(st.integers(1, 8)), draw(st.none() | st.integers(0, len(steps))))


def run(
    spec: WindowSpec, plan: Plan, operator_class: type, columns: bool = False, backend: str = "hashmap"
) -> tuple[list[Any], list[Any]]:
    """Main output as (key, numbers, time) and late records of the operator."""
    found: list[Any] = []
    late: list[Any] = []
    config = {"state.backend.type": backend}
    harness = Harness(spec, side=[LATE], config=config)
    assert type(harness.operator) is operator_class
    waiting: list[tuple[Any, int]] = []

    def flush() -> None:
        if waiting:
            batch = RowBatch([record for record, _ in waiting], [time for _, time in waiting])
            harness.operator.process_batch(to_columns(batch) if columns else batch, 0)
            waiting.clear()

    def take() -> None:
        found.extend((*row, time) for row, time in harness.out if row != "watermark")
        late.extend(harness.side.pop("late", []))
        harness.out.clear()

    for at, step in enumerate([*plan.steps, ("watermark", MAX_WATERMARK)]):
        if at == plan.cut:
            flush()
            take()
            stored = harness.snapshot()
            harness.operator.close()
            harness = Harness(spec, side=[LATE], restored=[stored], config=config)
        if step[0] == "watermark":
            flush()
            harness.watermark(step[1])
        else:
            waiting.append((step[1:3], step[3]))
            if len(waiting) >= plan.batch:
                flush()
    flush()
    take()
    harness.operator.close()
    return found, late


AGGREGATES = (
    ("count", count()),
    ("sum", col("f1").sum()),
    ("low", col("f1").min()),
    ("high", (col("f1") * 1.0).max()),
    ("mean", col("f1").mean()),
    ("start", window_start()),
    ("end", window_end()),
)


@pytest.mark.parametrize("columns", [False, True])
@settings(deadline=None)
@given(plan=plans(), size=st.integers(1, 20), slide=st.integers(1, 24), lateness=st.sampled_from([0, 0, 7]))
def test_aggregates_on_columns(columns: bool, plan: Plan, size: int, slide: int, lateness: int) -> None:
    """Records that come after the end of a window give a result per batch, so these batches are of one record."""
    plan = replace(plan, batch=1) if lateness else plan
    model = WindowModel(lateness)
    for step in plan.steps:
        if step[0] == "watermark":
            model.advance(step[1])
        else:
            model.fixed(*step[1:], size, slide, 0)
    model.advance(MAX_WATERMARK)
    for key in ("f0", 0, None):
        spec = WindowSpec(key, SlidingEventTimeWindows(size, slide), late_tag=LATE, aggregates=AGGREGATES)
        spec = replace(spec, allowed_lateness=lateness)
        found, late = run(spec, plan, ColumnarWindowOperator, columns)
        assert Counter(late) == Counter(model.late)
        if key is not None:
            assert Counter(found) == Counter(
                (
                    *(key, len(numbers), sum(numbers), min(numbers), float(max(numbers))),
                    *(sum(numbers) / len(numbers), time + 1 - size, time + 1, time),
                )
                for key, numbers, time in model.found
            )
        elif not lateness:
            windows: dict[int, list[int]] = defaultdict(list)
            for _, numbers, time in model.found:
                windows[time] += numbers
            assert {(row[0], row[1], row[-1]) for row in found} == {
                (len(numbers), sum(numbers), time) for time, numbers in windows.items()
            }


def check(
    spec: WindowSpec, plan: Plan, operator_class: type, model: WindowModel, take: Any, backend: str = "hashmap"
) -> None:
    for step in plan.steps:
        if step[0] == "watermark":
            model.advance(step[1])
        else:
            take(*step[1:])
    model.advance(MAX_WATERMARK)
    found, late = run(spec, plan, operator_class, backend=backend)
    assert Counter(found) == Counter(model.found)
    assert Counter(late) == Counter(model.late)


SPEC = WindowSpec(key=lambda record: record[0], assigner=None, late_tag=LATE)
KINDS = {
    "aggregate": replace(SPEC, aggregate=Collect()),
    "process": replace(SPEC, window_function=Show()),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("general", [False, True])
@settings(deadline=None)
@given(plan=plans(), size=st.integers(1, 20), offset=st.integers(0, 19), lateness=st.sampled_from([0, 0, 7]))
def test_tumbling(kind: str, general: bool, plan: Plan, size: int, offset: int, lateness: int) -> None:
    offset %= size
    spec = replace(KINDS[kind], assigner=TumblingEventTimeWindows(size, offset), allowed_lateness=lateness)
    if general:
        spec = replace(spec, trigger=AnyEventTimeTrigger())
    model = WindowModel(lateness)
    check(
        spec, plan, WindowOperator if general else TimeWindowsOperator, model,
        lambda key, number, time: model.fixed(key, number, time, size, size, offset),
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("general", [False, True])
@settings(deadline=None)
@given(plan=plans(), size=st.integers(1, 30), slide=st.integers(1, 12), lateness=st.sampled_from([0, 0, 7]))
def test_sliding(kind: str, general: bool, plan: Plan, size: int, slide: int, lateness: int) -> None:
    spec = replace(KINDS[kind], assigner=SlidingEventTimeWindows(size, slide), allowed_lateness=lateness)
    operator: type = TimeWindowsOperator
    if general:
        spec, operator = replace(spec, trigger=AnyEventTimeTrigger()), WindowOperator
    elif slide < size and spec.aggregate is not None:
        operator = SlidingPanesOperator
    model = WindowModel(lateness)
    check(spec, plan, operator, model, lambda *record: model.fixed(*record, size, slide, 0))


BACKENDS = ["hashmap", "rocksdb"]


class Gaps(SessionWindowTimeGapExtractor):
    """The gap grows with the key: 3, 4, 5 ms."""

    def extract(self, element: Any) -> int:
        return 3 + int(element[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
@settings(deadline=None, max_examples=40)
@given(plan=plans(), gap=st.integers(0, 10), lateness=st.sampled_from([0, 0, 7, 40]))
def test_sessions(kind: str, general: bool, backend: str, plan: Plan, gap: int, lateness: int) -> None:
    assigner: Any = EventTimeSessionWindows(gap) if gap else DynamicEventTimeSessionWindows(Gaps())
    spec = replace(KINDS[kind], assigner=assigner, allowed_lateness=lateness)
    operator: type = SessionOperator
    if general:
        spec, operator = replace(spec, trigger=AnyEventTimeTrigger()), WindowOperator
    model = WindowModel(lateness)
    check(
        spec, plan, operator, model,
        lambda key, number, time: model.session(key, number, time, gap or 3 + key), backend,
    )  # fmt: skip


class ShowCounted(Show):
    """Uses the state of the window and that of the key, too."""

    def process(self, key: Any, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        counts = []
        for store, name in ((context.window_state(), "of window"), (context.global_state(), "of key")):
            state = store.get_state(ValueStateDescriptor(name, Types.LONG()))
            state.update((state.value() or 0) + 1)
            counts.append(state.value())
        for result in super().process(key, context, elements):
            yield *result, context.window(), *counts


class AnyCountTrigger(CountTrigger):
    """Not the one that the fast operator knows."""


@pytest.mark.parametrize("kind", [*KINDS, "counted"])
@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
@settings(deadline=None, max_examples=40)
@given(plan=plans(), size=st.integers(1, 6), slide=st.integers(0, 7))
def test_count_windows(kind: str, general: bool, backend: str, plan: Plan, size: int, slide: int) -> None:
    """A slide of 0: the global window, which a trigger purges."""
    trigger = PurgingTrigger(AnyCountTrigger(size) if general else CountTrigger(size))
    assigner: Any = GlobalWindows()
    if slide:
        trigger = trigger if general else None  # type: ignore[assignment]
        assigner = CountTumblingWindowAssigner(size) if size == slide else CountSlidingWindowAssigner(size, slide)
    spec = KINDS[kind] if kind in KINDS else replace(SPEC, window_function=ShowCounted())
    step = slide or size
    numbers: dict[Any, list[int]] = defaultdict(list)
    expected: list[Any] = []
    for kind_of_step, *rest in plan.steps:
        if kind_of_step == "record":
            key, number, _ = rest
            numbers[key].append(number)
            past = len(numbers[key]) - size
            if past >= 0 and past % step == 0:
                more: tuple[Any, ...] = ()
                if kind == "counted":
                    fired = past // step + 1
                    more = (CountWindow(fired - 1), 1, fired) if slide else (GlobalWindow.get(), fired, fired)
                expected.append((key, tuple(numbers[key][-size:]), *more, MAX_LONG_VALUE))
    found, late = run(
        replace(spec, assigner=assigner, trigger=trigger), plan,
        WindowOperator if general else CountWindowOperator, backend=backend,
    )  # fmt: skip
    assert found == expected
    assert late == []
