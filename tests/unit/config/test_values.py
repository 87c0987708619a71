"""The text forms of values: what is read, what is refused, and that writing and reading are inverse."""

from __future__ import annotations

import pickle
from datetime import timedelta
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yarnflow.config import MemorySize
from yarnflow.config.values import (
    BOOLEAN,
    COMMA_LIST,
    DURATION,
    FLOAT,
    INTEGER,
    LIST,
    MAP,
    MEMORY,
    MEMORY_MB,
    PORT,
    PORTS,
    ValueType,
    enum_type,
    value_type,
)


class Colour(Enum):
    RED = "red"
    DARK_BLUE = "dark-blue"


def refuses(type: ValueType[object], text: str) -> bool:
    try:
        type.parse(text)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10 s", timedelta(seconds=10)),
        ("10s", timedelta(seconds=10)),
        ("1 min", timedelta(minutes=1)),
        ("2 m", timedelta(minutes=2)),
        ("500ms", timedelta(milliseconds=500)),
        ("1 h", timedelta(hours=1)),
        ("3 Days", timedelta(days=3)),
        ("250", timedelta(milliseconds=250)),
        (" 7 micros ", timedelta(microseconds=7)),
        ("2000 ns", timedelta(microseconds=2)),
        ("0", timedelta(0)),
    ],
)
def test_durations_are_written_as_in_flink(text: str, expected: timedelta) -> None:
    assert DURATION.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "s", "10 sx", "-5 s", "1.5 s", "1 s 2 ms", "10 s!", "1 ns", "9999999999999 d", "\u0663 s"]
)
def test_other_durations_are_refused(text: str) -> None:
    assert refuses(DURATION, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(seconds=90), "90 s"),
        (timedelta(minutes=2), "2 min"),
        (timedelta(0), "0 ms"),
        (timedelta(microseconds=1500), "1500 us"),
        (timedelta(days=1), "1 d"),
    ],
)
def test_durations_are_shown_in_the_largest_exact_unit(value: timedelta, text: str) -> None:
    assert DURATION.format(value) == text


@given(st.timedeltas(min_value=timedelta(0)))
def test_durations_survive_writing(value: timedelta) -> None:
    assert DURATION.parse(DURATION.format(value)) == value


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("1024b", 1024),
        ("1 k", 1 << 10),
        ("1024m", 1 << 30),
        ("1g", 1 << 30),
        ("2 GB", 2 << 30),
        ("3 mebibytes", 3 << 20),
        ("1tb", 1 << 40),
    ],
)
def test_memory_sizes_are_written_as_in_flink(text: str, size: int) -> None:
    assert MEMORY.parse(text).bytes == size


def test_a_bare_memory_size_has_the_unit_its_option_says() -> None:
    assert MEMORY.parse("1024").bytes == 1024
    assert MEMORY_MB.parse("1024").mebibytes == 1024
    assert MEMORY_MB.parse("1g").mebibytes == 1024


@pytest.mark.parametrize("text", ["", "m", "1.5g", "-1m", "1 x", "1g 5m", "ten"])
def test_other_memory_sizes_are_refused(text: str) -> None:
    assert refuses(MEMORY, text)


@given(st.integers(min_value=0, max_value=1 << 60))
def test_memory_sizes_survive_writing_and_pickling(size: int) -> None:
    value = MemorySize(size)
    assert MEMORY.parse(str(value)) == value
    assert MEMORY_MB.parse(str(value)) == value
    assert pickle.loads(pickle.dumps(value)) == value
    assert hash(MEMORY.parse(str(value))) == hash(value)


def test_a_memory_size_is_a_value() -> None:
    small, large = MemorySize.of_mebibytes(1536), MemorySize.parse("2g")
    assert (str(small), repr(large)) == ("1536m", "MemorySize(2147483648)")
    assert small < large
    assert small <= large
    assert large > small
    assert large >= small
    assert small != 1536
    with pytest.raises(AttributeError):
        small._bytes = 1
    with pytest.raises(ValueError, match="negative"):
        MemorySize(-1)


@pytest.mark.parametrize("text", ["1.0", "1_000", "", "\u0663", "0x10", "true"])
def test_other_integers_are_refused(text: str) -> None:
    assert refuses(INTEGER, text)


@pytest.mark.parametrize("text", ["nan", "inf", "1_0", "", "x"])
def test_other_numbers_are_refused(text: str) -> None:
    assert refuses(FLOAT, text)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("TRUE", True), (" False ", False)])
def test_booleans(text: str, value: bool) -> None:
    assert BOOLEAN.parse(text) is value


@pytest.mark.parametrize("text", ["yes", "1", "on", ""])
def test_other_booleans_are_refused(text: str) -> None:
    assert refuses(BOOLEAN, text)


@given(st.integers())
def test_integers_survive_writing(value: int) -> None:
    assert INTEGER.parse(INTEGER.format(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_writing(value: float) -> None:
    assert FLOAT.parse(FLOAT.format(value)) == value


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a;b", ("a", "b")),
        (" a ; b ;", ("a", "b")),
        ("'a;b';c", ("a;b", "c")),
        ('\'it\'\'s\';"say ""so"""', ("it's", 'say "so"')),
        ("''", ("",)),
        ("", ()),
        ("[a, 'b, c', d]", ("a", "b, c", "d")),
        ("[]", ()),
        ("it's;b", ("it's", "b")),
    ],
)
def test_lists(text: str, items: tuple[str, ...]) -> None:
    assert LIST.parse(text) == items


def test_pyflinks_lists_separate_with_commas() -> None:
    assert COMMA_LIST.parse("a.py,b.zip#env") == ("a.py", "b.zip#env")


def test_a_quote_that_is_not_closed_is_refused() -> None:
    with pytest.raises(ValueError, match="not closed"):
        LIST.parse("'a;b")


@given(st.lists(st.text()))
def test_lists_survive_writing(items: list[str]) -> None:
    assert LIST.parse(LIST.format(items)) == tuple(items)
    assert COMMA_LIST.parse(COMMA_LIST.format(items)) == tuple(items)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("k:v,k2:v2", {"k": "v", "k2": "v2"}),
        ("{k: v, k2: 'a,b'}", {"k": "v", "k2": "a,b"}),
        ("url:http://host:1", {"url": "http://host:1"}),
        ("", {}),
    ],
)
def test_maps(text: str, entries: dict[str, str]) -> None:
    assert MAP.parse(text) == entries


def test_a_map_entry_needs_a_colon() -> None:
    with pytest.raises(ValueError, match="':'"):
        MAP.parse("k")


@given(st.dictionaries(st.text(), st.text()))
def test_maps_survive_writing(entries: dict[str, str]) -> None:
    assert MAP.parse(MAP.format(entries)) == entries


@pytest.mark.parametrize(
    ("text", "ports"),
    [("8081", (8081,)), ("50100,50101", (50100, 50101)), ("5-7, 9", (5, 6, 7, 9)), ("0", (0,))],
)
def test_ports(text: str, ports: tuple[int, ...]) -> None:
    assert PORTS.parse(text) == ports


@pytest.mark.parametrize("text", ["65536", "-1", "9-7", "", "a", "1-2-3"])
def test_other_ports_are_refused(text: str) -> None:
    for ports in (PORT, PORTS):
        assert refuses(ports, text)


@given(st.lists(st.integers(min_value=0, max_value=65535), min_size=1))
def test_ports_survive_writing(ports: list[int]) -> None:
    assert PORTS.parse(PORTS.format(ports)) == tuple(ports)


@pytest.mark.parametrize("text", ["dark-blue", "DARK_BLUE", "Dark-Blue", " dark_blue "])
def test_enums_are_read_by_name_or_value_in_any_case(text: str) -> None:
    assert enum_type(Colour).parse(text) is Colour.DARK_BLUE


def test_enums_are_written_by_value_and_take_aliases() -> None:
    colours = enum_type(Colour, {"crimson": Colour.RED})
    assert colours.parse("crimson") is Colour.RED
    assert colours.format(Colour.RED) == "red"
    with pytest.raises(ValueError, match="green"):
        colours.parse("green")


def test_a_python_type_stands_for_its_value_type() -> None:
    assert value_type(timedelta) is DURATION
    assert value_type(LIST) is LIST
    assert value_type(Colour).accepts == "one of red, dark-blue"
