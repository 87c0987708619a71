"""Which backend an operator keeps its keyed state in."""

from __future__ import annotations

from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.state.backend import KeyedStateBackend
from yarnflow.runtime.state.heap import HashMapStateBackend


def make_backend(context: OperatorContext, operator: Operator) -> KeyedStateBackend:
    """The backend that `state.backend.type` names."""
    return HashMapStateBackend(context.processing_time)
