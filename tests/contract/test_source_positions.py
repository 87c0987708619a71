"""The contract of every source that can be read again: a reader that is opened at `split()` goes on exactly where
the other one was. Nothing is lost, nothing comes twice, wherever the checkpoint falls.
"""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yarnflow.common.typeinfo import Types
from yarnflow.functions.batch import ColumnBatch
from yarnflow.functions.collection_source import CollectionSource
from yarnflow.functions.columns import to_rows
from yarnflow.functions.connectors import csv_format, number_sequence, text_format
from yarnflow.functions.connectors.csv_format import CsvReaderFormat
from yarnflow.functions.connectors.csv_schema import CsvSchema
from yarnflow.functions.connectors.file_source import FileSource, StreamFormat
from yarnflow.functions.connectors.number_sequence import NumberSequenceSource
from yarnflow.functions.connectors.parquet_format import ParquetFormat
from yarnflow.functions.source import Availability, Source, Split, SplitReader
from yarnflow.testing import At, FailingSource, FaultPlan, InjectedFault, ScriptedSource

MakeSource = Callable[[Path, int], Source]


def collection(folder: Path, size: int) -> Source:
    return CollectionSource(range(size))


def sequence(folder: Path, size: int) -> Source:
    return NumberSequenceSource(1, max(size, 1))


def sequence_columns(folder: Path, size: int) -> Source:
    return columnar(sequence(folder, size))


def text(folder: Path, size: int) -> Source:
    (folder / "text.txt").write_text("".join(f"line {number}\r\n" * (number % 3) for number in range(size)))
    return FileSource.for_record_stream_format(StreamFormat.text_line_format(), f"{folder}/text.txt").build()


def text_columns(folder: Path, size: int) -> Source:
    return columnar(text(folder, size))


def text_utf16(folder: Path, size: int) -> Source:
    (folder / "text.txt").write_text("\n".join(f"zeile ä{number}" for number in range(size)), encoding="utf-16")
    utf16 = StreamFormat.text_line_format("utf-16")
    return FileSource.for_record_stream_format(utf16, f"{folder}/text.txt").build()


def text_compressed(folder: Path, size: int) -> Source:
    lines = "\n".join(map(str, range(size))).encode()
    (folder / "one.gz").write_bytes(gzip.compress(lines))
    (folder / "two.bz2").write_bytes(bz2.compress(lines))
    return FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(folder)).build()


def text_watched(folder: Path, size: int) -> Source:
    source = text(folder, size)
    assert isinstance(source, FileSource)
    return FileSource(source.format, source.paths, True, 1.0)


def csv(folder: Path, size: int) -> Source:
    lines = (f'{number},"a\n{number}"\n' + "\n" * (number % 2) for number in range(size))
    (folder / "data.csv").write_text("number,text\n" + "".join(lines))
    schema = (
        CsvSchema.builder()
        .add_number_column("number", Types.LONG())
        .add_string_column("text")
        .set_use_header()
        .build()
    )
    return FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), f"{folder}/data.csv").build()


def csv_columns(folder: Path, size: int) -> Source:
    return columnar(csv(folder, size))


def parquet(folder: Path, size: int) -> Source:
    table = pa.table({"number": list(range(size)), "text": [f"t{number}" for number in range(size)]})
    pq.write_table(table, f"{folder}/data.parquet", row_group_size=7)
    return FileSource.for_bulk_file_format(ParquetFormat(batch_size=5), f"{folder}/data.parquet").build()


def scripted(folder: Path, size: int) -> Source:
    return ScriptedSource([At(number, number) for number in range(size)], list(range(size)), batch_size=4)


SOURCES = [
    collection, sequence, sequence_columns, text, text_columns, text_utf16, text_compressed, text_watched,
    csv, csv_columns, parquet, scripted,
]  # fmt: skip


def columnar(source: Source) -> Source:
    source.emit_columns = True
    return source


def records(reader: SplitReader, polls: int | None = None) -> Iterator[Any]:
    """What a reader gives in so many polls, or until it ends."""
    while polls is None or polls > 0:
        polls = None if polls is None else polls - 1
        batch = reader.poll()
        if batch is Availability.END_OF_SPLIT:
            return
        assert not isinstance(batch, Availability)
        yield from to_rows(batch).rows if isinstance(batch, ColumnBatch) else batch.rows


def in_pieces(source: Source, split: Split, pieces: list[int]) -> list[Any]:
    """All records of a split, read with a new reader after every so many polls."""
    found: list[Any] = []
    for polls in pieces:
        reader = source.open(split)
        found += records(reader, polls)
        split = reader.split()
        reader.close()
    reader = source.open(split)
    found += records(reader)
    reader.close()
    return found


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few records make many batches."""
    monkeypatch.setattr("yarnflow.functions.collection_source.BATCH_SIZE", 3)
    monkeypatch.setattr(number_sequence, "ROW_BATCH", 3)
    monkeypatch.setattr("yarnflow.functions.columns.COLUMN_BATCH", 3)
    monkeypatch.setattr(text_format, "_FIRST_READ", 16)
    monkeypatch.setattr(text_format, "_MIN_READ", 8)
    monkeypatch.setattr(text_format, "_MAX_READ", 32)
    monkeypatch.setattr(csv_format, "ROW_BATCH", 3)
    monkeypatch.setattr(csv_format, "_BLOCK", 64)


@pytest.mark.parametrize("make", SOURCES, ids=lambda make: make.__name__)
@given(st.integers(1, 40), st.lists(st.integers(0, 4), max_size=5), st.integers(1, 3))
@settings(
    max_examples=20, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_a_reader_goes_on_where_another_was(
    make: MakeSource, small_batches: None, tmp_path: Path, size: int, pieces: list[int], parallelism: int
) -> None:
    source = make(tmp_path, size)
    for split in source.splits(parallelism):
        reader = source.open(split)
        whole = list(records(reader))
        reader.close()
        assert in_pieces(source, split, pieces) == whole


@given(st.integers(1, 30), st.integers(1, 30), st.lists(st.integers(0, 3), max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_position_before_a_fault_is_exact(
    tmp_path_factory: pytest.TempPathFactory, size: int, fault: int, pieces: list[int]
) -> None:
    """A fault that cuts a batch: the position says where it was cut."""
    folder = tmp_path_factory.mktemp("faults")
    source = FailingSource(ScriptedSource(range(size), batch_size=4), FaultPlan(str(folder), (fault,)))
    [split] = source.splits(1)
    found: list[Any] = []
    while True:
        reader = source.open(split)
        try:
            for polls in [*pieces, None]:
                found += records(reader, polls)
                split = reader.split()
            break
        except InjectedFault:
            found = found[: position_of(split)]
    assert found == list(range(size))


def position_of(split: Any) -> int:
    """How many records of the script come before a FailingSplit."""
    return int(split.position.position + split.skip)
