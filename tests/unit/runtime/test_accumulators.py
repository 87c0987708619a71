from __future__ import annotations

import pickle

import pytest

from yarnflow.errors import ProgramError
from yarnflow.functions.accumulators import Histogram, IntCounter, IntMinimum, ListAccumulator
from yarnflow.runtime.accumulators import merge_accumulators, plain_accumulators


def counter(value: int) -> IntCounter:
    accumulator = IntCounter()
    accumulator.add(value)
    return accumulator


def subtask(lines: int, least: int) -> bytes:
    minimum, words, lengths = IntMinimum(), ListAccumulator(), Histogram()
    minimum.add(least)
    words.add(f"word{lines}")
    lengths.add(least)
    return pickle.dumps({"lines": counter(lines), "least": minimum, "words": words, "lengths": lengths})


def test_the_client_gets_what_merged_accumulators_hold() -> None:
    expected = {"lines": 5, "least": 4, "words": ["word2", "word3"], "lengths": {4: 1, 7: 1}}
    assert merge_accumulators([subtask(2, 7), subtask(3, 4)]) == expected
    assert plain_accumulators([subtask(2, 7), subtask(3, 4)]) == expected
    assert merge_accumulators([subtask(2, 7)])["lines"] == 2


class Own:
    """An accumulator of a program's own."""

    def __init__(self, value: int) -> None:
        self.value = value

    def merge(self, other: Own) -> Own:
        return Own(self.value + other.value)


def test_plain_values_and_own_classes_merge_too() -> None:
    parts = [pickle.dumps({"n": 1, "own": Own(1)}), pickle.dumps({"n": 2, "own": Own(2)})]
    merged = merge_accumulators(parts)
    assert (merged["n"], merged["own"].value) == (3, 3)
    assert plain_accumulators(parts) == {}, "nothing of a program's classes is opened where its code must not run"


def test_values_that_do_not_go_together_are_an_error() -> None:
    with pytest.raises(ProgramError, match="accumulator 'n': a int and a str cannot be merged"):
        merge_accumulators([pickle.dumps({"n": 1}), pickle.dumps({"n": "x"})])
