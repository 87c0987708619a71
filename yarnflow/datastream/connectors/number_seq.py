"""A range of integers."""

from yarnflow.functions.connectors.number_sequence import NumberSequenceSource

__all__ = ["NumberSequenceSource"]
