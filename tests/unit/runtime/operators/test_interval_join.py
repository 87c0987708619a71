"""The interval join, against a model that knows everything that ever came."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.join_functions import ProcessJoinFunction
from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.graph.operators import IntervalJoinSpec, Operator
from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.interval_buffer import LEAST_WIDTH
from yarnflow.runtime.operators.interval_join import IntervalJoinOperator
from yarnflow.runtime.operators.registry import make_operator
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import Chunk, TaskSnapshot
from yarnflow.runtime.taskmanager.failures import describe

LATE = (OutputTag("late left"), OutputTag("late right"))


class Pairs(ProcessJoinFunction):
    def process_element(self, left: Any, right: Any, ctx: ProcessJoinFunction.Context) -> Iterable[Any]:
        yield left, right, ctx.get_left_timestamp(), ctx.get_right_timestamp(), ctx.get_timestamp()


class Restored(RestoredOperator):
    """What a snapshot holds, pickled in between."""

    def __init__(self, snapshot: TaskSnapshot) -> None:
        super().__init__(None, "", 0, 1, range(128), snapshot.checkpoint_id)
        self._tables: dict[str, list[Any]] = pickle.loads(
            pickle.dumps({part.name: list(part.chunks()) for part in snapshot.keyed})
        )
        self._details = {part.name: part.details for part in snapshot.keyed}

    def keyed_names(self, kind: StateKind = StateKind.KEYED) -> list[str]:
        return list(self._tables) if kind is StateKind.KEYED else []

    def keyed(self, name: str, kind: StateKind = StateKind.KEYED) -> Iterable[Chunk]:
        return self._tables[name]

    def details(self, name: str) -> dict[str, str]:
        return self._details[name]


class Join:
    """A running operator and what it emits: (record, time) pairs."""

    def __init__(
        self,
        lower: int,
        upper: int,
        function: ProcessJoinFunction | None = None,
        restored: RestoredOperator | None = None,
        keys: Any = (0, 0),
    ) -> None:
        runtime_context = RuntimeContext("t", 1, 128, 0, 0)
        context = OperatorContext("0" * 32, "t", "e", 0, 1, 128, 0, {}, runtime_context, lambda message: None)
        spec = IntervalJoinSpec(function or Pairs(), keys, lower, upper, LATE)
        made = make_operator(Operator("0" * 32, "join", spec), context)
        assert isinstance(made, IntervalJoinOperator)
        self.operator = made
        self.out: list[Any] = []
        self.late: tuple[list[Any], list[Any]] = ([], [])
        self.watermarks: list[int] = []
        made.emit = self._gather(self.out)
        made.emit_watermark = self.watermarks.append
        made.side_outputs = {tag: self._gather(late) for tag, late in zip(LATE, self.late, strict=True)}
        if restored is not None:
            made.restore(restored)
        made.open()

    @staticmethod
    def _gather(into: list[Any]) -> Any:
        return lambda batch: into.extend(zip(batch.rows, batch.timestamps, strict=True))

    def take(self, side: int, *records: tuple[Any, int]) -> None:
        self.operator.process_batch(
            RowBatch([record for record, _ in records], [time for _, time in records]), side
        )

    def snapshot(self) -> TaskSnapshot:
        snapshot = TaskSnapshot(1, False, 128, (0, 127))
        self.operator.prepare_snapshot()
        self.operator.snapshot(snapshot)
        return snapshot

    def held(self) -> int:
        """Records in state."""
        chunks = [chunk for part in self.snapshot().keyed for chunk in part.chunks()]
        return sum(len(times) for chunk in chunks for times, _ in chunk.values)


def test_a_record_meets_those_in_its_interval_whoever_comes_first():
    join = Join(-10, 5)
    join.take(0, (("a", 1), 100))
    join.take(1, (("a", 2), 90), (("a", 3), 105), (("a", 4), 89), (("a", 5), 106), (("b", 6), 100))
    join.take(0, (("a", 7), 99), (("b", 8), 111))
    assert [(left[1], right[1], time) for (left, right, *_), time in join.out] == [
        *((1, 2, 100), (1, 3, 105)),
        *((7, 4, 99), (7, 2, 99)),
    ]
    assert join.out[1][0][2:] == (100, 105, 105)
    assert join.out[2][0][2:] == (99, 89, 99)


def test_late_records_go_to_the_side_output_of_their_input_and_meet_nothing():
    join = Join(-10, 10)
    join.take(0, (("a", 1), 100))
    join.operator.process_watermark(100)
    assert join.watermarks == [100]
    join.take(1, (("a", 2), 99), (("a", 3), 100))
    join.take(0, (("a", 4), 99))
    assert [(left[1], right[1]) for (left, right, *_), _ in join.out] == [(1, 3)]
    assert join.late == ([(("a", 4), 99)], [(("a", 2), 99)])


Event = tuple[Any, ...]
#: ("watermark", by how much), or (side, key, time relative to the watermark's start).
events = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 1), st.sampled_from("ab"), st.integers(0, 6000)),
        st.tuples(st.just("watermark"), st.integers(1, 2000)),
        st.tuples(st.sampled_from(["checkpoint", "rebound"])),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(events, st.integers(-3000, 3000), st.integers(0, 4000), st.integers(1, 5))
def test_every_pair_is_found_once_and_nothing_else(happening, lower, span, batch_size):
    """Random order, bounds and watermarks, with restores in between, also into another layout of buckets."""
    upper = lower + span
    join = Join(lower, upper)
    out, late = list[Any](), ([], [])  # type: tuple[list[Any], list[Any]]
    expected: list[Any] = []
    expected_late: tuple[list[Any], list[Any]] = ([], [])
    seen: tuple[list[Any], list[Any]] = ([], [])
    watermark = MIN_WATERMARK
    gathered: list[tuple[int, Any]] = []

    def send() -> None:
        while gathered:
            side = gathered[0][0]
            length = next((at for at, item in enumerate(gathered) if item[0] != side), len(gathered))
            join.take(side, *(record for _, record in gathered[:length]))
            del gathered[:length]

    for number, event in enumerate(happening):
        if event[0] == "watermark":
            send()
            watermark = max(watermark, 0) + event[1]
            join.operator.process_watermark(watermark)
        elif event[0] in ("checkpoint", "rebound"):
            send()
            out += join.out
            for side in (0, 1):
                late[side].extend(join.late[side])
            restored = Restored(join.snapshot())
            if event[0] == "rebound":
                wider = Join(lower, upper + 10 * LEAST_WIDTH, restored=restored)
                restored = Restored(wider.snapshot())
            join = Join(lower, upper, restored=restored)
            if watermark > MIN_WATERMARK:
                join.operator.process_watermark(watermark)
        else:
            side, key, time = event
            record = ((key, number), time)
            gathered.append((side, record))
            if time < watermark:
                expected_late[side].append(record)
            else:
                for other, other_time in seen[1 - side]:
                    left, right = ((key, number), other) if side == 0 else (other, (key, number))
                    left_time, right_time = (time, other_time) if side == 0 else (other_time, time)
                    if other[0] == key and left_time + lower <= right_time <= left_time + upper:
                        latest = max(left_time, right_time)
                        expected.append(((left, right, left_time, right_time, latest), latest))
                seen[side].append(record)
            if len(gathered) >= batch_size:
                send()
    send()
    out += join.out
    assert sorted(out) == sorted(expected)
    for side in (0, 1):
        assert sorted(late[side] + join.late[side]) == sorted(expected_late[side])
    join.operator.process_watermark(MAX_WATERMARK)
    assert join.held() == 0


def test_what_can_meet_nothing_any_more_is_forgotten_or_never_kept():
    join = Join(0, 10_000)
    for time in range(0, 1_000_000, 1000):
        join.take(0, (("a", time), time))
        join.take(1, (("a", time), time))
        join.operator.process_watermark(time - 1)
    # 10 s of the left input and half an interval more; the right one only meets left records of before.
    assert join.held() <= 10 + 5 + 1 + 6
    before = Join(-10, -5)
    before.operator.process_watermark(100)
    before.take(0, (("a", 1), 100))
    assert before.held() == 0


def test_a_function_that_changes_records_changes_its_own():
    class Update(ProcessJoinFunction):
        def process_element(self, left: Any, right: Any, ctx: Any) -> list[Any]:
            left.update(right)
            right.clear()
            return [left]

    join = Join(-10, 10, Update(), keys=(lambda record: 0, lambda record: 0))
    join.take(0, ({"l": 1}, 0))
    join.take(1, ({"r": 1}, 0), ({"r": 2}, 0))
    join.take(0, ({"l": 2}, 0))
    assert [record for record, _ in join.out] == [
        *({"l": 1, "r": 1}, {"l": 1, "r": 2}),
        *({"l": 2, "r": 1}, {"l": 2, "r": 2}),
    ]


def test_side_outputs_and_no_results():
    class Split(ProcessJoinFunction):
        def process_element(self, left: Any, right: Any, ctx: Any) -> Any:
            if left[1] == 1:
                return None
            return [(LATE[0], "aside"), "main"]

    join = Join(-10, 10, Split())
    join.take(0, (("a", 1), 3), (("a", 2), 4))
    join.take(1, (("a", 3), 5))
    assert join.out == [("main", 5)]
    assert join.late[0] == [("aside", 5)]


def test_records_without_time_are_refused():
    join = Join(0, 1)
    with pytest.raises(ProgramError, match=r"'join' works in event time.* \('a', 1\) has no timestamp"):
        join.operator.process_batch(RowBatch([("a", 1)]), 0)
    with pytest.raises(ProgramError, match=r"the record \('a', 2\) has no timestamp"):
        join.take(0, (("a", 1), 5), (("a", 2), MIN_WATERMARK))


def test_wrong_keys_and_results_are_explained():
    class Wrong(ProcessJoinFunction):
        def process_element(self, left: Any, right: Any, ctx: Any) -> Any:
            return 5 if left[1] == 1 else 1 / 0

    join = Join(0, 1, Wrong())
    with pytest.raises(ProgramError, match="unhashable key"):
        join.take(0, (([], 1), 0))
    join.take(0, (("a", 1), 0))
    with pytest.raises(ProgramError, match=r"process_element\(\) returned 5"):
        join.take(1, (("a", 2), 0))
    failing = Join(0, 1, Wrong())
    failing.take(0, (("a", 2), 0))
    with pytest.raises(ZeroDivisionError) as raised:
        failing.take(1, (("a", 3), 0))
    failure = describe(raised.value, ["join"], lambda: "")
    assert "In operator 'join', with the record ('a', 3):" in failure.traceback
