"""Which record goes to which channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.key_groups import subtask_for_key
from yarnflow.runtime.network import partition as partition_module
from yarnflow.runtime.network.elements import Element, EndOfData
from yarnflow.runtime.network.output import OutputChannel
from yarnflow.runtime.network.partition import HashPartition, PassThrough, make_partition


class Recorder(OutputChannel):
    """A channel that keeps what is written."""

    def __init__(self, local: bool = False) -> None:
        super().__init__("c")
        self.local = local
        self.elements: list[Batch | Element] = []
        self.room = True

    def write(self, element: Batch | Element) -> None:
        self.elements.append(element)

    def has_room(self) -> bool:
        return self.room

    def drained(self) -> bool:
        return True

    @property
    def rows(self) -> list[Any]:
        return [row for batch in self.elements if isinstance(batch, RowBatch) for row in batch.rows]

    @property
    def pairs(self) -> list[tuple[Any, int]]:
        pairs: list[tuple[Any, int]] = []
        for batch in self.elements:
            if isinstance(batch, RowBatch):
                assert batch.timestamps is not None
                pairs += zip(batch.rows, batch.timestamps, strict=True)
        return pairs


def _channels(count: int) -> list[Recorder]:
    return [Recorder() for _ in range(count)]


def _identity(record: Any) -> Any:
    return record


_KEYS = st.one_of(st.integers(), st.text(max_size=4), st.booleans(), st.floats(allow_nan=False), st.none())


@settings(deadline=None)
@given(st.lists(_KEYS), st.integers(2, 5), st.booleans())
def test_hash_sends_each_key_to_its_subtask_in_order(keys: list[Any], count: int, timed: bool) -> None:
    channels = _channels(count)
    partition = make_partition(Partitioning.HASH, channels, 128, key=_identity)
    times = list(range(len(keys))) if timed else None
    half = len(keys) // 2
    partition.write(RowBatch(keys[:half], None if times is None else times[:half]))
    partition.write(RowBatch(keys[half:], None if times is None else times[half:]))
    partition.flush()
    for index, channel in enumerate(channels):
        expected = [n for n, key in enumerate(keys) if subtask_for_key(key, count, 128) == index]
        assert [repr(row) for row in channel.rows] == [repr(keys[n]) for n in expected]
        if timed:
            assert [time for _, time in channel.pairs] == expected
    assert partition.records_out == len(keys)


def test_the_memory_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_module, "ROUTES", 10)
    channels = _channels(2)
    partition = make_partition(Partitioning.HASH, channels, 128, key=_identity)
    assert isinstance(partition, HashPartition)
    partition.write(RowBatch(list(range(1000))))
    partition.flush()
    assert len(partition.appends) <= 10
    assert sorted(channels[0].rows + channels[1].rows) == list(range(1000))


def test_hash_to_one_consumer_passes_batches_through_without_asking_for_keys() -> None:
    def never(record: Any) -> Any:
        raise AssertionError

    channel = Recorder(local=True)
    partition = make_partition(Partitioning.HASH, [channel], 128, key=never)
    batch = RowBatch([1, 2])
    partition.write(batch)
    assert isinstance(partition, PassThrough)
    assert channel.elements == [batch]


def test_small_batches_to_another_worker_are_joined_until_flushed() -> None:
    channel = Recorder()
    partition = make_partition(Partitioning.FORWARD, [channel], 128)
    for n in range(3):
        partition.write(RowBatch([n]))
    assert channel.elements == []
    partition.write(RowBatch([3], [30]))
    assert channel.rows == [0, 1, 2]
    partition.flush()
    assert channel.rows == [0, 1, 2, 3]
    assert channel.elements[-1].timestamps == [30]  # type: ignore[union-attr]


@pytest.mark.parametrize("rule", [Partitioning.REBALANCE, Partitioning.RESCALE])
@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 7)), count=st.integers(2, 4))
def test_round_robin_deals_evenly_across_batches(rule: Partitioning, sizes: list[int], count: int) -> None:
    channels = _channels(count)
    partition = make_partition(rule, channels, 128, seed=3)
    total = 0
    for size in sizes:
        partition.write(RowBatch(list(range(total, total + size)), list(range(total, total + size))))
        total += size
    partition.flush()
    counts = [len(channel.rows) for channel in channels]
    assert sum(counts) == total
    assert max(counts) - min(counts) <= 1
    for channel in channels:
        assert channel.rows == sorted(channel.rows)
        assert all(row == time for row, time in channel.pairs)
        assert all(after - before == count for before, after in zip(channel.rows, channel.rows[1:], strict=False))


def test_round_robin_starts_elsewhere_in_other_subtasks() -> None:
    firsts = set()
    for seed in range(20):
        channels = _channels(4)
        partition = make_partition(Partitioning.REBALANCE, channels, 128, seed=seed)
        partition.write(RowBatch(["one"]))
        partition.flush()
        firsts.add(next(index for index, channel in enumerate(channels) if channel.rows))
    assert len(firsts) == 4


def test_shuffle_reaches_all_and_loses_nothing() -> None:
    channels = _channels(3)
    partition = make_partition(Partitioning.SHUFFLE, channels, 128, seed=1)
    partition.write(RowBatch(list(range(600)), list(range(600))))
    partition.flush()
    assert Counter(row for channel in channels for row, _ in channel.pairs) == Counter(range(600))
    assert all(len(channel.rows) > 100 for channel in channels)
    assert all(row == time for channel in channels for row, time in channel.pairs)


def test_broadcast_gives_each_consumer_a_list_of_its_own() -> None:
    channels = _channels(3)
    partition = make_partition(Partitioning.BROADCAST, channels, 128)
    partition.write(RowBatch([1, 2], [10, 20]))
    partition.flush()
    assert [channel.pairs for channel in channels] == [[(1, 10), (2, 20)]] * 3
    lists = [channel.elements[0].rows for channel in channels]  # type: ignore[union-attr]
    assert len({id(rows) for rows in lists}) == 3


def test_global_uses_the_first_consumer_and_ends_all() -> None:
    channels = _channels(3)
    partition = make_partition(Partitioning.GLOBAL, channels, 128)
    partition.write(RowBatch([1, 2]))
    channels[2].room = False
    assert partition.has_room()
    partition.send(EndOfData())
    assert [channel.rows for channel in channels] == [[1, 2], [], []]
    assert all(channel.elements[-1] == EndOfData() for channel in channels)


def _custom(choose: Callable[[Any, int], Any], count: int = 3) -> tuple[list[Recorder], Any]:
    channels = _channels(count)
    return channels, make_partition(Partitioning.CUSTOM, channels, 128, key=lambda row: row[0], choose=choose)


def test_a_custom_partitioner_gets_key_and_count() -> None:
    channels, partition = _custom(lambda key, count: key % count)
    partition.write(RowBatch([(n, "x") for n in range(9)]))
    partition.flush()
    assert [[n for n, _ in channel.rows] for channel in channels] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


@pytest.mark.parametrize("index", [-1, 3, None, "0", 1.0])
def test_a_custom_partitioner_that_leaves_the_range_is_told_so(index: Any) -> None:
    _, partition = _custom(lambda key, count: index)
    with pytest.raises(ProgramError, match="index from 0 to 2"):
        partition.write(RowBatch([("k", 1)]))


def test_control_elements_come_after_all_records_on_every_channel() -> None:
    channels = _channels(2)
    partition = make_partition(Partitioning.HASH, channels, 128, key=_identity)
    partition.write(RowBatch([1, 2, 3, 4]))
    partition.send(EndOfData())
    assert sorted(channels[0].rows + channels[1].rows) == [1, 2, 3, 4]
    assert all(channel.elements[-1] == EndOfData() for channel in channels)


def test_batches_with_and_without_times_do_not_mix() -> None:
    channels = _channels(2)
    partition = make_partition(Partitioning.HASH, channels, 128, key=_identity)
    partition.write(RowBatch([1, 1]))
    partition.write(RowBatch([1], [5]))
    partition.write(RowBatch([1]))
    partition.flush()
    (target,) = [channel for channel in channels if channel.rows]
    assert [(batch.rows, batch.timestamps) for batch in target.elements] == [  # type: ignore[union-attr]
        ([1, 1], None),
        ([1], [5]),
        ([1], None),
    ]
