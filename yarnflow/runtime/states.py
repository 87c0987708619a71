"""The states of jobs and executions, named as in Flink.

    job        INITIALIZING -> CREATED -> RUNNING -> FINISHED
               RUNNING -> RESTARTING -> RUNNING          a region failed and the strategy allows a restart
               RUNNING -> FAILING -> FAILED              it does not
               any of these -> CANCELLING -> CANCELED

    execution  CREATED -> SCHEDULED -> DEPLOYING -> INITIALIZING -> RUNNING -> FINISHED
               any of these -> CANCELING -> CANCELED
               any of these -> FAILED
"""

from __future__ import annotations

from enum import Enum


class JobStatus(Enum):
    """State of a job."""

    INITIALIZING = "INITIALIZING"
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    RESTARTING = "RESTARTING"
    FAILING = "FAILING"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELED = "CANCELED"
    FINISHED = "FINISHED"

    @property
    def terminal(self) -> bool:
        """True when the job will never run again."""
        return self in (JobStatus.FAILED, JobStatus.CANCELED, JobStatus.FINISHED)


class ExecutionState(Enum):
    """State of one attempt of one subtask."""

    CREATED = "CREATED"
    SCHEDULED = "SCHEDULED"
    DEPLOYING = "DEPLOYING"
    INITIALIZING = "INITIALIZING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    FAILED = "FAILED"

    @property
    def terminal(self) -> bool:
        """True when this attempt will never run again."""
        return self in (ExecutionState.FINISHED, ExecutionState.CANCELED, ExecutionState.FAILED)
