"""Whether a program runs as a stream or as a batch."""

from __future__ import annotations

from enum import Enum

__all__ = ["RuntimeExecutionMode"]


class RuntimeExecutionMode(Enum):
    """STREAMING: results as they come. BATCH: bounded input, final results only. AUTOMATIC: BATCH when every
    source is bounded."""

    STREAMING = 0
    BATCH = 1
    AUTOMATIC = 2
