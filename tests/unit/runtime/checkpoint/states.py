"""Handles of state for tests; nothing behind them is ever read."""

from __future__ import annotations

from yarnflow.graph.job_graph import JobVertex, OperatorInfo
from yarnflow.graph.key_groups import key_groups_of
from yarnflow.runtime.checkpoint.handles import OperatorState, StateBlock, StateFile, StateKind
from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint, OperatorCheckpoint


def block(
    name: str = "counts",
    kind: StateKind = StateKind.KEYED,
    groups: tuple[int, int] | None = None,
    path: str = "",
    data: bytes = b"stream",
) -> StateBlock:
    return StateBlock(name, kind, 3, len(data), 17, groups, path, 0, b"" if path else data, {"type": "LONG"})


def sst(path: str, groups: tuple[int, int], shared: bool = True) -> StateFile:
    return StateFile(path.rpartition("/")[2], path, 100, 5, shared, groups)


def keyed_operator(
    operator_id: str, parallelism: int, max_parallelism: int = 128, uid: str | None = None, in_files: bool = False
) -> OperatorCheckpoint:
    """Every subtask has one keyed block and one item of split state."""
    subtasks = {}
    for index in range(parallelism):
        groups = key_groups_of(index, parallelism, max_parallelism)
        bounds = (groups[0], groups[-1])
        subtasks[index] = OperatorState(
            operator_id,
            (
                block("counts", StateKind.KEYED, bounds, f"{operator_id}-{index}" if in_files else ""),
                block("offsets", StateKind.SPLIT),
            ),
        )
    return OperatorCheckpoint(
        operator_id, uid, f"op {operator_id}", "v", parallelism, max_parallelism, subtasks
    )


def checkpoint(*operators: OperatorCheckpoint, directory: str = "", number: int = 7) -> CompletedCheckpoint:
    return CompletedCheckpoint(number, "0" * 32, 1234, False, operators, directory)


def vertex(*operator_ids: str, parallelism: int, max_parallelism: int = 128) -> JobVertex:
    return JobVertex(
        "v",
        "the vertex",
        parallelism,
        max_parallelism,
        "default",
        tuple(OperatorInfo(operator_id, f"op {operator_id}") for operator_id in operator_ids),
        b"",
    )
