from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest

from yarnflow.common.time import Duration, Time
from yarnflow.common.typeinfo import Types
from yarnflow.datastream import state as public
from yarnflow.functions.checkpointed import FunctionInitializationContext, FunctionSnapshotContext
from yarnflow.functions.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from yarnflow.functions.user_functions import AggregateFunction, ReduceFunction
from yarnflow.runtime.state.operator_state import HeapOperatorStateStore

#: pyflink.datastream.state.__all__ of Flink 2.0, and its modules' other classes.
PYFLINK = """ValueStateDescriptor ValueState ListStateDescriptor ListState MapStateDescriptor MapState
ReducingStateDescriptor ReducingState AggregatingStateDescriptor AggregatingState ReadOnlyBroadcastState
BroadcastState StateTtlConfig OperatorStateStore State StateDescriptor AppendingState MergingState"""


class Largest(ReduceFunction):
    def reduce(self, value1: int, value2: int) -> int:
        return max(value1, value2)


class Count(AggregateFunction):
    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator + 1

    def get_result(self, accumulator: int) -> int:
        return accumulator

    def merge(self, acc_a: int, acc_b: int) -> int:
        return acc_a + acc_b


def test_pyflinks_names_are_there() -> None:
    for name in PYFLINK.split():
        assert name in public.__all__
        assert hasattr(public, name)


def test_descriptors_know_their_types() -> None:
    assert ValueStateDescriptor("v", Types.INT()).type_info == Types.INT()
    assert ListStateDescriptor("l", Types.INT()).type_info == Types.LIST(Types.INT())
    assert MapStateDescriptor("m", Types.STRING(), Types.INT()).type_info == Types.MAP(Types.STRING(), Types.INT())
    assert ValueStateDescriptor("v").type_info == Types.PICKLED_BYTE_ARRAY()
    assert MapStateDescriptor("m").get_name() == "m"
    assert "'m'" in repr(MapStateDescriptor("m"))


def test_functions_of_descriptors_are_checked() -> None:
    assert isinstance(ReducingStateDescriptor("r", Largest(), Types.INT()).get_reduce_function(), Largest)
    assert ReducingStateDescriptor("r", max).get_reduce_function() is max
    with pytest.raises(TypeError, match="the reduce function of state 'r' must be a ReduceFunction"):
        ReducingStateDescriptor("r", "max")  # type: ignore[arg-type]
    assert isinstance(AggregatingStateDescriptor("a", Count(), Types.INT()).get_agg_function(), Count)
    with pytest.raises(TypeError, match="the function of state 'a' must be an AggregateFunction"):
        AggregatingStateDescriptor("a", max)  # type: ignore[arg-type]


def test_descriptors_travel_with_their_time_to_live() -> None:
    descriptor = ValueStateDescriptor("v", Types.INT())
    assert descriptor.ttl_config is None
    descriptor.enable_time_to_live(
        StateTtlConfig.new_builder(Time.hours(1)).update_ttl_on_read_and_write().build()
    )
    copy = pickle.loads(pickle.dumps(descriptor))
    assert copy.ttl_config.get_ttl() == Time.hours(1)
    assert copy.ttl_config.get_update_type() is StateTtlConfig.UpdateType.OnReadAndWrite


def test_defaults_of_the_time_to_live() -> None:
    config = StateTtlConfig.new_builder(Time.seconds(1)).build()
    assert config.is_enabled()
    assert config.get_update_type() is StateTtlConfig.UpdateType.OnCreateAndWrite
    assert config.get_state_visibility() is StateTtlConfig.StateVisibility.NeverReturnExpired
    assert config.get_ttl_time_characteristic() is StateTtlConfig.TtlTimeCharacteristic.ProcessingTime
    cleanup = config.get_cleanup_strategies()
    assert cleanup.is_cleanup_in_background()
    assert not cleanup.in_full_snapshot()
    incremental = cleanup.get_incremental_cleanup_strategy()
    assert incremental is not None
    assert (incremental.get_cleanup_size(), incremental.run_cleanup_for_every_record()) == (5, False)
    compaction = cleanup.get_rocksdb_compact_filter_cleanup_strategy()
    assert compaction is not None
    assert compaction.get_query_time_after_num_entries() == 1000
    assert compaction.get_periodic_compaction_time() == Duration.of_days(30)


def test_everything_of_the_time_to_live_can_be_set() -> None:
    config = (
        StateTtlConfig.new_builder(Time.seconds(1))
        .set_ttl(Time.seconds(2))
        .set_update_type(StateTtlConfig.UpdateType.Disabled)
        .return_expired_if_not_cleaned_up()
        .use_processing_time()
        .cleanup_full_snapshot()
        .cleanup_incrementally(10, True)
        .cleanup_in_rocksdb_compact_filter(50, Duration.of_days(1))
        .disable_cleanup_in_background()
        .build()
    )
    assert not config.is_enabled()
    assert config.get_ttl() == Time.seconds(2)
    assert config.get_state_visibility() is StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp
    cleanup = config.get_cleanup_strategies()
    assert cleanup.in_full_snapshot()
    incremental = cleanup.get_incremental_cleanup_strategy()
    compaction = cleanup.get_rocksdb_compact_filter_cleanup_strategy()
    assert incremental is not None
    assert compaction is not None
    assert (incremental.get_cleanup_size(), incremental.run_cleanup_for_every_record()) == (10, True)
    assert compaction.get_periodic_compaction_time() == Duration.of_days(1)
    descriptor = ValueStateDescriptor("v")
    descriptor.enable_time_to_live(config)
    assert descriptor.ttl_config is None


def test_no_cleanup_in_the_background_means_none() -> None:
    cleanup = (
        StateTtlConfig.new_builder(Time.seconds(1))
        .disable_cleanup_in_background()
        .build()
        .get_cleanup_strategies()
    )
    assert cleanup.get_incremental_cleanup_strategy() is None
    assert cleanup.get_rocksdb_compact_filter_cleanup_strategy() is None


def test_a_time_to_live_is_positive() -> None:
    with pytest.raises(ValueError, match="must be longer than 0 ms, not 0 ms"):
        StateTtlConfig.new_builder(Time.seconds(0)).build()


def test_contexts_of_checkpointed_functions() -> None:
    store = HeapOperatorStateStore()
    snapshot = FunctionSnapshotContext(7, 1000, store)
    assert (snapshot.get_checkpoint_id(), snapshot.get_checkpoint_timestamp()) == (7, 1000)
    assert snapshot.get_operator_state_store() is store
    fresh, restored = FunctionInitializationContext(None, store), FunctionInitializationContext(6, store)
    assert (fresh.is_restored(), restored.is_restored()) == (False, True)
    assert restored.get_restored_checkpoint_id() == 6
    assert restored.get_operator_state_store() is store


def test_importing_the_descriptors_is_cheap() -> None:
    code = "import sys, yarnflow.datastream.state; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
