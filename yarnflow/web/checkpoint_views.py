"""Checkpoints in Flink's JSON field names (REST API v1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from yarnflow.config.checkpointing import CheckpointRetention
from yarnflow.runtime.checkpoint.pending import RequestOutcome
from yarnflow.runtime.checkpoint.settings import CheckpointSettings
from yarnflow.runtime.checkpoint.statistics import (
    CheckpointRecord,
    CheckpointStatus,
    CheckpointsView,
    SubtaskRecord,
)
from yarnflow.web.json_views import Json, duration, millis

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


def operation(outcome: RequestOutcome, result: Callable[[RequestOutcome], Json]) -> Json:
    """The answer to "what became of my request"; `result` makes the part for success."""
    if not outcome.done:
        return {"status": {"id": "IN_PROGRESS"}}
    if not outcome.failure:
        return {"status": {"id": "COMPLETED"}, "operation": result(outcome)}
    cause = {"class": "CheckpointError", "stack-trace": outcome.failure}
    return {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": cause}}


def checkpoints(view: CheckpointsView) -> Json:
    """/jobs/:jobid/checkpoints."""
    completed = [record for record in view.history if record.status is CheckpointStatus.COMPLETED]
    restored = view.restored
    return {
        "counts": {
            "restored": view.restored_count,
            "total": view.completed_count + view.failed_count + view.in_progress_count,
            "in_progress": view.in_progress_count,
            "completed": view.completed_count,
            "failed": view.failed_count,
        },
        "summary": {
            "checkpointed_size": _summary(record.uploaded for record in completed),
            "state_size": _summary(record.size for record in completed),
            "end_to_end_duration": _summary(duration(record.triggered, record.ended) for record in completed),
            "persisted_data": _summary(_in_flight(record.subtasks.values()) for record in completed),
        },
        "latest": {
            "completed": _optional(view.latest_completed),
            "savepoint": _optional(view.latest_savepoint),
            "failed": _optional(view.latest_failed),
            "restored": None
            if restored is None
            else {
                "id": restored.checkpoint_id,
                "restore_timestamp": millis(restored.time),
                "is_savepoint": restored.savepoint,
                "external_path": restored.path or None,
            },
        },
        "history": [_record(record) for record in view.history],
    }


def config(settings: CheckpointSettings) -> Json:
    """/jobs/:jobid/checkpoints/config."""
    retention = settings.retention
    return {
        "mode": "exactly_once" if settings.exactly_once else "at_least_once",
        # Flink shows Long.MAX_VALUE when none are taken by themselves.
        "interval": (1 << 63) - 1 if settings.interval is None else int(settings.interval * 1000),
        "timeout": int(settings.timeout * 1000),
        "min_pause": int(settings.min_pause * 1000),
        "max_concurrent": settings.max_concurrent,
        "externalization": {
            "enabled": retention is not CheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS,
            "delete_on_cancellation": retention is not CheckpointRetention.RETAIN_ON_CANCELLATION,
        },
        "checkpoint_storage": "FileSystemCheckpointStorage"
        if settings.directory
        else "JobManagerCheckpointStorage",
        "directory": settings.directory,
        "num_retained": settings.num_retained,
        "tolerable_failed_checkpoints": settings.tolerable_failures,
        "unaligned_checkpoints": settings.unaligned,
    }


def details(record: CheckpointRecord) -> Json:
    """/jobs/:jobid/checkpoints/details/:checkpointid."""
    return {**_record(record), "tasks": {vertex: _task(record, vertex) for vertex in record.tasks}}


def subtasks(record: CheckpointRecord, vertex: str) -> Json:
    """/jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid."""
    done = {index: each for (owner, index), each in record.subtasks.items() if owner == vertex}
    times = [each.times for each in done.values()]
    return {
        **_task(record, vertex),
        "summary": {
            "checkpointed_size": _summary(each.uploaded for each in times),
            "state_size": _summary(each.size for each in times),
            "end_to_end_duration": _summary(
                duration(record.triggered, each.acknowledged) for each in done.values()
            ),
            "checkpoint_duration": {
                "sync": _summary(each.synchronous for each in times),
                "async": _summary(each.asynchronous for each in times),
            },
            "alignment": {
                "persisted": _summary(each.in_flight for each in times),
                "duration": _summary(each.alignment for each in times),
            },
            "start_delay": _summary(each.start_delay for each in times),
        },
        "subtasks": [_subtask(record, index, done.get(index)) for index in range(record.tasks[vertex])],
    }


def _subtask(record: CheckpointRecord, index: int, done: SubtaskRecord | None) -> Json:
    if done is None:
        return {"index": index, "status": "pending_or_failed"}
    times = done.times
    return {
        "index": index,
        "status": "completed",
        "ack_timestamp": millis(done.acknowledged),
        "end_to_end_duration": duration(record.triggered, done.acknowledged),
        "checkpointed_size": times.uploaded,
        "state_size": times.size,
        "checkpoint": {"sync": times.synchronous, "async": times.asynchronous},
        "alignment": {"persisted": times.in_flight, "duration": times.alignment},
        "start_delay": times.start_delay,
        "unaligned_checkpoint": record.unaligned,
        "aborted": False,
    }


def _task(record: CheckpointRecord, vertex: str) -> Json:
    done = [each for (owner, _), each in record.subtasks.items() if owner == vertex]
    latest = max((each.acknowledged for each in done), default=0.0)
    return {
        "id": record.checkpoint_id,
        "status": record.status.value,
        "latest_ack_timestamp": millis(latest),
        "checkpointed_size": sum(each.times.uploaded for each in done),
        "state_size": sum(each.times.size for each in done),
        "end_to_end_duration": duration(record.triggered, latest) if latest else -1,
        "persisted_data": _in_flight(done),
        "num_subtasks": record.tasks[vertex],
        "num_acknowledged_subtasks": len(done),
    }


def _record(record: CheckpointRecord) -> Json:
    kind = "SAVEPOINT" if record.savepoint else "CHECKPOINT"
    body: Json = {
        "className": record.status.value.lower(),
        "id": record.checkpoint_id,
        "status": record.status.value,
        "is_savepoint": record.savepoint,
        "savepointFormat": "CANONICAL" if record.savepoint else None,
        "trigger_timestamp": millis(record.triggered),
        "latest_ack_timestamp": millis(record.latest_acknowledgement),
        "checkpointed_size": record.uploaded,
        "state_size": record.size,
        "end_to_end_duration": duration(record.triggered, record.ended),
        "persisted_data": _in_flight(record.subtasks.values()),
        "num_subtasks": sum(record.tasks.values()),
        "num_acknowledged_subtasks": len(record.subtasks),
        "checkpoint_type": f"UNALIGNED_{kind}" if record.unaligned else kind,
        "tasks": {},
    }
    if record.status is CheckpointStatus.COMPLETED:
        body |= {"external_path": record.path or "<checkpoint-not-externally-addressable>"}
        body |= {"discarded": record.discarded}
    elif record.status is CheckpointStatus.FAILED:
        body |= {"failure_timestamp": millis(record.ended), "failure_message": record.failure}
    return body


def _optional(record: CheckpointRecord | None) -> Json | None:
    return None if record is None else _record(record)


def _in_flight(done: Iterable[SubtaskRecord]) -> int:
    return sum(each.times.in_flight for each in done)


def _summary(numbers: Iterable[int]) -> dict[str, Any]:
    """Least, greatest, mean and quantiles; zeros when there is nothing."""
    ordered = sorted(numbers) or [0]
    quantiles = {name: ordered[int(share * (len(ordered) - 1) + 0.5)] for name, share in _QUANTILES.items()}
    return {"min": ordered[0], "max": ordered[-1], "avg": sum(ordered) // len(ordered), **quantiles}
