"""Keyed state as user functions see it: descriptors, and handles that work on the current key."""

from __future__ import annotations

from abc import ABC, abstractmethod

__all__ = ["State", "StateDescriptor"]


class State(ABC):
    """Base of all handles."""

    @abstractmethod
    def clear(self) -> None:
        """Forget the value of the current key."""


class StateDescriptor(ABC):
    """Names a state and says what it holds."""

    def __init__(self, name: str) -> None:
        self.name = name
