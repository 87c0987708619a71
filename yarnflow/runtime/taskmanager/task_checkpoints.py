"""A task's part in checkpoints: from a trigger or barriers to an acknowledgement.

    trigger, barrier --> (alignment) --> synchronous part --> storing, in the background --> CheckpointAcknowledged
                                                         any problem --> CheckpointDeclined; the task goes on

What fails in `prepare_snapshot` fails the task: it may have lost records there (a sink that cannot write).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from yarnflow.config.checkpointing import CheckpointingOptions
from yarnflow.config.configuration import Configuration
from yarnflow.errors import ConfigurationError, ProgramError, UnstorableStateError
from yarnflow.graph.key_groups import key_groups_of
from yarnflow.runtime.checkpoint.handles import OperatorState, SubtaskState
from yarnflow.runtime.network.elements import CheckpointBarrier, Element
from yarnflow.runtime.network.input import InputChannel, TaskInput
from yarnflow.runtime.network.partition import Partition
from yarnflow.runtime.network.serialization import EncodedFrame
from yarnflow.runtime.rpc.checkpoint_messages import (
    CheckpointAborted,
    CheckpointAcknowledged,
    CheckpointDeclined,
    CheckpointTimes,
    InputEnded,
    StopMode,
    TriggerCheckpoint,
)
from yarnflow.runtime.rpc.messages import TaskDeployment
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.taskmanager.alignment import (
    Alignment,
    AlignmentEffect,
    AllRecorded,
    Block,
    GiveUp,
    Release,
    StopRecording,
    Take,
)
from yarnflow.runtime.taskmanager.chain import RunningChain
from yarnflow.runtime.taskmanager.failures import in_one_line
from yarnflow.runtime.taskmanager.in_flight import Current, InFlight
from yarnflow.runtime.taskmanager.task_wiring import TaskServices

if TYPE_CHECKING:
    from yarnflow.runtime.state.background import PendingWrite, WrittenState

log = logging.getLogger(__name__)


@dataclass
class _UnderWay:
    """A checkpoint whose snapshot has been taken, until it is acknowledged.

    Attributes:
        begin: of the asynchronous part, by the clock.
        in_flight: records that are still being recorded.
        writes: what is being written, and `written`: what has been.
    """

    barrier: CheckpointBarrier
    times: CheckpointTimes
    ended: bool
    begin: float
    in_flight: InFlight | None
    writes: list[PendingWrite] = field(default_factory=list)
    written: list[WrittenState] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.in_flight is None and not self.writes

    def abort(self) -> None:
        """Stop writing."""
        for write in self.writes:
            write.abort()


class TaskCheckpoints:
    """The checkpoints of one task.

    Args:
        deployment: of the task.
        services: of the worker.
        chain: the task's operators.
        partitions: what leaves the task.
        task_input: what comes.
        call_soon: of the task.
        current: what the task has taken and not processed.

    Attributes:
        suspending: id of the savepoint that ends the job, once its snapshot has been taken and until it fails;
            else 0. Nothing may be emitted then: what reaches the outside now will be emitted again by the job
            that starts from the savepoint.
    """

    def __init__(
        self,
        deployment: TaskDeployment,
        services: TaskServices,
        chain: RunningChain,
        partitions: Sequence[Partition],
        task_input: TaskInput,
        call_soon: Callable[[Callable[[], None]], None],
        current: Current,
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
        self._under_way: dict[int, _UnderWay] = {}
        self._call_soon = call_soon
        self._current = current
        #: Barriers in the queues of their channels that become unaligned when they have waited for too long.
        self._queued: list[tuple[InputChannel, CheckpointBarrier]] = []
        task_input.on_control = self._control_arrived
        timeout = Configuration(deployment.config)[CheckpointingOptions.ALIGNED_TIMEOUT]
        self._aligned_timeout_ms = round(1000 * timeout.total_seconds())
        #: Those of them that were taken after the input had ended.
        self._covering: set[int] = set()
        self._covered = False
        self._first_barrier = 0.0
        self.suspending = 0

    # -- what comes ------------------------------------------------------------------------------------------

    def trigger(self, message: TriggerCheckpoint) -> None:
        """Take a checkpoint at a source, or where all producers have ended."""
        timeout = self._aligned_timeout_ms
        barrier = CheckpointBarrier(
            message.checkpoint_id,
            message.timestamp,
            message.directory,
            message.savepoint,
            message.unaligned and not timeout,
            message.timestamp + timeout if message.unaligned and timeout else 0,
            message.stop is StopMode.SUSPEND,
        )
        self._first_barrier = self._services.clock()
        self._perform(self._alignment.trigger(barrier))

    def barrier(self, channel: int, barrier: CheckpointBarrier) -> None:
        """A barrier was taken from a channel in its turn."""
        if 0 < barrier.unaligned_at <= self._services.wall_clock():
            barrier = replace(barrier, unaligned=True)
        self._perform(self._arrive(channel, barrier))

    def tick(self) -> None:
        """Go on without alignment where it has taken too long."""
        now = self._services.wall_clock()
        late = [(channel, barrier) for channel, barrier in self._queued if barrier.unaligned_at <= now]
        for channel, barrier in late:
            self._queued.remove((channel, barrier))
            self._overtake(channel, barrier)
        waiting = self._alignment.waiting()
        if waiting is not None and 0 < waiting.unaligned_at <= now:
            self._perform(self._alignment.overtake())

    def deadline(self) -> int | None:
        """When `tick` has something to do, ms since the epoch."""
        if not self._aligned_timeout_ms:
            return None
        waiting = self._alignment.waiting()
        times = [barrier.unaligned_at for _, barrier in self._queued]
        if waiting is not None and waiting.unaligned_at:
            times.append(waiting.unaligned_at)
        return min(times, default=None)

    def _control_arrived(self, channel: InputChannel, element: Element) -> None:
        """Something has got into the queue of a channel. What follows is done later: the producer may run in this
        worker and be in the midst of something."""
        if isinstance(element, CheckpointBarrier) and element.unaligned:
            self._call_soon(partial(self._overtake, channel, element))
        elif isinstance(element, CheckpointBarrier):
            self._queued.append((channel, element))
        elif channel.record is not None:
            self._call_soon(partial(self._closing, channel))

    def _closing(self, channel: InputChannel) -> None:
        """No barrier will follow what is in the queue of a channel that is being recorded."""
        for under_way in list(self._under_way.values()):
            if under_way.in_flight is not None and channel.record is not None:
                self._overtake(channel, under_way.barrier)

    def _overtake(self, channel: InputChannel, barrier: CheckpointBarrier) -> None:
        """A barrier comes before what waits in its channel, but never before a savepoint."""
        waiting = self._alignment.waiting()
        if waiting is not None and waiting.savepoint and waiting.checkpoint_id < barrier.checkpoint_id:
            return
        frames = self._input.overtake(channel, barrier.checkpoint_id)
        if frames is not None:  # else it was taken in its turn
            self._perform(self._arrive(channel.index, replace(barrier, unaligned=True)), channel.index, frames)

    def _arrive(self, channel: int, barrier: CheckpointBarrier) -> list[AlignmentEffect]:
        if barrier.checkpoint_id > self._alignment.newest:
            self._first_barrier = self._services.clock()
        return self._alignment.barrier(channel, barrier)

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

    def decline(
        self, checkpoint_id: int, reason: str, retryable: bool = True, subsumed: bool = False
    ) -> None:
        """Tell that the task cannot store its part."""
        execution_id = self._deployment.execution_id
        self._services.send(CheckpointDeclined(execution_id, checkpoint_id, reason, retryable, subsumed))

    def close(self) -> None:
        """The task has ended: stop what is being written."""
        for under_way in self._under_way.values():
            under_way.abort()
        self._under_way.clear()

    def may_leave(self) -> bool:
        """Whether a task that has ended its input can go: a checkpoint that covers the end is complete, or no
        checkpoint has to cover it."""
        if self._covered:
            return True
        if self._must_cover and self._input_ended:
            return False
        return not self._unresolved and all(channel.ended for channel in self._input.channels)

    # -- the snapshot ----------------------------------------------------------------------------------------

    def _perform(
        self, effects: Sequence[AlignmentEffect], channel: int = -1, overtaken: Sequence[EncodedFrame] = ()
    ) -> None:
        """`overtaken`: what waits in `channel`, and an unaligned barrier has come before."""
        for effect in effects:
            if isinstance(effect, Block):
                self._input.block(effect.channel)
            elif isinstance(effect, Release):
                self._input.release()
            elif isinstance(effect, Take):
                in_flight = self._take(effect.barrier, effect.recording)
                if in_flight is not None:
                    in_flight.before_barrier(channel, overtaken)
                    for index in effect.recording:
                        if self._input.channels[index].closing:
                            self._closing(self._input.channels[index])
            elif isinstance(effect, StopRecording):
                under_way = self._under_way.get(effect.checkpoint_id)
                if under_way is not None and under_way.in_flight is not None:
                    under_way.in_flight.stop(effect.channel)
                    under_way.in_flight.before_barrier(channel, overtaken)
            elif isinstance(effect, AllRecorded):
                self._all_recorded(effect.checkpoint_id)
            elif isinstance(effect, GiveUp):
                self._forget(effect.checkpoint_id)
                self.decline(effect.checkpoint_id, effect.reason, subsumed=True)

    def _take(self, barrier: CheckpointBarrier, recording: Sequence[int]) -> InFlight | None:
        """The synchronous part; returns what records are under way when the barrier is unaligned."""
        clock = self._services.clock
        checkpoint_id = barrier.checkpoint_id
        begin = clock()
        alignment = round(1000 * (begin - self._first_barrier))
        delay = max(0, self._services.wall_clock() - alignment - barrier.timestamp)
        self._chain.prepare_snapshot()
        in_flight = None
        if barrier.unaligned:
            in_flight = InFlight(self._input, self._current)
            in_flight.begin(self._partitions, barrier, recording)
        else:
            for partition in self._partitions:
                partition.send(barrier)
        self._unresolved.add(checkpoint_id)
        if barrier.suspend:
            self.suspending = checkpoint_id
        if self._input_ended:
            self._covering.add(checkpoint_id)
        snapshot = self._snapshot(barrier)
        try:
            self._chain.snapshot(snapshot)
        except Exception as error:  # user code runs here; the snapshot fails, not the task
            for part in snapshot.files:
                part.release()
            if in_flight is not None:
                in_flight.drop()
            self._failed(checkpoint_id, error)
            return None
        now = clock()
        times = CheckpointTimes(start_delay=delay, alignment=alignment, synchronous=round(1000 * (now - begin)))
        under_way = _UnderWay(barrier, times, self._input_ended, now, in_flight)
        self._under_way[checkpoint_id] = under_way
        self._write(under_way, snapshot, "")
        return in_flight

    def _snapshot(self, barrier: CheckpointBarrier) -> TaskSnapshot:
        deployment = self._deployment
        groups = key_groups_of(deployment.subtask_index, deployment.parallelism, deployment.max_parallelism)
        key_groups = groups.start, groups.stop - 1
        # Files of a database cannot travel inline.
        portable = barrier.savepoint or not barrier.directory
        return TaskSnapshot(
            barrier.checkpoint_id, portable, deployment.max_parallelism, key_groups, barrier.timestamp
        )

    def _all_recorded(self, checkpoint_id: int) -> None:
        """The barrier of an unaligned checkpoint has come on all channels."""
        under_way = self._under_way.get(checkpoint_id)
        if under_way is None or under_way.in_flight is None:
            return  # given up
        in_flight, under_way.in_flight = under_way.in_flight, None
        alignment = round(1000 * (self._services.clock() - self._first_barrier))
        under_way.times = replace(under_way.times, alignment=alignment, in_flight=in_flight.size)
        snapshot = self._snapshot(under_way.barrier)
        in_flight.snapshot(snapshot, self._chain.operators[0].operator.operator_id)
        self._write(under_way, snapshot, "-channels")

    def _write(self, under_way: _UnderWay, snapshot: TaskSnapshot, suffix: str) -> None:
        """Begin the asynchronous part."""
        # pyarrow, which only jobs with checkpoints need; a worker loads it beforehand.
        from yarnflow.runtime.state.background import begin_write

        deployment, checkpoint_id = self._deployment, under_way.barrier.checkpoint_id
        assert self._plan is not None, "a job of which no checkpoints can be taken was sent a barrier"
        name = f"{deployment.vertex_id}-{deployment.subtask_index}{suffix}"
        write = begin_write(snapshot, under_way.barrier.directory, name, self._plan)
        under_way.writes.append(write)

        def written() -> None:
            try:
                result = write.result()
            except Exception as error:  # whatever went wrong, it is this checkpoint that has failed
                if self._under_way.get(checkpoint_id) is under_way:
                    self._drop(checkpoint_id)
                    self._failed(checkpoint_id, error)
                return
            under_way.writes.remove(write)
            under_way.written.append(result)
            if self._under_way.get(checkpoint_id) is under_way and under_way.complete:
                del self._under_way[checkpoint_id]
                self._acknowledge(under_way)

        self._services.when_readable(write.fileno(), written)

    def _acknowledge(self, under_way: _UnderWay) -> None:
        operators = merged(result.operators for result in under_way.written)
        uploaded = sum(result.uploaded for result in under_way.written)
        times = replace(
            under_way.times,
            asynchronous=round(1000 * (self._services.clock() - under_way.begin)),
            size=sum(operator.size for operator in operators),
            uploaded=uploaded,
        )
        state = SubtaskState(operators, under_way.ended, uploaded)
        checkpoint_id = under_way.barrier.checkpoint_id
        self._services.send(
            CheckpointAcknowledged(self._deployment.execution_id, checkpoint_id, state, times)
        )

    def _failed(self, checkpoint_id: int, error: BaseException) -> None:
        log.warning("checkpoint %d failed here", checkpoint_id, exc_info=error)
        hopeless = isinstance(error, (ProgramError, ConfigurationError, UnstorableStateError))
        self.decline(checkpoint_id, in_one_line(error), retryable=not hopeless)

    def _forget(self, checkpoint_id: int) -> None:
        """Undo what was done for a checkpoint."""
        if self.suspending == checkpoint_id:
            self.suspending = 0
        self._unresolved.discard(checkpoint_id)
        self._covering.discard(checkpoint_id)
        self._drop(checkpoint_id)
        self._queued = [entry for entry in self._queued if entry[1].checkpoint_id != checkpoint_id]
        self._chain.checkpoint_aborted(checkpoint_id)

    def _drop(self, checkpoint_id: int) -> None:
        """Stop what is being written and recorded for a checkpoint."""
        under_way = self._under_way.pop(checkpoint_id, None)
        if under_way is not None:
            under_way.abort()
            if under_way.in_flight is not None:
                under_way.in_flight.drop()


def merged(parts: Iterable[Iterable[OperatorState]]) -> tuple[OperatorState, ...]:
    """One state per operator."""
    found: dict[str, OperatorState] = {}
    for part in parts:
        for state in part:
            known = found.get(state.operator_id)
            if known is not None:
                state = OperatorState(state.operator_id, known.blocks + state.blocks, known.files + state.files)
            found[state.operator_id] = state
    return tuple(found.values())
