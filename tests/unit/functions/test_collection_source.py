from __future__ import annotations

import pickle
import threading

import pytest

from yarnflow.errors import SerializationError
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.collection_source import BATCH_SIZE, CollectionSource
from yarnflow.functions.source import Availability, SplitReader


def read_all(reader: SplitReader) -> list[object]:
    rows: list[object] = []
    while not isinstance(batch := reader.poll(), Availability):
        assert isinstance(batch, RowBatch)
        rows += batch.rows
    assert batch is Availability.END_OF_SPLIT
    return rows


@pytest.mark.parametrize("parallelism", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [0, 1, 5, 2 * BATCH_SIZE + 1])
def test_the_splits_of_all_subtasks_hold_every_record_once(size: int, parallelism: int) -> None:
    source: CollectionSource = pickle.loads(pickle.dumps(CollectionSource(range(size))))
    splits = source.splits(parallelism)
    assert len({split.split_id for split in splits}) == parallelism
    assert [row for split in splits for row in read_all(source.open(split))] == list(range(size))


def test_a_reader_resumes_where_another_stood() -> None:
    source = CollectionSource(range(3 * BATCH_SIZE))
    reader = source.open(source.splits(1)[0])
    first = reader.poll()
    assert isinstance(first, RowBatch)
    assert first.rows + read_all(source.open(reader.split())) == list(range(3 * BATCH_SIZE))


def test_later_changes_to_the_list_have_no_effect() -> None:
    rows = [[1], [2]]
    source = CollectionSource(rows)
    rows[0].append(99)
    assert read_all(source.open(source.splits(1)[0])) == [[1], [2]]


def test_what_cannot_be_pickled_is_named() -> None:
    with pytest.raises(SerializationError, match=r"record 1 \(lock\) cannot be pickled"):
        CollectionSource([1, threading.Lock()])
