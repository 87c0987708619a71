"""Records that an unaligned barrier overtook: they are part of the checkpoint.

Before the barrier of a task's first channel the following is under way, and gets stored with the head operator's
state, encoded as it travels:

- what waits for credit in remote outputs, behind what the barrier is sent before;
- the rest of the batch that is being processed;
- what is in the input channels before the barrier, or comes there before it.

Control elements are not stored: after a restore, event time and the ends of inputs are told anew. A task that is
restored writes and processes these records before anything else. At another parallelism they are dealt out anew,
by key where the operator has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from yarnflow.errors import RestoreError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.key_groups import subtask_for_key
from yarnflow.graph.operators import OperatorSpec
from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.network.elements import CheckpointBarrier, Element
from yarnflow.runtime.network.framing import FrameKind
from yarnflow.runtime.network.input import TaskInput
from yarnflow.runtime.network.partition import Partition
from yarnflow.runtime.network.serialization import EncodedFrame, decode, encode_frame
from yarnflow.runtime.operators.base import as_rows
from yarnflow.runtime.operators.user_functions import bind_key
from yarnflow.runtime.rpc.messages import TaskDeployment
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot

#: What is being processed, by input of the head operator.
Current = Callable[[], Iterable[tuple[int, Batch]]]


class InFlight:
    """The records under way for one unaligned checkpoint of a task.

    Args:
        task_input: of the task.
        current: what the task has taken and not processed.
    """

    def __init__(self, task_input: TaskInput, current: Current) -> None:
        self._input = task_input
        self._current = current
        #: By name of the state.
        self._items: dict[str, list[Any]] = {}
        self.size = 0

    def begin(self, partitions: Sequence[Partition], barrier: CheckpointBarrier, recording: Sequence[int]) -> None:
        """Send the barrier before what waits to be sent; note what is under way. From now on what is taken from
        the channels `recording` is noted, too."""
        for position, partition in enumerate(partitions):
            channels = len(partition.channels)
            for index, frame in partition.overtake(barrier):
                self._add(f"output-{position}", (index, channels, *frame), frame)
        for input_index, batch in self._current():
            self._add_input(input_index, encode_frame(batch))
        for index in recording:
            self._input.channels[index].record = []

    def before_barrier(self, channel: int, frames: Sequence[EncodedFrame]) -> None:
        """What waits in a channel before its barrier, which has been taken out."""
        for frame in frames:
            self._add_input(self._input.channels[channel].input_index, frame)

    def stop(self, channel: int) -> None:
        """The barrier of a channel has come."""
        known = self._input.channels[channel]
        frames, known.record = known.record, None
        self.before_barrier(channel, frames or ())

    def drop(self) -> None:
        """The checkpoint is given up."""
        for channel in self._input.channels:
            channel.record = None

    def snapshot(self, snapshot: TaskSnapshot, operator_id: str) -> None:
        """Add everything to a snapshot."""
        for name, items in self._items.items():
            snapshot.add_list(operator_id, name, items, StateKind.CHANNEL)

    def _add_input(self, input_index: int, frame: EncodedFrame) -> None:
        self._add(f"input-{input_index}", frame, frame)

    def _add(self, name: str, item: Any, frame: EncodedFrame) -> None:
        # Plain numbers and bytes: the kind of a frame is no state.
        self._items.setdefault(name, []).append(tuple(int(x) if isinstance(x, FrameKind) else x for x in item))
        self.size += len(frame[2])


def restored_inputs(
    restored: RestoredOperator, deployment: TaskDeployment, head: OperatorSpec
) -> list[tuple[int, Batch]]:
    """What a restored task processes first, by input of its head operator.

    Raises RestoreError for records of a broadcast stream at another parallelism.
    """
    found: list[tuple[int, Batch]] = []
    partitioning = {gate.input_index: gate.partitioning for gate in deployment.inputs}
    for input_index, rule in sorted(partitioning.items()):
        name = f"input-{input_index}"
        key = _key_of(head, input_index) if rule is Partitioning.HASH and restored.rescaled else None
        if key is None:
            found += [(input_index, _batch(item)) for item in _share(restored, name, rule, deployment)]
            continue
        for item in restored.items(name, StateKind.CHANNEL):
            batch = _own_rows(as_rows(_batch(item)), key, deployment)
            if batch.rows:
                found.append((input_index, batch))
    return found


def write_restored_outputs(
    restored: RestoredOperator, deployment: TaskDeployment, partitions: Sequence[Partition]
) -> None:
    """Write what a restored task had made and not sent.

    Raises RestoreError for records of a broadcast stream at another parallelism.
    """
    for position, (partition, result) in enumerate(zip(partitions, deployment.outputs, strict=True)):
        for channel, channels, *frame in _share(restored, f"output-{position}", result.partitioning, deployment):
            if channels == len(partition.channels) and not restored.rescaled:
                partition.channels[channel].write(_batch(frame))
            else:
                _check_rescaling(result.partitioning)
                partition.write(_batch(frame))


def _share(
    restored: RestoredOperator, name: str, rule: Partitioning, deployment: TaskDeployment
) -> list[Sequence[Any]]:
    """What one subtask gets. At another parallelism, all that a former subtask had goes to one new subtask: its
    records keep their order."""
    if not restored.rescaled:
        return restored.items(name, StateKind.CHANNEL)
    found: list[Sequence[Any]] = []
    for former, items in restored.items_by_subtask(name, StateKind.CHANNEL):
        _check_rescaling(rule)
        if former % deployment.parallelism == deployment.subtask_index:
            found += items
    return found


def _check_rescaling(rule: Partitioning) -> None:
    if rule is Partitioning.BROADCAST:
        raise RestoreError(
            "an unaligned checkpoint with records of a broadcast stream under way cannot be restored at another "
            "parallelism: take a savepoint and start from that"
        )


def _batch(item: Sequence[Any]) -> Batch:
    kind, records, payload = item
    batch = decode(FrameKind(kind), payload, records)
    assert not isinstance(batch, Element), "control elements are not stored"
    return batch


def _key_of(head: OperatorSpec, input_index: int) -> Callable[[Any], Any] | None:
    keys = getattr(head, "keys", None)
    key = keys[input_index] if keys is not None else getattr(head, "key", None)
    return None if key is None else bind_key(key)


def _own_rows(batch: RowBatch, key: Callable[[Any], Any], deployment: TaskDeployment) -> RowBatch:
    index, parallelism, groups = deployment.subtask_index, deployment.parallelism, deployment.max_parallelism
    ours = [subtask_for_key(key(record), parallelism, groups) == index for record in batch.rows]
    rows = [record for record, mine in zip(batch.rows, ours, strict=True) if mine]
    if batch.timestamps is None:
        return RowBatch(rows)
    return RowBatch(rows, [time for time, mine in zip(batch.timestamps, ours, strict=True) if mine])
