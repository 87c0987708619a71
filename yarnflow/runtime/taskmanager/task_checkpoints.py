"""A task's part in checkpoints: from a trigger or barriers to an acknowledgement.

    trigger, barrier --> (alignment) --> synchronous part --> storing, in the background --> CheckpointAcknowledged
                                                         any problem --> CheckpointDeclined; the task goes on

What fails in `prepare_snapshot` fails the task: it may have lost records there (a sink that cannot write).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from yarnflow.graph.key_groups import key_groups_of
from yarnflow.runtime.checkpoint.handles import SubtaskState
from yarnflow.runtime.network.elements import CheckpointBarrier
from yarnflow.runtime.network.input import TaskInput
from yarnflow.runtime.network.partition import Partition
from yarnflow.runtime.rpc.checkpoint_messages import (
    CheckpointAborted,
    CheckpointAcknowledged,
    CheckpointDeclined,
    CheckpointTimes,
    InputEnded,
    TriggerCheckpoint,
)
from yarnflow.runtime.rpc.messages import TaskDeployment
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.taskmanager.alignment import (
    Alignment,
    AlignmentEffect,
    Block,
    GiveUp,
    Release,
    Take,
)
from yarnflow.runtime.taskmanager.chain import RunningChain
from yarnflow.runtime.taskmanager.task_wiring import TaskServices

if TYPE_CHECKING:
    from yarnflow.runtime.state.background import PendingWrite

log = logging.getLogger(__name__)


class TaskCheckpoints:
    """The checkpoints of one task.

    Args:
        deployment: of the task.
        services: of the worker.
        chain: the task's operators.
        partitions: what leaves the task.
        task_input: what comes.
    """

    def __init__(
        self,
        deployment: TaskDeployment,
        services: TaskServices,
        chain: RunningChain,
        partitions: Sequence[Partition],
        task_input: TaskInput,
    ) -> None:
        self._deployment = deployment
        self._services = services
        self._chain = chain
        self._partitions = partitions
        self._input = task_input
        plan = deployment.checkpoints
        self._plan = plan
        self._must_cover = plan is not None and plan.periodic
        self._input_ended = False
        self._alignment = Alignment(len(task_input.channels), plan is None or plan.exactly_once)
        #: Checkpoints whose snapshot was taken, and that are neither completed nor aborted.
        self._unresolved: set[int] = set()
        self._writes: dict[int, PendingWrite] = {}
        #: Those of them that were taken after the input had ended.
        self._covering: set[int] = set()
        self._covered = False
        self._first_barrier = 0.0

    # -- what comes ------------------------------------------------------------------------------------------

    def trigger(self, message: TriggerCheckpoint) -> None:
        """Take a checkpoint at a source."""
        barrier = CheckpointBarrier(
            message.checkpoint_id, message.timestamp, message.directory, message.savepoint, message.unaligned
        )
        self._first_barrier = self._services.clock()
        self._perform(self._alignment.trigger(barrier))

    def barrier(self, channel: int, barrier: CheckpointBarrier) -> None:
        """A barrier was taken from a channel."""
        if barrier.checkpoint_id > self._alignment.newest:
            self._first_barrier = self._services.clock()
        self._perform(self._alignment.barrier(channel, barrier))

    def channel_ended(self, channel: int) -> None:
        """Nothing will come on a channel any more."""
        self._perform(self._alignment.ended(channel))

    def ended(self, suspended: bool) -> None:
        """The task has read all of its input, and everything it makes of that has been emitted; or the job is
        suspended with a savepoint, so that what comes later must not count as having been processed."""
        self._input_ended = not suspended
        if self._must_cover and not suspended:
            self._services.send(InputEnded(self._deployment.execution_id))

    def completed(self, checkpoint_id: int) -> None:
        """A checkpoint is complete everywhere."""
        self._chain.checkpoint_completed(checkpoint_id)
        self._unresolved = {pending for pending in self._unresolved if pending > checkpoint_id}
        if any(covering <= checkpoint_id for covering in self._covering):
            self._covered = True

    def aborted(self, message: CheckpointAborted) -> None:
        """A checkpoint will not complete."""
        checkpoint_id = message.checkpoint_id
        log.info("checkpoint %d was aborted: %s", checkpoint_id, message.reason)
        self._forget(checkpoint_id)
        self._perform(self._alignment.aborted(checkpoint_id))

    def decline(self, checkpoint_id: int, reason: str) -> None:
        """Tell that the task cannot store its part."""
        self._services.send(CheckpointDeclined(self._deployment.execution_id, checkpoint_id, reason))

    def close(self) -> None:
        """The task has ended: stop what is being written."""
        for write in self._writes.values():
            write.abort()
        self._writes.clear()

    def may_leave(self) -> bool:
        """Whether a task that has ended its input can go: a checkpoint that covers the end is complete, or no
        checkpoint has to cover it."""
        if self._covered:
            return True
        if self._must_cover and self._input_ended:
            return False
        return not self._unresolved and all(channel.ended for channel in self._input.channels)

    # -- the snapshot ----------------------------------------------------------------------------------------

    def _perform(self, effects: Sequence[AlignmentEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Block):
                self._input.block(effect.channel)
            elif isinstance(effect, Release):
                self._input.release()
            elif isinstance(effect, Take):
                self._take(effect.barrier)
            elif isinstance(effect, GiveUp):
                self._forget(effect.checkpoint_id)
                self.decline(effect.checkpoint_id, effect.reason)

    def _take(self, barrier: CheckpointBarrier) -> None:
        """The synchronous part."""
        clock, deployment = self._services.clock, self._deployment
        checkpoint_id = barrier.checkpoint_id
        begin = clock()
        alignment = round(1000 * (begin - self._first_barrier))
        delay = max(0, self._services.wall_clock() - alignment - barrier.timestamp)
        self._chain.prepare_snapshot()
        for partition in self._partitions:
            partition.send(barrier)
        self._unresolved.add(checkpoint_id)
        if self._input_ended:
            self._covering.add(checkpoint_id)
        groups = key_groups_of(deployment.subtask_index, deployment.parallelism, deployment.max_parallelism)
        snapshot = TaskSnapshot(
            checkpoint_id, barrier.savepoint, deployment.max_parallelism, (groups.start, groups.stop - 1)
        )
        try:
            self._chain.snapshot(snapshot)
        except Exception as error:  # user code runs here; the snapshot fails, not the task
            for part in snapshot.files:
                part.release()
            self._failed(checkpoint_id, error)
            return
        now = clock()
        times = CheckpointTimes(start_delay=delay, alignment=alignment, synchronous=round(1000 * (now - begin)))
        self._write(snapshot, barrier, times, now)

    def _write(
        self, snapshot: TaskSnapshot, barrier: CheckpointBarrier, times: CheckpointTimes, begin: float
    ) -> None:
        """The asynchronous part. `begin`: the clock's time."""
        # pyarrow, which only jobs with checkpoints need; a worker loads it beforehand.
        from yarnflow.runtime.state.background import begin_write

        deployment, checkpoint_id, ended = self._deployment, barrier.checkpoint_id, self._input_ended
        assert self._plan is not None, "a job of which no checkpoints can be taken was sent a barrier"
        name = f"{deployment.vertex_id}-{deployment.subtask_index}"
        write = begin_write(snapshot, barrier.directory, name, self._plan)
        self._writes[checkpoint_id] = write

        def written() -> None:
            try:
                result = write.result()
            except Exception as error:  # whatever went wrong, it is this checkpoint that has failed
                if self._writes.pop(checkpoint_id, None) is not None:
                    self._failed(checkpoint_id, error)
                return
            if self._writes.pop(checkpoint_id, None) is None:
                return  # aborted meanwhile
            state = SubtaskState(result.operators, ended, result.uploaded)
            stored = replace(
                times,
                asynchronous=round(1000 * (self._services.clock() - begin)),
                size=sum(operator.size for operator in result.operators),
                uploaded=result.uploaded,
            )
            self._services.send(CheckpointAcknowledged(deployment.execution_id, checkpoint_id, state, stored))

        self._services.when_readable(write.fileno(), written)

    def _failed(self, checkpoint_id: int, error: BaseException) -> None:
        log.warning("checkpoint %d failed here", checkpoint_id, exc_info=error)
        self.decline(checkpoint_id, f"{type(error).__name__}: {error}")

    def _forget(self, checkpoint_id: int) -> None:
        """Undo what was done for a checkpoint."""
        self._unresolved.discard(checkpoint_id)
        self._covering.discard(checkpoint_id)
        write = self._writes.pop(checkpoint_id, None)
        if write is not None:
            write.abort()
        self._chain.checkpoint_aborted(checkpoint_id)
