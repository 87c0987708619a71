"""Process functions with two inputs that are not keyed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.process_functions import CoProcessFunction
from yarnflow.functions.timers import NO_TIMESTAMP
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.processing.process import ProcessOperator
from yarnflow.runtime.operators.processing.timer_service import UnkeyedTimers
from yarnflow.runtime.operators.user_functions import bind


class RecordContext(CoProcessFunction.Context):
    """The context, used for every record.

    Attributes:
        element_timestamp: of the record in hand.
    """

    def __init__(self, timers: UnkeyedTimers) -> None:
        self.element_timestamp = NO_TIMESTAMP
        self._timers = timers

    def timestamp(self) -> int:
        return self.element_timestamp

    def timer_service(self) -> UnkeyedTimers:
        return self._timers


class UnkeyedOperator(ProcessOperator):
    """Calls a method with a context per input.

    Args:
        operator: what it is.
        context: where it runs.
        function: the user's.
        methods: of the function, by input.

    Attributes:
        timers: tells contexts the time.
        contexts: by input; their `element_timestamp` is that of the record in hand.
    """

    def __init__(
        self, operator: Operator, context: OperatorContext, function: Any, methods: Sequence[str]
    ) -> None:
        super().__init__(operator, context, function)
        self.timers = UnkeyedTimers(context.processing_time)
        self._calls: list[Callable[..., Any]] = [bind(function, method) for method in methods]
        self.contexts: list[Any] = [RecordContext(self.timers)] * len(methods)

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        self.run(batch, self._calls[input_index], self.contexts[input_index])

    def process_watermark(self, timestamp: int) -> None:
        self.timers.watermark = timestamp
        super().process_watermark(timestamp)
