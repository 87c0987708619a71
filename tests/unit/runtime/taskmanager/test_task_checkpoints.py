"""What tasks do for checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.runtime.taskmanager.probe import ProbeOperator, ProbeSpec, feed, make_probe, write
from tests.unit.runtime.taskmanager.slot import ListSource, Slot, chain
from tests.unit.runtime.taskmanager.test_task_time import events, reader, step, taken
from yarnflow.functions.checkpointed import CheckpointedFunction, FunctionSnapshotContext
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.operators import ChainOutput, SourceSpec
from yarnflow.runtime.checkpoint.handles import CheckpointPlan, OperatorRestore, TaskRestore
from yarnflow.runtime.network.elements import (
    MAX_WATERMARK,
    CheckpointBarrier,
    EndOfChannel,
    EndOfData,
    Watermark,
)
from yarnflow.runtime.operators.processing.checkpointed import FunctionState
from yarnflow.runtime.rpc.checkpoint_messages import (
    CheckpointAborted,
    CheckpointAcknowledged,
    CheckpointCompleted,
    CheckpointDeclined,
    InputEnded,
    StopMode,
    TriggerCheckpoint,
)
from yarnflow.runtime.rpc.messages import Message
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.states import ExecutionState
from yarnflow.runtime.taskmanager.task import Task

PLAN = CheckpointPlan(True, True, "", 1 << 20, 1 << 20)
AT_LEAST_ONCE = CheckpointPlan(True, False, "", 1 << 20, 1 << 20)
ONLY_SAVEPOINTS = CheckpointPlan(False, True, "", 1 << 20, 1 << 20)


@pytest.fixture(autouse=True)
def probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains know the probe, and outputs that no task reads do not hold tasks back."""
    monkeypatch.setattr("yarnflow.runtime.taskmanager.chain.make_operator", make_probe)
    monkeypatch.setattr("yarnflow.runtime.network.input.LOCAL_CAPACITY", 100)


def sent(slot: Slot, kind: type[Message], name: str = "t") -> list[Any]:
    """Messages of a kind that a task sent."""
    return [m for m in slot.messages if isinstance(m, kind) and m.execution_id == name]  # type: ignore[attr-defined]


def middle(slot: Slot, plan: CheckpointPlan = PLAN, restore: TaskRestore | None = None) -> Task:
    """A task between a, b and x."""
    return slot.deploy(
        chain(ProbeSpec("p"), outputs=[ChainOutput(0, 1, Partitioning.FORWARD)]),
        "t", [(0, 0, ["a", "b"])], [(1, Partitioning.FORWARD, ["x"])], checkpoints=plan, restore=restore,
    )  # fmt: skip


def source(slot: Slot, *batches: list[Any], plan: CheckpointPlan = PLAN) -> Task:
    """A source before x."""
    return slot.deploy(
        chain(SourceSpec(ListSource(*batches)), ProbeSpec("p"), outputs=[ChainOutput(1, 1, Partitioning.FORWARD)]),
        "t", outputs=[(1, Partitioning.FORWARD, ["x"])], checkpoints=plan,
    )  # fmt: skip


def restoring(acknowledged: CheckpointAcknowledged) -> TaskRestore:
    """What the same subtask is restored with."""
    return TaskRestore(
        acknowledged.checkpoint_id,
        "",
        {
            state.operator_id: OperatorRestore(1, {0: state}) for state in acknowledged.state.operators
        },
        acknowledged.state.ended,
    )  # fmt: skip


def trigger(number: int, directory: str = "", stop: StopMode = StopMode.NO) -> TriggerCheckpoint:
    return TriggerCheckpoint("t", number, 0, directory, stop=stop)


def test_a_source_takes_a_checkpoint_between_two_batches_and_goes_on(slot: Slot) -> None:
    task = source(slot, [1, 2], [3])
    out = reader(slot, 1, "t", "x")
    task.step()
    task.receive(trigger(1))
    task.receive(trigger(1))
    assert events("p")[1:] == [("rows", [1, 2]), ("prepare",), ("snapshot", 1)]
    assert taken(out) == [1, 2, CheckpointBarrier(1, 0)]
    (acknowledged,) = sent(slot, CheckpointAcknowledged)
    assert acknowledged.checkpoint_id == 1
    assert not acknowledged.state.ended
    assert acknowledged.times.size > 0
    task.receive(CheckpointCompleted("t", 1))
    assert events("p")[-1] == ("completed", 1)
    task.step()
    assert events("p")[-1] == ("rows", [3])


def test_barriers_are_aligned_and_state_is_restored(slot: Slot) -> None:
    task = middle(slot)
    a, b = feed(slot, 0, "a", "t"), feed(slot, 0, "b", "t")
    out = reader(slot, 1, "t", "x")
    barrier = CheckpointBarrier(1, 0)
    write(a, [1], barrier, [2])
    step(task)
    assert taken(out) == [1]
    write(b, [3], barrier, [4])
    step(task)
    results = taken(out)
    assert results[:2] == [3, barrier]
    assert sorted(results[2:]) == [2, 4]
    (acknowledged,) = sent(slot, CheckpointAcknowledged)
    task.cancel()
    restored = middle(slot, restore=restoring(acknowledged))
    assert events("p")[-2:] == [("restored", [1, 3]), ("open",)]
    restored.cancel()


def test_at_least_once_lets_records_pass(slot: Slot) -> None:
    task = middle(slot, AT_LEAST_ONCE)
    out = reader(slot, 1, "t", "x")
    barrier = CheckpointBarrier(1, 0)
    write(feed(slot, 0, "a", "t"), [1], barrier, [2])
    write(feed(slot, 0, "b", "t"), [3])
    step(task)
    write(feed(slot, 0, "b", "t"), barrier)
    step(task)
    assert taken(out) == [1, 3, 2, barrier]


def test_state_goes_to_a_file_when_it_is_not_small(slot: Slot, tmp_path: Path) -> None:
    plan = CheckpointPlan(True, True, "", 10, 10)
    task = source(slot, ["x" * 1000], plan=plan)
    task.step()
    task.receive(trigger(1, (tmp_path / "chk-1").as_uri()))
    (acknowledged,) = sent(slot, CheckpointAcknowledged)
    blocks = [block for state in acknowledged.state.operators for block in state.blocks]
    (block,) = [block for block in blocks if block.name == "seen"]
    assert (tmp_path / "chk-1" / block.path).stat().st_size == acknowledged.times.uploaded
    task.cancel()


def test_a_snapshot_that_fails_is_declined_and_the_task_goes_on(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = source(slot, [1], [2])

    def fail(self: ProbeOperator, snapshot: TaskSnapshot) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ProbeOperator, "snapshot", fail)
        task.receive(trigger(1))
    (declined,) = sent(slot, CheckpointDeclined)
    assert declined.reason.startswith("OSError: no space left on device (operator 'ProbeSpec', fail() in ")
    assert declined.retryable
    task.receive(CheckpointAborted("t", 1, "declined"))
    assert events("p")[-1] == ("aborted", 1)
    task.receive(trigger(2))
    assert [message.checkpoint_id for message in sent(slot, CheckpointAcknowledged)] == [2]
    step(task)
    assert events("p", "rows") == [("rows", [1]), ("rows", [2])]


def test_values_that_cannot_be_stored_are_declined(slot: Slot) -> None:
    task = source(slot, [1])

    class Unstorable:
        def __reduce__(self) -> str:
            raise TypeError("I stay here")

    from tests.unit.runtime.taskmanager.probe import PROBES

    PROBES["p"].seen.append(Unstorable())
    task.receive(trigger(1))
    (declined,) = sent(slot, CheckpointDeclined)
    assert "I stay here" in declined.reason
    assert not declined.retryable, "no restart helps"
    assert not task.state.terminal


def test_what_fails_before_the_barrier_fails_the_task(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    task = source(slot, [1])

    def fail(self: ProbeOperator) -> None:
        raise OSError("records are lost")

    monkeypatch.setattr(ProbeOperator, "prepare_snapshot", fail)
    task.receive(trigger(1))
    assert task.state is ExecutionState.FAILED


def test_a_task_that_has_read_all_waits_for_a_checkpoint_that_covers_its_end(slot: Slot) -> None:
    task = source(slot, [1])
    out = reader(slot, 1, "t", "x")
    task.receive(trigger(1))
    step(task)
    assert taken(out) == [CheckpointBarrier(1, 0), 1, Watermark(MAX_WATERMARK), EndOfData()]
    assert sent(slot, InputEnded) == [InputEnded("t")]
    task.receive(CheckpointCompleted("t", 1))
    task.receive(trigger(2))
    task.receive(trigger(3))
    task.receive(CheckpointAborted("t", 2, "for a test"))
    step(task)
    assert task.state is ExecutionState.RUNNING
    task.receive(CheckpointCompleted("t", 3))
    slot.run()
    assert task.state is ExecutionState.FINISHED
    assert taken(out) == [CheckpointBarrier(2, 0), CheckpointBarrier(3, 0), EndOfChannel()]
    assert [message.state.ended for message in sent(slot, CheckpointAcknowledged)] == [False, True, True]
    assert events("p")[-2:] == [("completed", 3), ("close",)]


def test_a_task_behind_ended_ones_takes_their_last_barriers(slot: Slot) -> None:
    task = middle(slot)
    a, b = feed(slot, 0, "a", "t"), feed(slot, 0, "b", "t")
    write(a, EndOfData(), CheckpointBarrier(1, 0), EndOfChannel())
    step(task)
    write(b, [1], CheckpointBarrier(1, 0), EndOfData(), CheckpointBarrier(2, 0))
    step(task)
    assert sent(slot, InputEnded) == [InputEnded("t")]
    assert [message.state.ended for message in sent(slot, CheckpointAcknowledged)] == [False, True]
    write(b, EndOfChannel())
    step(task)
    assert task.state is ExecutionState.RUNNING
    task.receive(CheckpointCompleted("t", 2))
    slot.run()
    assert task.state is ExecutionState.FINISHED
    assert events("p", "finish") == [("finish",)]


def test_a_task_that_is_restored_behind_its_end_emits_nothing(slot: Slot) -> None:
    task = middle(slot, restore=TaskRestore(1, "", {}, ended=True))
    out = reader(slot, 1, "t", "x")
    for name in ("a", "b"):
        write(feed(slot, 0, name, "t"), Watermark(MAX_WATERMARK), EndOfData(), CheckpointBarrier(2, 0))
    step(task)
    task.receive(CheckpointCompleted("t", 2))
    slot.run()
    assert [message.state.ended for message in sent(slot, CheckpointAcknowledged)] == [True]
    assert taken(out) == [Watermark(MAX_WATERMARK), EndOfData(), CheckpointBarrier(2, 0), EndOfChannel()]
    assert [event[0] for event in events("p")] == [
        "restored", "open", "prepare", "snapshot", "completed", "close",
    ]  # fmt: skip


def test_suspending_ends_a_source_behind_the_savepoint_without_final_results(slot: Slot) -> None:
    task = source(slot, [1], [2], plan=ONLY_SAVEPOINTS)
    out = reader(slot, 1, "t", "x")
    task.step()
    task.receive(trigger(1, stop=StopMode.SUSPEND))
    step(task)
    assert taken(out) == [1, CheckpointBarrier(1, 0, suspend=True)]
    task.receive(CheckpointCompleted("t", 1))
    slot.run()
    assert taken(out) == [EndOfData(drain=False), EndOfChannel()]
    assert task.state is ExecutionState.FINISHED
    assert events("p", "finish", "watermark") == []


def test_a_suspended_task_waits_until_its_savepoint_is_complete(slot: Slot) -> None:
    task = middle(slot, ONLY_SAVEPOINTS)
    for name in ("a", "b"):
        write(feed(slot, 0, name, "t"), CheckpointBarrier(1, 0), EndOfData(drain=False), EndOfChannel())
    step(task)
    assert task.state is ExecutionState.RUNNING
    task.receive(CheckpointCompleted("t", 1))
    slot.run()
    assert task.state is ExecutionState.FINISHED
    assert events("p", "finish", "end") == []


def test_a_source_goes_on_when_the_savepoint_fails(slot: Slot) -> None:
    task = source(slot, [1], [2], plan=ONLY_SAVEPOINTS)
    task.step()
    task.receive(trigger(1, stop=StopMode.SUSPEND))
    step(task)
    task.receive(CheckpointAborted("t", 1, "for a test"))
    slot.run()
    assert events("p", "rows") == [("rows", [1]), ("rows", [2])]


@pytest.mark.parametrize("completes", [True, False])
def test_behind_a_suspending_savepoint_nothing_is_emitted_unless_it_fails(slot: Slot, completes: bool) -> None:
    """Neither by timers nor by results that other threads bring."""
    task = slot.deploy(
        chain(ProbeSpec("p", timers=(1000,))), "t", [(0, 0, ["a"])], checkpoints=ONLY_SAVEPOINTS
    )
    channel = feed(slot, 0, "a", "t")
    write(channel, [1], CheckpointBarrier(1, 0, savepoint=True, suspend=True))
    step(task)
    called: list[int] = []
    task.call_soon(lambda: called.append(1))
    slot.clock.now = 2.0
    step(task)
    assert not task.can_go_on()
    assert task.next_wakeup() == float("inf")
    if completes:
        task.receive(CheckpointCompleted("t", 1))
        write(channel, EndOfData(drain=False), EndOfChannel())
        slot.run()
        assert task.state is ExecutionState.FINISHED
    else:
        task.receive(CheckpointAborted("t", 1, "for a test"))
        step(task)
    assert called == ([] if completes else [1])
    assert events("p", "timer") == ([] if completes else [("timer", 1000)])


def test_a_source_that_waits_for_results_is_suspended_without_them(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProbeOperator, "can_finish", lambda self: False)
    task = source(slot, [1], plan=ONLY_SAVEPOINTS)
    out = reader(slot, 1, "t", "x")
    step(task)
    task.receive(trigger(1, stop=StopMode.SUSPEND))
    monkeypatch.undo()
    step(task)
    task.receive(CheckpointCompleted("t", 1))
    slot.run()
    assert task.state is ExecutionState.FINISHED
    assert events("p", "finish") == []
    assert taken(out)[-3:] == [CheckpointBarrier(1, 0, suspend=True), EndOfData(drain=False), EndOfChannel()]


@pytest.mark.parametrize("plan", [PLAN, ONLY_SAVEPOINTS])
def test_draining_ends_the_input_before_the_savepoint(slot: Slot, plan: CheckpointPlan) -> None:
    task = source(slot, [1], [2], plan=plan)
    out = reader(slot, 1, "t", "x")
    task.step()
    task.receive(trigger(1, stop=StopMode.DRAIN))
    step(task)
    assert taken(out) == [1, Watermark(MAX_WATERMARK), EndOfData(), CheckpointBarrier(1, 0)]
    assert task.state is ExecutionState.RUNNING
    task.receive(CheckpointCompleted("t", 1))
    slot.run()
    assert taken(out) == [EndOfChannel()]
    assert task.state is ExecutionState.FINISHED


def test_a_drained_task_without_checkpoints_takes_the_savepoint_that_follows(slot: Slot) -> None:
    task = middle(slot, ONLY_SAVEPOINTS)
    for name in ("a", "b"):
        write(feed(slot, 0, name, "t"), EndOfData(), CheckpointBarrier(1, 0), EndOfChannel())
    step(task)
    assert task.state is ExecutionState.RUNNING
    assert [message.state.ended for message in sent(slot, CheckpointAcknowledged)] == [True]
    task.receive(CheckpointCompleted("t", 1))
    slot.run()
    assert task.state is ExecutionState.FINISHED


def test_an_abort_releases_blocked_channels(slot: Slot) -> None:
    task = middle(slot)
    write(feed(slot, 0, "a", "t"), CheckpointBarrier(1, 0), [1])
    step(task)
    assert events("p", "rows") == []
    task.receive(CheckpointAborted("t", 1, "for a test"))
    step(task)
    assert events("p", "rows") == [("rows", [1])]


def test_snapshots_know_when_they_were_triggered(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    task = source(slot, [1])
    seen: list[int] = []

    class Noting(CheckpointedFunction):
        def initialize_state(self, context: Any) -> None:
            """Nothing to begin with."""

        def snapshot_state(self, context: FunctionSnapshotContext) -> None:
            seen.append(context.get_checkpoint_timestamp())

    state = FunctionState(Noting())
    state.open()
    monkeypatch.setattr(
        ProbeOperator, "snapshot", lambda self, snapshot: state.snapshot(snapshot, self.operator.operator_id)
    )
    task.receive(replace(trigger(1), timestamp=1234))
    assert seen == [1234]
