"""Small contracts between the environment and connectors."""

from __future__ import annotations

from abc import ABC, abstractmethod

from yarnflow.common.typeinfo import TypeInformation


class ResultTypeQueryable(ABC):
    """A source that knows the type of its records."""

    @abstractmethod
    def get_produced_type(self) -> TypeInformation:
        """The type of the records."""
