"""What the configuration says about a job's checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

from yarnflow.config.checkpointing import (
    CheckpointingMode,
    CheckpointingOptions,
    CheckpointRetention,
    CheckpointStorageKind,
    StateBackendOptions,
)
from yarnflow.config.configuration import Configuration
from yarnflow.config.execution import ExecutionOptions, RuntimeMode
from yarnflow.errors import ConfigurationError
from yarnflow.graph.job_graph import Exchange, JobGraph
from yarnflow.runtime.checkpoint.handles import CheckpointPlan
from yarnflow.runtime.checkpoint.paths import shared_directory

#: State of a subtask that the JobManager takes when there is no directory; Flink's
#: JobManagerCheckpointStorage.DEFAULT_MAX_STATE_SIZE.
MAX_INLINE_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class CheckpointSettings:
    """How the checkpoints of a job are taken and kept. Times in seconds.

    Attributes:
        interval: None when none are taken by themselves.
        possible: False for a batch job, of which neither checkpoints nor savepoints can be taken.
        directory: URI of the directory of checkpoints; "" when state stays in the JobManager.
        savepoint_directory: of savepoints for which none is named; "".
        history: checkpoints that the REST API remembers.
        inline_bytes: see CheckpointPlan.
    """

    interval: float | None = None
    possible: bool = True
    timeout: float = 600.0
    min_pause: float = 0.0
    max_concurrent: int = 1
    tolerable_failures: int = 0
    num_retained: int = 1
    retention: CheckpointRetention = CheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS
    exactly_once: bool = True
    unaligned: bool = False
    directory: str = ""
    savepoint_directory: str = ""
    history: int = 10
    inline_bytes: int = 20 * 1024

    def plan(self, job_id: str) -> CheckpointPlan | None:
        """What tasks are told."""
        if not self.possible:
            return None
        return CheckpointPlan(
            periodic=self.interval is not None,
            exactly_once=self.exactly_once,
            shared_directory=shared_directory(self.directory, job_id) if self.directory else "",
            inline_bytes=self.inline_bytes,
            max_inline_bytes=MAX_INLINE_BYTES,
        )


def from_config(config: Configuration, job: JobGraph) -> CheckpointSettings:
    """The settings of a job. `directory` is as configured: the caller makes it a full URI.

    Raises ConfigurationError for values that are not accepted.
    """
    options = CheckpointingOptions
    batch = config[ExecutionOptions.RUNTIME_MODE] is RuntimeMode.BATCH or any(
        edge.exchange is Exchange.BLOCKING for edge in job.edges
    )
    interval = None if batch else config[options.INTERVAL]
    exactly_once = config[options.MODE] is CheckpointingMode.EXACTLY_ONCE
    unaligned = config[options.UNALIGNED]
    if unaligned and not exactly_once and interval is not None:
        raise ConfigurationError(
            f"{options.UNALIGNED.key} needs {options.MODE.key}: EXACTLY_ONCE; at-least-once checkpoints have no "
            "alignment that could be skipped"
        )
    storage, directory = config[options.STORAGE], config[options.DIR] or ""
    if storage is CheckpointStorageKind.FILESYSTEM and not directory:
        raise ConfigurationError(f"{options.STORAGE.key}: filesystem needs a directory: set {options.DIR.key}")
    config[StateBackendOptions.TYPE]  # raises here what each task would raise
    min_pause = config[options.MIN_PAUSE].total_seconds()
    # As in Flink: a pause between checkpoints and two of them at once contradict each other.
    max_concurrent = 1 if min_pause else config[options.MAX_CONCURRENT]
    if unaligned and max_concurrent > 1:
        raise ConfigurationError(
            f"{options.UNALIGNED.key} allows one checkpoint at a time, and {options.MAX_CONCURRENT.key} is "
            f"{max_concurrent}: set it to 1, or take aligned checkpoints"
        )
    return CheckpointSettings(
        interval=None if interval is None else interval.total_seconds(),
        possible=not batch,
        timeout=config[options.TIMEOUT].total_seconds(),
        min_pause=min_pause,
        max_concurrent=max_concurrent,
        tolerable_failures=config[options.TOLERABLE_FAILED],
        num_retained=config[options.NUM_RETAINED],
        retention=config[options.RETENTION],
        exactly_once=exactly_once,
        unaligned=unaligned,
        directory="" if storage is CheckpointStorageKind.JOBMANAGER else directory,
        savepoint_directory=config[options.SAVEPOINT_DIR] or "",
        history=config[options.HISTORY],
        inline_bytes=config[options.INLINE_THRESHOLD].bytes,
    )
