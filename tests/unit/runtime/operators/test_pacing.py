"""Slow functions get small pieces, fast ones whole batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.runtime.operators.pacing import FIRST_PIECE, GROWTH, PIECE_TIME, Pacer


class Consumer:
    """Takes `cost` seconds per record."""

    def __init__(self, cost: float) -> None:
        self.now = 0.0
        self.cost = cost
        self.pieces: list[RowBatch] = []

    def clock(self) -> float:
        return self.now

    def take(self, batch: Batch) -> None:
        assert isinstance(batch, RowBatch)
        self.pieces.append(batch)
        self.now += self.cost * len(batch)


def feed(consumer: Consumer, *lengths: int) -> None:
    pacer = Pacer(consumer.clock)
    number = 0
    for length in lengths:
        rows = list(range(number, number + length))
        number += length
        pacer.offer(RowBatch(rows, [10 * row for row in rows]), consumer.take)
        while pacer.waiting:
            pacer.go_on()


@given(st.lists(st.integers(0, 5000), max_size=5), st.sampled_from([0.0, 1e-7, 1e-4, 0.01, 1.0]))
def test_every_record_is_passed_on_once_in_order_with_its_time(lengths: list[int], cost: float) -> None:
    consumer = Consumer(cost)
    feed(consumer, *lengths)
    rows = [row for piece in consumer.pieces for row in piece.rows]
    assert rows == list(range(sum(lengths)))
    assert [time for piece in consumer.pieces for time in piece.timestamps or ()] == [10 * row for row in rows]


def test_pieces_for_a_slow_function_take_a_bounded_time() -> None:
    consumer = Consumer(0.01)
    feed(consumer, 4096)
    assert all(len(piece) * consumer.cost <= PIECE_TIME for piece in consumer.pieces[1:])
    assert len(consumer.pieces[0]) == FIRST_PIECE
    # A function that takes longer than a piece should still gets its records, one by one.
    consumer = Consumer(1.0)
    feed(consumer, 20)
    assert {len(piece) for piece in consumer.pieces[1:]} == {1}


def test_a_fast_function_soon_gets_whole_batches() -> None:
    consumer = Consumer(1e-7)
    feed(consumer, *[4096] * 20)
    assert len(consumer.pieces) <= 20 + 4
    assert len(consumer.pieces[-1]) == 4096


def test_a_function_that_becomes_slow_gets_smaller_pieces_at_once() -> None:
    consumer = Consumer(1e-6)
    pacer = Pacer(consumer.clock)
    pacer.offer(RowBatch([1] * FIRST_PIECE), consumer.take)
    consumer.cost = 0.01
    pacer.offer(RowBatch([1] * (FIRST_PIECE * GROWTH)), consumer.take)
    pacer.offer(RowBatch([1] * 100), consumer.take)
    assert pacer.waiting
    assert len(consumer.pieces[-1]) <= PIECE_TIME / consumer.cost
    pacer.drop()
    assert not pacer.waiting
