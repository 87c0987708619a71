"""Several map-like operators as one: a tree that the chain compiler turned into one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.process_functions import ProcessFunction
from yarnflow.functions.timers import NO_TIMESTAMP, TimerService
from yarnflow.graph.operators import Operator
from yarnflow.runtime.network.partition import HashPartition
from yarnflow.runtime.operators.base import Emit, OperatorContext, StreamOperator
from yarnflow.runtime.operators.processing.checkpointed import FunctionState
from yarnflow.runtime.operators.processing.timer_service import UnkeyedTimers
from yarnflow.runtime.operators.user_functions import close_functions, open_functions
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.taskmanager.chain_compiler import CompiledTree


class ElementContext(ProcessFunction.Context):
    """The context of a process function, reused for every record."""

    def __init__(self, timers: UnkeyedTimers | None = None) -> None:
        self.element_timestamp = NO_TIMESTAMP
        self._timers = timers or UnkeyedTimers()

    def timestamp(self) -> int:
        return self.element_timestamp

    def timer_service(self) -> TimerService:
        return self._timers


class FusedFunction:
    """One of the operators of a tree: its user function and that one's operator state."""

    def __init__(self, operator: Operator, function: Any) -> None:
        self.operator = operator
        self.function = function
        self.state = FunctionState(function)


class FusedOperator(StreamOperator):
    """Runs a compiled tree.

    Args:
        operator: the tree's root.
        context: where it runs.
        functions: of all steps of the tree, root first.
        tree: compiled.
        consumers: per output of the tree, who gets its batches, or the hash partition that the
            compiled code appends to itself.
        timers: what the contexts of process functions tell the time by.

    A loop over the operators names its variable `fused`: error messages name that of the frame that raised.
    """

    def __init__(
        self,
        operator: Operator,
        context: OperatorContext,
        functions: Sequence[FusedFunction],
        tree: CompiledTree,
        consumers: Sequence[Emit | HashPartition],
        timers: UnkeyedTimers | None = None,
    ) -> None:
        super().__init__(operator, context)
        self._functions = functions
        self._tree = tree
        self._timers = timers or UnkeyedTimers()
        self._emits = [
            (index, consumer)
            for index, consumer in enumerate(consumers)
            if not isinstance(consumer, HashPartition)
        ]
        self._routed = [consumer for consumer in consumers if isinstance(consumer, HashPartition)]

    def restore_all(self, find: Callable[[str], RestoredOperator]) -> None:
        """As `restore`, for each of the operators; `find` gives what an operator id has stored."""
        for fused in self._functions:
            fused.state.restore(find(fused.operator.operator_id))

    def open(self) -> None:
        for fused in reversed(self._functions):
            fused.state.open()
            open_functions([fused.function], self.context.runtime_context)

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        for fused in self._functions:
            fused.state.snapshot(snapshot, fused.operator.operator_id)

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        times = batch.timestamps
        for partition in self._routed:
            partition.begin(timed=times is not None)
        if times is None:
            results = self._tree.plain(batch.rows)
            for index, emit in self._emits:
                rows = results[index]
                if rows:
                    emit(RowBatch(rows))
        else:
            results = self._tree.timed(batch.rows, times)
            for index, emit in self._emits:
                rows, stamps = results[index]
                if rows:
                    emit(RowBatch(rows, stamps))
        for partition in self._routed:
            partition.end()

    def process_watermark(self, timestamp: int) -> None:
        self._timers.watermark = timestamp
        super().process_watermark(timestamp)

    def close(self) -> None:
        close_functions([fused.function for fused in self._functions])
