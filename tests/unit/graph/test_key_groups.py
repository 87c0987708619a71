from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yarnflow.common import Row
from yarnflow.errors import ProgramError
from yarnflow.graph.key_groups import (
    default_max_parallelism,
    key_group,
    key_groups_of,
    mix,
    stable_hash,
    subtask_for_key,
    subtask_of,
)

ROOT = Path(__file__).resolve().parents[3]

simple_keys = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates(), st.datetimes(),
    st.timedeltas(), st.uuids(), st.decimals(allow_nan=False), st.fractions(),
)  # fmt: skip
keys = st.recursive(simple_keys, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8)


@given(keys, st.integers(1, 32768))
def test_every_key_has_a_group(key: Any, max_parallelism: int) -> None:
    assert 0 <= key_group(key, max_parallelism) < max_parallelism
    assert 0 <= stable_hash(key) < 2**32


@given(keys, st.integers(1, 200), st.integers(0, 500))
def test_a_key_goes_to_the_subtask_that_owns_its_group(key: Any, parallelism: int, more: int) -> None:
    max_parallelism = parallelism + more
    subtask = subtask_for_key(key, parallelism, max_parallelism)
    group = key_group(key, max_parallelism)
    assert subtask == subtask_of(group, parallelism, max_parallelism)
    assert group in key_groups_of(subtask, parallelism, max_parallelism)


@given(st.integers(1, 300), st.integers(0, 700))
def test_key_groups_are_divided_without_gap_or_overlap(parallelism: int, more: int) -> None:
    max_parallelism = parallelism + more
    ranges = [key_groups_of(index, parallelism, max_parallelism) for index in range(parallelism)]
    assert [group for groups in ranges for group in groups] == list(range(max_parallelism))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


@given(st.integers())
def test_equal_numbers_have_equal_hashes(number: int) -> None:
    equal: list[Any] = [Decimal(number), Fraction(number)]
    if abs(number) < 2**53:
        equal += [float(number), complex(number), np.float64(number), np.int64(number)]
    for other in equal:
        assert other == number
        assert stable_hash(other) == stable_hash(number)


class Color(str, Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Plain(Enum):
    A = 1


class Point(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True)
class Flight:
    carrier: str
    stops: tuple[str, ...] = ()


@pytest.mark.parametrize(
    "equal",
    [
        (1, 1.0, True, Level.LOW, np.int32(1), np.True_),
        (0, 0.0, -0.0, False),
        ("red", Color.RED, np.str_("red")),
        ((1, 2), (1.0, 2.0), Point(1, 2)),
        (Row(a=1, b=2), Row(b=2, a=1)),
        (frozenset({1, 2}), frozenset({2.0, 1.0})),
        (Flight("UA", ("EWR",)), Flight("U" + "A", ("EW" + "R",))),
        (
            datetime(2024, 1, 1, 12, tzinfo=timezone.utc),
            datetime(2024, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        ),
        (time(12, tzinfo=timezone.utc), time(14, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_equal_keys_have_equal_hashes(equal: tuple[Any, ...]) -> None:
    assert all(value == equal[0] for value in equal)
    assert len({stable_hash(value) for value in equal}) == 1


def test_different_keys_mostly_differ() -> None:
    different: list[Any] = [
        None, 0, 1, -1, "0", "1", b"2", (), (1,), (1, 2), (2, 1), ((1,), 2), Row(3), Plain.A, Flight("UA"),
        Flight("AA"), date(2024, 1, 1), datetime(2024, 1, 1), timedelta(1), UUID(int=5), 0.5, float("nan"),
    ]  # fmt: skip
    assert len({stable_hash(key) for key in different}) == len(different)


def test_regular_integers_spread_over_key_groups() -> None:
    for step in (1, 2, 128, 1000, 1 << 20, 1 << 40):
        groups = {key_group(index * step, 128) for index in range(2000)}
        assert len(groups) > 110, step


def test_mix_is_what_vectorised_code_computes() -> None:
    values = np.array([0, 1, -2, 5, 2**61, -(2**63), 2**63 - 1], dtype=np.int64)
    bits = values.view(np.uint64)
    with np.errstate(over="ignore"):
        mixed = ((bits ^ (bits >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    assert mixed.tolist() == [mix(int(value)) for value in values]


class Identity:
    pass


class Changeable:
    def __eq__(self, other: object) -> bool:
        return True


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ([1], "list cannot be hashed because it can change"),
        ({}, "dict cannot be hashed"),
        ({1}, "set cannot be hashed"),
        ((1, [2]), "list cannot be hashed"),
        (Changeable(), "Changeable cannot be hashed"),
        (Identity(), "Identity is only equal to itself"),
    ],
)
def test_what_cannot_be_a_key_is_refused_with_the_reason(key: Any, reason: str) -> None:
    with pytest.raises(ProgramError, match=reason):
        stable_hash(key)


def test_hashes_are_the_same_in_every_process() -> None:
    program = """
import json
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from uuid import UUID
from yarnflow.common import Row
from yarnflow.graph.key_groups import stable_hash

@dataclass(frozen=True)
class Flight:
    carrier: str
    parts: frozenset

class Plain(Enum):
    A = 1

keys = [None, 1, -1, 2.5, "text", b"bytes", ("a", (1, None)), Row(b="x", a=1), frozenset({"a", "b", "c"}), Plain.A,
        date(2024, 2, 29), datetime(2024, 2, 29, 1, 2, 3), UUID(int=7), Flight("UA", frozenset({"p", "q", "r"}))]
print(json.dumps([stable_hash(key) for key in keys]))
"""
    answers = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                check=True,
                timeout=60,
            ).stdout
        )
        for seed in ("0", "1", "4711")
    ]
    assert answers[0] == answers[1] == answers[2]
    # Written down so that a change of the hash, which would strand stored state, is noticed.
    assert answers[0][:5] == [stable_hash(key) for key in (None, 1, -1, 2.5, "text")]
    assert [stable_hash(key) for key in (1, "text", ("a", 1))] == KNOWN


KNOWN = [2654435769, 93710661, 2260936699]


@pytest.mark.parametrize(
    ("parallelism", "expected"),
    [(1, 128), (85, 128), (86, 256), (128, 256), (200, 512), (21845, 32768), (30000, 32768)],
)
def test_the_derived_maximum_parallelism_is_flinks(parallelism: int, expected: int) -> None:
    assert default_max_parallelism(parallelism) == expected
