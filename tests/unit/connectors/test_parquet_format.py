"""Parquet: projection, row groups, types; what is written is read."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.columnar.harness import columns_of
from tests.unit.connectors.harness import check_positions, context, finish, read_all, read_batches, visible
from yarnflow.common.types import Row
from yarnflow.errors import ConfigurationError, DataFormatError, ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.connectors import file_splits
from yarnflow.functions.connectors.data_types import DataTypes
from yarnflow.functions.connectors.file_sink import FileSink
from yarnflow.functions.connectors.file_sink_config import BucketAssigner, RollingPolicy
from yarnflow.functions.connectors.file_source import FileSource
from yarnflow.functions.connectors.parquet_format import ParquetColumnarRowInputFormat, ParquetSource
from yarnflow.functions.connectors.writer_factories import ParquetBulkWriters

TABLE = pa.table({"a": list(range(1000)), "b": [str(i) for i in range(1000)], "c": [i / 2 for i in range(1000)]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """1000 rows in ten row groups."""
    pq.write_table(TABLE, tmp_path / "data.parquet", row_group_size=100)
    return tmp_path / "data.parquet"


def test_all_columns(path: Path) -> None:
    rows = read_all(ParquetSource.for_paths(str(path)).build())
    assert rows == [Row(**row) for row in TABLE.to_pylist()]


def test_projection_in_the_order_asked_for(path: Path) -> None:
    source = ParquetSource.for_paths(str(path)).columns(["c", "a"]).build()
    (batch, *_) = read_batches(source, source.splits(1)[0])
    assert isinstance(batch, ColumnBatch)
    assert batch.columns.schema.names == ["c", "a"]
    assert read_all(source)[3] == Row(c=1.5, a=3)
    with pytest.raises(DataFormatError, match=r"no column 'x': its columns are a, b, c"):
        read_all(ParquetSource.for_paths(str(path)).columns(["a", "x"]).build())


@pytest.mark.parametrize("parallelism", [1, 2, 3, 10, 40])
def test_every_row_group_is_read_once(path: Path, parallelism: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_splits, "MIN_SPLIT", 100)
    source = ParquetSource.for_paths(str(path)).columns(["a"]).build()
    assert len(source.splits(parallelism)) == parallelism
    assert [row.a for row in read_all(source, parallelism)] == list(range(1000))


def test_positions(path: Path) -> None:
    row_type = DataTypes.ROW([DataTypes.FIELD("a", DataTypes.BIGINT())])
    source = FileSource.for_bulk_file_format(
        ParquetColumnarRowInputFormat(row_type, batch_size=70), str(path)
    ).build()
    check_positions(source, source.splits(1)[0], False)


def test_row_type_names_and_converts(path: Path) -> None:
    row_type = DataTypes.ROW([DataTypes.FIELD("C", DataTypes.FLOAT()), DataTypes.FIELD("a", DataTypes.INT())])
    source = FileSource.for_bulk_file_format(
        ParquetColumnarRowInputFormat(row_type, batch_size=100, is_case_sensitive=False), str(path)
    ).build()
    batches = read_batches(source, source.splits(1)[0])
    assert len(batches) == 10
    assert isinstance(batches[0], ColumnBatch)
    assert batches[0].columns.schema == pa.schema([("C", pa.float32()), ("a", pa.int32())])
    sensitive = FileSource.for_bulk_file_format(ParquetColumnarRowInputFormat(row_type), str(path)).build()
    with pytest.raises(DataFormatError, match="no column 'C'"):
        read_all(sensitive)
    with pytest.raises(ConfigurationError, match="batch size"):
        ParquetColumnarRowInputFormat(row_type, batch_size=0)


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no such thing")
    with pytest.raises(DataFormatError, match=r"x\.parquet cannot be read as Parquet"):
        read_all(ParquetSource.for_paths(str(tmp_path)).build())


ROW_TYPE = DataTypes.ROW(
    [
        DataTypes.FIELD("s", DataTypes.STRING()),
        DataTypes.FIELD("i", DataTypes.INT()),
        DataTypes.FIELD("n", DataTypes.ARRAY(DataTypes.INT())),
        DataTypes.FIELD("d", DataTypes.DATE()),
        DataTypes.FIELD("t", DataTypes.TIMESTAMP()),
        DataTypes.FIELD("x", DataTypes.DECIMAL(10, 2)),
        DataTypes.FIELD("y", DataTypes.BYTES()),
    ]
)
ROWS = [
    Row(s="a", i=1, n=[1, 2], d=date(2020, 1, 1), t=datetime(2020, 1, 1, 1, 1, 1, 5), x=Decimal("1.50"), y=b"\0"),
    Row(s=None, i=None, n=None, d=None, t=None, x=None, y=None),
]


def write(folder: Path, batches: list[Batch], row_type: object = ROW_TYPE) -> None:
    factory = ParquetBulkWriters.for_row_type(row_type)  # type: ignore[arg-type]
    sink = (
        FileSink.for_bulk_format(str(folder), factory)
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy())
        .build()
    )
    assert sink.columnar
    writer = sink.writer(context())
    try:
        for batch in batches:
            writer.write(batch)
        finish(sink, writer)
    finally:
        writer.close()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path, [RowBatch(list(ROWS)), RowBatch([tuple(ROWS[0])]), columns_of(ROWS)])
    source = ParquetSource.for_paths(str(tmp_path)).build()
    assert read_all(source) == [*ROWS, ROWS[0], *ROWS]
    (path,) = visible(tmp_path)
    assert pq.ParquetFile(path).metadata.num_row_groups == 1


def test_columns_are_converted_to_the_row_type(tmp_path: Path) -> None:
    row_type = DataTypes.ROW([DataTypes.FIELD("n", DataTypes.INT())])
    write(tmp_path / "a", [columns_of([1, 2]), columns_of([Row(n=3, other="x")])], row_type)
    assert [row.n for row in read_all(ParquetSource.for_paths(str(tmp_path / "a")).build())] == [1, 2, 3]
    with pytest.raises(ProgramError, match="the columns x, y lack some of n"):
        write(tmp_path / "b", [columns_of([Row(x=1, y=1)])], row_type)
    with pytest.raises(ProgramError, match="do not fit the row type"):
        write(tmp_path / "c", [columns_of(["a"])], row_type)
    with pytest.raises(ProgramError, match="cannot become columns"):
        write(tmp_path / "d", [RowBatch([Row(n="a")])], row_type)
    assert visible(tmp_path / "b") + visible(tmp_path / "c") + visible(tmp_path / "d") == []
    with pytest.raises(ConfigurationError, match="needs a row type"):
        write(tmp_path / "e", [], DataTypes.INT())
