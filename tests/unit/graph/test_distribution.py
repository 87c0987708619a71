from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yarnflow.graph.distribution import consumers_of, producers_of
from yarnflow.graph.job_graph import Partitioning

counts = st.integers(1, 60)


@given(st.sampled_from(Partitioning), counts, counts)
def test_both_ends_agree_on_who_is_connected(partitioning: Partitioning, producers: int, consumers: int) -> None:
    from_producers = {
        (producer, consumer)
        for producer in range(producers)
        for consumer in consumers_of(partitioning, producer, producers, consumers)
    }
    from_consumers = {
        (producer, consumer)
        for consumer in range(consumers)
        for producer in producers_of(partitioning, consumer, producers, consumers)
    }
    assert from_producers == from_consumers
    assert {producer for producer, _ in from_producers} == set(range(producers))
    assert {consumer for _, consumer in from_producers} == set(range(consumers))


def test_forward_connects_equal_indices() -> None:
    assert [list(consumers_of(Partitioning.FORWARD, index, 3, 3)) for index in range(3)] == [[0], [1], [2]]


def test_rescale_gives_each_side_its_share_as_flink_does() -> None:
    assert [list(consumers_of(Partitioning.RESCALE, index, 2, 4)) for index in range(2)] == [[0, 1], [2, 3]]
    assert [list(consumers_of(Partitioning.RESCALE, index, 3, 4)) for index in range(3)] == [[0, 1], [2], [3]]
    assert [list(producers_of(Partitioning.RESCALE, index, 5, 2)) for index in range(2)] == [[0, 1], [2, 3, 4]]


def test_all_others_connect_everybody() -> None:
    assert list(consumers_of(Partitioning.HASH, 1, 2, 3)) == [0, 1, 2]
    assert list(producers_of(Partitioning.BROADCAST, 1, 2, 3)) == [0, 1]
