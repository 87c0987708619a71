"""Types, rows, time, configuration and results: the names of pyflink.common.

Names are loaded when first used, so that a program pays only for what it imports.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from yarnflow.common.missing_names import missing_name

if TYPE_CHECKING:
    from yarnflow.common.completable_future import CompletableFuture
    from yarnflow.common.configuration import Configuration
    from yarnflow.common.execution_config import ExecutionConfig
    from yarnflow.common.execution_mode import ExecutionMode
    from yarnflow.common.job_client import JobClient
    from yarnflow.common.job_execution_result import JobExecutionResult
    from yarnflow.common.job_id import JobID
    from yarnflow.common.job_status import JobStatus
    from yarnflow.common.restart_strategy import RestartStrategies, RestartStrategyConfiguration
    from yarnflow.common.serialization import (
        ByteArraySchema,
        DeserializationSchema,
        Encoder,
        SerializationSchema,
        SimpleStringSchema,
    )
    from yarnflow.common.serializer import TypeSerializer
    from yarnflow.common.time import Duration, Instant, Time
    from yarnflow.common.typeinfo import TypeInformation, Types
    from yarnflow.common.types import Row, RowKind
    from yarnflow.common.watermark_strategy import (
        TimestampAssigner,
        WatermarkGenerator,
        WatermarkOutput,
        WatermarkStrategy,
    )

_HOMES = {
    "ByteArraySchema": "serialization",
    "CompletableFuture": "completable_future",
    "Configuration": "configuration",
    "DeserializationSchema": "serialization",
    "Duration": "time",
    "Encoder": "serialization",
    "ExecutionConfig": "execution_config",
    "ExecutionMode": "execution_mode",
    "Instant": "time",
    "JobClient": "job_client",
    "JobExecutionResult": "job_execution_result",
    "JobID": "job_id",
    "JobStatus": "job_status",
    "RestartStrategies": "restart_strategy",
    "RestartStrategyConfiguration": "restart_strategy",
    "Row": "types",
    "RowKind": "types",
    "SerializationSchema": "serialization",
    "SimpleStringSchema": "serialization",
    "Time": "time",
    "TimestampAssigner": "watermark_strategy",
    "TypeInformation": "typeinfo",
    "TypeSerializer": "serializer",
    "Types": "typeinfo",
    "WatermarkGenerator": "watermark_strategy",
    "WatermarkOutput": "watermark_strategy",
    "WatermarkStrategy": "watermark_strategy",
}

__all__ = [
    "ByteArraySchema",
    "CompletableFuture",
    "Configuration",
    "DeserializationSchema",
    "Duration",
    "Encoder",
    "ExecutionConfig",
    "ExecutionMode",
    "Instant",
    "JobClient",
    "JobExecutionResult",
    "JobID",
    "JobStatus",
    "RestartStrategies",
    "RestartStrategyConfiguration",
    "Row",
    "RowKind",
    "SerializationSchema",
    "SimpleStringSchema",
    "Time",
    "TimestampAssigner",
    "TypeInformation",
    "TypeSerializer",
    "Types",
    "WatermarkGenerator",
    "WatermarkOutput",
    "WatermarkStrategy",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise missing_name(__name__, name)
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
