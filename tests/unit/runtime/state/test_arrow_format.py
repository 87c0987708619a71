from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.runtime.state.stored_state import same
from yarnflow.common.types import Row, RowKind
from yarnflow.errors import ProgramError
from yarnflow.functions.windows.window import TimeWindow
from yarnflow.runtime.state.arrow_format import encode, encoding_of, from_description


@dataclass(frozen=True)
class Point:
    x: int
    y: int


class Color(enum.Enum):
    RED = 1


class Text(str):
    pass


def round_trip(values: list[Any]) -> tuple[Any, list[Any]]:
    encoding, array = encode(values)
    field = encoding.field("value")
    read = encoding_of(field)
    assert read == encoding
    assert read.type == encoding.type == array.type
    return encoding.description(), read.decode(array)


@pytest.mark.parametrize(
    ("values", "description"),
    [
        ([1, -5, (1 << 63) - 1, -(1 << 63)], "int"),
        ([1, None, 3], "int"),
        ([1.5, float("nan"), float("-inf"), -0.0], "float"),
        ([None, 2.5], "float"),
        ([True, False, None], "bool"),
        (["", "ä", "漢", None, "\0"], "str"),
        ([b"", b"\xff\0", None], "bytes"),
        ([(1, "a"), (2, "b")], {"tuple": ["int", "str"]}),
        ([Row(1, "a"), Row(2, "b")], {"row": ["int", "str"], "names": None}),
        ([Row(x=1, y=(1, 2))], {"row": ["int", {"tuple": ["int", "int"]}], "names": ["x", "y"]}),
        ([[1, 2], [], [3]], {"list": "int"}),
        ([{"a": 1}, {}, {"c": 3, "b": 2}], {"dict": ["str", "int"]}),
        ([[{"a": [1.0]}]], {"list": {"dict": ["str", {"list": "float"}]}}),
        ([TimeWindow(0, 10), TimeWindow(0, 10), TimeWindow(10, 20)], "window"),
    ],
)
def test_values_of_one_simple_type_become_columns(values: list[Any], description: Any) -> None:
    found, back = round_trip(values)
    assert found == description
    assert same(back, values)
    assert from_description(json.loads(json.dumps(description))).description() == description


@pytest.mark.parametrize(
    "values",
    [
        [1, True],
        [0, 0.0],
        [1 << 63],
        [None, None],
        ["\ud800"],
        [Text("a")],
        [(1, 2), (1,)],
        [(1, 2), None],
        [()],
        [[], []],
        [[1, "a"]],
        [{None: 1}],
        [bytearray(b"x")],
        [Decimal("1.10"), Point(1, 2), Color.RED],
        [Row(1), Row(x=1)],
        [Row.of_kind(RowKind.DELETE, 1)],
        [TimeWindow(0, 1), None],
        [(1, {2})],
    ],
)
def test_everything_else_is_pickled_and_comes_back_the_same(values: list[Any]) -> None:
    found, back = round_trip(values)
    assert found == "pickle"
    assert same(back, values)


def test_what_contains_itself_is_pickled() -> None:
    knot: list[Any] = []
    knot.append(knot)
    found, back = round_trip([knot])
    assert found == "pickle"
    assert back[0][0] is back[0]


def test_objects_of_classes_that_cannot_be_imported_are_stored() -> None:
    @dataclass
    class Local:
        value: int

    assert [item.value for item in round_trip([Local(1), Local(2)])[1]] == [1, 2]


def test_what_cannot_be_pickled_is_named() -> None:
    with pytest.raises(ProgramError, match=r"a value of type builtins\.generator in state cannot be stored"):
        encode([1, (n for n in "ab")])


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3, 4],
        ["a", "b", None, "d"],
        [[1], [2, 3], [], [4]],
        [{"a": 1}, {}, {"b": 2, "c": 3}, {"d": 4}],
        [(1, "x"), (2, "y"), (3, "z"), (4, "")],
        [TimeWindow(n, n + 1) for n in range(4)],
        [{1}, {2}, {3}, {4}],
    ],
)
def test_parts_of_columns_are_decoded(values: list[Any]) -> None:
    encoding, array = encode(values)
    assert same(encoding.decode(array[1:3]), values[1:3])
    assert same(encoding.decode(array.filter(pa.array([True, False, True, True]))), [values[0], *values[2:]])
    assert encoding.decode(array[:0]) == []


def test_a_column_without_a_description_is_refused() -> None:
    with pytest.raises(ValueError, match="'value' does not say how"):
        encoding_of(pa.field("value", pa.int64()))
    with pytest.raises(ValueError, match="called 'zip'"):
        from_description("zip")


atoms = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.decimals(allow_nan=False)
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.none(), st.booleans()), inner, max_size=4),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: Row(*items)),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(lambda items: Row(**items)),
    ),
    max_leaves=6,
)
alike = st.one_of(
    st.lists(st.integers()),
    st.lists(st.one_of(st.none(), st.integers())),
    st.lists(st.floats()),
    st.lists(st.text()),
    st.lists(st.tuples(st.integers(), st.text(), st.floats())),
    st.lists(st.lists(st.integers())),
    st.lists(st.dictionaries(st.text(), st.lists(st.integers()))),
    st.lists(st.builds(Row, a=st.integers(), b=st.one_of(st.none(), st.text()))),
)


@given(st.one_of(alike, st.lists(values, max_size=8)))
def test_any_values_come_back_as_they_were(items: list[Any]) -> None:
    if items:
        assert same(round_trip(items)[1], items)
