"""Where keyed state lives while a job runs: values that `set_state_backend` takes, as PyFlink before 2.0."""

from __future__ import annotations

from abc import ABC, abstractmethod

from yarnflow.config.checkpointing import CheckpointingOptions, StateBackendOptions
from yarnflow.config.configuration import Configuration
from yarnflow.config.rocksdb import DiskKind as PredefinedOptions
from yarnflow.config.rocksdb import RocksDBOptions
from yarnflow.errors import ProgramError

__all__ = [
    "CustomStateBackend",
    "EmbeddedRocksDBStateBackend",
    "HashMapStateBackend",
    "PredefinedOptions",
    "StateBackend",
]


class StateBackend(ABC):
    """Base of the two backends."""

    @abstractmethod
    def write_to(self, configuration: Configuration) -> None:
        """Set Flink's keys for it."""


class HashMapStateBackend(StateBackend):
    """In memory, as Python objects."""

    def write_to(self, configuration: Configuration) -> None:
        """Set Flink's keys for it."""
        configuration.set(StateBackendOptions.TYPE, "hashmap")

    def __repr__(self) -> str:
        return "HashMapStateBackend()"


class EmbeddedRocksDBStateBackend(StateBackend):
    """On local disk, for state that is larger than memory.

    Args:
        enable_incremental_checkpointing: write only what changed since the checkpoint before; None: as configured.
    """

    def __init__(self, enable_incremental_checkpointing: bool | None = None) -> None:
        if enable_incremental_checkpointing not in (None, True, False):
            raise TypeError(
                "enable_incremental_checkpointing is True, False or None, not "
                f"{enable_incremental_checkpointing!r}"
            )
        self._incremental = enable_incremental_checkpointing
        self._paths: list[str] = []
        self._options: PredefinedOptions | None = None
        self._threads: int | None = None

    def set_db_storage_paths(self, *paths: str) -> None:
        """Put the databases into this local directory. Several are refused: give the directory of a volume."""
        if len(paths) > 1:
            raise ProgramError(
                f"EmbeddedRocksDBStateBackend.set_db_storage_paths takes one directory, not {len(paths)}: combine "
                "several disks into one volume"
            )
        self._paths = list(paths)

    def get_db_storage_paths(self) -> list[str]:
        """The directories that were set."""
        return list(self._paths)

    def is_incremental_checkpoints_enabled(self) -> bool:
        """Whether checkpoints are incremental, as far as it was set here."""
        return bool(self._incremental)

    def set_predefined_options(self, options: PredefinedOptions) -> None:
        """Choose settings for a kind of disk."""
        self._options = options

    def get_predefined_options(self) -> PredefinedOptions:
        """The settings that were chosen."""
        return self._options or PredefinedOptions.DEFAULT

    def set_options(self, options_factory_class_name: str) -> None:
        """Refused: a factory is a Java class."""
        raise ProgramError(
            f"{options_factory_class_name} is a Java class, and yarnflow runs no JVM: set the options "
            "state.backend.rocksdb.* instead"
        )

    def get_options(self) -> None:
        """No factory: see `set_options`."""

    def get_number_of_transfer_threads(self) -> int:
        """Threads that transfer files, as set; Flink's default is 4."""
        return 4 if self._threads is None else self._threads

    def set_number_of_transfer_threads(self, number_of_transfering_threads: int) -> None:
        """Accepted; each task uploads with one thread of its own."""
        self._threads = number_of_transfering_threads

    def write_to(self, configuration: Configuration) -> None:
        """Set Flink's keys for it."""
        configuration.set(StateBackendOptions.TYPE, "rocksdb")
        if self._incremental is not None:
            configuration.set(CheckpointingOptions.INCREMENTAL, self._incremental)
        if self._paths:
            configuration.set(RocksDBOptions.LOCAL_DIR, self._paths[0])
        if self._options is not None:
            configuration.set(RocksDBOptions.PREDEFINED, self._options)

    def __repr__(self) -> str:
        return f"EmbeddedRocksDBStateBackend({self._incremental})"


class CustomStateBackend(StateBackend):
    """Wraps a Java class in PyFlink; here it can only say that there is no JVM."""

    def __init__(self, j_custom_state_backend: object) -> None:
        raise ProgramError(
            "CustomStateBackend wraps a Java class, and yarnflow runs no JVM: use HashMapStateBackend or "
            "EmbeddedRocksDBStateBackend"
        )

    def write_to(self, configuration: Configuration) -> None:
        """Never called."""


def configured_backend(configuration: Configuration) -> StateBackend | None:
    """The backend that a configuration names; None when it names none."""
    kind = configuration.get(StateBackendOptions.TYPE)
    if kind is None:
        return None
    if kind == "hashmap":
        return HashMapStateBackend()
    backend = EmbeddedRocksDBStateBackend(configuration.get(CheckpointingOptions.INCREMENTAL))
    backend.set_predefined_options(configuration[RocksDBOptions.PREDEFINED])
    directory = configuration[RocksDBOptions.LOCAL_DIR]
    if directory is not None:
        backend.set_db_storage_paths(directory)
    return backend
