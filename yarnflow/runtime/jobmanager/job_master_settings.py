"""What a job master is told about its job."""

from __future__ import annotations

from dataclasses import dataclass

from yarnflow.runtime.jobmanager.restart_strategy import RestartStrategy


@dataclass(frozen=True)
class JobMasterSettings:
    """What a job master needs to know.

    Attributes:
        strategy: of this job.
        config: the job's effective configuration, handed to its tasks.
        attempts_history: earlier attempts remembered per subtask.
        exception_history: failures remembered.
        failover_full: restart the whole job instead of the region.
    """

    strategy: RestartStrategy
    config: dict[str, str]
    attempts_history: int = 16
    exception_history: int = 16
    failover_full: bool = False
