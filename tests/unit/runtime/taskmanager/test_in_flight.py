"""Unaligned checkpoints: barriers overtake records, which become part of the checkpoint."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.runtime.taskmanager.probe import ProbeSpec, feed, make_probe, write
from tests.unit.runtime.taskmanager.slot import EVENTS, Slot, chain
from tests.unit.runtime.taskmanager.test_task_checkpoints import PLAN, restoring, sent
from tests.unit.runtime.taskmanager.test_task_time import events, reader, step, taken
from yarnflow.functions.batch import RowBatch
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.key_groups import subtask_for_key
from yarnflow.graph.operators import ChainOutput
from yarnflow.runtime.checkpoint.handles import OperatorRestore, OperatorState, TaskRestore
from yarnflow.runtime.network.elements import CheckpointBarrier, EndOfChannel, EndOfData, Watermark
from yarnflow.runtime.network.framing import FrameKind
from yarnflow.runtime.network.output import RemoteOutput
from yarnflow.runtime.network.partition import PassThrough
from yarnflow.runtime.network.serialization import decode
from yarnflow.runtime.rpc.checkpoint_messages import (
    CheckpointAborted,
    CheckpointAcknowledged,
    CheckpointDeclined,
)
from yarnflow.runtime.taskmanager.task import Task

BARRIER = CheckpointBarrier(1, 0, unaligned=True)


@pytest.fixture(autouse=True)
def probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains know the probe, and outputs that no task reads do not hold tasks back."""
    monkeypatch.setattr("yarnflow.runtime.taskmanager.chain.make_operator", make_probe)
    monkeypatch.setattr("yarnflow.runtime.network.input.LOCAL_CAPACITY", 100)


def middle(slot: Slot, restore: TaskRestore | None = None, config: dict[str, str] | None = None) -> Task:
    """A task between a, b and x."""
    return slot.deploy(
        chain(ProbeSpec("p"), outputs=[ChainOutput(0, 1, Partitioning.FORWARD)]),
        "t", [(0, 0, ["a", "b"])], [(1, Partitioning.FORWARD, ["x"])], checkpoints=PLAN, restore=restore,
        config=config,
    )  # fmt: skip


def test_a_barrier_overtakes_and_records_come_back_first(slot: Slot) -> None:
    task = middle(slot)
    a, b = feed(slot, 0, "a", "t"), feed(slot, 0, "b", "t")
    out = reader(slot, 1, "t", "x")
    write(a, [1], Watermark(5), [2], BARRIER, [3])
    write(b, [4])
    task.step()
    # Before anything was processed; in the same worker the barrier takes its turn in the queue behind it.
    assert events("p")[1:] == [("prepare",), ("snapshot", 1)]
    assert taken(out) == [BARRIER]
    assert sent(slot, CheckpointAcknowledged) == []
    write(b, [5], BARRIER, [6])
    step(task)
    assert sorted(taken(out)) == [1, 2, 3, 4, 5, 6]
    (acknowledged,) = sent(slot, CheckpointAcknowledged)
    assert acknowledged.times.in_flight > 0
    task.cancel()
    EVENTS.clear()
    again = middle(slot, restoring(acknowledged))
    write(feed(slot, 0, "a", "t"), [7])
    # What has come back and waits still is part of the next checkpoint, too.
    again.step()
    second = CheckpointBarrier(2, 0, unaligned=True)
    write(feed(slot, 0, "b", "t"), second)
    again.step()
    step(again)
    rows = [row for _, batch in events("p", "rows") for row in batch]
    assert sorted(rows[:-1]) == [1, 2, 4, 5]
    assert rows[-1] == 7
    write(feed(slot, 0, "a", "t"), second)
    step(again)
    (_, acknowledged) = sent(slot, CheckpointAcknowledged)
    assert recorded(acknowledged) == rows[1:]


def recorded(acknowledged: CheckpointAcknowledged) -> list[Any]:
    """The rows under way in a checkpoint."""
    from yarnflow.runtime.checkpoint.handles import StateKind
    from yarnflow.runtime.state.restore import RestoredOperator

    rows: list[Any] = []
    for state in acknowledged.state.operators:
        restored = RestoredOperator(OperatorRestore(1, {0: state}), "", 0, 1, range(128), 1, 128)
        for name in restored.list_names(StateKind.CHANNEL):
            for *_, kind, records, payload in restored.items(name, StateKind.CHANNEL):
                batch = decode(FrameKind(kind), payload, records)
                assert isinstance(batch, RowBatch)
                rows += batch.rows
    return rows


def test_ends_of_input_are_told_anew(slot: Slot) -> None:
    task = middle(slot)
    write(feed(slot, 0, "a", "t"), [1], EndOfData(), BARRIER)
    write(feed(slot, 0, "b", "t"), BARRIER)
    task.step()
    task.step()
    (acknowledged,) = sent(slot, CheckpointAcknowledged)
    assert recorded(acknowledged) == [1]
    assert not acknowledged.state.ended


@pytest.mark.parametrize("before", [True, False])
def test_the_end_of_a_channel_stands_for_its_barrier(slot: Slot, before: bool) -> None:
    task = middle(slot)
    a, b = feed(slot, 0, "a", "t"), feed(slot, 0, "b", "t")
    write(b, [1], EndOfData())
    if before:
        write(b, EndOfChannel())
    write(a, BARRIER)
    task.step()
    write(b, *([] if before else [EndOfChannel()]))
    task.step()
    (acknowledged,) = sent(slot, CheckpointAcknowledged)
    assert recorded(acknowledged) == [1]
    step(task)
    assert events("p", "rows") == [("rows", [1])]
    write(a, CheckpointBarrier(2, 0, unaligned=True))
    step(task)
    assert recorded(sent(slot, CheckpointAcknowledged)[1]) == []


def test_an_abort_stops_the_recording(slot: Slot) -> None:
    task = middle(slot)
    write(feed(slot, 0, "a", "t"), BARRIER)
    task.step()
    task.receive(CheckpointAborted("t", 1, "for a test"))
    write(feed(slot, 0, "b", "t"), [1], BARRIER)
    step(task)
    assert sent(slot, CheckpointAcknowledged) == sent(slot, CheckpointDeclined) == []


def test_a_savepoint_is_not_overtaken(slot: Slot) -> None:
    task = middle(slot)
    savepoint = CheckpointBarrier(1, 0, savepoint=True)
    checkpoint = CheckpointBarrier(2, 0, unaligned=True)
    write(feed(slot, 0, "a", "t"), [1], savepoint, [2], checkpoint)
    step(task)
    assert events("p", "rows") == [("rows", [1])]
    write(feed(slot, 0, "b", "t"), [3], savepoint, checkpoint)
    step(task)
    assert [message.checkpoint_id for message in sent(slot, CheckpointAcknowledged)] == [1, 2]
    assert sent(slot, CheckpointDeclined) == []


def test_a_savepoint_may_follow_before_all_barriers_of_a_checkpoint_have_come(slot: Slot) -> None:
    task = middle(slot)
    a, b = feed(slot, 0, "a", "t"), feed(slot, 0, "b", "t")
    savepoint = CheckpointBarrier(2, 0, savepoint=True)
    write(a, BARRIER, [1], savepoint, [2])
    step(task)
    write(b, [3], BARRIER, [4], savepoint, [5])
    step(task)
    first, second = sent(slot, CheckpointAcknowledged)
    assert recorded(first) == [3]
    assert recorded(second) == []
    assert events("p")[3:-2] == [("rows", [1]), ("rows", [3]), ("rows", [4]), ("prepare",), ("snapshot", 2)]
    assert sent(slot, CheckpointDeclined) == []


@pytest.mark.parametrize("blocked", [True, False])
def test_an_aligned_barrier_that_waits_for_too_long_overtakes(slot: Slot, blocked: bool) -> None:
    task = middle(slot, config={"execution.checkpointing.aligned-checkpoint-timeout": "2 s"})
    barrier = CheckpointBarrier(1, 0, unaligned_at=2000)
    a = feed(slot, 0, "a", "t")
    write(a, [1], barrier, [2])
    if blocked:
        step(task)
        assert events("p", "rows") == [("rows", [1])]
    assert task.next_wakeup() == 2.0
    slot.clock.now = 2.0
    task.tick(2.0)
    assert events("p", "snapshot") == [("snapshot", 1)]
    write(feed(slot, 0, "b", "t"), [3], barrier)
    slot.clock.now = 3.0
    task.tick(3.0)
    (acknowledged,) = sent(slot, CheckpointAcknowledged)
    assert recorded(acknowledged) == ([3] if blocked else [1, 3])
    step(task)
    assert len(events("p", "rows")) == 3


class Wire:
    """A connection that keeps what is sent."""

    def __init__(self) -> None:
        self.frames: list[tuple[FrameKind, Any]] = []

    def send(self, channel: int, kind: FrameKind, records: int, payload: bytes) -> int:
        self.frames.append((kind, decode(kind, payload, records)))
        return 0

    def flushed(self) -> int:
        return 0


def test_what_waits_for_credit_is_overtaken_and_stored() -> None:
    wire = Wire()
    output = RemoteOutput("c", wire, 1)
    partition = PassThrough([output])
    output.write(RowBatch([1, 2]))
    partition.write(RowBatch([3]))
    overtaken = partition.overtake(BARRIER)
    assert [element for _, element in wire.frames] == [BARRIER]
    assert [decode(kind, data, count).rows for _, (kind, count, data) in overtaken] == [[1, 2], [3]]
    output.granted(1 << 20)
    assert [batch.rows for _, batch in wire.frames[1:]] == [[1, 2], [3]]


def test_records_are_dealt_by_key_at_another_parallelism(slot: Slot) -> None:
    from yarnflow.graph.operators import ReduceSpec
    from yarnflow.runtime.rpc.messages import InputGate, TaskDeployment
    from yarnflow.runtime.state.restore import RestoredOperator
    from yarnflow.runtime.taskmanager.in_flight import restored_inputs

    task = middle(slot)
    write(feed(slot, 0, "a", "t"), list(range(100)), BARRIER)
    write(feed(slot, 0, "b", "t"), BARRIER)
    task.step()
    task.step()
    (acknowledged,) = sent(slot, CheckpointAcknowledged)
    (state,) = [state for state in acknowledged.state.operators if isinstance(state, OperatorState)]
    for rule in (Partitioning.HASH, Partitioning.REBALANCE):
        found: list[int] = []
        for index in range(3):
            deployment = TaskDeployment(
                "", "", "", "", "t", index, 3, 128, 0, b"",
                (InputGate(0, 0, rule, task.deployment.inputs[0].exchange, ()),),
            )  # fmt: skip
            restored = RestoredOperator(OperatorRestore(1, {0: state}), "", index, 3, range(1), 1, 128)
            head = ReduceSpec(max, lambda value: value % 10)
            rows = [row for _, batch in restored_inputs(restored, deployment, head) for row in batch.rows]
            if rule is Partitioning.HASH:
                assert rows == [row for row in range(100) if subtask_for_key(row % 10, 3, 128) == index]
            found += rows
        assert sorted(found) == list(range(100))
        assert rule is Partitioning.HASH or found == list(range(100)), "what one subtask had keeps its order"
