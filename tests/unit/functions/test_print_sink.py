from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from yarnflow.common import Instant, Row, RowKind, TypeInformation, Types
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.print_sink import PrintSink, formatter
from yarnflow.functions.sink import WriterContext


@pytest.mark.parametrize(
    ("identifier", "parallelism", "line"),
    [("", 1, "a\n"), ("", 2, "2> a\n"), ("out", 1, "out> a\n"), ("out", 2, "out:2> a\n")],
)
def test_lines_have_flinks_prefix(
    identifier: str, parallelism: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = PrintSink(identifier).writer(WriterContext("0" * 32, parallelism - 1, parallelism, 0))
    writer.write(RowBatch(["a", "a"]))
    writer.finish()
    assert capsys.readouterr().out == line * 2


@pytest.mark.parametrize(
    ("type_info", "record", "text"),
    [
        (None, ("a", 1), "('a', 1)"),
        (None, True, "True"),
        (None, Row(a=1), "Row(a=1)"),
        (Types.TUPLE([Types.STRING(), Types.INT()]), ("a", 1), "(a,1)"),
        (Types.TUPLE([Types.BOOLEAN(), Types.STRING()]), (True, None), "(true,null)"),
        (Types.ROW([Types.STRING(), Types.INT()]), Row("a", 1), "+I[a,1]"),
        (Types.ROW([Types.INT()]), Row.of_kind(RowKind.DELETE, 1), "-D[1]"),
        (Types.ROW([Types.BOOLEAN(), Types.DOUBLE()]), Row(True, 1e7), "+I[True,10000000.0]"),
        (
            Types.TUPLE([Types.INT(), Types.ROW([Types.BOOLEAN(), Types.DOUBLE(), Types.STRING()])]),
            (1, Row(True, 2e10, None)),
            "(1,+I[true, 2.0E10, null])",
        ),
        (Types.LIST(Types.ROW([Types.INT(), Types.BOOLEAN()])), [Row(1, True)], "[+I[1, true]]"),
        (Types.LIST(Types.ROW([Types.INT()])), [(1,)], "[+I[1]]"),
        (Types.DOUBLE(), 1e-7, "1.0E-7"),
        (Types.DOUBLE(), float("-inf"), "-Infinity"),
        (Types.DOUBLE(), 2, "2.0"),
        (Types.FLOAT(), 3.3000000000000003, "3.3"),
        (Types.FLOAT(), 3.4e38, "3.4E38"),
        (Types.FLOAT(), 3.4028235e38, "3.4028235E38"),
        (Types.FLOAT(), 16777216, "1.6777216E7"),
        (Types.FLOAT(), 1e39, "Infinity"),
        (Types.FLOAT(), float("nan"), "NaN"),
        (Types.SQL_TIMESTAMP(), datetime(2020, 1, 2, 3, 4, 5, 678000), "2020-01-02 03:04:05.678"),
        (Types.SQL_TIMESTAMP(), datetime(2020, 1, 2), "2020-01-02 00:00:00.0"),
        (Types.INSTANT(), Instant.of_epoch_milli(1234567), "1970-01-01T00:20:34.567Z"),
        (Types.INSTANT(), Instant(0, 0), "1970-01-01T00:00:00Z"),
        (Types.LIST(Types.STRING()), ["a", "b"], "[a, b]"),
        (Types.MAP(Types.STRING(), Types.INT()), {"a": 1, "b": 2}, "{a=1, b=2}"),
        (Types.STRING(), "a", "a"),
        (Types.LONG(), None, "null"),
    ],
)
def test_records_print_as_flink_prints_their_type(
    type_info: TypeInformation | None, record: Any, text: str
) -> None:
    assert formatter(type_info)(record) == text
