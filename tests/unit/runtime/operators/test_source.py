"""Reading splits: who reads which, in which order, and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.runtime.operators.harness import operator_context
from yarnflow.errors import FileMissingError, ProgramError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.source import Availability, Source, Split, SplitReader
from yarnflow.graph.operators import Operator, SourceSpec
from yarnflow.runtime.operators.source import SourceOperator, assigned_splits


class Listing(Source):
    """Splits by name; each reader gives its items one by one (an item may be an Availability)."""

    def __init__(self, items: dict[str, list[Any]], bounded: bool = True, interval: float | None = None) -> None:
        self.items = items
        self.bounded = bounded
        self.interval = interval
        self.closed: list[str] = []

    def splits(self, parallelism: int) -> Sequence[Split]:
        return [Split(name) for name in self.items]

    def discovery_interval(self) -> float | None:
        return self.interval

    def open(self, split: Split) -> SplitReader:
        return _Reader(self, split)


class _Reader(SplitReader):
    def __init__(self, source: Listing, split: Split) -> None:
        self.source = source
        self.items = list(source.items[split.split_id])
        self._split = split

    def poll(self) -> Batch | Availability:
        if not self.items:
            return Availability.END_OF_SPLIT if self.source.bounded else Availability.NOTHING_YET
        item = self.items.pop(0)
        return item if isinstance(item, Availability) else RowBatch([item])

    def split(self) -> Split:
        return self._split

    def close(self) -> None:
        self.source.closed.append(self._split.split_id)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(
    source: Source, index: int = 0, parallelism: int = 1, watermarks: Any = None
) -> tuple[SourceOperator, list[Any], Clock]:
    context = operator_context(index, parallelism)
    clock = Clock()
    operator = SourceOperator(Operator("0" * 32, "Source", SourceSpec(source, watermarks)), context, clock)
    out: list[Any] = []
    operator.emit = out.append
    operator.open()
    return operator, out, clock


def rows(out: list[Any]) -> list[Any]:
    return [row for batch in out for row in batch.rows]


def test_bounded_splits_are_read_one_after_the_other() -> None:
    source = Listing({"a": [1, Availability.NOTHING_YET, 2], "b": [3]})
    operator, out, _ = make(source)
    for _ in range(10):
        operator.poll()
    assert rows(out) == [1, 2, 3]
    assert operator.ended
    assert source.closed == ["a", "b"]


def test_unbounded_splits_take_turns_and_never_end() -> None:
    operator, out, _ = make(Listing({"a": [1, 2, 3], "b": [10, 20]}, bounded=False))
    while operator.poll():
        pass
    assert sorted(rows(out)) == [1, 2, 3, 10, 20]
    assert rows(out)[:4] != [1, 2, 3, 10]
    assert not operator.ended
    operator.close()


@pytest.mark.parametrize("parallelism", [1, 2, 3, 7])
@pytest.mark.parametrize("interval", [None, 1.0])
def test_every_split_has_exactly_one_subtask(parallelism: int, interval: float | None) -> None:
    source = Listing({f"split {n}": [] for n in range(10)}, interval=interval)
    found = [
        split.split_id for index in range(parallelism) for split in assigned_splits(source, index, parallelism)
    ]
    assert sorted(found) == sorted(source.items)


def test_a_subtask_reads_every_pth_split() -> None:
    source = Listing({str(n): [] for n in range(5)})
    assert [split.split_id for split in assigned_splits(source, 1, 2)] == ["1", "3"]


def test_new_splits_are_found_once_and_old_ones_keep_their_subtask() -> None:
    source = Listing({"a": [1]}, bounded=False, interval=5.0)
    operator, out, clock = make(source)
    while operator.poll():
        pass
    source.items["b"] = [2]
    operator.poll()
    assert rows(out) == [1]
    assert operator.next_wakeup() == 5.0
    clock.now = 5.0
    while operator.poll():
        pass
    clock.now = 10.0
    while operator.poll():
        pass
    assert rows(out) == [1, 2]
    before = {split.split_id: index for index in range(3) for split in assigned_splits(source, index, 3)}
    source.items["aa"] = []
    after = {split.split_id: index for index in range(3) for split in assigned_splits(source, index, 3)}
    assert {name: after[name] for name in before} == before


def test_a_subtask_without_splits_ends_at_once() -> None:
    operator, out, _ = make(Listing({"a": [1]}), index=1, parallelism=2)
    assert operator.poll()
    assert operator.ended
    assert out == []


def test_open_readers_are_closed_after_a_failure() -> None:
    source = Listing({"a": [1, 2]})
    operator, _, _ = make(source)
    operator.poll()
    operator.close()
    operator.close()
    assert source.closed == ["a"]


def test_a_source_that_returns_something_else_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    operator, _, _ = make(Listing({"a": [1]}))
    monkeypatch.setattr(_Reader, "poll", lambda reader: 5)
    with pytest.raises(ProgramError, match=r"poll\(\) of _Reader returned 5: it must return a RowBatch"):
        operator.poll()
    monkeypatch.setattr(Listing, "splits", lambda source, parallelism: 5)
    with pytest.raises(ProgramError, match=r"splits\(\) of Listing returned 5: it must return a list"):
        assigned_splits(Listing({}), 0, 1)


class Missing(Listing):
    """Its input is not there."""

    def splits(self, parallelism: int) -> Sequence[Split]:
        raise FileMissingError("no such file or directory: file:///nowhere", "/nowhere")


def test_an_input_that_never_was_there_is_not_looked_for_again() -> None:
    with pytest.raises(ProgramError, match=r"the input of .* is not there: no such file"):
        make(Missing({}))
