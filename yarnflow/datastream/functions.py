"""The user functions under the module name of PyFlink, and accumulators. They live in yarnflow.functions."""

from typing import Any

from yarnflow.datastream import not_yet
from yarnflow.functions.accumulators import (
    Accumulator,
    DoubleCounter,
    Histogram,
    IntCounter,
    IntMaximum,
    IntMinimum,
    ListAccumulator,
    LongCounter,
)
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.functions.user_functions import (
    AggregateFunction,
    CoFlatMapFunction,
    CoMapFunction,
    FilterFunction,
    FlatMapFunction,
    Function,
    KeySelector,
    MapFunction,
    Partitioner,
    ProcessFunction,
    ReduceFunction,
)

__all__ = [
    "Accumulator",
    "AggregateFunction",
    "CoFlatMapFunction",
    "CoMapFunction",
    "DoubleCounter",
    "FilterFunction",
    "FlatMapFunction",
    "Function",
    "Histogram",
    "IntCounter",
    "IntMaximum",
    "IntMinimum",
    "KeySelector",
    "ListAccumulator",
    "LongCounter",
    "MapFunction",
    "Partitioner",
    "ProcessFunction",
    "ReduceFunction",
    "RuntimeContext",
]


def __getattr__(name: str) -> Any:
    raise not_yet.missing_class(__name__, name)
