"""Renders a job master machine as the frozen records of views.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields

from yarnflow.runtime.jobmanager.execution_graph import Execution, Subtask
from yarnflow.runtime.jobmanager.job_master_machine import (
    JobMasterMachine,
)
from yarnflow.runtime.jobmanager.views import (
    AttemptView,
    JobDetail,
    JobOverview,
    JobResult,
    SubtaskView,
    VertexView,
)
from yarnflow.runtime.rpc.messages import TaskMetrics
from yarnflow.runtime.states import ExecutionState, JobStatus

#: The state that stands for a vertex: the first of these that any subtask has; as in Flink's
#: ExecutionState aggregation, a vertex is only FINISHED when all subtasks are.
_PRECEDENCE = (
    ExecutionState.FAILED,
    ExecutionState.CANCELING,
    ExecutionState.CANCELED,
    ExecutionState.INITIALIZING,
    ExecutionState.RUNNING,
    ExecutionState.DEPLOYING,
    ExecutionState.SCHEDULED,
    ExecutionState.CREATED,
    ExecutionState.FINISHED,
)


def overview(machine: JobMasterMachine) -> JobOverview:
    """One line."""
    return JobOverview(
        job_id=machine.job.job_id,
        name=machine.job.name,
        status=machine.status,
        start_time=machine.timestamps[JobStatus.INITIALIZING],
        end_time=machine.timestamps[machine.status] if machine.status.terminal else 0.0,
        last_modification=machine.last_modification,
        task_counts=dict(Counter(subtask.current.state for subtask in machine.graph.all)),
    )


def detail(machine: JobMasterMachine, restarts: Iterable[tuple[int, str]] = ()) -> JobDetail:
    """Everything; `restarts` are the notices of restart_notices.py."""
    return JobDetail(
        overview=overview(machine),
        timestamps=dict(machine.timestamps),
        vertices=tuple(_vertex(subtasks) for subtasks in machine.graph.subtasks.values()),
        exceptions=tuple(machine.exceptions),
        accumulators=_accumulators(machine),
        transitions=machine.log.as_tuples(),
        plan=machine.job.plan,
        config=machine.job.config,
        restart_strategy=machine.settings.strategy.describe(),
        restart_count=machine.restart_count,
        restarts=tuple(restarts),
        slots_needed=len(machine.graph.slot_keys),
        slots_assigned=len(machine.slots),
    )


def result(machine: JobMasterMachine) -> JobResult:
    """How an ended job ended."""
    return JobResult(
        job_id=machine.job.job_id,
        name=machine.job.name,
        status=machine.status,
        net_runtime=machine.timestamps[machine.status] - machine.timestamps[JobStatus.INITIALIZING],
        accumulators=_accumulators(machine),
        root_cause=machine.exceptions[0] if machine.status is JobStatus.FAILED and machine.exceptions else None,
    )


def _accumulators(machine: JobMasterMachine) -> tuple[bytes, ...]:
    return tuple(subtask.current.accumulators for subtask in machine.graph.all if subtask.current.accumulators)


def _vertex(subtasks: list[Subtask]) -> VertexView:
    vertex = subtasks[0].vertex
    counts = Counter(subtask.current.state for subtask in subtasks)
    attempts = [_attempt(subtask.current) for subtask in subtasks]
    started = [attempt.start_time for attempt in attempts if attempt.start_time]
    ended = [attempt.end_time for attempt in attempts]
    return VertexView(
        vertex_id=vertex.vertex_id,
        name=vertex.name,
        parallelism=vertex.parallelism,
        max_parallelism=vertex.max_parallelism,
        slot_sharing_group=vertex.slot_sharing_group,
        operators=vertex.operators,
        status=next(state for state in _PRECEDENCE if counts[state]),
        start_time=min(started, default=0.0),
        end_time=max(ended) if all(ended) else 0.0,
        task_counts=dict(counts),
        metrics=_sum(attempt.metrics for attempt in attempts),
        subtasks=tuple(
            SubtaskView(subtask.index, attempt, tuple(_attempt(earlier) for earlier in subtask.earlier))
            for subtask, attempt in zip(subtasks, attempts, strict=True)
        ),
    )


def _sum(parts: Iterable[TaskMetrics]) -> TaskMetrics:
    totals = dict.fromkeys((field.name for field in fields(TaskMetrics)), 0)
    for part in parts:
        for name in totals:
            totals[name] += getattr(part, name)
    return TaskMetrics(**totals)


def _attempt(execution: Execution) -> AttemptView:
    slot = execution.slot
    return AttemptView(
        execution_id=execution.execution_id,
        attempt=execution.attempt,
        state=execution.state,
        taskmanager_id=slot.taskmanager_id if slot else "",
        host=slot.host if slot else "",
        slot_index=slot.slot_index if slot else -1,
        timestamps=dict(execution.timestamps),
        metrics=execution.metrics,
        failure=execution.failure,
    )
