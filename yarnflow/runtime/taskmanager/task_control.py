"""What control elements and messages do to a task: event time, checkpoints, the end of its input.

    READING --all input read--> FINISHING --operators have finished, EndOfData sent--> ENDED
            --nothing has to be waited for, EndOfChannel sent--> LEAVING

docs/streaming.md, "End of input" and "Stop with savepoint", says when a task stays ENDED.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum

from yarnflow.runtime.network.elements import (
    MAX_WATERMARK,
    CheckpointBarrier,
    Element,
    EndOfChannel,
    EndOfData,
    Watermark,
    WatermarkStatus,
)
from yarnflow.runtime.network.input import InputChannel, TaskInput
from yarnflow.runtime.network.partition import Partition
from yarnflow.runtime.network.watermark_valve import WatermarkValve
from yarnflow.runtime.operators.collect import CollectOperator
from yarnflow.runtime.rpc.checkpoint_messages import (
    CheckpointAborted,
    CheckpointCompleted,
    StopMode,
    TriggerCheckpoint,
    WatermarkLimit,
)
from yarnflow.runtime.rpc.messages import CollectAcknowledged, Message, TaskDeployment
from yarnflow.runtime.taskmanager.chain import RunningChain
from yarnflow.runtime.taskmanager.in_flight import Current
from yarnflow.runtime.taskmanager.task_checkpoints import TaskCheckpoints
from yarnflow.runtime.taskmanager.task_wiring import TaskServices


class Phase(Enum):
    """How far the input and the output of a running task have come."""

    READING = "reading"
    #: All input has been read; operators finish, some after waiting for results that are under way.
    FINISHING = "finishing"
    #: EndOfData has been written; checkpoints are still taken.
    ENDED = "ended"
    #: EndOfChannel has been written; what was written is leaving.
    LEAVING = "leaving"


class TaskControl:
    """The control flow of one task.

    Args:
        deployment: of the task.
        services: of the worker.
        chain: the task's operators.
        partitions: what leaves the task.
        task_input: what comes.
        open_channels: number of channels of each input.
        call_soon: of the task.
        current: what the task has taken and not processed, by input.

    Attributes:
        phase: how far the task has come.
    """

    def __init__(
        self,
        deployment: TaskDeployment,
        services: TaskServices,
        chain: RunningChain,
        partitions: Sequence[Partition],
        task_input: TaskInput,
        open_channels: Counter[int],
        call_soon: Callable[[Callable[[], None]], None],
        current: Current,
    ) -> None:
        self.phase = Phase.READING
        self._chain = chain
        self._partitions = partitions
        self._valve = WatermarkValve(len(task_input.channels))
        self._checkpoints = TaskCheckpoints(
            deployment, services, chain, partitions, task_input, call_soon, current
        )
        self.tick = self._checkpoints.tick
        self.deadline = self._checkpoints.deadline
        #: Channels of each input whose data has not ended.
        self._open_channels = open_channels
        #: A savepoint that suspends the job, or that waits until its drained input has been processed.
        self._stopping: TriggerCheckpoint | None = None
        #: The input ended because the job is suspended: nothing more may be emitted.
        self._suspended = False

    def start_ended(self) -> None:
        """The task is restored behind its end: everything had been read and emitted."""
        self._send(Watermark(MAX_WATERMARK))
        self._ended()

    def close(self) -> None:
        """The task has ended."""
        self._checkpoints.close()

    @property
    def silent(self) -> bool:
        """The job is being suspended: what follows belongs to the job that starts from the savepoint."""
        return self._checkpoints.suspending > 0

    # -- elements --------------------------------------------------------------------------------------------

    def take(self, element: Element, channel: InputChannel) -> None:
        """Take a control element from a channel."""
        if isinstance(element, CheckpointBarrier):
            self._checkpoints.barrier(channel.index, element)
        elif isinstance(element, EndOfChannel):
            channel.ended = True
            self._checkpoints.channel_ended(channel.index)
            self._leave_if_done()
        elif self.phase is not Phase.READING:
            pass  # restored behind the end: what upstream says of its own end is known already
        elif isinstance(element, Watermark):
            self._chain.process_time(self._valve.watermark(channel.index, element.timestamp))
        elif isinstance(element, WatermarkStatus):
            self._chain.process_time(self._valve.status(channel.index, element.idle))
        else:
            assert isinstance(element, EndOfData)
            self._data_ended(channel, element.drain)

    def _data_ended(self, channel: InputChannel, drain: bool) -> None:
        self._chain.process_time(self._valve.ended(channel.index, drain))
        self._suspended = self._suspended or not drain
        self._open_channels[channel.input_index] -= 1
        if self._open_channels[channel.input_index] == 0:
            if not self._suspended:
                self._chain.end_input(channel.input_index)
            if not any(self._open_channels.values()):
                self.end()

    def _send(self, element: Element) -> None:
        for partition in self._partitions:
            partition.send(element)

    # -- the end ---------------------------------------------------------------------------------------------

    def end(self) -> None:
        """All input has been read."""
        self.phase = Phase.FINISHING
        self.finish()

    def finish(self) -> bool:
        """Finish the operators. False while one waits for results that are under way (an async function's): call
        again."""
        if not self._suspended and (self.silent or not self._chain.finish()):
            return False
        self._ended()
        return True

    def _ended(self) -> None:
        """Everything has been emitted."""
        self.phase = Phase.ENDED
        self._send(EndOfData(drain=not self._suspended))
        self._checkpoints.ended(self._suspended)
        stopping, self._stopping = self._stopping, None
        if stopping is not None and stopping.stop is StopMode.DRAIN:
            self._checkpoints.trigger(stopping)
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self.phase is Phase.ENDED and self._checkpoints.may_leave():
            self._send(EndOfChannel())
            self.phase = Phase.LEAVING

    # -- messages --------------------------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """Take a message of the JobManager."""
        if isinstance(message, CollectAcknowledged):
            for operator in self._chain.operators:
                if isinstance(operator, CollectOperator):
                    operator.acknowledge(message.sequence)
        elif isinstance(message, TriggerCheckpoint):
            self._trigger(message)
        elif isinstance(message, CheckpointCompleted):
            self._checkpoints.completed(message.checkpoint_id)
            self._settled(message.checkpoint_id, completed=True)
        elif isinstance(message, CheckpointAborted):
            self._checkpoints.aborted(message)
            self._settled(message.checkpoint_id, completed=False)
        elif isinstance(message, WatermarkLimit) and self._chain.source is not None:
            self._chain.source.limit_event_time(message.limit)

    def _trigger(self, message: TriggerCheckpoint) -> None:
        source = self._chain.source
        if self.phase is Phase.LEAVING:
            return  # its end is on the way to the coordinator, who takes another checkpoint then
        if source is None:
            self._checkpoints.trigger(message)
            return
        if message.stop is StopMode.DRAIN and self.phase in (Phase.READING, Phase.FINISHING):
            self._stopping = message
            source.end_now()
            if self.phase is Phase.READING:
                self.end()
            return
        self._checkpoints.trigger(message)
        if message.stop is StopMode.SUSPEND and self.phase is Phase.READING:
            self._stopping = message
            source.suspend()

    def _settled(self, checkpoint_id: int, completed: bool) -> None:
        """A checkpoint has come to its end."""
        stopping = self._stopping
        if stopping is not None and stopping.checkpoint_id == checkpoint_id:
            self._stopping = None
            if stopping.stop is StopMode.SUSPEND and self.phase is Phase.READING:
                if completed:
                    self._suspended = True
                    self.end()
                else:
                    assert self._chain.source is not None
                    self._chain.source.resume()
        if completed and checkpoint_id == self._checkpoints.suspending and self.phase is Phase.FINISHING:
            self._suspended = True
            self.finish()
        self._leave_if_done()
