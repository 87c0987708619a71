"""Options of the rocksdb state backend. Keys and defaults are Flink's where Flink has one."""

from __future__ import annotations

from enum import Enum

from yarnflow.config.option import Option
from yarnflow.config.values import MemorySize


class DiskKind(Enum):
    """Sets of RocksDB settings for kinds of disks."""

    DEFAULT = "DEFAULT"
    SPINNING_DISK_OPTIMIZED = "SPINNING_DISK_OPTIMIZED"
    SPINNING_DISK_OPTIMIZED_HIGH_MEM = "SPINNING_DISK_OPTIMIZED_HIGH_MEM"
    FLASH_SSD_OPTIMIZED = "FLASH_SSD_OPTIMIZED"


class RocksDBOptions:
    """The `rocksdb` state backend."""

    LOCAL_DIR = Option(
        "state.backend.rocksdb.localdir",
        str,
        None,
        "Directory on a local disk for the databases of running tasks. Without it the working directory of the "
        "slot's process.",
    )
    MEMORY_FIXED_PER_SLOT = Option(
        "state.backend.rocksdb.memory.fixed-per-slot",
        MemorySize,
        None,
        "Memory for all databases of a slot: blocks, write buffers and values that are kept as objects. Without "
        "it the slot's share of the managed memory.",
        minimum=MemorySize.of_mebibytes(4),
    )
    MEMORY_MANAGED = Option(
        "state.backend.rocksdb.memory.managed",
        bool,
        True,
        "Bound that memory. If not, every database has 64 MiB write buffers and an 8 MiB block cache of its own.",
    )
    WRITE_BUFFER_RATIO = Option(
        "state.backend.rocksdb.memory.write-buffer-ratio",
        float,
        0.5,
        "Share of write buffers in the memory that RocksDB itself gets.",
        minimum=0.05,
    )
    OBJECT_RATIO = Option(
        "state.backend.rocksdb.memory.object-ratio",
        float,
        0.25,
        "Share of the memory for values kept as Python objects: reading them again costs a dictionary access.",
        minimum=0.01,
    )
    PREDEFINED = Option(
        "state.backend.rocksdb.predefined-options",
        DiskKind,
        DiskKind.DEFAULT,
        "Settings for a kind of disk.",
    )
    WRITE_BUFFER_SIZE = Option(
        "state.backend.rocksdb.writebuffer.size",
        MemorySize,
        None,
        "Size of one write buffer. Without it a quarter of what all of them may have, 64 MiB at most.",
        minimum=MemorySize(64 << 10),
    )
    THREADS = Option(
        "state.backend.rocksdb.thread.num",
        int,
        2,
        "Background jobs of a database: writing buffers to files, and merging files.",
        minimum=1,
    )
