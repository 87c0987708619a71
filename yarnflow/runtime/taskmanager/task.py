"""One subtask's execution inside a slot worker.

    INITIALIZING -> RUNNING -> (input ended; waits until its output has left) -> FINISHED
    any of these -> CANCELED or FAILED

The worker's loop calls `step`; a task never blocks except in user code. A task is FINISHED when everything
it wrote is with its consumers' workers or in the kernel's hands. The JobMaster frees slots only when the
whole job has ended, so what the kernel still holds, and held results of blocking exchanges, stay there until
they were read.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from yarnflow.errors import ClusterError, ProgramError
from yarnflow.functions.accumulators import Accumulator
from yarnflow.functions.batch import ColumnBatch, RowBatch
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.graph.operators import ChainOutput, OperatorChain
from yarnflow.runtime.network.elements import Element, EndOfData
from yarnflow.runtime.network.exchange import DataExchange
from yarnflow.runtime.network.input import TaskInput, window_for
from yarnflow.runtime.network.partition import Partition, make_partition
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.collect import CollectOperator
from yarnflow.runtime.operators.pacing import Pacer
from yarnflow.runtime.operators.user_functions import bind, bind_key
from yarnflow.runtime.rpc.messages import (
    Message,
    ResultPartition,
    TaskDeployment,
    TaskFailure,
    TaskMetrics,
    TaskStateChanged,
)
from yarnflow.runtime.states import ExecutionState
from yarnflow.runtime.taskmanager.chain import RunningChain
from yarnflow.runtime.taskmanager.failures import describe

log = logging.getLogger(__name__)

#: Seconds between a lost connection and the failure of the task, see network/exchange.py.
CONNECTION_GRACE = 3.0


class Activity(Enum):
    """What a task did, or waited for, since it was last looked at."""

    BUSY = "busy"
    IDLE = "idle"
    BACKPRESSURED = "backpressured"


class Task:
    """Runs one TaskDeployment.

    Args:
        deployment: what to run.
        exchange: of the worker.
        send: passes a message to the supervisor.
        log_tail: the last lines of the worker's log.
        job_parameters: pipeline.global-job-parameters.
        clock: monotonic seconds.

    Attributes:
        state: RUNNING also covers the wait for the output to leave.
    """

    def __init__(
        self,
        deployment: TaskDeployment,
        exchange: DataExchange,
        send: Callable[[Message], None],
        log_tail: Callable[[], str],
        job_parameters: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.deployment = deployment
        self.state = ExecutionState.CREATED
        self.name = f"{deployment.vertex_name} ({deployment.subtask_index + 1}/{deployment.parallelism})"
        self._exchange = exchange
        self._send = send
        self._log_tail = log_tail
        self._job_parameters = job_parameters or {}
        self._clock = clock
        self._chain: RunningChain | None = None
        self._operator_names: list[str] = []
        self._input = TaskInput()
        self._pacer = Pacer(clock)
        self._open_channels: dict[int, int] = {}
        self._partitions: list[Partition] = []
        self._accumulators: dict[str, Accumulator[Any]] = {}
        self._finishing = False
        self._ending = False
        self._fail_at: float | None = None
        self._loss = ""
        self._records_in = 0
        self._spent = dict.fromkeys(Activity, 0.0)
        self._since = clock()
        self._activity = Activity.IDLE
        self.last_flush = self._since
        #: Buffer timeouts of outputs that have their own, in seconds; whether some have the job's.
        self._own_timeouts: list[float] = []
        self._default_timeout = True

    # -- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the code, connect, open the functions. A failure is reported, not raised."""
        self._enter(ExecutionState.INITIALIZING)
        try:
            chain = self._load()
        except BaseException as error:  # user modules run while they are imported
            self._fail(error, retryable=False)
            return
        try:
            self._wire(chain)
            assert self._chain is not None
            self._chain.open()
        except BaseException as error:  # user code runs here: whatever it raises is its task's failure
            self._fail(error)
            return
        self._since = self._clock()
        self._enter(ExecutionState.RUNNING)

    def step(self) -> bool:
        """Do a batch's worth of work. Returns whether anything happened."""
        start = self._clock()
        waited = self._since
        try:
            activity = self._advance()
        except BaseException as error:  # KeyboardInterrupt, too: signals are not how a worker is told to stop
            self._fail(error)
            activity = Activity.BUSY
        self._since = now = self._clock()
        # Between two looks the task went on waiting for what it waited for, or, if it was busy, for its turn.
        self._spent[self._activity] += start - waited
        self._spent[activity] += now - start
        self._activity = activity
        return activity is Activity.BUSY

    def cancel(self) -> None:
        """Stop without finishing; reports CANCELED."""
        if self.state.terminal:
            return
        self._enter(ExecutionState.CANCELING)
        try:
            self._release()
        except BaseException:  # the task is on its way out; its own close() problem must not keep it here
            log.warning("%s: closing after cancel failed", self.name, exc_info=True)
        self._enter(ExecutionState.CANCELED)

    def connection_lost(self, reason: str) -> None:
        """A channel's connection has ended early: fail unless the job is cancelled within the grace period."""
        if not self.state.terminal and self._fail_at is None:
            log.warning("%s: %s", self.name, reason)
            self._fail_at, self._loss = self._clock() + CONNECTION_GRACE, reason

    def tick(self, now: float) -> None:
        """Look at deadlines."""
        if self._fail_at is not None and now >= self._fail_at and not self.state.terminal:
            self._fail(ClusterError(f"{self._loss}. The worker at the other end has died or cannot be reached"))

    # -- work ------------------------------------------------------------------------------------------------

    def _advance(self) -> Activity:
        chain = self._chain
        assert chain is not None
        if self._ending:
            if chain.drained() and all(partition.drained() for partition in self._partitions):
                self._finished()
                return Activity.BUSY
            return Activity.BACKPRESSURED
        if self._finishing:
            return self._finish()
        if not self._has_room(chain):
            return Activity.BACKPRESSURED
        source = chain.source
        if source is not None:
            progressed = source.poll()
            if source.ended:
                self._end()
            return Activity.BUSY if progressed else Activity.IDLE
        if self._pacer.waiting:
            self._pacer.go_on()
            return Activity.BUSY
        if not self._input.has_data():
            return Activity.IDLE
        channel, element = self._input.take()
        if isinstance(element, (RowBatch, ColumnBatch)):
            self._records_in += len(element)
            input_index = channel.input_index
            self._pacer.offer(element, lambda batch: chain.process(batch, input_index))
        else:
            self._control(element, channel.input_index)
            channel.ended = True
        return Activity.BUSY

    def _control(self, element: Element, input_index: int) -> None:
        assert isinstance(element, EndOfData)
        self._open_channels[input_index] -= 1
        if self._open_channels[input_index] == 0:
            assert self._chain is not None
            self._chain.end_input(input_index)
            if not any(self._open_channels.values()):
                self._end()

    def _end(self) -> None:
        self._finishing = True
        self._finish()

    def _finish(self) -> Activity:
        """Every input has ended. An operator whose results are under way (an async function's) is asked again."""
        assert self._chain is not None
        if not self._chain.finish():
            return Activity.IDLE
        for partition in self._partitions:
            partition.send(EndOfData())
        self._finishing, self._ending = False, True
        return Activity.BUSY

    def _finished(self) -> None:
        chain, self._chain = self._chain, None
        assert chain is not None
        chain.close()
        for channel in self._input.channels:
            self._exchange.close_input(channel)
        self._enter(ExecutionState.FINISHED)

    def flush(self) -> None:
        """Send what is gathered: the input pauses, or the buffer timeout has passed."""
        self.last_flush = self._clock()
        if self._chain is None:
            return
        try:
            self._chain.flush()
            if not self._ending:
                for partition in self._partitions:
                    partition.flush()
        except BaseException as error:  # as in step
            self._fail(error)

    def buffer_timeout(self, default: float | None) -> float | None:
        """Seconds between two flushes of a busy task: the shortest that one of its outputs asks for, where
        `default` is the job's; None for never."""
        timeouts = self._own_timeouts
        if self._default_timeout and default is not None:
            timeouts = [*timeouts, default]
        return min(timeouts, default=None)

    def can_go_on(self) -> bool:
        """Whether a batch waits for this task and its results have somewhere to go."""
        chain = self._chain
        if chain is None or self._finishing or self._ending:
            return False
        read = chain.source is not None and chain.source.waiting
        return (read or self._pacer.waiting or self._input.has_data()) and self._has_room(chain)

    def source_filenos(self) -> list[int] | None:
        """Descriptors that wake a source task; None when it must be polled; [] when nothing can wake it."""
        chain = self._chain
        if chain is None or chain.source is None or self._ending or not self._has_room(chain):
            return []
        return chain.source.filenos()

    def next_wakeup(self) -> float:
        """Clock time at which the task wants to be looked at although nothing has arrived."""
        wakeup = None
        if self._chain is not None and self._chain.source is not None and not self._ending:
            wakeup = self._chain.source.next_wakeup()
        return min(math.inf if wakeup is None else wakeup, math.inf if self._fail_at is None else self._fail_at)

    def uses(self, channel_id: str) -> bool:
        """Whether a channel is this task's."""
        return any(channel.channel_id == channel_id for channel in self._input.channels) or any(
            channel.channel_id == channel_id for partition in self._partitions for channel in partition.channels
        )

    def _has_room(self, chain: RunningChain) -> bool:
        for partition in self._partitions:
            if not partition.has_room():
                return False
        return chain.has_room()

    def acknowledge(self, sequence: int) -> None:
        """The client has collected results up to `sequence`."""
        if self._chain is not None:
            for operator in self._chain.operators:
                if isinstance(operator, CollectOperator):
                    operator.acknowledge(sequence)

    def metrics(self) -> TaskMetrics:
        """Counters since the start."""
        return TaskMetrics(
            records_in=self._records_in,
            records_out=sum(partition.records_out for partition in self._partitions),
            bytes_in=self._input.bytes_in(),
            bytes_out=sum(partition.bytes_out() for partition in self._partitions),
            busy_ms=round(1000 * self._spent[Activity.BUSY]),
            idle_ms=round(1000 * self._spent[Activity.IDLE]),
            backpressured_ms=round(1000 * self._spent[Activity.BACKPRESSURED]),
        )

    # -- setting up ------------------------------------------------------------------------------------------

    def _load(self) -> OperatorChain:
        import pickle

        chain: OperatorChain = pickle.loads(self.deployment.code)
        self._operator_names = [operator.name for operator in chain.operators]
        return chain

    def _wire(self, chain: OperatorChain) -> None:
        deployment = self.deployment
        context = OperatorContext(
            job_id=deployment.job_id,
            task_name=deployment.vertex_name,
            execution_id=deployment.execution_id,
            subtask_index=deployment.subtask_index,
            parallelism=deployment.parallelism,
            max_parallelism=deployment.max_parallelism,
            attempt=deployment.attempt,
            config=deployment.config,
            runtime_context=RuntimeContext(
                deployment.vertex_name,
                deployment.parallelism,
                deployment.max_parallelism,
                deployment.subtask_index,
                deployment.attempt,
                deployment.job_id,
                self._job_parameters,
                self._accumulators,
            ),
            send=self._send,
        )
        outputs = {output.edge_id: output for output in chain.outputs}
        partitions: dict[int, Partition] = {}
        for result in deployment.outputs:
            partition = self._partition(result, outputs[result.edge_id])
            partitions[result.edge_id] = partition
            self._partitions.append(partition)
        window = window_for(sum(len(gate.channels) for gate in deployment.inputs))
        for gate in deployment.inputs:
            for channel in gate.channels:
                self._open_channels[gate.input_index] = self._open_channels.get(gate.input_index, 0) + 1
                self._input.add(self._exchange.open_input(channel, window), gate.input_index)
        self._chain = RunningChain(chain, context, partitions)
        timeouts = [output.buffer_timeout_ms for output in chain.outputs]
        self._own_timeouts = [timeout / 1000 for timeout in timeouts if timeout is not None and timeout >= 0]
        self._default_timeout = None in timeouts or not timeouts

    def _partition(self, result: ResultPartition, output: ChainOutput) -> Partition:
        channels = [self._exchange.open_output(channel, result.exchange) for channel in result.channels]
        return make_partition(
            result.partitioning,
            channels,
            result.max_parallelism or self.deployment.max_parallelism,
            key=None if output.key is None else bind_key(output.key),
            columnar_key=output.key if isinstance(output.key, (int, str)) else None,
            choose=None if output.partitioner is None else bind(output.partitioner, "partition"),
            seed=hash((self.deployment.subtask_index, result.edge_id)),
        )

    # -- ending ----------------------------------------------------------------------------------------------

    def _fail(self, error: BaseException, retryable: bool = True) -> None:
        if isinstance(error, ProgramError):
            retryable = False
        failure = describe(error, self._operator_names, self._log_tail, retryable)
        log.error("%s failed: %s\n%s", self.name, failure.message, failure.traceback)
        try:
            self._release()
        except BaseException:  # what made the task fail is reported; closing afterwards often fails as well
            log.warning("%s: closing after the failure failed", self.name, exc_info=True)
        self._enter(ExecutionState.FAILED, failure)

    def _release(self) -> None:
        chain, self._chain = self._chain, None
        self._pacer.drop()
        for partition in self._partitions:
            partition.close()
        for channel in self._input.channels:
            self._exchange.close_input(channel)
        if chain is not None:
            chain.close()

    def _enter(self, state: ExecutionState, failure: TaskFailure | None = None) -> None:
        accumulators = self._pickled_accumulators(state) if state.terminal and self._accumulators else b""
        before, self.state = self.state, state
        log.info("%s: %s -> %s", self.name, before.value, state.value)
        self._send(TaskStateChanged(self.deployment.execution_id, state, failure, self.metrics(), accumulators))

    def _pickled_accumulators(self, state: ExecutionState) -> bytes:
        """Raises ProgramError when a task that would be FINISHED has values that cannot be pickled."""
        import cloudpickle  # only jobs with accumulators need it

        try:
            pickled: bytes = cloudpickle.dumps(self._accumulators)
            return pickled
        except Exception as error:
            names = ", ".join(self._accumulators)
            if state is ExecutionState.FINISHED:
                raise ProgramError(
                    f"the accumulators ({names}) cannot be sent to the client: {type(error).__name__}: {error}"
                ) from error
            log.warning("%s: the accumulators (%s) cannot be pickled", self.name, names, exc_info=True)
            return b""
