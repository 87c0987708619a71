"""Which backend an operator keeps its keyed state in."""

from __future__ import annotations

from yarnflow.config.checkpointing import StateBackendOptions
from yarnflow.config.configuration import Configuration
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.state.backend import KeyedStateBackend
from yarnflow.runtime.state.heap import HashMapStateBackend


def make_backend(context: OperatorContext, operator: Operator) -> KeyedStateBackend:
    """The backend that `state.backend.type` names."""
    config = Configuration(context.config)
    if config[StateBackendOptions.TYPE] == "rocksdb":
        # Only then: an optional package.
        from yarnflow.runtime.state.rocksdb.backend import RocksDBStateBackend
        from yarnflow.runtime.state.rocksdb.settings import RocksDBSettings

        name = f"{operator.operator_id[:8]}-{context.subtask_index}"
        return RocksDBStateBackend(
            RocksDBSettings.of(config), context.max_parallelism, context.processing_time, name
        )
    return HashMapStateBackend(context.processing_time)
