from __future__ import annotations

import pickle
from typing import Any

import pytest

from yarnflow.common import Row, RowKind, TypeInformation, Types
from yarnflow.common.typeinfo import RowTypeInfo

PERSON = Types.ROW_NAMED(["name", "age"], [Types.STRING(), Types.INT()])


def test_types_are_shown_as_in_pyflink() -> None:
    assert repr(Types.TUPLE([Types.STRING(), Types.LONG()])) == "TupleTypeInfo(String, Long)"
    assert repr(PERSON) == "RowTypeInfo(name: String, age: Integer)"
    assert repr(Types.ROW([Types.BIG_DEC()])) == "RowTypeInfo(BigDecimal)"
    assert (
        repr(Types.MAP(Types.STRING(), Types.LIST(Types.BOOLEAN())))
        == "MapTypeInfo<String, ListTypeInfo<Boolean>>"
    )
    assert repr(Types.PICKLED_BYTE_ARRAY()) == "PickledByteArrayTypeInfo"
    assert repr(Types.SQL_TIMESTAMP()) == "TimestampTypeInfo"


ALL = [
    Types.STRING(), Types.BYTE(), Types.BOOLEAN(), Types.SHORT(), Types.INT(), Types.LONG(), Types.FLOAT(),
    Types.DOUBLE(), Types.CHAR(), Types.BIG_INT(), Types.BIG_DEC(), Types.INSTANT(), Types.SQL_DATE(),
    Types.SQL_TIME(), Types.SQL_TIMESTAMP(), Types.PICKLED_BYTE_ARRAY(), PERSON, Types.TUPLE([Types.INT()]),
    Types.PRIMITIVE_ARRAY(Types.INT()), Types.BASIC_ARRAY(Types.STRING()), Types.OBJECT_ARRAY(PERSON),
    Types.MAP(Types.INT(), Types.INT()), Types.LIST(Types.INT()),
]  # fmt: skip


def test_types_are_equal_by_value_and_differ_from_each_other() -> None:
    assert len(set(ALL)) == len(ALL)
    for one in ALL:
        again = pickle.loads(pickle.dumps(one))
        assert again == one
        assert hash(again) == hash(one)
    assert Types.ROW([Types.STRING(), Types.INT()]) == PERSON, "names do not count, as in PyFlink"


def test_row_types_answer_about_their_fields() -> None:
    assert PERSON.get_field_names() == ["name", "age"]
    assert PERSON.get_field_index("age") == 1
    assert PERSON.get_field_types() == [Types.STRING(), Types.INT()]
    assert Types.ROW([Types.INT()] * 2).get_field_names() == ["f0", "f1"]
    assert Types.ROW([Types.INT()]).get_field_index("f0") == -1


def test_wrong_types_are_refused_where_they_are_written() -> None:
    with pytest.raises(TypeError, match="a primitive array cannot hold String"):
        Types.PRIMITIVE_ARRAY(Types.STRING())
    with pytest.raises(TypeError, match="field 1 must be a type"):
        Types.TUPLE([Types.INT(), int])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="2 names, 1 types"):
        RowTypeInfo([Types.INT()], ["a", "b"])


class Person:
    def __init__(self) -> None:
        self.age, self.name = 11, "Alice"


@pytest.mark.parametrize(
    "value",
    [
        ("Alice", 11),
        ["Alice", 11],
        {"age": 11, "name": "Alice"},
        Row("Alice", 11),
        Row(age=11, name="Alice"),
        Person(),
    ],
)
def test_a_row_type_makes_rows_with_its_names(value: Any) -> None:
    convert = PERSON.converter()
    assert convert is not None
    row = convert(value)
    assert row == Row(name="Alice", age=11)
    assert row._fields == ("name", "age")


def test_a_row_that_fits_stays_the_same_object_and_keeps_its_kind() -> None:
    convert = PERSON.converter()
    assert convert is not None
    row = Row(name="a", age=1)
    assert convert(row) is row
    assert convert(Row.of_kind(RowKind.DELETE, "a", 1)) == Row.of_kind(RowKind.DELETE, name="a", age=1)
    assert convert(None) is None


def convert_with(type_info: TypeInformation, value: Any) -> Any:
    convert = type_info.converter()
    assert convert is not None
    return convert(value)


def test_a_tuple_type_makes_tuples_also_inside_others() -> None:
    pair = Types.TUPLE([Types.STRING(), Types.INT()])
    assert convert_with(pair, ["a", 1]) == ("a", 1)
    assert convert_with(pair, Row("a", 1)) == ("a", 1)
    assert convert_with(Types.LIST(pair), [["a", 1]]) == [("a", 1)]
    assert convert_with(Types.ROW([pair]), [["a", 1]]) == Row(f0=("a", 1))
    unchanged = ("a", 1)
    assert convert_with(pair, unchanged) is unchanged


@pytest.mark.parametrize("value", ["ab", ("a",), ("a", 1, 2), 5])
def test_what_cannot_have_the_shape_is_an_error(value: Any) -> None:
    with pytest.raises(TypeError, match="TupleTypeInfo"):
        convert_with(Types.TUPLE([Types.STRING(), Types.INT()]), value)
    with pytest.raises(TypeError, match="RowTypeInfo"):
        convert_with(PERSON, value)


def test_simple_types_leave_values_alone() -> None:
    for type_info in (Types.INT(), Types.STRING(), Types.LIST(Types.INT()), Types.PICKLED_BYTE_ARRAY()):
        assert type_info.converter() is None
