"""The slots of registered TaskManagers, as the slot manager keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from yarnflow.runtime.jobmanager.views import SlotView
from yarnflow.runtime.rpc.messages import RegisterTaskManager


class SlotState(Enum):
    """State of one slot."""

    FREE = "FREE"
    PENDING = "PENDING"
    ALLOCATED = "ALLOCATED"


@dataclass
class Slot:
    """One slot of a registered TaskManager."""

    index: int
    state: SlotState = SlotState.FREE
    allocation_id: str = ""
    job_id: str = ""


@dataclass
class RegisteredTaskManager:
    """A TaskManager that is connected."""

    info: RegisterTaskManager
    slots: list[Slot]
    registered_at: float
    idle_since: float

    def views(self) -> tuple[SlotView, ...]:
        """Its slots as shown."""
        return tuple(
            SlotView(slot.index, slot.state.value, slot.allocation_id, slot.job_id) for slot in self.slots
        )
