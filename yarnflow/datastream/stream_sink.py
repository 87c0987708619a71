"""The end of a stream."""

from __future__ import annotations

from yarnflow.datastream import operator_settings as settings
from yarnflow.datastream.slot_sharing_group import SlotSharingGroup
from yarnflow.graph.transformations import OperatorTransformation

__all__ = ["DataStreamSink"]


class DataStreamSink:
    """A sink in the program. The methods set properties of its operator and return the sink."""

    def __init__(self, operator: OperatorTransformation) -> None:
        self._operator = operator

    def name(self, name: str) -> DataStreamSink:
        """Set the name that is shown."""
        self._operator.name = name
        return self

    def uid(self, uid: str) -> DataStreamSink:
        """Set the id that state and metrics are found by across versions of the program."""
        settings.set_uid(self._operator, uid)
        return self

    def set_uid_hash(self, uid_hash: str) -> DataStreamSink:
        """Set the operator's id itself: 32 hex digits."""
        settings.set_uid_hash(self._operator, uid_hash)
        return self

    def set_parallelism(self, parallelism: int) -> DataStreamSink:
        """Set the number of subtasks."""
        settings.set_parallelism(self._operator, parallelism)
        return self

    def set_max_parallelism(self, max_parallelism: int) -> DataStreamSink:
        """Set the number of key groups."""
        settings.set_max_parallelism(self._operator, max_parallelism)
        return self

    def set_description(self, description: str) -> DataStreamSink:
        """Set the text that plans show."""
        self._operator.description = description
        return self

    def disable_chaining(self) -> DataStreamSink:
        """Run the sink as a task of its own."""
        settings.disable_chaining(self._operator)
        return self

    def slot_sharing_group(self, slot_sharing_group: str | SlotSharingGroup) -> DataStreamSink:
        """Share slots only with operators of that group."""
        settings.set_slot_sharing_group(self._operator, slot_sharing_group)
        return self
