"""Operators in event time store where they stood: what was late before a restart stays late, and windows that have
fired do not fire again. (Flink starts again without event time.)"""

from __future__ import annotations

from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.base import StreamOperator
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot

#: Name of the state: (subtask, its watermark).
WATERMARK = "watermark"


def store_watermark(snapshot: TaskSnapshot, operator: StreamOperator) -> None:
    """Add the operator's watermark to a checkpoint."""
    stored = operator.context.subtask_index, operator.watermark
    snapshot.add_list(operator.operator.operator_id, WATERMARK, [stored], StateKind.UNION)


def restored_watermark(restored: RestoredOperator) -> int:
    """The subtask's own watermark; at another parallelism the least one of all, which is safe.

    With aligned barriers all subtasks stored the same; a barrier that overtakes records comes at different times.
    After the end of time (a drained job that goes on) event time begins anew.
    """
    stored: list[tuple[int, int]] = restored.items(WATERMARK, StateKind.UNION)
    own = (time for subtask, time in stored if restored.rescaled or subtask == restored.subtask_index)
    watermark = min(own, default=MIN_WATERMARK)
    return MIN_WATERMARK if watermark == MAX_WATERMARK else watermark
