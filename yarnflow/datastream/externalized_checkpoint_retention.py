"""What happens to the last checkpoint of a job that is cancelled or fails."""

from __future__ import annotations

from yarnflow.config.checkpointing import CheckpointRetention as ExternalizedCheckpointRetention

__all__ = ["ExternalizedCheckpointRetention"]
