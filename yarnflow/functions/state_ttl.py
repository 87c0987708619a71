"""Time to live of keyed state: how long a value that is not touched stays, and how expired ones are removed.

Names and defaults are PyFlink's (pyflink.datastream.state.StateTtlConfig).
"""

from __future__ import annotations

from enum import Enum

from yarnflow.common.time import Duration, Time

__all__ = ["StateTtlConfig"]

#: Flink's defaults of the cleanup that goes on beside normal work: entries looked at per access to a state, and
#: entries that a rocksdb compaction handles between two looks at the clock.
_ENTRIES_PER_ACCESS = 5
_ENTRIES_PER_LOOK = 1000


class _UpdateType(Enum):
    """What prolongs the life of a value."""

    Disabled = 0
    OnCreateAndWrite = 1
    OnReadAndWrite = 2


class _StateVisibility(Enum):
    """Whether a value can be read between its expiry and its removal."""

    ReturnExpiredIfNotCleanedUp = 0
    NeverReturnExpired = 1


class _TtlTimeCharacteristic(Enum):
    """Which clock counts."""

    ProcessingTime = 0


class _CleanupStrategy:
    """Base of the ways to remove expired values."""


class _EmptyCleanupStrategy(_CleanupStrategy):
    """One without settings."""


class _IncrementalCleanupStrategy(_CleanupStrategy):
    """Look at a few entries per access to the state (hashmap).

    Args:
        cleanup_size: entries per look.
        run_cleanup_for_every_record: PyFlink's flag; accesses are what triggers it here in any case.
    """

    def __init__(self, cleanup_size: int, run_cleanup_for_every_record: bool) -> None:
        self._cleanup_size = cleanup_size
        self._run_cleanup_for_every_record = run_cleanup_for_every_record

    def get_cleanup_size(self) -> int:
        """Entries per look."""
        return self._cleanup_size

    def run_cleanup_for_every_record(self) -> bool:
        """Whether records that do not touch the state count too."""
        return self._run_cleanup_for_every_record


class _RocksdbCompactFilterCleanupStrategy(_CleanupStrategy):
    """Remove expired entries while files are compacted (rocksdb).

    Args:
        query_time_after_num_entries: entries between two looks at the clock.
        periodic_compaction_time: files older than this are compacted; None: 30 days.
    """

    def __init__(
        self, query_time_after_num_entries: int, periodic_compaction_time: Duration | None = None
    ) -> None:
        self._query_time_after_num_entries = query_time_after_num_entries
        self._periodic_compaction_time = periodic_compaction_time or Duration.of_days(30)

    def get_query_time_after_num_entries(self) -> int:
        """Entries between two looks at the clock."""
        return self._query_time_after_num_entries

    def get_periodic_compaction_time(self) -> Duration:
        """Files older than this are compacted."""
        return self._periodic_compaction_time


class _Strategies(Enum):
    """The ways to remove expired values."""

    FULL_STATE_SCAN_SNAPSHOT = 0
    INCREMENTAL_CLEANUP = 1
    ROCKSDB_COMPACTION_FILTER = 2


class _CleanupStrategies:
    """Which ways to remove expired values are used."""

    Strategies = _Strategies
    CleanupStrategy = _CleanupStrategy
    EmptyCleanupStrategy = _EmptyCleanupStrategy
    IncrementalCleanupStrategy = _IncrementalCleanupStrategy
    RocksdbCompactFilterCleanupStrategy = _RocksdbCompactFilterCleanupStrategy
    EMPTY_STRATEGY = _EmptyCleanupStrategy()

    def __init__(self, strategies: dict[_Strategies, _CleanupStrategy], is_cleanup_in_background: bool) -> None:
        self._strategies = strategies
        self._is_cleanup_in_background = is_cleanup_in_background

    def is_cleanup_in_background(self) -> bool:
        """Whether the backend's own way is used when none is named."""
        return self._is_cleanup_in_background

    def in_full_snapshot(self) -> bool:
        """Whether snapshots leave out expired values. Ours always do."""
        return _Strategies.FULL_STATE_SCAN_SNAPSHOT in self._strategies

    def get_incremental_cleanup_strategy(self) -> _IncrementalCleanupStrategy | None:
        """The one that was set, else the default, else None."""
        found = self._strategies.get(_Strategies.INCREMENTAL_CLEANUP)
        if isinstance(found, _IncrementalCleanupStrategy):
            return found
        if self._is_cleanup_in_background:
            return _IncrementalCleanupStrategy(_ENTRIES_PER_ACCESS, False)
        return None

    def get_rocksdb_compact_filter_cleanup_strategy(self) -> _RocksdbCompactFilterCleanupStrategy | None:
        """The one that was set, else the default, else None."""
        found = self._strategies.get(_Strategies.ROCKSDB_COMPACTION_FILTER)
        if isinstance(found, _RocksdbCompactFilterCleanupStrategy):
            return found
        if self._is_cleanup_in_background:
            return _RocksdbCompactFilterCleanupStrategy(_ENTRIES_PER_LOOK)
        return None


class StateTtlConfig:
    """How long values live. Make one with `StateTtlConfig.new_builder(Time.hours(1)).build()`.

    Values of a list state and entries of a map state live and expire one by one.
    """

    UpdateType = _UpdateType
    StateVisibility = _StateVisibility
    TtlTimeCharacteristic = _TtlTimeCharacteristic
    CleanupStrategies = _CleanupStrategies

    def __init__(
        self,
        update_type: _UpdateType,
        state_visibility: _StateVisibility,
        ttl_time_characteristic: _TtlTimeCharacteristic,
        ttl: Time,
        cleanup_strategies: _CleanupStrategies,
    ) -> None:
        if ttl.to_milliseconds() <= 0:
            raise ValueError(f"the time to live of a state must be longer than 0 ms, not {ttl}")
        self._update_type = update_type
        self._state_visibility = state_visibility
        self._ttl_time_characteristic = ttl_time_characteristic
        self._ttl = ttl
        self._cleanup_strategies = cleanup_strategies

    @staticmethod
    def new_builder(ttl: Time) -> StateTtlConfig.Builder:
        """A builder for values that live for `ttl`. Defaults: writes prolong it, and no expired value is read."""
        return StateTtlConfig.Builder(ttl)

    def get_update_type(self) -> _UpdateType:
        """What prolongs the life of a value."""
        return self._update_type

    def get_state_visibility(self) -> _StateVisibility:
        """Whether a value can be read between its expiry and its removal."""
        return self._state_visibility

    def get_ttl(self) -> Time:
        """How long a value lives."""
        return self._ttl

    def get_ttl_time_characteristic(self) -> _TtlTimeCharacteristic:
        """Which clock counts."""
        return self._ttl_time_characteristic

    def is_enabled(self) -> bool:
        """Whether values expire at all."""
        return self._update_type is not _UpdateType.Disabled

    def get_cleanup_strategies(self) -> _CleanupStrategies:
        """How expired values are removed."""
        return self._cleanup_strategies

    def __repr__(self) -> str:
        return (
            f"StateTtlConfig(ttl={self._ttl}, update_type={self._update_type.name}, "
            f"state_visibility={self._state_visibility.name})"
        )

    class Builder:
        """Sets up a StateTtlConfig; every method but `build` returns the builder."""

        def __init__(self, ttl: Time) -> None:
            self._ttl = ttl
            self._update_type = _UpdateType.OnCreateAndWrite
            self._state_visibility = _StateVisibility.NeverReturnExpired
            self._ttl_time_characteristic = _TtlTimeCharacteristic.ProcessingTime
            self._is_cleanup_in_background = True
            self._strategies: dict[_Strategies, _CleanupStrategy] = {}

        def set_update_type(self, update_type: _UpdateType) -> StateTtlConfig.Builder:
            """Say what prolongs the life of a value."""
            self._update_type = update_type
            return self

        def update_ttl_on_create_and_write(self) -> StateTtlConfig.Builder:
            """Writes prolong it."""
            return self.set_update_type(_UpdateType.OnCreateAndWrite)

        def update_ttl_on_read_and_write(self) -> StateTtlConfig.Builder:
            """Reads prolong it as well."""
            return self.set_update_type(_UpdateType.OnReadAndWrite)

        def set_state_visibility(self, state_visibility: _StateVisibility) -> StateTtlConfig.Builder:
            """Say whether a value can be read between its expiry and its removal."""
            self._state_visibility = state_visibility
            return self

        def return_expired_if_not_cleaned_up(self) -> StateTtlConfig.Builder:
            """It can."""
            return self.set_state_visibility(_StateVisibility.ReturnExpiredIfNotCleanedUp)

        def never_return_expired(self) -> StateTtlConfig.Builder:
            """It cannot."""
            return self.set_state_visibility(_StateVisibility.NeverReturnExpired)

        def set_ttl_time_characteristic(
            self, ttl_time_characteristic: _TtlTimeCharacteristic
        ) -> StateTtlConfig.Builder:
            """Say which clock counts; there is only processing time, as in Flink."""
            self._ttl_time_characteristic = ttl_time_characteristic
            return self

        def use_processing_time(self) -> StateTtlConfig.Builder:
            """Count the machine's clock."""
            return self.set_ttl_time_characteristic(_TtlTimeCharacteristic.ProcessingTime)

        def cleanup_full_snapshot(self) -> StateTtlConfig.Builder:
            """Leave expired values out of snapshots."""
            self._strategies[_Strategies.FULL_STATE_SCAN_SNAPSHOT] = _CleanupStrategies.EMPTY_STRATEGY
            return self

        def cleanup_incrementally(
            self, cleanup_size: int, run_cleanup_for_every_record: bool
        ) -> StateTtlConfig.Builder:
            """Look at `cleanup_size` entries per access to the state (hashmap)."""
            self._strategies[_Strategies.INCREMENTAL_CLEANUP] = _IncrementalCleanupStrategy(
                cleanup_size, run_cleanup_for_every_record
            )
            return self

        def cleanup_in_rocksdb_compact_filter(
            self, query_time_after_num_entries: int, periodic_compaction_time: Duration | None = None
        ) -> StateTtlConfig.Builder:
            """Remove expired entries while files are compacted (rocksdb)."""
            self._strategies[_Strategies.ROCKSDB_COMPACTION_FILTER] = _RocksdbCompactFilterCleanupStrategy(
                query_time_after_num_entries, periodic_compaction_time
            )
            return self

        def disable_cleanup_in_background(self) -> StateTtlConfig.Builder:
            """Do not use the backend's own way; those that are named are used."""
            self._is_cleanup_in_background = False
            return self

        def set_ttl(self, ttl: Time) -> StateTtlConfig.Builder:
            """Change how long values live."""
            self._ttl = ttl
            return self

        def build(self) -> StateTtlConfig:
            """The configuration. Raises ValueError for a time to live that is not positive."""
            return StateTtlConfig(
                self._update_type,
                self._state_visibility,
                self._ttl_time_characteristic,
                self._ttl,
                _CleanupStrategies(dict(self._strategies), self._is_cleanup_in_background),
            )
