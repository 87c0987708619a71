"""The interval join, against a model that knows everything that ever came."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.runtime.operators.harness import MAX_PARALLELISM, Harness, Stored
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.join_functions import ProcessJoinFunction
from yarnflow.functions.output_tag import OutputTag
from yarnflow.graph.key_groups import subtask_for_key
from yarnflow.graph.operators import IntervalJoinSpec
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.joins.interval_buffer import LEAST_WIDTH
from yarnflow.runtime.taskmanager.failures import describe

LATE = (OutputTag("late left"), OutputTag("late right"))


class Pairs(ProcessJoinFunction):
    def process_element(self, left: Any, right: Any, ctx: ProcessJoinFunction.Context) -> Iterable[Any]:
        yield left, right, ctx.get_left_timestamp(), ctx.get_right_timestamp(), ctx.get_timestamp()


class Join(Harness):
    """An operator with the bounds given."""

    def __init__(
        self,
        lower: int,
        upper: int,
        function: ProcessJoinFunction | None = None,
        restored: Iterable[Stored] = (),
        keys: Any = (0, 0),
    ) -> None:
        super().__init__(
            IntervalJoinSpec(function or Pairs(), keys, lower, upper, LATE), side=LATE, restored=restored
        )

    def take(self, side: int, *records: tuple[Any, int]) -> None:
        self.send(*(record for record, _ in records), times=[time for _, time in records], to=side)

    @property
    def pairs(self) -> list[Any]:
        """What was emitted, with times."""
        return [item for item in self.out if item[0] != "watermark"]

    @property
    def late(self) -> tuple[list[Any], list[Any]]:
        """The side outputs, with times."""
        left, right = (self.side.get(tag.tag_id, []) for tag in LATE)
        return left, right

    def held(self) -> int:
        """Records in state."""
        tables = [pickle.loads(data) for data, _ in self.snapshot().keyed.values()]
        return sum(len(times) for chunks in tables for _, _, values in chunks for times, _ in values)


def test_a_record_meets_those_in_its_interval_whoever_comes_first():
    join = Join(-10, 5)
    join.take(0, (("a", 1), 100))
    join.take(1, (("a", 2), 90), (("a", 3), 105), (("a", 4), 89), (("a", 5), 106), (("b", 6), 100))
    join.take(0, (("a", 7), 99), (("b", 8), 111))
    assert [(left[1], right[1], time) for (left, right, *_), time in join.pairs] == [
        *((1, 2, 100), (1, 3, 105)),
        *((7, 4, 99), (7, 2, 99)),
    ]
    assert join.pairs[1][0][2:] == (100, 105, 105)
    assert join.pairs[2][0][2:] == (99, 89, 99)


def test_late_records_go_to_the_side_output_of_their_input_and_meet_nothing():
    join = Join(-10, 10)
    join.take(0, (("a", 1), 100))
    join.watermark(100)
    assert join.out == [("watermark", 100)]
    join.take(1, (("a", 2), 99), (("a", 3), 100))
    join.take(0, (("a", 4), 99))
    assert [(left[1], right[1]) for (left, right, *_), _ in join.pairs] == [(1, 3)]
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
            join.watermark(watermark)
        elif event[0] in ("checkpoint", "rebound"):
            send()
            out += join.pairs
            for side in (0, 1):
                late[side].extend(join.late[side])
            restored = join.snapshot()
            if event[0] == "rebound":
                wider = Join(lower, upper + 10 * LEAST_WIDTH, restored=[restored])
                restored = wider.snapshot()
            join = Join(lower, upper, restored=[restored])
            if watermark > MIN_WATERMARK:
                join.watermark(watermark)
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
    out += join.pairs
    assert sorted(out) == sorted(expected)
    for side in (0, 1):
        assert sorted(late[side] + join.late[side]) == sorted(expected_late[side])
    join.watermark(MAX_WATERMARK)
    assert join.held() == 0


def test_state_is_dealt_out_by_key_when_the_parallelism_changes():
    keys = [f"key {number}" for number in range(40)]
    before = Join(-10, 10)
    before.take(0, *(((key, 1), 100) for key in keys))
    stored = before.snapshot()
    found = []
    for subtask in (0, 1):
        spec = IntervalJoinSpec(Pairs(), (0, 0), -10, 10)
        after = Harness(spec, subtask=subtask, parallelism=2, restored=[stored])
        own = [key for key in keys if subtask_for_key(key, 2, MAX_PARALLELISM) == subtask]
        assert own
        after.send(*((key, 2) for key in own), times=[105] * len(own), to=1)
        found += [left[0] for left, *_ in after.rows()]
    assert sorted(found) == sorted(keys)
    with pytest.raises(ProgramError, match="is not stable"):
        after.send((next(key for key in keys if key not in own), 3), times=[105], to=1)


def test_what_can_meet_nothing_any_more_is_forgotten_or_never_kept():
    join = Join(0, 10_000)
    for time in range(0, 1_000_000, 1000):
        join.take(0, (("a", time), time))
        join.take(1, (("a", time), time))
        join.watermark(time - 1)
    # 10 s of the left input and half an interval more; the right one only meets left records of before.
    assert join.held() <= 10 + 5 + 1 + 6
    before = Join(-10, -5)
    before.watermark(100)
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
    assert [record for record, _ in join.pairs] == [
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
    assert join.pairs == [("main", 5)]
    assert join.late[0] == [("aside", 5)]


def test_records_without_time_are_refused():
    join = Join(0, 1)
    with pytest.raises(ProgramError, match=r"'Operator' works in event time.* \('a', 1\) has no timestamp"):
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
    failure = describe(raised.value, ["Operator"], lambda: "")
    assert "In operator 'Operator', with the record ('a', 3):" in failure.traceback
