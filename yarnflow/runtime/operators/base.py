"""The base of running operators: one instance per operator and subtask.

A task drives its operators in this order, always from one thread:

    restore         once, with what a checkpoint holds for it (nothing, when there is none)
    open            once, before any data, from the last operator of the chain to its head
    process_batch   per batch; an operator hands on what it makes with `self.emit`
    process_watermark, process_status
                    event time advances, or stands still because the input is idle; handed on by
                    `self.emit_watermark` and `self.emit_status`
    advance_clock   when the time that `next_timer` named has come: processing-time timers
    end_input       once per input when all of its channels have ended; may emit
    finish          once, in chain order, when every input has ended and `can_finish`; may emit
    close           always, exactly once, also after a failure

For a checkpoint, in chain order and between two batches: `prepare_snapshot` of all operators, then the barrier is
handed on, then `snapshot` of all operators. Later, if all went well everywhere, `checkpoint_completed`, in the
order of the checkpoints but not for each of them; else `checkpoint_aborted`.

Map-like operators are not run one by one: taskmanager/chain_compiler.py fuses them into one function.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.graph.operators import Operator
from yarnflow.runtime.network.elements import MIN_WATERMARK
from yarnflow.runtime.rpc.messages import Message

if TYPE_CHECKING:
    from yarnflow.functions.runtime_context import RuntimeContext
    from yarnflow.runtime.state.restore import RestoredOperator
    from yarnflow.runtime.state.snapshot import TaskSnapshot

Emit = Callable[[Batch], None]


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def not_running(function: Callable[[], None]) -> None:
    """The `call_soon` of an operator that no worker runs."""
    raise RuntimeError("this operator does not run in a slot worker: there is no loop that could call back")


@dataclass(frozen=True)
class OperatorContext:
    """Where an operator runs.

    Attributes:
        job_id: 32 hex digits.
        task_name: vertex name as shown.
        execution_id: of this attempt.
        subtask_index: 0-based.
        parallelism: number of subtasks.
        max_parallelism: number of key groups.
        attempt: 0 for the first.
        config: the job's configuration (raw strings).
        runtime_context: what user functions get in `open`.
        send: passes a message to the supervisor.
        processing_time: the wall clock, ms since the epoch.
        call_soon: run a function in the task's thread soon. The only thing here that other threads may call;
            what the function raises is the task's failure. Nothing runs any more once the task has ended.
        checkpointing: checkpoints are taken by themselves (CheckpointPlan.periodic).
    """

    job_id: str
    task_name: str
    execution_id: str
    subtask_index: int
    parallelism: int
    max_parallelism: int
    attempt: int
    config: dict[str, str]
    runtime_context: RuntimeContext
    send: Callable[[Message], None] = field(repr=False)
    processing_time: Callable[[], int] = field(default=wall_clock, repr=False)
    call_soon: Callable[[Callable[[], None]], None] = field(default=not_running, repr=False)
    checkpointing: bool = False


def unwired(batch: Batch) -> None:
    """The `emit` of an operator whose output nobody reads."""


def unwired_time(timestamp: int) -> None:
    """As `unwired`, for watermarks."""


def always() -> bool:
    """The `room` of an operator without a chain."""
    return True


def unwired_status(idle: bool) -> None:
    """As `unwired`, for idleness."""


class StreamOperator:
    """Base of operators with a loop of their own.

    A loop over records names its variable `record`: error messages show the local of that name in the frame
    that raised (taskmanager/failures.py).

    Attributes:
        columnar: True when `process_batch` takes both RowBatch and ColumnBatch; otherwise the chain turns
            columns into rows first and `process_batch` gets a RowBatch only.
        emit: hands a batch to whoever consumes this operator; set by the chain. The receiver owns the
            batch afterwards.
        side_outputs: as `emit`, by OutputTag, for side outputs; a tag that nobody reads is not in it. Set by
            the chain.
        emit_watermark: hands event time (ms) to all consumers, side outputs included, after everything emitted
            before; set by the chain.
        emit_status: tells all consumers that this operator's output is idle (True) or active again.
        room: whether the operators and channels behind this one can take more; only operators with `wants_room`
            need it. Set by the chain.
        watermark: the last one that was processed.
    """

    columnar: bool = False

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        self.operator = operator
        self.context = context
        self.emit: Emit = unwired
        self.side_outputs: dict[Any, Emit] = {}
        self.emit_watermark: Callable[[int], None] = unwired_time
        self.emit_status: Callable[[bool], None] = unwired_status
        self.room: Callable[[], bool] = always
        self.watermark = MIN_WATERMARK

    def restore(self, restored: RestoredOperator) -> None:
        """Take back what `snapshot` stored."""

    def open(self) -> None:
        """Prepare; user functions are opened here."""

    def process_batch(self, batch: Batch, input_index: int) -> None:
        """Take a batch of input 0 or 1 (head of a two-input vertex; else 0)."""
        raise NotImplementedError

    def process_watermark(self, timestamp: int) -> None:
        """Event time has advanced to `timestamp` ms on all inputs; only called when it grows."""
        self.watermark = timestamp
        self.emit_watermark(timestamp)

    def process_status(self, idle: bool) -> None:
        """All inputs have gone idle, or one is active again."""
        self.emit_status(idle)

    def next_timer(self) -> int | None:
        """Processing time in ms at which `advance_clock` is wanted, or None."""
        return None

    def advance_clock(self, now: int) -> None:
        """Processing time is `now` ms: fire what is due."""

    def prepare_snapshot(self) -> None:
        """A barrier is about to be handed on: emit what belongs before it."""

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        """Add this operator's state to a checkpoint. Must take milliseconds; may not emit."""

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        """The checkpoint is complete everywhere: commit what was prepared for it and for earlier ones."""

    def checkpoint_aborted(self, checkpoint_id: int) -> None:
        """The checkpoint will not complete; what was prepared for it belongs to the next one."""

    def has_room(self) -> bool:
        """False while the operator cannot take more (an outside reader is slow): the task then waits."""
        return True

    def wants_room(self) -> bool:
        """Whether results that came from elsewhere wait until there is `room`."""
        return False

    def emit_waiting(self) -> None:
        """There is room: emit them."""

    def drained(self) -> bool:
        """After `finish`: False while something the operator took has not left the process yet."""
        return True

    def flush(self) -> None:
        """The input pauses: hand on what is buffered only for efficiency."""

    def end_input(self, input_index: int) -> None:
        """All channels of that input have ended."""

    def can_finish(self) -> bool:
        """Asked before `finish`, again and again: False while results of what the operator took are under way."""
        return True

    def finish(self) -> None:
        """Every input has ended; emit or publish the rest."""

    def close(self) -> None:
        """Release everything."""


def as_rows(batch: Batch) -> RowBatch:
    """The batch as rows; columns are converted."""
    if isinstance(batch, ColumnBatch):
        # pyarrow is only needed once columns exist, and then it is loaded already.
        from yarnflow.runtime.operators.columns.columnar import to_rows

        return to_rows(batch)
    return batch
