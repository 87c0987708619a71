"""A sink that drops everything."""

from yarnflow.functions.connectors.discarding import DiscardingSink

__all__ = ["DiscardingSink"]
