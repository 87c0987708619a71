"""The base of running operators: one instance per operator and subtask.

A task drives its operators in this order, always from one thread:

    open            once, before any data, from the last operator of the chain to its head
    process_batch   per batch; an operator hands on what it makes with `self.emit`
    end_input       once per input when all of its channels have ended; may emit
    finish          once, in chain order, when every input has ended; may emit
    close           always, exactly once, also after a failure

Map-like operators are not run one by one: taskmanager/chain_compiler.py fuses them into one function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.graph.operators import Operator
from yarnflow.runtime.rpc.messages import Message

if TYPE_CHECKING:
    from yarnflow.functions.runtime_context import RuntimeContext

Emit = Callable[[Batch], None]


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


def unwired(batch: Batch) -> None:
    """The `emit` of an operator whose output nobody reads."""


class StreamOperator:
    """Base of operators with a loop of their own.

    A loop over records names its variable `record`: error messages show the local of that name in the frame
    that raised (taskmanager/failures.py).

    Attributes:
        columnar: True when `process_batch` takes both RowBatch and ColumnBatch; otherwise the chain turns
            columns into rows first and `process_batch` gets a RowBatch only.
        emit: hands a batch to whoever consumes this operator; set by the chain. The receiver owns the
            batch afterwards.
    """

    columnar: bool = False

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        self.operator = operator
        self.context = context
        self.emit: Emit = unwired

    def open(self) -> None:
        """Prepare; user functions are opened here."""

    def process_batch(self, batch: Batch, input_index: int) -> None:
        """Take a batch of input 0 or 1 (head of a two-input vertex; else 0)."""
        raise NotImplementedError

    def has_room(self) -> bool:
        """False while the operator cannot take more (an outside reader is slow): the task then waits."""
        return True

    def drained(self) -> bool:
        """After `finish`: False while something the operator took has not left the process yet."""
        return True

    def flush(self) -> None:
        """The input pauses: hand on what is buffered only for efficiency."""

    def end_input(self, input_index: int) -> None:
        """All channels of that input have ended."""

    def finish(self) -> None:
        """Every input has ended; emit or publish the rest."""

    def close(self) -> None:
        """Release everything."""


def as_rows(batch: Batch) -> RowBatch:
    """The batch as rows; columns are converted."""
    if isinstance(batch, ColumnBatch):
        # pyarrow is only needed once columns exist, and then it is loaded already.
        from yarnflow.runtime.operators.columnar import to_rows

        return to_rows(batch)
    return batch
