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
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from typing import Any

from yarnflow.errors import ClusterError, ConfigurationError, ProgramError, RestoreError
from yarnflow.functions.accumulators import Accumulator
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.graph.operators import OperatorChain
from yarnflow.runtime.network.input import TaskInput
from yarnflow.runtime.network.partition import Partition
from yarnflow.runtime.network.serialization import encode_frame
from yarnflow.runtime.operators.pacing import Pacer
from yarnflow.runtime.rpc.messages import (
    Message,
    TaskDeployment,
    TaskFailure,
    TaskMetrics,
    TaskStateChanged,
)
from yarnflow.runtime.states import ExecutionState
from yarnflow.runtime.taskmanager.chain import RunningChain
from yarnflow.runtime.taskmanager.failures import describe
from yarnflow.runtime.taskmanager.in_flight import restored_inputs, write_restored_outputs
from yarnflow.runtime.taskmanager.task_control import Phase, TaskControl
from yarnflow.runtime.taskmanager.task_wiring import (
    TaskOutputs,
    TaskServices,
    open_inputs,
    open_outputs,
    operator_context,
    restored_operator,
)

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
        services: of the worker.
        job_parameters: pipeline.global-job-parameters.

    Attributes:
        state: RUNNING also covers the wait for the output to leave.
    """

    def __init__(
        self,
        deployment: TaskDeployment,
        services: TaskServices,
        job_parameters: Mapping[str, str] | None = None,
    ) -> None:
        self.deployment = deployment
        self.state = ExecutionState.CREATED
        self.name = f"{deployment.vertex_name} ({deployment.subtask_index + 1}/{deployment.parallelism})"
        self._services = services
        self._clock = services.clock
        self._job_parameters = job_parameters or {}
        self._chain: RunningChain | None = None
        self._operator_names: list[str] = []
        self._input = TaskInput()
        self._pacer = Pacer(self._clock)
        self._outputs = TaskOutputs()
        self._partitions: list[Partition] = []
        self._accumulators: dict[str, Accumulator[Any]] = {}
        #: What other threads want to be called in this one.
        self._soon: deque[Callable[[], None]] = deque()
        self._control: TaskControl | None = None
        #: Records that an unaligned checkpoint had overtaken, by input: they come first.
        self._recovered: deque[tuple[int, Batch]] = deque()
        self._pacing_input = 0
        self._fail_at: float | None = None
        self._loss = ""
        self._records_in = 0
        self._spent = dict.fromkeys(Activity, 0.0)
        self._since = self._clock()
        self._activity = Activity.IDLE
        self.last_flush = self._since

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
            self._open()
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
        deadline = None if self._control is None or self.state.terminal else self._control.deadline()
        if deadline is not None and self._services.wall_clock() >= deadline:
            try:
                assert self._control is not None
                self._control.tick()
            except BaseException as error:  # as in step
                self._fail(error)
        if self._fail_at is not None and now >= self._fail_at and not self.state.terminal:
            self._fail(ClusterError(f"{self._loss}. The worker at the other end has died or cannot be reached"))

    # -- work ------------------------------------------------------------------------------------------------

    def _advance(self) -> Activity:
        chain, control = self._chain, self._control
        assert chain is not None
        assert control is not None
        if self._soon and not control.silent:
            self._soon.popleft()()
            return Activity.BUSY
        if control.phase is Phase.LEAVING:
            if chain.drained() and all(partition.drained() for partition in self._partitions):
                self._finished()
                return Activity.BUSY
            return Activity.BACKPRESSURED
        if not control.silent and chain.emit_waiting():
            return Activity.BUSY
        if not self._has_room(chain):
            return Activity.BACKPRESSURED
        timer = self._next_timer(chain)
        if timer is not None:
            now = self._services.wall_clock()
            if timer <= now:
                chain.advance_clock(now)
        if control.phase is Phase.FINISHING:
            return Activity.BUSY if control.finish() else Activity.IDLE
        source = chain.source
        if source is not None and control.phase is Phase.READING:
            progressed = source.poll()
            if source.ended:
                control.end()
            return Activity.BUSY if progressed else Activity.IDLE
        if self._pacer.waiting:
            self._pacer.go_on()
            return Activity.BUSY
        if self._recovered:
            self._process(*self._recovered.popleft())
            return Activity.BUSY
        if not self._input.has_data():
            return Activity.IDLE
        channel, element = self._input.take()
        if isinstance(element, (RowBatch, ColumnBatch)):
            if channel.record is not None:
                channel.record.append(encode_frame(element))
            self._process(channel.input_index, element)
        else:
            control.take(element, channel)
        return Activity.BUSY

    def _process(self, input_index: int, batch: Batch) -> None:
        chain = self._chain
        assert chain is not None
        self._records_in += len(batch)
        self._pacing_input = input_index
        self._pacer.offer(batch, lambda piece: chain.process(piece, input_index))

    def _current(self) -> list[tuple[int, Batch]]:
        """What was taken, or restored, and has not been processed, by input."""
        rest = [(self._pacing_input, self._pacer.rest())] if self._pacer.waiting else []
        return [*rest, *self._recovered]

    def _finished(self) -> None:
        chain, self._chain = self._chain, None
        assert chain is not None
        chain.close()
        if self._control is not None:
            self._control.close()
        for channel in self._input.channels:
            self._services.exchange.close_input(channel)
        self._enter(ExecutionState.FINISHED)

    def flush(self) -> None:
        """Send what is gathered: the input pauses, or the buffer timeout has passed."""
        self.last_flush = self._clock()
        if self._chain is None:
            return
        try:
            self._chain.flush()
            if self.phase is not Phase.LEAVING:
                for partition in self._partitions:
                    partition.flush()
        except BaseException as error:  # as in step
            self._fail(error)

    def buffer_timeout(self, default: float | None) -> float | None:
        """Seconds between two flushes of a busy task: the shortest that one of its outputs asks for, where
        `default` is the job's; None for never."""
        timeouts = self._outputs.own_timeouts
        if self._outputs.default_timeout and default is not None:
            timeouts = [*timeouts, default]
        return min(timeouts, default=None)

    def can_go_on(self) -> bool:
        """Whether a batch waits for this task and its results have somewhere to go."""
        chain = self._chain
        if not self._silent and (self._soon or (chain is not None and chain.can_emit())):
            return True
        if chain is None or self.phase in (Phase.FINISHING, Phase.LEAVING):
            return False
        read = chain.source is not None and chain.source.waiting
        something = read or self._pacer.waiting or bool(self._recovered) or self._input.has_data()
        return something and self._has_room(chain)

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call `function` in the worker's thread; see OperatorContext.call_soon."""
        if not self.state.terminal:
            self._soon.append(function)
            self._services.wake()

    def source_filenos(self) -> list[int] | None:
        """Descriptors that wake a source task; None when it must be polled; [] when nothing can wake it."""
        chain = self._chain
        if chain is None or chain.source is None or self.phase is not Phase.READING or not self._has_room(chain):
            return []
        return chain.source.filenos()

    def next_wakeup(self) -> float:
        """Clock time at which the task wants to be looked at although nothing has arrived."""
        chain = self._chain
        wakeups = [math.inf if self._fail_at is None else self._fail_at]
        if chain is not None and self.phase is not Phase.LEAVING:
            if chain.source is not None and self.phase is Phase.READING:
                at = chain.source.next_wakeup()
                wakeups.append(math.inf if at is None else at)
            timer = self._next_timer(chain)
            if timer is not None and self._has_room(chain):
                wakeups.append(self._clock() + (timer - self._services.wall_clock()) / 1000)
        deadline = None if self._control is None else self._control.deadline()
        if deadline is not None:
            wakeups.append(self._clock() + (deadline - self._services.wall_clock()) / 1000)
        return min(wakeups)

    @property
    def phase(self) -> Phase:
        """How far it has come."""
        return Phase.READING if self._control is None else self._control.phase

    @property
    def _silent(self) -> bool:
        return self._control is not None and self._control.silent

    def _next_timer(self, chain: RunningChain) -> int | None:
        return None if self._silent else chain.next_timer()

    def uses(self, channel_id: str) -> bool:
        """Whether a channel is this task's."""
        return any(channel.channel_id == channel_id for channel in self._input.channels) or any(
            channel.channel_id == channel_id for partition in self._partitions for channel in partition.channels
        )

    def _has_room(self, chain: RunningChain) -> bool:
        for partition in self._partitions:
            if not partition.has_room():
                return False
        return self._silent or chain.has_room()

    def receive(self, message: Message) -> None:
        """Take a message of the JobManager. What fails here is the task's failure."""
        if self._control is None:
            return
        try:
            self._control.receive(message)
        except BaseException as error:  # user code runs here, too
            self._fail(error)

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
        deployment, exchange = self.deployment, self._services.exchange
        context = operator_context(
            deployment, self._services, self._job_parameters, self._accumulators, self.call_soon
        )
        try:
            open_outputs(deployment, chain, exchange, self._outputs)
        finally:
            self._partitions = self._outputs.partitions
        counts = open_inputs(deployment, exchange, self._input)
        self._chain = RunningChain(chain, context, self._outputs.by_edge)
        self._control = TaskControl(
            deployment,
            self._services,
            self._chain,
            self._partitions,
            self._input,
            counts,
            self.call_soon,
            self._current,
        )

    def _open(self) -> None:
        chain, restore = self._chain, self.deployment.restore
        assert chain is not None
        assert self._control is not None
        if restore is None:
            chain.open()
            return
        find = partial(restored_operator, self.deployment, restore)
        chain.restore(find)
        chain.open()
        head = chain.operators[0].operator
        write_restored_outputs(find(head.operator_id), self.deployment, self._partitions)
        self._recovered.extend(restored_inputs(find(head.operator_id), self.deployment, head.spec))
        if restore.ended:
            self._control.start_ended()

    # -- ending ----------------------------------------------------------------------------------------------

    def _fail(self, error: BaseException, retryable: bool = True) -> None:
        if isinstance(error, (ProgramError, RestoreError, ConfigurationError)):
            retryable = False
        failure = describe(error, self._operator_names, self._services.log_tail, retryable)
        log.error("%s failed: %s\n%s", self.name, failure.message, failure.traceback)
        try:
            self._release()
        except BaseException:  # what made the task fail is reported; closing afterwards often fails as well
            log.warning("%s: closing after the failure failed", self.name, exc_info=True)
        self._enter(ExecutionState.FAILED, failure)

    def _release(self) -> None:
        chain, self._chain = self._chain, None
        self._pacer.drop()
        self._soon.clear()
        if self._control is not None:
            self._control.close()
        for partition in self._partitions:
            partition.close()
        for channel in self._input.channels:
            self._services.exchange.close_input(channel)
        if chain is not None:
            chain.close()

    def _enter(self, state: ExecutionState, failure: TaskFailure | None = None) -> None:
        accumulators = self._pickled_accumulators(state) if state.terminal and self._accumulators else b""
        before, self.state = self.state, state
        log.info("%s: %s -> %s", self.name, before.value, state.value)
        self._services.send(
            TaskStateChanged(self.deployment.execution_id, state, failure, self.metrics(), accumulators)
        )

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
