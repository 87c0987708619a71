"""The operators of one task, wired: from an OperatorChain (data) to something that takes batches.

Map-like operators that follow each other become one FusedOperator, the others stay as they are. Operators
hand batches to each other by plain calls, and to the partitions that leave the task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.output_tag import OutputTag
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.operators import (
    ChainEdge,
    ChainOutput,
    FilterSpec,
    FlatMapSpec,
    MapSpec,
    OperatorChain,
    ProcessSpec,
)
from yarnflow.runtime.network.elements import Element
from yarnflow.runtime.network.partition import HashPartition, Partition
from yarnflow.runtime.operators.base import Emit, OperatorContext, StreamOperator, as_rows
from yarnflow.runtime.operators.fused import ElementContext, FusedFunction, FusedOperator
from yarnflow.runtime.operators.isolation import own_all
from yarnflow.runtime.operators.processing.timer_service import UnkeyedTimers
from yarnflow.runtime.operators.registry import make_operator
from yarnflow.runtime.operators.source import SourceOperator
from yarnflow.runtime.operators.user_functions import bind, close_functions, open_functions
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.taskmanager.chain_compiler import MAX_DEPTH, CompiledTree, Kind, Route, Step
from yarnflow.runtime.taskmanager.chain_time import connect_time, deliver

_FUSABLE: dict[type, tuple[Kind, str]] = {
    MapSpec: (Kind.MAP, "map"),
    FlatMapSpec: (Kind.FLAT_MAP, "flat_map"),
    FilterSpec: (Kind.FILTER, "filter"),
    ProcessSpec: (Kind.PROCESS, "process_element"),
}


class RunningChain:
    """The running operators of a task.

    Args:
        chain: the description.
        context: where it runs.
        partitions: what leaves the task, by edge id.

    Attributes:
        operators: running operators in chain order.
        source: the head, when it is a source.
    """

    def __init__(
        self, chain: OperatorChain, context: OperatorContext, partitions: Mapping[int, Partition]
    ) -> None:
        self._chain = chain
        self._context = context
        self._partitions = partitions
        self._running: dict[int, StreamOperator] = {}
        #: Who reads each running operator, one entry per edge.
        self._readers: dict[int, list[int | Partition]] = {}
        self._keys = [
            item
            for output in chain.outputs
            if output.partitioning in (Partitioning.HASH, Partitioning.CUSTOM)
            for item in (output.key, output.partitioner)
        ]
        self._entry(0)
        connect_time(self._running, self._readers)
        self.operators = [operator for _, operator in sorted(self._running.items())]
        self._unfinished = deque(self.operators)
        head = self._running[0]
        self.source = head if isinstance(head, SourceOperator) else None
        self._head = head
        self._limited = [o for o in self.operators if type(o).has_room is not StreamOperator.has_room]
        self._parking = [o for o in self.operators if type(o).wants_room is not StreamOperator.wants_room]
        for operator in self._parking:
            behind = self.operators[self.operators.index(operator) + 1 :]
            operator.room = partial(
                _have_room, [*partitions.values(), *(o for o in self._limited if o in behind)]
            )
        self._timed = [o for o in self.operators if type(o).next_timer is not StreamOperator.next_timer]
        self._head_takes_columns = head.columnar

    # -- running ---------------------------------------------------------------------------------------------

    def restore(self, find: Callable[[str], RestoredOperator]) -> None:
        """Give the operators their state; `find` knows it by operator id. Before `open`."""
        for operator in self.operators:
            if isinstance(operator, FusedOperator):
                operator.restore_all(find)
            else:
                operator.restore(find(operator.operator.operator_id))

    def open(self) -> None:
        """Open all operators, last to first, so that each finds its consumers ready."""
        open_functions(self._keys, self._context.runtime_context)
        for operator in reversed(self.operators):
            operator.open()

    def process(self, batch: Batch, input_index: int) -> None:
        """Give a batch to the head."""
        if isinstance(batch, ColumnBatch) and not self._head_takes_columns:
            batch = as_rows(batch)
        self._head.process_batch(batch, input_index)

    def process_time(self, elements: Sequence[Element]) -> None:
        """Give event time, Watermark and WatermarkStatus, to the head."""
        deliver(elements, self._head)

    def next_timer(self) -> int | None:
        """Processing time in ms of the first timer."""
        if not self._timed:
            return None
        return min((time for o in self._timed if (time := o.next_timer()) is not None), default=None)

    def advance_clock(self, now: int) -> None:
        """Processing time is `now` ms: fire the timers that are due, in chain order."""
        for operator in self._timed:
            time = operator.next_timer()
            if time is not None and time <= now:
                operator.advance_clock(now)

    def has_room(self) -> bool:
        """False while an operator waits for the outside."""
        return all(operator.has_room() for operator in self._limited)

    def can_emit(self) -> bool:
        """Whether results of an operator have waited for room, and there is some."""
        return any(operator.wants_room() and operator.room() for operator in self._parking)

    def emit_waiting(self) -> bool:
        """Emit such results; says whether there were any."""
        for operator in self._parking:
            if operator.wants_room() and operator.room():
                operator.emit_waiting()
                return True
        return False

    def end_input(self, input_index: int) -> None:
        """All channels of that input have ended."""
        self._head.end_input(input_index)

    def finish(self) -> bool:
        """Every input has ended: finish the operators, head first. False while one waits for results that are
        under way: call again."""
        while self._unfinished:
            if not self._unfinished[0].can_finish():
                return False
            self._unfinished.popleft().finish()
        return True

    def prepare_snapshot(self) -> None:
        """A barrier is about to be handed on."""
        for operator in self.operators:
            operator.prepare_snapshot()

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        """Gather the state of all operators."""
        for operator in self.operators:
            operator.snapshot(snapshot)

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        """The checkpoint is complete everywhere."""
        for operator in self.operators:
            operator.checkpoint_completed(checkpoint_id)

    def checkpoint_aborted(self, checkpoint_id: int) -> None:
        """The checkpoint will not complete."""
        for operator in self.operators:
            operator.checkpoint_aborted(checkpoint_id)

    def drained(self) -> bool:
        """Whether nothing waits in an operator after `finish`."""
        return all(operator.drained() for operator in self.operators)

    def flush(self) -> None:
        """The input pauses."""
        for operator in self.operators:
            operator.flush()

    def close(self) -> None:
        """Close all operators, even when one raises (the first error is raised at the end)."""
        with ExitStack() as stack:
            stack.callback(close_functions, self._keys)
            for operator in reversed(self.operators):
                stack.callback(operator.close)

    # -- wiring ----------------------------------------------------------------------------------------------

    def _entry(self, index: int) -> Emit:
        """Make operator `index` (and what follows it) and return how it takes batches."""
        running = self._running.get(index)
        if running is None:
            spec = self._chain.operators[index].spec
            if type(spec) in _FUSABLE:
                running = self._fuse(index)
            else:
                running = make_operator(self._chain.operators[index], self._context)
                running.emit = _fan_out(self._consumers(index, None))
                running.side_outputs = {tag: _fan_out(self._consumers(index, tag)) for tag in self._tags(index)}
                outputs = [output.edge_id for output in self._chain.outputs if output.source == index]
                self._readers[index] = [
                    *(edge.target for edge in self._chain.edges if edge.source == index),
                    *(self._partitions[edge_id] for edge_id in outputs),
                ]
                if isinstance(running, SourceOperator) and self._columns_wanted(index):
                    running.prefer_columns()
            self._running[index] = running
        process = running.process_batch
        if running.columnar:
            return lambda batch: process(batch, 0)
        return lambda batch: process(batch if batch.__class__ is RowBatch else as_rows(batch), 0)

    def _consumers(self, index: int, tag: Any) -> list[Emit]:
        """Who gets the output `tag` of operator `index`."""
        consumers = [self._entry(edge.target) for edge in self._chain.edges if _is(edge, index, tag)]
        return consumers + [
            self._partitions[output.edge_id].write for output in self._chain.outputs if _is(output, index, tag)
        ]

    def _columns_wanted(self, index: int) -> bool:
        """Whether somebody behind operator `index` works on columns."""
        inside = [edge.target for edge in self._chain.edges if edge.source == index]
        if inside:
            return all(self._running[target].columnar for target in inside)
        return any(isinstance(output.key, (int, str)) for output in self._chain.outputs)

    def _fuse(self, root: int) -> FusedOperator:
        """Make one operator of the map-like ones from `root` on."""
        functions: list[FusedFunction] = []
        timers = UnkeyedTimers(self._context.processing_time)
        consumers: list[Emit | HashPartition] = []
        routes: dict[int, Route] = {}
        readers: list[int | Partition] = []

        def step(index: int, depth: int) -> Step:
            spec = self._chain.operators[index].spec
            kind, method = _FUSABLE[type(spec)]
            function = spec.function  # type: ignore[attr-defined]
            functions.append(FusedFunction(self._chain.operators[index], function))
            context = ElementContext(timers) if kind is Kind.PROCESS else None
            made = Step(index, kind, bind(function, method), context)
            convert = self._converter(index)
            if convert is None:
                made.children = list(follow(index, None, depth))
            else:
                shaped = Step(index, Kind.MAP, convert)
                shaped.children = list(follow(index, None, depth + 1))
                made.children = [shaped]
            made.tagged = [(tag, consumer) for tag in self._tags(index) for consumer in follow(index, tag, depth)]
            return made

        def follow(index: int, tag: Any, depth: int) -> Sequence[Step | int]:
            found: list[Step | int] = []
            for edge in self._chain.edges:
                if _is(edge, index, tag):
                    if self._fusable(edge.target) and depth < MAX_DEPTH:
                        found.append(step(edge.target, depth + 1))
                    else:
                        found.append(len(consumers))
                        consumers.append(self._entry(edge.target))
                        readers.append(edge.target)
            for output in self._chain.outputs:
                if _is(output, index, tag):
                    partition = self._partitions[output.edge_id]
                    readers.append(partition)
                    found.append(len(consumers))
                    if isinstance(partition, HashPartition):
                        routes[len(consumers)] = Route(
                            index, partition.key, partition.appends, partition.timed_appends
                        )
                        consumers.append(partition)
                    else:
                        consumers.append(partition.write)
            return found

        top = step(root, 1)
        self._readers[root] = readers
        tree = CompiledTree(top, len(consumers), routes, OutputTag)
        return FusedOperator(self._chain.operators[root], self._context, functions, tree, consumers, timers)

    def _converter(self, index: int) -> Callable[[Any], Any] | None:
        """What gives results their declared type (a tuple becomes a Row), if that takes anything. Filters
        pass on what has its type already."""
        operator = self._chain.operators[index]
        if operator.output_type is None or isinstance(operator.spec, FilterSpec):
            return None
        converter: Callable[[Any], Any] | None = operator.output_type.converter()
        return converter

    def _fusable(self, index: int) -> bool:
        feeding = sum(1 for edge in self._chain.edges if edge.target == index)
        return feeding == 1 and type(self._chain.operators[index].spec) in _FUSABLE

    def _tags(self, index: int) -> list[Any]:
        tags: list[Any] = []
        edges: list[ChainEdge | ChainOutput] = [*self._chain.edges, *self._chain.outputs]
        for edge in edges:
            if edge.source == index and edge.tag is not None and edge.tag not in tags:
                tags.append(edge.tag)
        return tags


def _is(edge: ChainEdge | ChainOutput, source: int, tag: Any) -> bool:
    return bool(edge.source == source and edge.tag == tag)


def _have_room(consumers: Sequence[StreamOperator | Partition]) -> bool:
    return all(consumer.has_room() for consumer in consumers)


def _drop(batch: Batch) -> None:
    """Takes what nobody reads."""


def _fan_out(consumers: Sequence[Emit]) -> Emit:
    """One emit for several consumers; each gets a batch and records of its own."""
    if not consumers:
        return _drop
    if len(consumers) == 1:
        return consumers[0]
    *others, last = consumers

    def emit(batch: Batch) -> None:
        for consumer in others:
            consumer(_copy(batch))
        last(batch)

    return emit


def _copy(batch: Batch) -> Batch:
    if isinstance(batch, ColumnBatch):
        return ColumnBatch(batch.columns, batch.timestamps, batch.scalar)
    return RowBatch(own_all(batch.rows), None if batch.timestamps is None else batch.timestamps.copy())
