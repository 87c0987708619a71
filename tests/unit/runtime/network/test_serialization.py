"""Records arrive with the types they left with."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yarnflow.common.types import Row
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import RowBatch
from yarnflow.runtime.network.elements import EndOfData
from yarnflow.runtime.network.serialization import decode, dump_object, encode


class Point(NamedTuple):
    x: int
    y: int


class Name(str):
    __slots__ = ()


def _round(rows: list[Any], times: list[int] | None = None) -> RowBatch:
    batch = RowBatch(rows, times)
    kind, payload = encode(batch)
    back = decode(kind, payload, len(rows))
    assert isinstance(back, RowBatch)
    return back


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.lists(_VALUES), st.booleans())
def test_rows_and_timestamps_survive(rows: list[Any], timed: bool) -> None:
    times = list(range(-1, len(rows) - 1)) if timed else None
    back = _round(rows, times)
    assert back.rows == rows
    assert [type(row) for row in back.rows] == [type(row) for row in rows]
    assert back.timestamps == times


@pytest.mark.parametrize(
    "row",
    [
        Point(1, 2),
        Name("x"),
        bytearray(b"x"),
        np.int64(3),
        np.float32(1.5),
        Row(a=1, b="x"),
        Row(1, 2),
        collections.OrderedDict(a=1),
        True,
        (True, Name("y")),
    ],
    ids=lambda row: type(row).__name__,
)
def test_subclasses_and_buffers_keep_their_type_wherever_they_stand(row: Any) -> None:
    flat = [("word", 1)] * 9
    for rows in ([row] * 3, [*flat[:2], row, *flat], [*flat, row]):
        back = _round(rows).rows
        assert back == rows
        assert [type(value) for value in back] == [type(value) for value in rows]
        if type(row) is tuple:
            assert [type(value) for value in back[-1]] == [type(value) for value in rows[-1]]


def test_a_cyclic_record_among_flat_ones_takes_the_slow_way() -> None:
    cycle: list[Any] = [1]
    cycle.append(cycle)
    rows = [("a", 1), (cycle, 2), ("b", 3), ("c", 4), ("d", 5)]
    back = _round(rows).rows
    assert back[0] == ("a", 1)
    assert back[1][0][1] is back[1][0]


def test_objects_of_local_classes_travel() -> None:
    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

    assert _round([Local(4)]).rows[0].value == 4


def test_what_cannot_be_pickled_is_named() -> None:
    generator: Callable[[], Any] = lambda: (x for x in ())  # noqa: E731
    with pytest.raises(ProgramError, match=r"cannot be sent to another process.*generator"):
        dump_object([generator()])


class Stubborn:
    """Refuses to be pickled in its own way."""

    def __reduce__(self) -> Any:
        raise RuntimeError("I stay here")


def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(("make", "text"), [(Stubborn, "I stay here"), (_deep, "recursion")])
def test_whatever_pickling_raises_is_the_programs_fault(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ProgramError, match=rf"cannot be sent to another process.*{text}"):
        encode(RowBatch([1, make(), 1, 1]))


def test_control_elements_survive() -> None:
    kind, payload = encode(EndOfData())
    assert decode(kind, payload, 0) == EndOfData()
