"""Which running operator a description becomes."""

from __future__ import annotations

from yarnflow.graph.operators import (
    AggregateSpec,
    AsyncSpec,
    BroadcastProcessSpec,
    CoFlatMapSpec,
    CollectSpec,
    CoMapSpec,
    CoProcessSpec,
    FilterExpressionSpec,
    IntervalJoinSpec,
    KeyedProcessSpec,
    MapBatchesSpec,
    Operator,
    ReduceSpec,
    SelectSpec,
    SinkSpec,
    SourceSpec,
    TimestampsSpec,
    WindowSpec,
)
from yarnflow.runtime.operators.aggregate import AdaptiveAggregateOperator
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.collect import CollectOperator
from yarnflow.runtime.operators.joins.interval_join import IntervalJoinOperator
from yarnflow.runtime.operators.processing.broadcast_process import make_broadcast
from yarnflow.runtime.operators.processing.co_map import CoFlatMapOperator, CoMapOperator
from yarnflow.runtime.operators.processing.co_process import UnkeyedOperator
from yarnflow.runtime.operators.processing.keyed_process import KeyedProcessOperator
from yarnflow.runtime.operators.reduce import make_reduce
from yarnflow.runtime.operators.sink import SinkOperator
from yarnflow.runtime.operators.source import SourceOperator
from yarnflow.runtime.operators.timestamps import TimestampsOperator


def make_operator(operator: Operator, context: OperatorContext) -> StreamOperator:
    """Make the running operator for anything but the map-like ones, which are fused."""
    spec = operator.spec
    if isinstance(spec, SourceSpec):
        return SourceOperator(operator, context)
    if isinstance(spec, SinkSpec):
        return SinkOperator(operator, context)
    if isinstance(spec, AggregateSpec) and isinstance(spec.key, (int, str)):
        return AdaptiveAggregateOperator(operator, context)
    if isinstance(spec, (ReduceSpec, AggregateSpec)):
        return make_reduce(operator, context)
    if isinstance(spec, TimestampsSpec):
        return TimestampsOperator(operator, context)
    if isinstance(spec, CollectSpec):
        return CollectOperator(operator, context)
    if isinstance(spec, CoMapSpec):
        return CoMapOperator(operator, context)
    if isinstance(spec, CoFlatMapSpec):
        return CoFlatMapOperator(operator, context)
    if isinstance(spec, IntervalJoinSpec):
        return IntervalJoinOperator(operator, context)
    if isinstance(spec, WindowSpec):
        # Many modules, which only workers with windows need.
        from yarnflow.runtime.operators.windows.factory import make_window

        return make_window(operator, context)
    if isinstance(spec, AsyncSpec):
        # asyncio is only loaded in workers that need it.
        from yarnflow.runtime.operators.asynchronous.wait import AsyncWaitOperator

        return AsyncWaitOperator(operator, context)
    if isinstance(spec, KeyedProcessSpec):
        return KeyedProcessOperator(operator, context, spec.function, (spec.key,), ("process_element",))
    if isinstance(spec, CoProcessSpec):
        methods = ("process_element1", "process_element2")
        if spec.keys is None:
            return UnkeyedOperator(operator, context, spec.function, methods)
        return KeyedProcessOperator(operator, context, spec.function, spec.keys, methods)
    if isinstance(spec, BroadcastProcessSpec):
        return make_broadcast(operator, context)
    if isinstance(spec, (MapBatchesSpec, FilterExpressionSpec, SelectSpec)):
        # pyarrow is only loaded in workers that run columnar operators.
        from yarnflow.runtime.operators.columns.columnar import make_columnar

        return make_columnar(operator, context)
    raise TypeError(
        f"operator '{operator.name}' is a {type(spec).__name__}, which no runtime operator executes"
    )
