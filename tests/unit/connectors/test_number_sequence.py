"""NumberSequenceSource."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.connectors.harness import check_positions, read_all
from yarnflow.functions.connectors.number_sequence import NumberSequenceSource


@given(start=st.integers(-10, 10), count=st.integers(1, 30), parallelism=st.integers(1, 8))
@settings(deadline=None, max_examples=50)
def test_every_number_once(start: int, count: int, parallelism: int) -> None:
    source = NumberSequenceSource(start, start + count - 1)
    assert read_all(source, parallelism) == list(range(start, start + count))
    assert read_all(source, parallelism, emit_columns=True) == list(range(start, start + count))


def test_parts_are_of_equal_size_and_none_is_empty() -> None:
    assert [s.end - s.position + 1 for s in NumberSequenceSource(1, 10).splits(4)] == [2, 3, 2, 3]  # type: ignore[attr-defined]
    assert len(NumberSequenceSource(1, 2).splits(4)) == 2


def test_resumes_at_any_position() -> None:
    for emit_columns in (False, True):
        source = NumberSequenceSource(0, 200_000)
        check_positions(source, source.splits(1)[0], emit_columns)


def test_the_end_is_included_and_must_not_be_before_the_start() -> None:
    assert read_all(NumberSequenceSource(3, 3)) == [3]
    with pytest.raises(ValueError, match=r"must not end \(2\) before it starts \(3\)"):
        NumberSequenceSource(3, 2)
