"""Columns at run time: what the chain and the network ask for, by name.

    to_rows, to_columns     functions/columns.py
    make_columnar           running operators on columns: columnar_map.py, columnar_aggregate.py
    partition               by key, agreeing with graph/key_groups.py: columnar_partition.py
    to_bytes, from_bytes    between workers: columnar_frames.py

Imports pyarrow: import this module where columns are at hand.
"""

from __future__ import annotations

from yarnflow.errors import ProgramError
from yarnflow.functions.columns import to_columns, to_rows
from yarnflow.graph.operators import (
    AggregateSpec,
    FilterExpressionSpec,
    MapBatchesSpec,
    Operator,
    OperatorSpec,
    SelectSpec,
)
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.columnar_aggregate import ColumnarAggregateOperator
from yarnflow.runtime.operators.columnar_frames import from_bytes, to_bytes
from yarnflow.runtime.operators.columnar_map import (
    FilterExpressionOperator,
    MapBatchesOperator,
    SelectOperator,
)
from yarnflow.runtime.operators.columnar_partition import partition

__all__ = ["from_bytes", "make_columnar", "partition", "takes_columns", "to_bytes", "to_columns", "to_rows"]


def takes_columns(spec: OperatorSpec) -> bool:
    """Whether `make_columnar` makes a running operator for this."""
    if isinstance(spec, AggregateSpec):
        return isinstance(spec.key, (int, str))
    return isinstance(spec, (MapBatchesSpec, FilterExpressionSpec, SelectSpec))


def make_columnar(operator: Operator, context: OperatorContext) -> StreamOperator:
    """The running operator of a MapBatchesSpec, FilterExpressionSpec, SelectSpec, or an AggregateSpec whose
    key is a field."""
    spec = operator.spec
    if isinstance(spec, MapBatchesSpec):
        return MapBatchesOperator(operator, context)
    if isinstance(spec, FilterExpressionSpec):
        return FilterExpressionOperator(operator, context)
    if isinstance(spec, SelectSpec):
        return SelectOperator(operator, context)
    if isinstance(spec, AggregateSpec) and takes_columns(spec):
        return ColumnarAggregateOperator(operator, context)
    raise ProgramError(f"'{operator.name}' ({type(spec).__name__}) does not work on columns")
