"""CSV: dialects, types, headers; rows and columns agree; what is written can be read."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.connectors.harness import check_positions, context, finish, read_all, visible
from yarnflow.common.types import Row
from yarnflow.errors import ConfigurationError, DataFormatError, ProgramError
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.connectors.csv_format import CsvReaderFormat
from yarnflow.functions.connectors.csv_schema import CsvSchema, CsvSchemaBuilder
from yarnflow.functions.connectors.data_types import DataTypes
from yarnflow.functions.connectors.file_sink import FileSink
from yarnflow.functions.connectors.file_sink_config import BucketAssigner
from yarnflow.functions.connectors.file_source import FileSource
from yarnflow.functions.connectors.writer_factories import CsvBulkWriters


def builder() -> CsvSchemaBuilder:
    return CsvSchema.builder().add_number_column("id").add_string_column("name")


def source(path: Path, schema: CsvSchema) -> FileSource:
    return FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), str(path)).build()


def read(tmp_path: Path, text: str, schema: CsvSchema) -> list[tuple[Any, ...]]:
    """The records; as columns too, where that is supported, and they must be the same."""
    path = tmp_path / "file.csv"
    path.write_bytes(text.encode())
    rows = read_all(source(path, schema))
    assert all(row._fields == tuple(column.name for column in schema.columns) for row in rows)
    if source(path, schema).columnar:
        assert read_all(source(path, schema), emit_columns=True) == rows
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_plain(tmp_path: Path, end: str) -> None:
    assert read(tmp_path, f'1,a{end}-2,"b,""c"""{end}', builder().build()) == [(1, "a"), (-2, 'b,"c"')]
    assert read(tmp_path, f"1,a{end}2,b", builder().build()) == [(1, "a"), (2, "b")]
    assert read(tmp_path, "", builder().build()) == []


def test_newlines_in_quotes(tmp_path: Path) -> None:
    assert read(tmp_path, '1,"a\nb"\n2,c\n', builder().build()) == [(1, "a\nb"), (2, "c")]


def test_separators_quotes_and_escapes(tmp_path: Path) -> None:
    assert read(tmp_path, "1|'a|b'\n", builder().set_column_separator("|").set_quote_char("'").build()) == [
        (1, "a|b")
    ]
    assert read(tmp_path, '1,"a\n', builder().disable_quote_char().build()) == [(1, '"a')]
    assert read(tmp_path, "1,a\\,b\n", builder().set_escape_char("\\").build()) == [(1, "a,b")]
    assert read(tmp_path, "1,a\\\n", builder().set_escape_char("!").disable_escape_char().build()) == [(1, "a\\")]
    for method in ("set_column_separator", "set_quote_char", "set_escape_char"):
        with pytest.raises(ValueError, match="single character, not '::'"):
            getattr(builder(), method)("::")


def test_headers(tmp_path: Path) -> None:
    assert read(tmp_path, "id,name\n1,a\n", builder().set_use_header().build()) == [(1, "a")]
    assert read(tmp_path, "x,y\n1,a\n", builder().set_use_header().build()) == [(1, "a")]
    assert read(tmp_path, "id,name\n", builder().set_use_header().build()) == []
    assert read(tmp_path, "9,z\n1,a\n", builder().set_skip_first_data_row().build()) == [(1, "a")]
    both = builder().set_use_header().set_skip_first_data_row().set_strict_headers().build()
    assert read(tmp_path, "id,name\n9,z\n1,a\n", both) == [(1, "a")]
    path = tmp_path / "file.csv"
    path.write_text("name,id\na,1\n")
    for emit_columns in (False, True):
        with pytest.raises(DataFormatError, match=r"\['name', 'id'\], and the schema \['id', 'name'\]"):
            read_all(source(path, both), emit_columns=emit_columns)


def test_missing_values(tmp_path: Path) -> None:
    assert read(tmp_path, "1,\n,b\n", builder().build()) == [(1, ""), (None, "b")]
    assert read(tmp_path, "1,\n,b\n", builder().set_null_value("").build()) == [(1, None), (None, "b")]
    assert read(tmp_path, "NA,NA\n,\n", builder().set_null_value("NA").build()) == [(None, None), (None, "")]
    path = tmp_path / "short.csv"
    path.write_text("1\n")
    assert read_all(source(path, builder().build())) == [Row(id=1, name=None)]


def test_comments(tmp_path: Path) -> None:
    assert read(tmp_path, "# about\n1,a\n#2,b\n", builder().set_allow_comments().build()) == [(1, "a")]


def test_types(tmp_path: Path) -> None:
    schema = (
        CsvSchema.builder()
        .add_number_column("d", DataTypes.DOUBLE())
        .add_boolean_column("b")
        .add_column("day", DataTypes.DATE())
        .add_column("at", DataTypes.TIMESTAMP())
        .build()
    )
    text = "1.5,true,2020-01-31,2020-01-31 12:00:00.25\n,FALSE,,\n"
    at = datetime(2020, 1, 31, 12, 0, 0, 250_000)
    assert read(tmp_path, text, schema) == [(1.5, True, date(2020, 1, 31), at), (None, False, None, None)]
    decimals = CsvSchema.builder().add_number_column("x", DataTypes.DECIMAL(10, 2)).build()
    assert read(tmp_path, "1.10\n", decimals) == [(Decimal("1.10"),)]


def test_arrays(tmp_path: Path) -> None:
    schema = (
        CsvSchema.builder().add_array_column("a").add_array_column("n", "|", DataTypes.INT()).add_array_column("t")
    )
    assert read(tmp_path, "x;y,1|2,p;q\n,,\n", schema.remove_array_element_separator(2).build()) == [
        (["x", "y"], [1, 2], ["p;q"]),
        ([], [], []),
    ]
    assert read(tmp_path, "x:y,1:2,p:q\n", schema.set_array_element_separator(":").build()) == [
        (["x", "y"], [1, 2], ["p", "q"])
    ]


def test_bad_records_name_file_line_column_and_value(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("1,a\nx,b\n")
    with pytest.raises(DataFormatError, match=r"bad\.csv, line 2: 'x' in column 'id' is no Long"):
        read_all(source(path, builder().build()))
    with pytest.raises(DataFormatError, match=r"bad\.csv.*'x'"):
        read_all(source(path, builder().build()), emit_columns=True)
    path.write_text("1,a,b\n")
    with pytest.raises(DataFormatError, match="3 values, and the schema has 2 columns"):
        read_all(source(path, builder().build()))
    boolean = CsvSchema.builder().add_boolean_column("b").build()
    path.write_text("yes\n")
    with pytest.raises(DataFormatError, match="neither true nor false"):
        read_all(source(path, boolean))


def test_impossible_schemas() -> None:
    with pytest.raises(ConfigurationError, match="at least one column"):
        CsvReaderFormat.for_schema(CsvSchema.builder().build())
    with pytest.raises(ConfigurationError, match="'m' cannot be of type"):
        CsvReaderFormat.for_schema(
            CsvSchema.builder().add_column("m", DataTypes.MAP(DataTypes.INT(), DataTypes.INT())).build()
        )


def test_schemas_can_be_combined() -> None:
    schema = builder().clear_columns().add_columns_from(builder().build()).add_boolean_column("x")
    assert (len(schema), schema.size(), len(schema.build()), schema.build().size()) == (3, 3, 3, 3)


def test_positions(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("id,name\n" + "".join(f"{number},n\n" for number in range(20_000)))
    reading = source(path, builder().set_use_header().build())
    assert len(reading.splits(4)) == 1
    for emit_columns in (False, True):
        check_positions(reading, reading.splits(1)[0], emit_columns)


def write(folder: Path, schema: CsvSchema, records: list[Any]) -> str:
    sink = (
        FileSink.for_bulk_format(str(folder), CsvBulkWriters.for_schema(schema))
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .build()
    )
    writer = sink.writer(context())
    try:
        writer.write(RowBatch(records))
        finish(sink, writer)
    finally:
        writer.close()
    (path,) = visible(folder)
    return path.read_bytes().decode()


def test_writing(tmp_path: Path) -> None:
    schema = builder().add_boolean_column("ok").add_array_column("list").set_use_header().build()
    records = [Row(id=1, name="a,b", ok=True, list=["x", "y"]), (2, 'q"', False, []), {"id": 3}]
    assert write(tmp_path / "a", schema, records) == ('id,name,ok,list\n1,"a,b",true,x;y\n2,"q""",false,\n3,,,\n')
    other = builder().set_line_separator("\r\n").set_null_value("NA").set_column_separator(";").build()
    assert write(tmp_path / "b", other, [(1, None)]) == "1;NA\r\n"
    escaped = builder().disable_quote_char().set_escape_char("\\").build()
    assert write(tmp_path / "e", escaped, [(1, "a,b\\")]) == "1,a\\,b\\\\\n"
    with pytest.raises(ProgramError, match="1 fields, and the CSV schema 2 columns"):
        write(tmp_path / "c", other, [(1,)])
    with pytest.raises(DataFormatError, match="escape char"):
        write(tmp_path / "d", builder().disable_quote_char().build(), [(1, "a,b")])


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1) | st.none(),
            st.text(st.characters(codec="utf-8", exclude_characters="\0")),
            st.booleans() | st.none(),
        ),
        min_size=1,
        max_size=8,
    )
)
@settings(deadline=None, max_examples=100)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, records: list[Any]) -> None:
    schema = builder().add_boolean_column("ok").build()
    folder = tmp_path_factory.mktemp("csv")
    write(folder, schema, list(records))
    assert [tuple(row) for row in read_all(source(folder, schema))] == records
