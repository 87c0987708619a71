"""The id of a job: 32 hex digits."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["JobID"]


@dataclass(frozen=True)
class JobID:
    """The id of a job. `str(job_id)` gives the 32 hex digits that the command line and REST use."""

    hex: str

    def __str__(self) -> str:
        return self.hex
