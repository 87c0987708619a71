"""What operators that call process functions share: results, their types, side outputs, what errors say.

The loops over records (`run` has no keys, keyed_process.py has) collect what functions return with
`list.extend`, which runs a user's generator at the speed of C, and hand a whole batch of results to `hand_on`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.keyed_adapters import users
from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.functions.timers import NO_TIMESTAMP
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.keyed import shorten
from yarnflow.runtime.operators.processing.checkpointed import FunctionState
from yarnflow.runtime.operators.stored_watermark import restored_watermark, store_watermark
from yarnflow.runtime.operators.user_functions import close_functions, open_functions
from yarnflow.runtime.state.factory import make_backend
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot

#: Results that are handed on at once when many timers fire.
RESULTS = 4096


class ProcessOperator(StreamOperator):
    """Base of operators that call a process function.

    Attributes:
        function: the user's.
        states: operator state of the function, and broadcast state.
    """

    def __init__(self, operator: Operator, context: OperatorContext, function: Any) -> None:
        super().__init__(operator, context)
        self.function = function
        self.states = FunctionState(function)
        declared = operator.output_type
        self._convert = None if declared is None else declared.converter()

    def restore(self, restored: RestoredOperator) -> None:
        self.states.restore(restored)

    def open(self) -> None:
        self.open_function(self.context.runtime_context)

    def open_function(self, runtime_context: RuntimeContext) -> None:
        """Give the function its state, then open it."""
        self.states.open()
        open_functions([self.function], runtime_context)

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        self.states.snapshot(snapshot, self.operator.operator_id)

    def close(self) -> None:
        close_functions([self.function])

    def run(self, batch: RowBatch, call: Callable[..., Any], context: Any) -> None:
        """Call a method for each record of a batch, without regard to keys. `context.element_timestamp` is set."""
        rows: list[Any] = []
        stamps: list[int] | None = None
        record = results = None
        try:
            if batch.timestamps is None:
                context.element_timestamp = NO_TIMESTAMP
                for record in batch.rows:
                    results = call(record, context)
                    if results is not None:
                        rows.extend(results)
            else:
                stamps = []
                for record, time in zip(batch.rows, batch.timestamps, strict=True):
                    context.element_timestamp = time
                    results = call(record, context)
                    if results is not None:
                        rows.extend(results)
                        stamps.extend([time] * (len(rows) - len(stamps)))
        except TypeError as error:
            self.explain_results(error, results, call, record)
            raise
        self.hand_on(rows, stamps)

    def hand_on(self, rows: list[Any], times: list[int] | None) -> None:
        """Emit results: those with a tag to its side output, all others as the declared type."""
        if OutputTag.any_made:
            rows, times = self._take_tagged(rows, times)
        if not rows:
            return
        if self._convert is not None:
            rows = self._converted(rows)
        self.emit(RowBatch(rows, times))

    def explain_results(self, error: TypeError, results: Any, call: Any, record: Any) -> None:
        """Raise a ProgramError in place of `error` if the reason is that results are no records."""
        if results is not None and not hasattr(results, "__iter__"):
            raise ProgramError(
                f"'{self.operator.name}': {self._name_of(call)} returned {shorten(results)} "
                f"({type(results).__name__}) for {shorten(record)}: it must yield records, or return a list of "
                "them or None"
            ) from error

    def _name_of(self, call: Any) -> str:
        function = users(self.function)
        if function is not self.function:
            return f"the function of {type(function).__name__}"
        return f"{getattr(call, '__qualname__', call)}()"

    def _take_tagged(
        self, rows: list[Any], times: list[int] | None
    ) -> tuple[list[Any], list[int] | None]:
        """Send records of side outputs there; returns the rest."""
        tagged = [
            at
            for at, row in enumerate(rows)
            if row.__class__ is tuple and len(row) == 2 and row[0].__class__ is OutputTag
        ]
        if not tagged:
            return rows, times
        for tag, emit in self.side_outputs.items():
            chosen = [at for at in tagged if rows[at][0] == tag]
            if chosen:
                stamps = None if times is None else [times[at] for at in chosen]
                emit(RowBatch([rows[at][1] for at in chosen], stamps))
        gone = set(tagged)
        kept = [at for at in range(len(rows)) if at not in gone]
        return [rows[at] for at in kept], None if times is None else [times[at] for at in kept]

    def _converted(self, rows: list[Any]) -> list[Any]:
        convert = self._convert
        assert convert is not None
        try:
            return list(map(convert, rows))
        except TypeError as error:
            record = next(row for row in rows if not _fits(convert, row))  # for the message
            raise ProgramError(
                f"'{self.operator.name}' is declared with output_type={self.operator.output_type!r}, and a result "
                f"cannot be that: {shorten(record)}"
            ) from error


class KeyedFunctionOperator(ProcessOperator):
    """Base of operators that call a function which has keyed state. They know event time after a restart.

    Args:
        operator: what it is.
        context: where it runs.
        function: the user's; None for none.
        helpers: the user's key selectors and the like, which are opened before the function and closed after it.

    Attributes:
        backend: the keyed state.
    """

    def __init__(
        self, operator: Operator, context: OperatorContext, function: Any, helpers: Sequence[Any]
    ) -> None:
        super().__init__(operator, context, function)
        self._helpers = helpers
        self.backend = make_backend(context, operator)

    def restore(self, restored: RestoredOperator) -> None:
        super().restore(restored)
        self.backend.restore(restored)
        self.watermark = restored_watermark(restored)

    def open(self) -> None:
        context = self.context.runtime_context
        open_functions(self._helpers, context)
        self.open_function(context.with_keyed_state(self.backend))

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        super().snapshot(snapshot)
        self.backend.snapshot(snapshot, self.operator.operator_id)
        store_watermark(snapshot, self)

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        self.backend.checkpoint_completed(checkpoint_id)

    def close(self) -> None:
        try:
            close_functions([self.function, *self._helpers])
        finally:
            self.backend.close()


def _fits(convert: Any, row: Any) -> bool:
    try:
        convert(row)
    except TypeError:
        return False
    return True
