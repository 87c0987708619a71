from __future__ import annotations

import copy
import pickle

import pytest

from yarnflow.common import Row, RowKind


def test_named_fields_are_read_by_name_position_and_attribute() -> None:
    row = Row(name="Alice", age=11)
    assert (row.name, row["age"], row[0], list(row), len(row)) == ("Alice", 11, "Alice", ["Alice", 11], 2)
    assert row[0:2] == ["Alice", 11]
    assert "name" in row
    assert "Alice" not in row
    assert "Alice" in Row("Alice", 11)


def test_unknown_fields_are_refused_as_in_pyflink() -> None:
    with pytest.raises(ValueError, match=r"no field 'b': the row has the fields \['a'\]"):
        Row(a=1)["b"]
    with pytest.raises(ValueError, match="no field names"):
        Row(1)["b"]
    with pytest.raises(AttributeError):
        Row(a=1).b
    with pytest.raises(AttributeError):
        Row(1).other = 2  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="not both"):
        Row(1, a=2)


def test_values_can_be_replaced_by_name_and_position() -> None:
    row = Row(a=1, b=2)
    row["a"] = 10
    row[1] = 20
    assert row == Row(a=10, b=20)


def test_a_row_of_names_makes_rows_with_these_names() -> None:
    person = Row("name", "age")
    assert person("Bob", 12) == Row(name="Bob", age=12)
    with pytest.raises(ValueError, match="names 2 fields"):
        person(1, 2, 3)


def test_rows_show_what_is_in_them() -> None:
    assert repr(Row(1, "x")) == "<Row(1, 'x')>"
    assert repr(Row(a=1, b="x")) == "Row(a=1, b='x')"
    assert [str(kind) for kind in RowKind] == ["+I", "-U", "+U", "-D"]


def test_equality_is_by_kind_names_and_values() -> None:
    assert Row(1, 2) == Row(1, 2)
    assert Row(a=1, b=2) == Row(b=2, a=1)
    assert hash(Row(a=1, b=2)) == hash(Row(b=2, a=1))
    assert Row(1, 2) != Row(a=1, b=2)
    assert Row(1) != (1,)
    assert Row(1) != Row.of_kind(RowKind.DELETE, 1)
    assert Row(a=1) != Row(b=1)


def test_as_dict_goes_into_rows_lists_and_dicts_when_asked() -> None:
    row = Row(a=Row(b=1), c=[Row(d=2)], e={"f": Row(g=3)})
    assert row.as_dict() == {"a": Row(b=1), "c": [Row(d=2)], "e": {"f": Row(g=3)}}
    assert row.as_dict(recursive=True) == {"a": {"b": 1}, "c": [{"d": 2}], "e": {"f": {"g": 3}}}
    with pytest.raises(TypeError, match="no field names"):
        Row(1).as_dict()


def test_fields_can_be_taken_in_another_order() -> None:
    assert Row(a=1, b=2).get_fields_by_names(["b", "a"]) == [2, 1]
    assert Row(1, 2).get_fields_by_names(["b", "a"]) == [1, 2]
    with pytest.raises(KeyError, match=r"no fields \['c'\]"):
        Row(a=1).get_fields_by_names(["c"])


@pytest.mark.parametrize("row", [Row(1, None), Row(a=1, b=[2]), Row.of_kind(RowKind.DELETE, a=1), Row()])
def test_rows_survive_pickling_and_copying(row: Row) -> None:
    assert pickle.loads(pickle.dumps(row)) == row
    assert copy.copy(row) == row
    assert copy.deepcopy(row) == row
    changed = copy.copy(row)
    changed.set_row_kind(RowKind.UPDATE_BEFORE)
    assert changed != row


def test_a_row_has_no_dictionary_of_its_own() -> None:
    assert not hasattr(Row(a=1), "__dict__")


def test_a_field_may_be_called_self() -> None:
    assert Row(self=1).as_dict() == {"self": 1}
