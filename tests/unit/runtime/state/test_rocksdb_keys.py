from __future__ import annotations

import enum
import math
from collections import namedtuple
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yarnflow.common.types import Row
from yarnflow.runtime.state.rocksdb.keys import (
    decode_entry,
    decode_key,
    decode_value,
    encode_key,
    encode_record,
    is_exact,
    split,
    successor,
    with_length,
)


@dataclass(frozen=True)
class Point:
    x: int
    names: tuple[str, ...] = ()


class Colour(enum.Enum):
    RED = 1


class Size(enum.IntEnum):
    SMALL = 3


Pair = namedtuple("Pair", "a b")

# Without NumPy's: they compare with tuples item by item.
simple = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.fractions(),
    st.decimals(allow_nan=False),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=2))])),
    st.timedeltas(),
    st.complex_numbers(allow_nan=False, allow_infinity=False),
    st.sampled_from([Colour.RED, Size.SMALL]),
    st.builds(Point, st.integers(0, 3), st.tuples(st.text(max_size=1))),
)
keys = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.lists(inner, max_size=3).map(lambda values: Row(*values)),
        st.tuples(inner, inner).map(lambda pair: Row(a=pair[0], b=pair[1])),
        st.tuples(inner, inner).map(lambda pair: Row(b=pair[1], a=pair[0])),
        st.tuples(inner, inner).map(lambda pair: Pair(*pair)),
    ),
    max_leaves=4,
)


@given(keys, keys)
def test_equal_keys_and_only_they_have_equal_bytes(first: Any, second: Any) -> None:
    assert (encode_key(first) == encode_key(second)) == (first == second)


@given(keys, st.integers() | st.text() | st.lists(st.integers()))
def test_an_entry_comes_back_as_it_was(key: Any, value: Any) -> None:
    record = encode_record(key, value)
    assert decode_value(record) == value
    back, same = decode_entry(encode_key(key), record)
    assert (back, same) == (key, value)
    assert type(back) is type(key)


@given(keys)
def test_exact_keys_need_only_their_bytes(key: Any) -> None:
    if is_exact(key):
        back = decode_key(encode_key(key))
        assert back == key
        assert type(back) is type(key)


@pytest.mark.parametrize(
    "equal",
    [
        [1, 1.0, True, Decimal(1), Fraction(1), np.int8(1), np.float64(1), 1 + 0j, np.bool_(True)],
        [0.5, Fraction(1, 2), Decimal("0.50"), np.float32(0.5)],
        [0, -0.0, False],
        [10**30, Decimal(10**30), Fraction(10**30)],
        [math.inf, Decimal("inf"), np.inf],
        [(1, 2), Pair(1, 2), (1.0, 2)],
        ["a", np.str_("a")],
        [Row(a=1, b=2), Row(b=2, a=1)],
        [3, Size.SMALL],
        [
            datetime(2024, 1, 1, 12, tzinfo=timezone.utc),
            datetime(2024, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        ],
    ],
)
def test_keys_of_different_types_can_be_equal(equal: list[Any]) -> None:
    assert len(set(map(encode_key, equal))) == 1


def test_keys_that_look_alike_differ() -> None:
    alike = [
        1,
        "1",
        b"1",
        (1,),
        ((1,),),
        ("1",),
        Row(1),
        frozenset([1]),
        Colour.RED,
        None,
        "",
        b"",
        (),
        date(2024, 1, 1),
        datetime(2024, 1, 1),
        Point(1),
        -(10**30),
        10**30,
        Decimal("0.1"),
        0.1,
    ]
    assert len(set(map(encode_key, alike))) == len(alike)


def test_every_nan_is_the_same_key() -> None:
    assert encode_key(math.nan) == encode_key(float("-nan")) == encode_key(Decimal("nan"))


@given(st.lists(st.binary()))
def test_parts_with_a_length_come_apart_again(parts: list[bytes]) -> None:
    assert list(split(b"".join(map(with_length, parts)))) == parts


@given(st.binary(min_size=1), st.binary())
def test_the_successor_bounds_a_prefix(prefix: bytes, rest: bytes) -> None:
    if prefix.strip(b"\xff"):
        assert prefix + rest < successor(prefix)
        assert successor(prefix) > prefix
