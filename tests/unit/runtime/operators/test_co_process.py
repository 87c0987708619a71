"""Process functions with two inputs that are not keyed, and with a broadcast input."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.runtime.operators.harness import Harness
from yarnflow.common import Types
from yarnflow.errors import ProgramError
from yarnflow.functions.checkpointed import (
    CheckpointedFunction,
    FunctionInitializationContext,
    FunctionSnapshotContext,
)
from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.process_functions import (
    BroadcastProcessFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedProcessFunction,
)
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.functions.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from yarnflow.functions.timers import TimeDomain
from yarnflow.graph.operators import BroadcastProcessSpec, CoProcessSpec, KeyedProcessSpec

SIDE = OutputTag("side")
RULES = MapStateDescriptor("rules", Types.STRING(), Types.INT())
SEEN = ValueStateDescriptor("seen", Types.INT())


def first(record: Any) -> Any:
    return record[0]


class Both(CoProcessFunction):
    def process_element1(self, value: Any, ctx: Any) -> Any:
        yield 1, value, ctx.timestamp()
        yield SIDE, value

    def process_element2(self, value: Any, ctx: Any) -> Any:
        if value == "time":
            return [ctx.timer_service().current_watermark()]
        if value == "timer":
            ctx.timer_service().register_event_time_timer(1)
        return value


def test_both_inputs_have_their_method() -> None:
    harness = Harness(CoProcessSpec(Both()), side=[SIDE])
    harness.send("a", "b", times=[3, 4])
    harness.watermark(9)
    harness.send("time", None, to=1)
    assert harness.out == [((1, "a", 3), 3), ((1, "b", 4), 4), ("watermark", 9), (9, None)]
    assert harness.side == {"side": [("a", 3), ("b", 4)]}
    with pytest.raises(ProgramError, match="only there on a keyed stream"):
        harness.send("timer", to=1)
    with pytest.raises(ProgramError, match=r"Both.process_element2\(\) returned 5 \(int\)"):
        harness.send(5, to=1)


class Rules(BroadcastProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        rules = ctx.get_broadcast_state(RULES)
        if value == "change":
            rules["a"] = 1
        if value == "clear":
            rules.clear()
        return [(value, rules.get(value), sorted(rules.items()), ctx.timestamp(), ctx.current_watermark())]

    def process_broadcast_element(self, value: Any, ctx: Any) -> Any:
        ctx.get_broadcast_state(RULES).put(*value)
        yield "rule", value, ctx.current_processing_time()


def test_broadcast_state_is_written_by_one_input_and_read_by_the_other() -> None:
    harness = Harness(BroadcastProcessSpec(Rules(), (RULES,)))
    harness.now = 11
    harness.send(("a", 1), ("b", 2), to=1)
    harness.watermark(3)
    harness.send("b", times=[5])
    assert harness.rows() == [
        ("rule", ("a", 1), 11),
        ("rule", ("b", 2), 11),
        ("b", 2, [("a", 1), ("b", 2)], 5, 3),
    ]
    for what in ("change", "clear"):
        with pytest.raises(ProgramError, match="broadcast state is read-only here"):
            harness.send(what)


def test_every_subtask_gets_the_broadcast_state_back() -> None:
    harness = Harness(BroadcastProcessSpec(Rules(), (RULES,)))
    harness.send(("a", 1), to=1)
    stored = harness.snapshot()
    for subtask in range(3):
        again = Harness(BroadcastProcessSpec(Rules(), (RULES,)), subtask=subtask, parallelism=3, restored=[stored])
        again.send("a")
        assert again.rows()[0][1] == 1


class KeyedRules(KeyedBroadcastProcessFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self.seen = runtime_context.get_state(SEEN)

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.seen.update((self.seen.value() or 0) + 1)
        ctx.timer_service().register_event_time_timer(10)
        yield ctx.get_current_key(), self.seen.value(), ctx.get_broadcast_state(RULES).get(value[0])

    def process_broadcast_element(self, value: Any, ctx: Any) -> Any:
        if value == "use state":
            self.seen.value()
        if value == "list":
            found: list[Any] = []
            ctx.apply_to_keyed_state(SEEN, lambda key, state: found.append((key, state.value())))
            ctx.apply_to_keyed_state(SEEN, lambda key, state: state.clear())
            return [sorted(found)]
        ctx.get_broadcast_state(RULES).put(*value)
        return None

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield timestamp, ctx.get_current_key(), ctx.time_domain(), ctx.get_broadcast_state(RULES).get("a")


def test_keyed_broadcast_functions_have_state_of_both_kinds_and_timers() -> None:
    harness = Harness(BroadcastProcessSpec(KeyedRules(), (RULES,), first))
    harness.send(("a", 5), to=1)
    harness.send(("a",), ("b",), ("a",))
    harness.send("list", to=1)
    harness.send(("a",))
    harness.watermark(10)
    assert harness.rows() == [
        ("a", 1, 5),
        ("b", 1, None),
        ("a", 2, 5),
        [("a", 2), ("b", 1)],
        ("a", 1, 5),
        (10, "a", TimeDomain.EVENT_TIME, 5),
        (10, "b", TimeDomain.EVENT_TIME, 5),
    ]
    with pytest.raises(ProgramError, match="state 'seen' was used while there is no current key"):
        harness.send("use state", to=1)
    again = Harness(
        BroadcastProcessSpec(KeyedRules(), (RULES,), first), restored=[harness.snapshot()]
    )
    again.send(("a",))
    assert again.rows() == [("a", 2, 5)]


class Buffering(KeyedProcessFunction, CheckpointedFunction):
    """Keeps a list of its subtask beside the state of keys."""

    def initialize_state(self, context: FunctionInitializationContext) -> None:
        store = context.get_operator_state_store()
        self.stored = store.get_list_state(ListStateDescriptor("buffer", Types.STRING()))
        self.buffer = list(self.stored.get())
        self.restored = context.is_restored()

    def open(self, runtime_context: RuntimeContext) -> None:
        assert self.buffer is not None, "initialize_state comes first"

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        self.stored.update([*self.buffer, f"of {context.get_checkpoint_id()}"])

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.buffer.append(value[0])
        return [(list(self.buffer), self.restored)]


def test_functions_keep_operator_state() -> None:
    harness = Harness(KeyedProcessSpec(Buffering(), first))
    harness.send(("a",))
    again = Harness(KeyedProcessSpec(Buffering(), first), restored=[harness.snapshot(3)])
    again.send(("b",))
    assert harness.rows() == [(["a"], False)]
    assert again.rows() == [(["a", "of 3", "b"], True)]
