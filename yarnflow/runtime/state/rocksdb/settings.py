"""How the databases of a slot are set up: from the configuration to RocksDB's own options."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from yarnflow.config.checkpointing import CheckpointingOptions
from yarnflow.config.configuration import Configuration
from yarnflow.config.rocksdb import DiskKind, RocksDBOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.errors import MissingDependencyError

if TYPE_CHECKING:
    import rocksdict

_MIB = 1 << 20

#: What a database has when its memory is not bounded (RocksDB's and Flink's defaults).
_UNBOUNDED_CACHE = 8 * _MIB
_UNBOUNDED_BUFFER = 64 * _MIB

_WRITE_BUFFERS = 6


@dataclass(frozen=True)
class RocksDBSettings:
    """Settings of one slot's databases.

    Attributes:
        object_bytes: for values kept as Python objects, of all databases of the process.
        native_bytes: for block cache and write buffers of all databases of the process; None: not bounded.
        write_buffer_ratio: share of the write buffers in `native_bytes`.
        write_buffer_size: bytes of one write buffer; None: follows from the rest.
        predefined: for a kind of disk.
        threads: background jobs of a database.
        incremental: checkpoints store only files that the one before has not.
        local_directory: where databases are made; None: the working directory.
    """

    object_bytes: int = 64 * _MIB
    native_bytes: int | None = 192 * _MIB
    write_buffer_ratio: float = 0.5
    write_buffer_size: int | None = None
    predefined: DiskKind = DiskKind.DEFAULT
    threads: int = 2
    incremental: bool = False
    local_directory: str | None = None

    @classmethod
    def of(cls, config: Configuration) -> RocksDBSettings:
        """As the options say."""
        memory = slot_memory(config)
        objects = int(memory * min(config[RocksDBOptions.OBJECT_RATIO], 0.9))
        buffer_size = config[RocksDBOptions.WRITE_BUFFER_SIZE]
        return cls(
            object_bytes=objects,
            native_bytes=memory - objects if config[RocksDBOptions.MEMORY_MANAGED] else None,
            write_buffer_ratio=min(config[RocksDBOptions.WRITE_BUFFER_RATIO], 1.0),
            write_buffer_size=None if buffer_size is None else buffer_size.bytes,
            predefined=config[RocksDBOptions.PREDEFINED],
            threads=config[RocksDBOptions.THREADS],
            incremental=config[CheckpointingOptions.INCREMENTAL],
            local_directory=config[RocksDBOptions.LOCAL_DIR],
        )

    def options(self) -> Any:
        """RocksDB's options for a new or existing database."""
        library = require_rocksdict()
        blocks = library.BlockBasedOptions()
        blocks.set_bloom_filter(10, False)
        blocks.set_format_version(5)
        options = library.Options(raw_mode=True)
        options.create_if_missing(True)
        buffer_size = self.write_buffer_size or _UNBOUNDED_BUFFER
        if self.native_bytes is None:
            blocks.set_block_cache(library.Cache(_UNBOUNDED_CACHE))
        else:
            buffers = int(self.native_bytes * self.write_buffer_ratio)
            cache, manager = _shared_memory(self.native_bytes, buffers)
            blocks.set_block_cache(cache)
            # Else indexes and filters of all open files would come on top of the memory that was promised.
            blocks.set_cache_index_and_filter_blocks(True)
            blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
            # Those of a large file are megabytes: in one piece they would drive each other out of a small cache,
            # and every read would load one (measured: 100 times slower at ten times the memory).
            blocks.set_index_type(library.BlockBasedIndexType.two_level_index_search())
            blocks.set_partition_filters(True)
            blocks.set_metadata_block_size(4096)
            blocks.set_pin_top_level_index_and_filter(True)
            options.set_write_buffer_manager(manager)
            if self.write_buffer_size is None:
                buffer_size = min(max(buffers // 4, 64 << 10), _UNBOUNDED_BUFFER)
        options.set_write_buffer_size(buffer_size)
        # A changed entry makes its file new, and an incremental checkpoint stores it again.
        options.set_target_file_size_base(min(max(buffer_size, 8 * _MIB), 64 * _MIB))
        # The manager bounds their memory. With fewer, a checkpoint would wait for a buffer that is being written.
        options.set_max_write_buffer_number(_WRITE_BUFFERS)
        options.set_max_background_jobs(self.threads)
        options.set_compression_type(library.DBCompressionType.lz4())
        # A database that is rebuilt from checkpoints needs no log of its own, nor statistics that wake it up.
        options.set_keep_log_file_num(1)
        options.set_max_log_file_size(_MIB)
        options.set_stats_dump_period_sec(0)
        options.set_stats_persist_period_sec(0)
        options.set_max_open_files(-1)
        self._apply_predefined(options, blocks)
        options.set_block_based_table_factory(blocks)
        return options

    def _apply_predefined(self, options: rocksdict.Options, blocks: rocksdict.BlockBasedOptions) -> None:
        """The sets that Flink documents under these names (PredefinedOptions)."""
        if self.predefined is DiskKind.DEFAULT:
            return
        options.set_max_background_jobs(max(4, self.threads))
        options.set_level_compaction_dynamic_level_bytes(True)
        if self.predefined is DiskKind.SPINNING_DISK_OPTIMIZED_HIGH_MEM:
            options.set_target_file_size_base(256 * _MIB)
            options.set_max_bytes_for_level_base(1024 * _MIB)
            blocks.set_block_size(128 << 10)
            if self.write_buffer_size is None:
                options.set_write_buffer_size(64 * _MIB)


def slot_memory(config: Configuration) -> int:
    """Bytes that the databases of one slot may use."""
    fixed = config[RocksDBOptions.MEMORY_FIXED_PER_SLOT]
    if fixed is not None:
        return fixed.bytes
    managed = config[TaskManagerOptions.MANAGED_MEMORY]
    total = (
        managed.bytes
        if managed is not None
        else int(config[TaskManagerOptions.PROCESS_MEMORY].bytes * config[TaskManagerOptions.MANAGED_FRACTION])
    )
    return max(total // config[TaskManagerOptions.NUM_TASK_SLOTS], 4 * _MIB)


@functools.cache
def _shared_memory(native_bytes: int, buffers: int) -> tuple[rocksdict.Cache, rocksdict.WriteBufferManager]:
    # One for all databases of the process, which is a slot. Write buffers are charged to the cache.
    library = require_rocksdict()
    cache = library.Cache(native_bytes)
    return cache, library.WriteBufferManager.new_write_buffer_manager_with_cache(buffers, False, cache)


def require_rocksdict() -> Any:
    """The library, imported when the first database is opened. Raises MissingDependencyError."""
    try:
        import rocksdict
    except ImportError as error:
        raise MissingDependencyError("rocksdict", "rocksdb", "The rocksdb state backend") from error
    return rocksdict
