"""Positions of sources: what is stored, and that after a restore nothing is lost or read twice."""

from __future__ import annotations

import pickle
from typing import Any

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.runtime.operators.harness import operator_context
from yarnflow.common.time import Duration
from yarnflow.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from yarnflow.errors import RestoreError
from yarnflow.functions.collection_source import CollectionSource
from yarnflow.functions.connectors.number_sequence import NumberSequenceSource
from yarnflow.functions.source import Source
from yarnflow.graph.operators import Operator, SourceSpec
from yarnflow.runtime.checkpoint.handles import OperatorRestore, StateKind
from yarnflow.runtime.network.elements import MAX_WATERMARK
from yarnflow.runtime.operators.source import SourceOperator
from yarnflow.runtime.rpc.checkpoint_messages import WatermarkReported
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.testing import At, ManualClock, ScriptedSource, watermark_per_batch


class Restored(RestoredOperator):
    """What all subtasks stored, as every subtask gets it (StateKind.UNION)."""

    def __init__(self, stored: list[bytes], index: int, parallelism: int) -> None:
        super().__init__(OperatorRestore(len(stored), {}), "", index, parallelism, range(0), 1)
        self.stored = stored

    def items(self, name: str, kind: StateKind = StateKind.SPLIT) -> list[Any]:
        assert (name, kind) == ("source", StateKind.UNION)
        return [item for stored in self.stored for item in pickle.loads(stored)]


class Subtask:
    """A source operator with what it emitted: records, watermarks and messages."""

    def __init__(
        self,
        source: Source,
        watermarks: WatermarkStrategy | None = None,
        index: int = 0,
        parallelism: int = 1,
        stored: list[bytes] | None = None,
        restored: RestoredOperator | None = None,
    ) -> None:
        self.rows: list[Any] = []
        self.watermarks: list[int] = []
        self.sent: list[Any] = []
        self.clock = ManualClock()
        context = operator_context(
            index, parallelism, send=self.sent.append, processing_time=lambda: round(self.clock() * 1000)
        )
        operator = Operator("0" * 32, "Source", SourceSpec(pickle.loads(cloudpickle.dumps(source)), watermarks))
        self.operator = SourceOperator(operator, context, self.clock)
        self.operator.emit = lambda batch: self.rows.extend(batch.rows)  # type: ignore[union-attr]
        self.operator.emit_watermark = self.watermarks.append
        if stored is not None:
            restored = Restored(stored, index, parallelism)
        if restored is not None:
            self.operator.restore(restored)
        self.operator.open()

    def poll(self, times: int = 1000) -> None:
        for _ in range(times):
            if self.operator.ended:
                break
            timer = self.operator.next_timer()
            if timer is not None and timer <= self.clock() * 1000:
                self.operator.advance_clock(round(self.clock() * 1000))
            self.operator.poll()

    def snapshot(self) -> bytes:
        snapshot = TaskSnapshot(1, False, 128, (0, 127))
        self.operator.snapshot(snapshot)
        [part] = snapshot.lists
        assert part.kind is StateKind.UNION
        return pickle.dumps(part.items)


def test_a_batch_that_the_pacer_cuts_is_stored_in_part() -> None:
    source = CollectionSource(list(range(100)))
    before = Subtask(source)
    before.poll(1)
    assert before.operator.waiting
    assert before.rows == list(range(8))
    after = Subtask(source, stored=[before.snapshot()])
    again = Subtask(source, stored=[after.snapshot()])
    again.poll()
    assert again.rows == list(range(8, 100))


def test_times_of_a_cut_batch_are_stored_too() -> None:
    source = ScriptedSource([At(number, number) for number in range(20)], batch_size=20)
    before = Subtask(source, watermark_per_batch())
    before.poll(1)
    after = Subtask(source, watermark_per_batch(), stored=[before.snapshot()])
    after.poll(2)
    assert after.watermarks[0] == before.watermarks[-1] == 6
    assert after.watermarks[-1] == 18
    assert after.rows == list(range(8, 20))


def test_a_subtask_that_had_read_everything_reads_nothing_more() -> None:
    before = Subtask(CollectionSource([1]))
    before.poll()
    after = Subtask(CollectionSource([1]), stored=[before.snapshot()])
    after.poll()
    assert after.operator.ended
    assert after.rows == []


def test_a_source_that_ended_before_a_savepoint_without_state_reads_nothing_more() -> None:
    after = Subtask(CollectionSource([1]), stored=[])
    after.poll()
    assert after.rows == []


def test_a_source_that_is_new_in_a_restored_job_begins() -> None:
    restored = RestoredOperator(None, "", 0, 1, range(0), 7)
    after = Subtask(CollectionSource([1]), restored=restored)
    after.poll()
    assert after.rows == [1]


def test_the_source_is_not_asked_for_splits_again() -> None:
    source = ScriptedSource(["a"])
    stored = Subtask(source).snapshot()
    source.splits = None  # type: ignore[assignment, method-assign]
    after = Subtask(source, stored=[stored])
    after.poll()
    assert after.rows == ["a"]


def test_positions_of_another_source_are_refused() -> None:
    stored = Subtask(CollectionSource([1, 2])).snapshot()
    with pytest.raises(RestoreError, match="of a CollectionSource for 'Source', which now reads a ScriptedSource"):
        Subtask(ScriptedSource(["a"]), stored=[stored])


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(1, 4), st.lists(st.integers(0, 6), min_size=4, max_size=4)), max_size=4),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_or_read_twice_when_the_parallelism_changes(
    size: int, rounds: list[tuple[int, list[int]]], in_turns: bool
) -> None:
    source: Source = NumberSequenceSource(0, size - 1)
    if in_turns:
        scripts = [[At(number, number) for number in range(first, size, 3)] for first in range(3)]
        source = ScriptedSource(*scripts, batch_size=10)
        source.bounded = False
    found: list[int] = []
    stored: list[bytes] | None = None
    for parallelism, polls in [*rounds, (2, [1000] * 4)]:
        subtasks = [Subtask(source, None, index, parallelism, stored) for index in range(parallelism)]
        for subtask, count in zip(subtasks, polls, strict=False):
            subtask.poll(count)
            found += subtask.rows
        stored = [subtask.snapshot() for subtask in subtasks]
    assert sorted(found) == list(range(size))


def test_a_subtask_that_restarts_alone_goes_on_with_its_own_splits() -> None:
    """Regions restart alone: the other subtask reads what it always read."""
    source = ScriptedSource(["a"], ["b"], ["c"], ["d"], batch_size=1)
    first, second = (Subtask(source, None, index, 2) for index in range(2))
    second.poll(2)
    stored = [first.snapshot(), second.snapshot()]
    again = Subtask(source, None, 1, 2, stored)
    first.poll()
    second.poll()
    again.poll()
    assert first.rows == ["a", "c"]
    assert second.rows == ["b", "d"]
    assert again.rows == ["d"]


def test_splits_that_were_being_read_go_on_side_by_side() -> None:
    """After 2 -> 1 none of the two may make the other late."""
    source = ScriptedSource([At(10, "a"), At(30, "c"), At(50, "e")], [At(20, "b"), At(40, "d"), At(60, "f")])
    before = [Subtask(source, watermark_per_batch(), index, 2) for index in range(2)]
    for subtask in before:
        subtask.poll(1)
    after = Subtask(source, watermark_per_batch(), stored=[subtask.snapshot() for subtask in before])
    after.poll()
    assert after.rows == ["c", "d", "e", "f"]
    assert after.watermarks == [9, 19, 29, 39, 49, 59, MAX_WATERMARK]


def test_unbounded_splits_start_together() -> None:
    source = ScriptedSource([At(100, "a")], [At(10, "b")], bounded=False)
    subtask = Subtask(source, watermark_per_batch())
    subtask.poll(4)
    assert subtask.watermarks == [9]


def test_new_splits_are_found_after_a_restore_and_old_ones_are_not() -> None:
    class Growing(ScriptedSource):
        def discovery_interval(self) -> float | None:
            return 10.0

    old = Growing(["a"], ["b"], ["c"])
    before = [Subtask(old, None, index, 2) for index in range(2)]
    for subtask in before:
        subtask.poll(10)
    stored = [subtask.snapshot() for subtask in before]
    for parallelism in (1, 3):
        after = [
            Subtask(Growing(["a"], ["b"], ["c"], ["d"]), None, index, parallelism, stored)
            for index in range(parallelism)
        ]
        for subtask in after:
            subtask.poll(10)
        assert [row for subtask in after for row in subtask.rows] == ["d"]


def test_a_suspended_source_emits_nothing_until_it_resumes() -> None:
    subtask = Subtask(CollectionSource(list(range(100))), watermark_per_batch())
    subtask.poll(1)
    subtask.operator.suspend()
    emitted = list(subtask.rows)
    subtask.poll(10)
    assert subtask.rows == emitted
    assert not subtask.operator.waiting
    assert subtask.operator.filenos() == []
    assert subtask.operator.next_wakeup() is None
    assert subtask.operator.next_timer() is None
    subtask.operator.resume()
    subtask.poll()
    assert subtask.rows == list(range(100))


def test_a_drained_source_ends_event_time_and_keeps_its_position() -> None:
    source = CollectionSource(list(range(100)))
    subtask = Subtask(source)
    subtask.poll(1)
    subtask.operator.end_now()
    subtask.operator.end_now()
    assert subtask.operator.ended
    assert subtask.watermarks == [MAX_WATERMARK]
    after = Subtask(source, stored=[subtask.snapshot()])
    after.poll()
    assert subtask.rows + after.rows == list(range(100))


class Itself(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value)


def test_times_are_assigned_before_watermarks_are_made() -> None:
    subtask = Subtask(CollectionSource([5]), watermark_per_batch().with_timestamp_assigner(Itself()))
    subtask.poll()
    assert subtask.watermarks == [4, MAX_WATERMARK]


# -- alignment -----------------------------------------------------------------------------------------------


def aligned() -> WatermarkStrategy:
    return watermark_per_batch().with_watermark_alignment("group", Duration.of_millis(20), Duration.of_millis(100))


def reports(subtask: Subtask) -> list[int]:
    return [message.watermark for message in subtask.sent]


def test_a_source_reports_where_its_event_time_stands() -> None:
    subtask = Subtask(ScriptedSource([At(10, 1), At(20, 2)]), aligned())
    subtask.poll(1)
    subtask.poll(1)
    assert subtask.sent == [WatermarkReported("execution", "group", -(1 << 63), 20)]
    subtask.clock.advance(0.1)
    subtask.poll(1)
    subtask.clock.advance(0.1)
    subtask.poll()
    assert reports(subtask) == [-(1 << 63), 19, MAX_WATERMARK]


def test_splits_beyond_the_limit_wait() -> None:
    source = ScriptedSource(
        [At(10, "a1"), At(50, "a2"), At(60, "a3")], [At(15, "b1"), At(20, "b2"), At(25, "b3")], bounded=False
    )
    subtask = Subtask(source, aligned())
    subtask.operator.limit_event_time(40)
    subtask.poll(20)
    assert sorted(subtask.rows) == ["a1", "a2", "b1", "b2", "b3"]
    subtask.operator.limit_event_time(50)
    subtask.poll(10)
    assert len(subtask.rows) == 5, "the other split here is at 24, and the drift 20"


def test_a_source_that_only_waits_sleeps_and_is_not_idle() -> None:
    strategy = aligned().with_idleness(Duration.of_millis(50))
    subtask = Subtask(ScriptedSource([At(100, 1), At(200, 2)], bounded=False), strategy)
    idle: list[bool] = []
    subtask.operator.emit_status = idle.append
    subtask.operator.limit_event_time(30)
    subtask.poll(3)
    subtask.clock.advance(1.0)
    subtask.poll(3)
    assert subtask.rows == [1]
    assert subtask.operator.filenos() == []
    assert idle == []


# -- watermarks tell the truth -------------------------------------------------------------------------------

BOUND = 30


@given(
    st.lists(st.lists(st.integers(-BOUND, 0), min_size=1, max_size=60), min_size=1, max_size=4),
    st.lists(
        st.tuples(st.integers(1, 3), st.lists(st.integers(0, 12), min_size=3, max_size=3), st.booleans()),
        max_size=4,
    ),
    st.integers(1, 15),
    st.sampled_from(["bounded", "generator"]),
)
@settings(max_examples=80, deadline=None)
def test_no_record_is_late_whatever_the_parallelism_was(
    disorder: list[list[int]], rounds: list[tuple[int, list[int], bool]], batch_size: int, kind: str
) -> None:
    """Records are out of order by the bound at most; subtasks are stopped and restored at another parallelism."""
    scripts = [
        [At(10 * number + late, (split, number)) for number, late in enumerate(lates)]
        for split, lates in enumerate(disorder)
    ]
    source = ScriptedSource(*scripts, batch_size=batch_size, bounded=False)
    strategy = watermark_per_batch(BOUND)
    if kind == "bounded":
        strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(BOUND))
    seen: list[Any] = []
    stored: list[bytes] | None = None
    for parallelism, polls, ticks in [*rounds, (2, [200] * 3, True)]:
        subtasks = [Subtask(source, strategy, index, parallelism, stored) for index in range(parallelism)]
        for subtask, count in zip(subtasks, polls, strict=False):
            watch(subtask, seen)
            for _ in range(count):
                subtask.poll(1)
                if ticks:
                    subtask.clock.advance(0.2)
        stored = [subtask.snapshot() for subtask in subtasks]
    assert sorted(seen) == sorted(step.value for script in scripts for step in script)


def watch(subtask: Subtask, seen: list[Any]) -> None:
    """Check every batch of a subtask against its last watermark."""

    def emit(batch: Any) -> None:
        latest = subtask.watermarks[-1] if subtask.watermarks else -(1 << 63)
        assert min(batch.timestamps) > latest
        seen.extend(batch.rows)

    subtask.operator.emit = emit


def test_the_watermark_of_a_subtask_is_the_lowest_of_its_splits() -> None:
    source = ScriptedSource([At(100, "a")], [At(10, "b")], [At(50, "c")], bounded=False)
    before = Subtask(source, watermark_per_batch())
    before.poll(5)
    assert before.watermarks == [9]
    after = Subtask(source, watermark_per_batch(), stored=[before.snapshot()])
    after.poll(5)
    assert after.watermarks == [9]
