"""The JobManager's views in Flink's JSON field names (REST API v1). Times become milliseconds, -1 for
"not yet", as Flink shows them."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Mapping
from typing import Any

import yarnflow
from yarnflow.runtime.accumulators import plain_accumulators
from yarnflow.runtime.jobmanager.views import (
    AttemptView,
    ClusterOverview,
    ExceptionView,
    JobDetail,
    JobOverview,
    JobResult,
    LogFile,
    SubtaskView,
    TaskManagerView,
    VertexView,
)
from yarnflow.runtime.rpc.messages import TaskMetrics
from yarnflow.runtime.states import ExecutionState, JobStatus

Json = dict[str, Any]


def millis(seconds: float) -> int:
    """Seconds since the epoch to milliseconds; 0.0 (not yet) to -1."""
    return int(seconds * 1000) if seconds else -1


def duration(start: float, end: float) -> int:
    """Milliseconds from start to end (to now while there is no end); -1 before the start."""
    if not start:
        return -1
    return int(((end or time.time()) - start) * 1000)


def cluster_overview(view: ClusterOverview) -> Json:
    """/overview."""
    counts = view.jobs
    ended = (JobStatus.FINISHED, JobStatus.CANCELED, JobStatus.FAILED)
    return {
        "taskmanagers": view.taskmanagers,
        "slots-total": view.slots_total,
        "slots-available": view.slots_available,
        "jobs-running": sum(count for status, count in counts.items() if status not in ended),
        "jobs-finished": counts.get(JobStatus.FINISHED, 0),
        "jobs-cancelled": counts.get(JobStatus.CANCELED, 0),
        "jobs-failed": counts.get(JobStatus.FAILED, 0),
        "flink-version": view.version,
        "flink-commit": "",
        "taskmanagers-pending": view.workers_pending,
    }


def web_config(refresh_ms: int) -> Json:
    """/config: what a dashboard asks first."""
    return {
        "refresh-interval": refresh_ms,
        "timezone-name": time.tzname[0],
        "timezone-offset": -time.timezone * 1000,
        "flink-version": yarnflow.__version__,
        "flink-revision": "",
        "features": {"web-submit": False, "web-cancel": True, "web-rescale": False, "web-history": False},
    }


def key_values(config: Mapping[str, str]) -> list[Json]:
    """/jobmanager/config."""
    return [{"key": key, "value": config[key]} for key in sorted(config)]


def _task_counts(counts: Mapping[ExecutionState, int]) -> Json:
    result: Json = {"total": sum(counts.values())}
    for state in ExecutionState:
        result[state.value.lower()] = counts.get(state, 0)
    result["reconciling"] = 0
    return result


def _state_counts(counts: Mapping[ExecutionState, int]) -> Json:
    return {**{state.value: counts.get(state, 0) for state in ExecutionState}, "RECONCILING": 0}


def job_overview(view: JobOverview) -> Json:
    """One entry of /jobs/overview."""
    return {
        "jid": view.job_id,
        "name": view.name,
        "state": view.status.value,
        "start-time": millis(view.start_time),
        "end-time": millis(view.end_time),
        "duration": duration(view.start_time, view.end_time),
        "last-modification": millis(view.last_modification),
        "tasks": _task_counts(view.task_counts),
    }


def _metrics(metrics: TaskMetrics, complete: bool) -> Json:
    return {
        "read-bytes": metrics.bytes_in,
        "read-bytes-complete": complete,
        "write-bytes": metrics.bytes_out,
        "write-bytes-complete": complete,
        "read-records": metrics.records_in,
        "read-records-complete": complete,
        "write-records": metrics.records_out,
        "write-records-complete": complete,
        "accumulated-backpressured-time": metrics.backpressured_ms,
        "accumulated-idle-time": metrics.idle_ms,
        "accumulated-busy-time": metrics.busy_ms,
    }


def _vertex_summary(vertex: VertexView) -> Json:
    return {
        "id": vertex.vertex_id,
        "slotSharingGroupId": vertex.slot_sharing_group,
        "name": vertex.name,
        "maxParallelism": vertex.max_parallelism,
        "parallelism": vertex.parallelism,
        "status": vertex.status.value,
        "start-time": millis(vertex.start_time),
        "end-time": millis(vertex.end_time),
        "duration": duration(vertex.start_time, vertex.end_time),
        "tasks": _state_counts(vertex.task_counts),
        "metrics": _metrics(vertex.metrics, vertex.status.terminal),
    }


def job_detail(view: JobDetail) -> Json:
    """/jobs/:jobid."""
    overview = view.overview
    totals: dict[ExecutionState, int] = {}
    for vertex in view.vertices:
        totals[vertex.status] = totals.get(vertex.status, 0) + 1
    return {
        "jid": overview.job_id,
        "name": overview.name,
        "isStoppable": False,
        "state": overview.status.value,
        "start-time": millis(overview.start_time),
        "end-time": millis(overview.end_time),
        "duration": duration(overview.start_time, overview.end_time),
        "maxParallelism": max((vertex.max_parallelism for vertex in view.vertices), default=-1),
        "now": int(time.time() * 1000),
        "timestamps": {status.value: int(view.timestamps.get(status, 0.0) * 1000) for status in JobStatus},
        "vertices": [_vertex_summary(vertex) for vertex in view.vertices],
        "status-counts": _state_counts(totals),
        "plan": view.plan,
        "slots-needed": view.slots_needed,
        "slots-assigned": view.slots_assigned,
        "restarts": view.restart_count,
        "transitions": [
            {"timestamp": millis(when), "what": what, "cause": cause} for when, what, cause in view.transitions
        ],
    }


def job_config(view: JobDetail) -> Json:
    """/jobs/:jobid/config."""
    parallelism = max((vertex.parallelism for vertex in view.vertices), default=1)
    return {
        "jid": view.overview.job_id,
        "name": view.overview.name,
        "execution-config": {
            "execution-mode": view.config.get("execution.runtime-mode", "STREAMING"),
            "restart-strategy": view.restart_strategy,
            "job-parallelism": int(view.config.get("parallelism.default", parallelism)),
            "object-reuse-mode": True,
            "user-config": dict(sorted(view.config.items())),
        },
    }


def _exception(view: ExceptionView) -> Json:
    failure = view.failure
    where = f"{view.vertex_name} ({view.subtask_index + 1})" if view.vertex_name else "(global failure)"
    return {
        "exceptionName": failure.message.split(":", 1)[0],
        "stacktrace": failure.traceback or failure.message,
        "timestamp": millis(view.timestamp),
        "failureLabels": {},
        "taskName": where,
        "endpoint": view.host or "(unassigned)",
        "location": view.host or "(unassigned)",
        "taskManagerId": view.taskmanager_id or "(unassigned)",
        "operatorName": failure.operator_name,
        "subtask": view.subtask_index,
        "where": failure.where,
        "logTail": failure.log_tail,
    }


def exceptions(view: JobDetail, limit: int) -> Json:
    """/jobs/:jobid/exceptions, newest first, at most `limit` entries."""
    shown = view.exceptions[:limit]
    root = view.exceptions[0] if view.exceptions else None
    truncated = len(view.exceptions) > limit
    return {
        "root-exception": (root.failure.traceback or root.failure.message) if root else None,
        "timestamp": millis(root.timestamp) if root else None,
        "all-exceptions": [
            {
                "exception": entry.failure.traceback or entry.failure.message,
                "task": _exception(entry)["taskName"],
                "location": entry.host or "(unassigned)",
                "timestamp": millis(entry.timestamp),
                "taskManagerId": entry.taskmanager_id,
            }
            for entry in shown
        ],
        "truncated": truncated,
        "exceptionHistory": {
            "entries": [
                {**_exception(entry), "concurrentExceptions": [_exception(other) for other in entry.concurrent]}
                for entry in shown
            ],
            "truncated": truncated,
        },
        # Not Flink's: what a client that waits for the job tells.
        "restarts": [{"number": number, "notice": notice} for number, notice in view.restarts],
    }


def accumulators(pickled: Iterable[bytes]) -> Json:
    """/jobs/:jobid/accumulators."""
    return {
        "job-accumulators": [],
        "user-task-accumulators": [
            {"name": name, "type": type(value).__name__, "value": str(value)}
            for name, value in sorted(plain_accumulators(pickled).items())
        ],
        "serialized-user-task-accumulators": {},
    }


def _attempt(index: int, attempt: AttemptView) -> Json:
    return {
        "subtask": index,
        "status": attempt.state.value,
        "attempt": attempt.attempt,
        "endpoint": attempt.host or "(unassigned)",
        "host": attempt.host or "(unassigned)",
        "start-time": millis(attempt.start_time),
        "end-time": millis(attempt.end_time),
        "duration": duration(attempt.start_time, attempt.end_time),
        "metrics": _metrics(attempt.metrics, attempt.state.terminal),
        "taskmanager-id": attempt.taskmanager_id or "(unassigned)",
        "slot": attempt.slot_index,
        "execution-id": attempt.execution_id,
        "status-duration": {},
    }


def subtask(view: SubtaskView) -> Json:
    """One subtask with its earlier attempts."""
    return {
        **_attempt(view.index, view.current),
        "other-concurrent-attempts": [],
        "earlier-attempts": [_attempt(view.index, attempt) for attempt in view.earlier],
    }


def vertex_detail(vertex: VertexView) -> Json:
    """/jobs/:jobid/vertices/:vertexid."""
    return {
        "id": vertex.vertex_id,
        "name": vertex.name,
        "parallelism": vertex.parallelism,
        "maxParallelism": vertex.max_parallelism,
        "now": int(time.time() * 1000),
        "status": vertex.status.value,
        "operators": [
            {"id": info.operator_id, "name": info.name, "uid": info.uid, "description": info.description}
            for info in vertex.operators
        ],
        "subtasks": [subtask(view) for view in vertex.subtasks],
    }


def execution_result(result: JobResult | None) -> Json:
    """/jobs/:jobid/execution-result.

    The serialized accumulators are for the yarnflow client: a per-job cluster ends after this answer, so the
    client could not ask for them later.
    """
    if result is None:
        return {"status": {"id": "IN_PROGRESS"}}
    application_status = {JobStatus.FINISHED: "SUCCEEDED", JobStatus.CANCELED: "CANCELED"}
    body: Json = {
        "id": result.job_id,
        "name": result.name,
        "job-status": result.status.value,
        "application-status": application_status.get(result.status, "FAILED"),
        "net-runtime": int(result.net_runtime * 1000),
        "accumulator-results": {
            name: str(value) for name, value in sorted(plain_accumulators(result.accumulators).items())
        },
        "serialized-accumulators": [base64.b64encode(each).decode("ascii") for each in result.accumulators],
    }
    if result.root_cause is not None:
        cause = _exception(result.root_cause)
        body["failure-cause"] = {
            "class": cause["exceptionName"],
            "message": result.root_cause.failure.message,
            "stack-trace": cause["stacktrace"],
            **{key: cause[key] for key in ("taskName", "operatorName", "subtask", "where", "logTail")},
        }
    return {"status": {"id": "COMPLETED"}, "job-execution-result": body}


def taskmanager(view: TaskManagerView) -> Json:
    """One entry of /taskmanagers, and /taskmanagers/:id."""
    per_slot = view.memory_bytes // max(1, len(view.slots)) >> 20
    return {
        "id": view.taskmanager_id,
        "path": view.address,
        "host": view.host,
        "pid": view.pid,
        "dataPort": -1,
        "jmxPort": -1,
        "registeredAt": millis(view.registered_at),
        "timeSinceLastHeartbeat": millis(view.last_heartbeat),
        "slotsNumber": len(view.slots),
        "freeSlots": view.slots_free,
        "totalResource": {"cpuCores": float(view.cores), "taskHeapMemory": per_slot * len(view.slots)},
        "freeResource": {"cpuCores": float(view.cores), "taskHeapMemory": per_slot * view.slots_free},
        "hardware": {
            "cpuCores": view.cores,
            "physicalMemory": view.memory_bytes,
            "freeMemory": max(0, view.memory_bytes - view.memory_used),
            "managedMemory": 0,
        },
        "memoryUsed": view.memory_used,
        "logDirectory": view.log_directory,
        "allocatedSlots": [
            {"index": slot.index, "jobId": slot.job_id, "state": slot.state, "allocationId": slot.allocation_id}
            for slot in view.slots
            if slot.job_id
        ],
    }


def log_list(files: Iterable[LogFile]) -> Json:
    """/taskmanagers/:id/logs and /jobmanager/logs."""
    return {"logs": [{"name": file.name, "size": file.size, "mtime": millis(file.modified)} for file in files]}
