from __future__ import annotations

from typing import Any

import pytest

from yarnflow.common import Row, RowKind, TypeInformation, Types
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
