"""What tests of stored state share: write a snapshot into memory, restore it for any subtask."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from yarnflow.graph.key_groups import key_groups_of
from yarnflow.runtime.checkpoint.handles import (
    CheckpointPlan,
    OperatorRestore,
    OperatorState,
    StateBlock,
)
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.state.writer import write_parts

OPERATOR = "0123456789abcdef0123456789abcdef"
GROUPS = 128


def plan(inline: int = 0, maximum: int = 1 << 30, shared: str = "") -> CheckpointPlan:
    return CheckpointPlan(True, True, shared, inline, maximum)


def new_snapshot(index: int = 0, parallelism: int = 1, savepoint: bool = False) -> TaskSnapshot:
    groups = key_groups_of(index, parallelism, GROUPS)
    return TaskSnapshot(1, savepoint, GROUPS, (groups[0], groups[-1]))


def written(snapshot: TaskSnapshot) -> list[StateBlock]:
    """The blocks, inline."""
    stream = io.BytesIO()
    blocks = write_parts(snapshot.keyed, snapshot.lists, snapshot.key_groups, stream)
    data = stream.getvalue()
    return [replace(block, data=data[block.offset : block.offset + block.size]) for _, block in blocks]


def restored(
    subtasks: Iterable[Iterable[StateBlock]], index: int = 0, parallelism: int = 1, directory: str = "memory"
) -> RestoredOperator:
    """What subtask `index` gets of what former subtasks stored."""
    states = {former: OperatorState(OPERATOR, tuple(blocks)) for former, blocks in enumerate(subtasks)}
    return RestoredOperator(
        OperatorRestore(len(states), states),
        directory,
        index,
        parallelism,
        key_groups_of(index, parallelism, GROUPS),
        1,
        GROUPS,
    )


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down (NaN equals NaN)."""
    return type(one) is type(other) and repr(one) == repr(other)
