"""Operators on windows say how they store them. One that is given the windows of another kind would not look for
them, or find them cut in other ways, and they would never fire: it refuses them."""

from __future__ import annotations

from yarnflow.errors import ProgramError
from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.operators.base import StreamOperator
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot

#: Name of the state.
LAYOUT = "window-layout"


def store_layout(snapshot: TaskSnapshot, operator: StreamOperator, layout: str) -> None:
    """Add to a checkpoint what decides how windows are stored, in words."""
    snapshot.add_list(operator.operator.operator_id, LAYOUT, [layout], StateKind.UNION)


def check_layout(restored: RestoredOperator, operator: StreamOperator, layout: str) -> None:
    """Raise ProgramError when windows were stored in another way than `layout`."""
    for stored in restored.items(LAYOUT, StateKind.UNION):
        if stored != layout:
            raise ProgramError(
                f"'{operator.operator.name}': its state is of {stored}, and the program now has {layout}. Windows "
                "go on with the assigner, sizes, kind of trigger and kind of function that they were stored with: "
                "keep these as they were, or give the operator another uid"
            )
