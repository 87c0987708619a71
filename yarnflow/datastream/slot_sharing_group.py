"""Which operators may share a slot."""

from __future__ import annotations

from dataclasses import dataclass

from yarnflow.config.values import MemorySize

__all__ = ["MemorySize", "SlotSharingGroup"]


@dataclass(frozen=True)
class SlotSharingGroup:
    """A named group: subtasks of its operators may share slots with each other, and with no others.

    >>> SlotSharingGroup.builder("heavy").build().get_name()
    'heavy'
    """

    name: str

    def get_name(self) -> str:
        """The name."""
        return self.name

    @staticmethod
    def builder(name: str) -> Builder:
        """Begin a group of that name."""
        return Builder(name)


class Builder:
    """Builds a SlotSharingGroup. Every slot has an equal share of its TaskManager: a group asks for none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def build(self) -> SlotSharingGroup:
        """The group."""
        return SlotSharingGroup(self._name)
