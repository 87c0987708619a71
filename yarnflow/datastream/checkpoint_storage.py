"""Where checkpoints go: the memory of the JobManager, or a file system. Values that a CheckpointConfig takes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from yarnflow.config.checkpointing import CheckpointingOptions, CheckpointStorageKind
from yarnflow.config.configuration import Configuration
from yarnflow.config.values import MemorySize
from yarnflow.errors import ProgramError

__all__ = [
    "CheckpointStorage",
    "CustomCheckpointStorage",
    "FileSystemCheckpointStorage",
    "JobManagerCheckpointStorage",
]


class CheckpointStorage(ABC):
    """Base of the two storages."""

    @abstractmethod
    def write_to(self, configuration: Configuration) -> None:
        """Set Flink's keys for it."""


class JobManagerCheckpointStorage(CheckpointStorage):
    """Checkpoints stay in the JobManager's memory: for small state, and lost with the JobManager. Savepoints are
    files nevertheless.

    Args:
        checkpoint_path: taken as the directory for checkpoints when one is given: then they are files.
        max_state_size: 5 MB; another value is refused.
    """

    DEFAULT_MAX_STATE_SIZE = 5 * 1024 * 1024

    def __init__(self, checkpoint_path: str | None = None, max_state_size: int | None = None) -> None:
        if max_state_size not in (None, self.DEFAULT_MAX_STATE_SIZE):
            raise ProgramError(
                f"JobManagerCheckpointStorage takes {self.DEFAULT_MAX_STATE_SIZE} bytes of state per subtask, not "
                f"{max_state_size}: for larger state use a FileSystemCheckpointStorage"
            )
        self._path = checkpoint_path

    def get_checkpoint_path(self) -> str | None:
        """The directory, None without one."""
        return self._path

    def get_max_state_size(self) -> int:
        """Bytes of state per subtask."""
        return self.DEFAULT_MAX_STATE_SIZE

    def get_savepoint_path(self) -> str | None:
        """None: set_default_savepoint_directory() says where savepoints go."""
        return None

    def write_to(self, configuration: Configuration) -> None:
        """Set Flink's keys for it."""
        if self._path is not None:
            FileSystemCheckpointStorage(self._path).write_to(configuration)
            return
        configuration.set(CheckpointingOptions.STORAGE, CheckpointStorageKind.JOBMANAGER)

    def __repr__(self) -> str:
        return f"JobManagerCheckpointStorage({self._path!r})"


class FileSystemCheckpointStorage(CheckpointStorage):
    """Checkpoints are files below a directory that every process reaches.

    Args:
        checkpoint_path: URI of the directory.
        file_state_size_threshold: state up to so many bytes is stored in the metadata; None or -1: as configured.
        write_buffer_size: accepted; files are written in one go.
    """

    #: Most that Flink puts into the metadata.
    MAX_FILE_STATE_THRESHOLD = 1024 * 1024

    def __init__(
        self,
        checkpoint_path: str | None = None,
        file_state_size_threshold: int | None = None,
        write_buffer_size: int = -1,
    ) -> None:
        if checkpoint_path is None:
            raise ValueError("FileSystemCheckpointStorage needs the path of a directory")
        threshold = -1 if file_state_size_threshold is None else file_state_size_threshold
        if not -1 <= threshold <= self.MAX_FILE_STATE_THRESHOLD:
            raise ProgramError(
                f"file_state_size_threshold is from 0 to {self.MAX_FILE_STATE_THRESHOLD} bytes, or -1, not "
                f"{threshold}"
            )
        self._path = checkpoint_path
        self._threshold = threshold
        self._write_buffer_size = write_buffer_size

    def get_checkpoint_path(self) -> str:
        """URI of the directory."""
        return self._path

    def get_savepoint_path(self) -> str | None:
        """None: set_default_savepoint_directory() says where savepoints go."""
        return None

    def get_min_file_size_threshold(self) -> int:
        """Bytes of state that are still stored in the metadata."""
        if self._threshold == -1:
            return CheckpointingOptions.INLINE_THRESHOLD.default.bytes
        return self._threshold

    def get_write_buffer_size(self) -> int:
        """As given."""
        return self._write_buffer_size

    def write_to(self, configuration: Configuration) -> None:
        """Set Flink's keys for it."""
        configuration.set(CheckpointingOptions.STORAGE, CheckpointStorageKind.FILESYSTEM)
        configuration.set(CheckpointingOptions.DIR, self._path)
        if self._threshold != -1:
            configuration.set(CheckpointingOptions.INLINE_THRESHOLD, MemorySize(self._threshold))

    def __repr__(self) -> str:
        return f"FileSystemCheckpointStorage({self._path!r})"


class CustomCheckpointStorage(CheckpointStorage):
    """Wraps a Java class in PyFlink; here it can only say that there is no JVM."""

    def __init__(self, j_custom_checkpoint_storage: object) -> None:
        raise ProgramError(
            "CustomCheckpointStorage wraps a Java class, and yarnflow runs no JVM: use a "
            "FileSystemCheckpointStorage"
        )

    def write_to(self, configuration: Configuration) -> None:
        """Never called."""


def configured_storage(configuration: Configuration) -> CheckpointStorage | None:
    """The storage that a configuration describes; None when it says nothing."""
    kind = configuration[CheckpointingOptions.STORAGE]
    directory = configuration[CheckpointingOptions.DIR]
    if kind is CheckpointStorageKind.JOBMANAGER:
        return JobManagerCheckpointStorage()
    if directory is None:
        return None
    threshold = configuration.get(CheckpointingOptions.INLINE_THRESHOLD)
    return FileSystemCheckpointStorage(directory, None if threshold is None else threshold.bytes)
