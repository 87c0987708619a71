"""What the mappings of a backend keep as Python objects, and when it goes to the database."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from yarnflow.runtime.state.pickling import dump_value
from yarnflow.runtime.state.rocksdb.database import Database

if TYPE_CHECKING:
    from yarnflow.runtime.state.rocksdb.table import RocksDBMapping

#: Most entries, and bytes, that are written at once: it bounds the synchronous part of a checkpoint.
_MOST_WRITTEN = 15_000
_MOST_BYTES = 2 << 20
#: Entries per entry written that may be kept after reading.
_READ_PER_WRITTEN = 4
#: What an entry takes as objects: so much, and its bytes so many times.
_ENTRY_OVERHEAD = 120
_ENTRY_FACTOR = 3
#: A mapping takes as much as so many entries.
_MAPPING_WEIGHT = 4
#: While a checkpoint is being made, so many times as much may be kept before writing waits for it.
_PATIENCE = 3

#: Caches of this process share the memory for objects.
_caches: weakref.WeakSet[ObjectCache] = weakref.WeakSet()


def _nothing(entries: int) -> None:
    """Nobody wants to know."""


class ObjectCache:
    """Knows what the mappings of one backend hold, and bounds it.

    Args:
        database: where it is stored.
        memory: bytes for the objects of all backends of this process.
    """

    def __init__(self, database: Database, memory: int) -> None:
        self.database = database
        self._memory = memory
        self._entry_bytes = 400.0
        self._written = 0
        self._read = 0
        self._mappings: dict[RocksDBMapping, None] = {}
        self._most_written = 0
        self._most_read = 0
        self._removals: dict[bytes, None] = {}
        #: Called with a number of entries, about, when they have become too many and were stored.
        self.on_stored: Callable[[int], None] = _nothing
        _caches.add(self)
        self._adapt()

    def close(self) -> None:
        """Leave the memory to others."""
        self._mappings.clear()
        _caches.discard(self)

    def __contains__(self, mapping: RocksDBMapping) -> bool:
        return mapping in self._mappings

    def remove(self, prefix: bytes) -> None:
        """Remove all stored entries with a prefix. While a checkpoint is being made this is done later."""
        if self.database.frozen:
            self._removals[prefix] = None
        else:
            self.database.remove(prefix)

    def holds(self, prefix: bytes) -> bool:
        """Whether something is stored with a prefix."""
        return self.stored(prefix) and self.database.holds(prefix)

    def stored(self, prefix: bytes) -> bool:
        """False when entries with a prefix are only there because their removal has to wait."""
        return not any(prefix.startswith(removed) for removed in self._removals)

    def grown(self, mapping: RocksDBMapping) -> None:
        """A mapping has written as many entries as it was allowed to."""
        if mapping not in self._mappings:
            self._mappings[mapping] = None
            self._written += _MAPPING_WEIGHT
        written = len(mapping.written)
        self._written += written - mapping.counted
        mapping.counted = written
        self._sample(mapping.last_written())
        limit = self._most_written
        if self._written > limit and not (self.database.frozen and self._written < _PATIENCE * limit):
            self.store()
            self.on_stored(limit)
        else:
            mapping.allowance = written + min(max(written, 8), 1024)

    def loaded(self, mapping: RocksDBMapping) -> None:
        """An entry was read into a mapping."""
        if mapping not in self._mappings:
            self._mappings[mapping] = None
        self._read += 1
        if self._read > self._most_read:
            self._trim()

    def forget(self, mapping: RocksDBMapping) -> None:
        """A mapping was dropped."""
        if mapping in self._mappings:
            del self._mappings[mapping]
            self._written -= mapping.counted
            self._read -= len(mapping.read)
        mapping.counted = mapping.allowance = 0

    def store(self) -> None:
        """Write everything that is not stored yet."""
        for prefix in self._removals:
            self.database.remove(prefix)
        self._removals.clear()
        batch = self.database.batch()
        for mapping in self._mappings:
            mapping.store(batch)
        stored = len(batch)
        if stored:
            size = batch.size_in_bytes() / stored
            self._entry_bytes = _ENTRY_OVERHEAD + _ENTRY_FACTOR * size
            self.database.write(batch)
        self._adapt()
        self._written = 0
        self._read = sum(len(mapping.read) for mapping in self._mappings)
        self._trim()

    def _sample(self, value: Any) -> None:
        """Learn from a value how much memory entries take, before anything was stored."""
        size = _ENTRY_OVERHEAD + _ENTRY_FACTOR * len(dump_value(value))
        if size > 2 * self._entry_bytes:
            self._entry_bytes = (self._entry_bytes + size) / 2
            self._adapt()

    def _adapt(self) -> None:
        entries = int(self._memory / max(len(_caches), 1) / self._entry_bytes)
        size = max(self._entry_bytes - _ENTRY_OVERHEAD, 1) / _ENTRY_FACTOR
        at_once = min(_MOST_WRITTEN, int(_MOST_BYTES / size))
        self._most_written = max(min(entries // (1 + _READ_PER_WRITTEN), at_once), 16)
        self._most_read = max(entries - self._most_written, 16)

    def _trim(self) -> None:
        mappings = list(self._mappings)
        if self._read + _MAPPING_WEIGHT * len(mappings) <= self._most_read:
            return
        for mapping in mappings:
            mapping.trim()
            if not mapping.written and not mapping.read:
                del self._mappings[mapping]
                mapping.counted = mapping.allowance = 0
        self._read = sum(len(mapping.read) for mapping in self._mappings)
