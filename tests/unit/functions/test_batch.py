"""Batches of Python objects."""

from __future__ import annotations

from yarnflow.functions.batch import RowBatch


def test_a_batch_of_rows_is_iterated_like_its_rows() -> None:
    batch = RowBatch(["a", "b"], [1, 2])
    assert list(batch) == ["a", "b"]
    assert len(batch) == 2
