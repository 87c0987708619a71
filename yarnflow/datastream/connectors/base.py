"""The base classes of sources and sinks, and what a sink guarantees."""

from enum import Enum

from yarnflow.functions.sink import Sink
from yarnflow.functions.source import Source

__all__ = ["DeliveryGuarantee", "Sink", "Source"]


class DeliveryGuarantee(Enum):
    """How often a record reaches the outside world."""

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1
    NONE = 2
