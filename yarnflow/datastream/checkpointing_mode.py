"""What a checkpoint guarantees."""

from __future__ import annotations

from yarnflow.config.checkpointing import CheckpointingMode

__all__ = ["CheckpointingMode"]
