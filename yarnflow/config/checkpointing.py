"""Options of checkpoints, savepoints and state backends."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from yarnflow.config.option import Option
from yarnflow.config.values import MemorySize


class CheckpointingMode(Enum):
    """What a checkpoint guarantees."""

    EXACTLY_ONCE = "EXACTLY_ONCE"
    AT_LEAST_ONCE = "AT_LEAST_ONCE"


class CheckpointRetention(Enum):
    """What happens to the last checkpoint when its job is cancelled or fails."""

    DELETE_ON_CANCELLATION = "DELETE_ON_CANCELLATION"
    RETAIN_ON_CANCELLATION = "RETAIN_ON_CANCELLATION"
    NO_EXTERNALIZED_CHECKPOINTS = "NO_EXTERNALIZED_CHECKPOINTS"


class CheckpointStorageKind(Enum):
    """Where checkpoints go."""

    JOBMANAGER = "jobmanager"
    FILESYSTEM = "filesystem"


class CheckpointingOptions:
    """Checkpoints and savepoints."""

    INTERVAL = Option(
        "execution.checkpointing.interval",
        timedelta,
        None,
        "Time between two checkpoints. Without it none are taken.",
        minimum=timedelta(milliseconds=10),
    )
    MODE = Option(
        "execution.checkpointing.mode",
        CheckpointingMode,
        CheckpointingMode.EXACTLY_ONCE,
        "What they guarantee.",
    )
    TIMEOUT = Option(
        "execution.checkpointing.timeout",
        timedelta,
        timedelta(minutes=10),
        "A checkpoint that takes longer is given up.",
        minimum=timedelta(milliseconds=10),
    )
    MIN_PAUSE = Option(
        "execution.checkpointing.min-pause",
        timedelta,
        timedelta(0),
        "Least time from one's end to the next's start.",
    )
    MAX_CONCURRENT = Option(
        "execution.checkpointing.max-concurrent-checkpoints",
        int,
        1,
        "Checkpoints under way at once.",
        minimum=1,
    )
    TOLERABLE_FAILED = Option(
        "execution.checkpointing.tolerable-failed-checkpoints",
        int,
        0,
        "Checkpoints that may fail in a row; one more and the job fails.",
        minimum=0,
    )
    STORAGE = Option(
        "execution.checkpointing.storage",
        CheckpointStorageKind,
        None,
        "Where checkpoints go: `filesystem`, or the memory of the `jobmanager` (for small state: 5 MB per subtask "
        "at most). Without it the file system if there is a directory for checkpoints.",
        fallback=("state.checkpoint-storage",),
    )
    DIR = Option(
        "execution.checkpointing.dir",
        str,
        None,
        "Directory of the checkpoints, on a file system that every process reaches.",
        fallback=("state.checkpoints.dir",),
    )
    INLINE_THRESHOLD = Option(
        "execution.checkpointing.data-inline-threshold",
        MemorySize,
        MemorySize.parse("20k"),
        "State of a subtask up to this size is stored in the checkpoint's metadata and not in a file of its own.",
        fallback=("state.storage.fs.memory-threshold", "state.backend.fs.memory-threshold"),
    )
    SAVEPOINT_DIR = Option(
        "execution.checkpointing.savepoint-dir",
        str,
        None,
        "Directory of savepoints that are taken without naming one.",
        fallback=("state.savepoints.dir", "savepoints.state.backend.fs.dir"),
    )
    NUM_RETAINED = Option(
        "execution.checkpointing.num-retained",
        int,
        1,
        "Completed checkpoints that are kept.",
        fallback=("state.checkpoints.num-retained",),
        minimum=1,
    )
    RETENTION = Option(
        "execution.checkpointing.externalized-checkpoint-retention",
        CheckpointRetention,
        CheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS,
        "Whether the last checkpoint stays when its job is cancelled.",
    )
    UNALIGNED = Option(
        "execution.checkpointing.unaligned.enabled",
        bool,
        False,
        "Let barriers overtake records under back-pressure; the records become part of the checkpoint.",
        fallback=("execution.checkpointing.unaligned",),
    )
    ALIGNED_TIMEOUT = Option(
        "execution.checkpointing.aligned-checkpoint-timeout",
        timedelta,
        timedelta(0),
        "With unaligned checkpoints on, how long alignment is tried first.",
    )
    INCREMENTAL = Option(
        "execution.checkpointing.incremental",
        bool,
        False,
        "Write only what changed since the checkpoint before, where the backend can.",
        fallback=("state.backend.incremental",),
    )
    RECOVERY_PATH = Option(
        "execution.state-recovery.path",
        str,
        None,
        "The savepoint or checkpoint to start from. Flag: `-s` of `run`.",
        fallback=("execution.savepoint.path",),
    )
    RECOVERY_IGNORE_UNCLAIMED = Option(
        "execution.state-recovery.ignore-unclaimed-state",
        bool,
        False,
        "Start even when it holds state that no operator claims. Flag: `-n` of `run`.",
        fallback=("execution.savepoint.ignore-unclaimed-state",),
    )


    HISTORY = Option(
        "web.checkpoints.history",
        int,
        10,
        "Checkpoints of a job that the dashboard and the REST API remember.",
        minimum=0,
    )


class StateBackendOptions:
    """Where keyed state lives while a job runs."""

    TYPE = Option(
        "state.backend.type",
        str,
        "hashmap",
        "In memory (`hashmap`), or on local disk (`rocksdb`) when it is larger.",
        fallback=("state.backend",),
        choices=("hashmap", "rocksdb"),
    )
