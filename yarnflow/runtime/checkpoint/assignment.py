"""Gives the state of a checkpoint to the subtasks of a job, whose parallelism may have changed meanwhile.

State is found by operator id, which comes from the uid if the operator has one. Pure: reads no file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from yarnflow.errors import RestoreError
from yarnflow.graph.job_graph import JobGraph, JobVertex
from yarnflow.graph.key_groups import default_max_parallelism, key_groups_of
from yarnflow.runtime.checkpoint.handles import (
    EVENT_TIME,
    OperatorRestore,
    OperatorState,
    StateKind,
    TaskRestore,
)
from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint, OperatorCheckpoint

_BY_KEY_GROUP = (StateKind.KEYED, StateKind.TIMERS)


def fit_job(job: JobGraph, checkpoint: CompletedCheckpoint, ignore_unclaimed: bool) -> JobGraph:
    """The job with the numbers of key groups that its state has.

    A maximum parallelism that the program did not set is taken over from the checkpoint, as in Flink.

    Args:
        ignore_unclaimed: start although some state would be lost.

    Raises:
        RestoreError: state of operators that the job does not have, a maximum parallelism that contradicts the
            checkpoint's, or a checkpoint of another program.
    """
    _check_unclaimed(job, checkpoint, ignore_unclaimed)
    _check_records_under_way(job, checkpoint)
    return replace(job, vertices=tuple(_fit_vertex(vertex, checkpoint) for vertex in job.vertices))


def _check_unclaimed(job: JobGraph, checkpoint: CompletedCheckpoint, ignore_unclaimed: bool) -> None:
    known = {info.operator_id for vertex in job.vertices for info in vertex.operators}
    stateful = [operator for operator in checkpoint.operators if _would_be_missed(operator)]
    unclaimed = [operator for operator in stateful if operator.operator_id not in known]
    if not unclaimed or ignore_unclaimed:
        return
    names = ", ".join(operator.shown for operator in unclaimed)
    if len(unclaimed) == len(stateful) and not any(each.operator_id in known for each in checkpoint.operators):
        raise RestoreError(
            f"the {checkpoint.shown} belongs to another program: the job {job.name!r} has none of its operators "
            f"({names}). Start from a savepoint of this program, or give its operators the uids they had"
        )
    raise RestoreError(
        f"the {checkpoint.shown} holds state of operators that the job {job.name!r} does not have: {names}. Give "
        "operators the uids they had, or start without that state: -n (--allowNonRestoredState), "
        "execution.state-recovery.ignore-unclaimed-state"
    )


def _would_be_missed(operator: OperatorCheckpoint) -> bool:
    return any(
        state.files or any(block.name != EVENT_TIME for block in state.blocks)
        for state in operator.subtasks.values()
    )


def _check_records_under_way(job: JobGraph, checkpoint: CompletedCheckpoint) -> None:
    """Records that barriers overtook are stored with the head of a chain, and read by the head of a chain."""
    inner = {info.operator_id for vertex in job.vertices for info in vertex.operators[1:]}
    for operator in checkpoint.operators:
        states = operator.subtasks.values()
        if operator.operator_id in inner and any(b.kind is StateKind.CHANNEL for s in states for b in s.blocks):
            raise RestoreError(
                f"the {checkpoint.shown} is unaligned and has records that were on their way to {operator.shown}, "
                "which is chained to another operator in this job: start from a savepoint, or chain the operators "
                "as they were"
            )


def _fit_vertex(vertex: JobVertex, checkpoint: CompletedCheckpoint) -> JobVertex:
    stored = {
        operator.max_parallelism: operator
        for info in vertex.operators
        if (operator := checkpoint.operator(info.operator_id)) is not None and _has_keyed_state(operator)
    }
    if not stored or set(stored) == {vertex.max_parallelism}:
        return vertex
    derived = vertex.max_parallelism == default_max_parallelism(vertex.parallelism)
    groups, operator = next(iter(stored.items()))
    if len(stored) == 1 and derived and vertex.parallelism <= groups:
        return replace(vertex, max_parallelism=groups)
    raise RestoreError(
        f"{operator.shown} has a maximum parallelism of {groups} in the {checkpoint.shown}, which cannot change, "
        f"but {vertex.max_parallelism} in the job (with parallelism {vertex.parallelism}): set_max_parallelism"
        f"({groups}) and a parallelism up to that"
    )


def _has_keyed_state(operator: OperatorCheckpoint) -> bool:
    return any(
        state.files or any(block.kind in _BY_KEY_GROUP for block in state.blocks)
        for state in operator.subtasks.values()
    )


def task_restore(checkpoint: CompletedCheckpoint, vertex: JobVertex, index: int) -> TaskRestore:
    """What subtask `index` of a vertex starts from."""
    groups = key_groups_of(index, vertex.parallelism, vertex.max_parallelism)
    found = [
        operator
        for info in vertex.operators
        if (operator := checkpoint.operator(info.operator_id)) is not None
    ]
    return TaskRestore(
        checkpoint_id=checkpoint.checkpoint_id,
        directory=checkpoint.directory,
        operators={
            operator.operator_id: OperatorRestore(
                operator.parallelism,
                {
                    former: part
                    for former, state in sorted(operator.subtasks.items())
                    if (part := _part(state, groups)) is not None
                },
            )
            for operator in found
            # Also without state: a source that had been read to its end must not begin again.
            if operator.subtasks or operator.all_ended
        },
        ended=len(found) == len(vertex.operators) and all(operator.all_ended for operator in found),
    )


def _part(state: OperatorState, groups: range) -> OperatorState | None:
    """What may concern a subtask with these key groups; None when nothing does."""
    part = OperatorState(
        state.operator_id,
        tuple(
            block
            for block in state.blocks
            if block.kind not in _BY_KEY_GROUP or block.key_groups is None or _meet(block.key_groups, groups)
        ),
        tuple(file for file in state.files if _meet(file.key_groups, groups)),
    )
    return part if part.blocks or part.files else None


def _meet(stored: tuple[int, int], groups: range) -> bool:
    return bool(groups) and stored[0] <= groups[-1] and groups[0] <= stored[1]


def files_of(operators: Iterable[OperatorCheckpoint]) -> set[str]:
    """Paths of all files, as they stand in the metadata."""
    states = [state for operator in operators for state in operator.subtasks.values()]
    paths = {block.path for state in states for block in state.blocks}
    paths |= {file.path for state in states for file in state.files}
    return paths - {""}
