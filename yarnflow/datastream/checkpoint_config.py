"""`CheckpointConfig`: when and how a program's checkpoints are taken. A view of the environment's Configuration:
what is set here is set there under Flink's key."""

from __future__ import annotations

from datetime import timedelta

from yarnflow.common.time import Duration
from yarnflow.config.checkpointing import CheckpointingOptions
from yarnflow.config.configuration import Configuration
from yarnflow.config.option import Option
from yarnflow.datastream.checkpoint_storage import (
    CheckpointStorage,
    FileSystemCheckpointStorage,
    configured_storage,
)
from yarnflow.datastream.checkpointing_mode import CheckpointingMode
from yarnflow.datastream.externalized_checkpoint_retention import ExternalizedCheckpointRetention
from yarnflow.errors import ProgramError

__all__ = ["CheckpointConfig", "ExternalizedCheckpointCleanup"]

#: Its name before Flink 2.
ExternalizedCheckpointCleanup = ExternalizedCheckpointRetention

#: As many failures as Java's int can count: what PyFlink sets for "never fail".
_ALWAYS = 2147483647


class CheckpointConfig:
    """Got from `StreamExecutionEnvironment.get_checkpoint_config()`. Times are milliseconds; setters return the
    object itself and raise ConfigurationError for what Flink does not accept."""

    def __init__(self, configuration: Configuration) -> None:
        self._config = configuration

    # -- when --------------------------------------------------------------------------------------------

    def is_checkpointing_enabled(self) -> bool:
        """Whether checkpoints are taken by themselves."""
        return self._config[CheckpointingOptions.INTERVAL] is not None

    def get_checkpoint_interval(self) -> int:
        """Time from one checkpoint to the next, -1 when none are taken."""
        interval = self._config[CheckpointingOptions.INTERVAL]
        return -1 if interval is None else interval // timedelta(milliseconds=1)

    def set_checkpoint_interval(self, checkpoint_interval: int) -> CheckpointConfig:
        """Take checkpoints in this interval; at least 10 ms."""
        self._config.set(CheckpointingOptions.INTERVAL, timedelta(milliseconds=checkpoint_interval))
        return self

    def get_checkpoint_timeout(self) -> int:
        """How long one may take."""
        return self._millis(CheckpointingOptions.TIMEOUT)

    def set_checkpoint_timeout(self, checkpoint_timeout: int) -> CheckpointConfig:
        """Give up a checkpoint that takes longer."""
        self._config.set(CheckpointingOptions.TIMEOUT, timedelta(milliseconds=checkpoint_timeout))
        return self

    def get_min_pause_between_checkpoints(self) -> int:
        """Least time from the end of one to the start of the next."""
        return self._millis(CheckpointingOptions.MIN_PAUSE)

    def set_min_pause_between_checkpoints(self, min_pause_between_checkpoints: int) -> CheckpointConfig:
        """Leave so much time between two; then they never overlap, whatever `max_concurrent` says."""
        self._config.set(CheckpointingOptions.MIN_PAUSE, timedelta(milliseconds=min_pause_between_checkpoints))
        return self

    def get_max_concurrent_checkpoints(self) -> int:
        """How many may be under way at once."""
        return self._config[CheckpointingOptions.MAX_CONCURRENT]

    def set_max_concurrent_checkpoints(self, max_concurrent_checkpoints: int) -> CheckpointConfig:
        """Let so many be under way at once."""
        self._config.set(CheckpointingOptions.MAX_CONCURRENT, max_concurrent_checkpoints)
        return self

    # -- how ---------------------------------------------------------------------------------------------

    def get_checkpointing_mode(self) -> CheckpointingMode:
        """What they guarantee."""
        return self._config[CheckpointingOptions.MODE]

    def set_checkpointing_mode(self, checkpointing_mode: CheckpointingMode) -> CheckpointConfig:
        """Set what they guarantee."""
        self._config.set(CheckpointingOptions.MODE, checkpointing_mode)
        return self

    def is_unaligned_checkpoints_enabled(self) -> bool:
        """Whether barriers may overtake records."""
        return self._config[CheckpointingOptions.UNALIGNED]

    def enable_unaligned_checkpoints(self, enabled: bool = True) -> CheckpointConfig:
        """Let barriers overtake records under back-pressure, or not. Needs EXACTLY_ONCE."""
        self._config.set(CheckpointingOptions.UNALIGNED, enabled)
        return self

    def disable_unaligned_checkpoints(self) -> CheckpointConfig:
        """Let barriers wait for records."""
        return self.enable_unaligned_checkpoints(False)

    def get_aligned_checkpoint_timeout(self) -> Duration:
        """How long alignment is tried before an unaligned checkpoint overtakes."""
        return Duration.of_millis(self._millis(CheckpointingOptions.ALIGNED_TIMEOUT))

    def set_aligned_checkpoint_timeout(self, alignment_timeout: Duration) -> CheckpointConfig:
        """With unaligned checkpoints on, try alignment for so long first; zero: overtake at once."""
        self._config.set(
            CheckpointingOptions.ALIGNED_TIMEOUT, timedelta(milliseconds=alignment_timeout.to_millis())
        )
        return self

    def get_alignment_timeout(self) -> Duration:
        """As `get_aligned_checkpoint_timeout`, by its older name."""
        return self.get_aligned_checkpoint_timeout()

    def set_alignment_timeout(self, alignment_timeout: Duration) -> CheckpointConfig:
        """As `set_aligned_checkpoint_timeout`, by its older name."""
        return self.set_aligned_checkpoint_timeout(alignment_timeout)

    def is_force_unaligned_checkpoints(self) -> bool:
        """False: there is nothing (iterations, ...) that unaligned checkpoints would have to be forced on."""
        return False

    def set_force_unaligned_checkpoints(self, force_unaligned_checkpoints: bool = True) -> CheckpointConfig:
        """Accepted; unaligned checkpoints need no forcing here."""
        return self

    # -- failures and retention --------------------------------------------------------------------------

    def get_tolerable_checkpoint_failure_number(self) -> int:
        """How many may fail in a row."""
        return self._config[CheckpointingOptions.TOLERABLE_FAILED]

    def set_tolerable_checkpoint_failure_number(
        self, tolerable_checkpoint_failure_number: int
    ) -> CheckpointConfig:
        """Let so many fail in a row before the job fails over."""
        self._config.set(CheckpointingOptions.TOLERABLE_FAILED, tolerable_checkpoint_failure_number)
        return self

    def is_fail_on_checkpointing_errors(self) -> bool:
        """Whether the first failed checkpoint fails the job."""
        return self.get_tolerable_checkpoint_failure_number() == 0

    def set_fail_on_checkpointing_errors(self, fail_on_checkpointing_errors: bool) -> CheckpointConfig:
        """Fail the job with the first failed checkpoint, or never."""
        return self.set_tolerable_checkpoint_failure_number(0 if fail_on_checkpointing_errors else _ALWAYS)

    def get_externalized_checkpoint_retention(self) -> ExternalizedCheckpointRetention:
        """What happens to the last checkpoint when the job is cancelled or fails."""
        return self._config[CheckpointingOptions.RETENTION]

    def set_externalized_checkpoint_retention(
        self, retention_mode: ExternalizedCheckpointRetention
    ) -> CheckpointConfig:
        """Set what happens to it. Use a directory for checkpoints, or there is nothing to keep."""
        self._config.set(CheckpointingOptions.RETENTION, retention_mode)
        return self

    def enable_externalized_checkpoints(self, cleanup_mode: ExternalizedCheckpointRetention) -> CheckpointConfig:
        """As `set_externalized_checkpoint_retention`, by its name before Flink 2."""
        return self.set_externalized_checkpoint_retention(cleanup_mode)

    def set_externalized_checkpoint_cleanup(
        self, cleanup_mode: ExternalizedCheckpointRetention
    ) -> CheckpointConfig:
        """As `set_externalized_checkpoint_retention`, by its name before Flink 2."""
        return self.set_externalized_checkpoint_retention(cleanup_mode)

    def is_externalized_checkpoints_enabled(self) -> bool:
        """Whether the last checkpoint stays in some case."""
        mode = self.get_externalized_checkpoint_retention()
        return mode is not ExternalizedCheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS

    # -- storage (PyFlink before 2.0) --------------------------------------------------------------------

    def get_checkpoint_storage(self) -> CheckpointStorage | None:
        """Where checkpoints go, as far as the program or its launcher say."""
        return configured_storage(self._config)

    def set_checkpoint_storage(self, storage: CheckpointStorage) -> CheckpointConfig:
        """Set where they go."""
        if not isinstance(storage, CheckpointStorage):
            raise ProgramError(
                f"set_checkpoint_storage() needs a JobManagerCheckpointStorage or a FileSystemCheckpointStorage, "
                f"not {storage!r}"
            )
        storage.write_to(self._config)
        return self

    def set_checkpoint_storage_dir(self, checkpoint_path: str) -> CheckpointConfig:
        """Write checkpoints into this directory."""
        return self.set_checkpoint_storage(FileSystemCheckpointStorage(checkpoint_path))

    def _millis(self, option: Option[timedelta]) -> int:
        return self._config[option] // timedelta(milliseconds=1)
