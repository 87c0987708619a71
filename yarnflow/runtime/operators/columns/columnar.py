"""Columns at run time: what the chain and the network ask for, by name.

    to_rows, to_columns     functions/columns.py
    make_columnar           running operators on columns: columns/map.py
    partition               by key, agreeing with graph/key_groups.py: columns/partition.py
    to_bytes, from_bytes    between workers: columns/frames.py

Imports pyarrow: import this module where columns are at hand.
"""

from __future__ import annotations

from yarnflow.errors import ProgramError
from yarnflow.functions.columns import to_columns, to_rows
from yarnflow.graph.operators import (
    FilterExpressionSpec,
    MapBatchesSpec,
    Operator,
    SelectSpec,
)
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.columns.frames import from_bytes, to_bytes
from yarnflow.runtime.operators.columns.map import (
    FilterExpressionOperator,
    MapBatchesOperator,
    SelectOperator,
)
from yarnflow.runtime.operators.columns.partition import partition

__all__ = ["from_bytes", "make_columnar", "partition", "to_bytes", "to_columns", "to_rows"]


def make_columnar(operator: Operator, context: OperatorContext) -> StreamOperator:
    """The running operator of a MapBatchesSpec, FilterExpressionSpec or SelectSpec."""
    spec = operator.spec
    if isinstance(spec, MapBatchesSpec):
        return MapBatchesOperator(operator, context)
    if isinstance(spec, FilterExpressionSpec):
        return FilterExpressionOperator(operator, context)
    if isinstance(spec, SelectSpec):
        return SelectOperator(operator, context)
    raise ProgramError(f"'{operator.name}' ({type(spec).__name__}) does not work on columns")
