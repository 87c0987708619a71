"""Sources and sinks in real jobs: two subtasks, rows and columns."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from yarnflow.common import Encoder, WatermarkStrategy
from yarnflow.datastream import DataStream, RuntimeExecutionMode, StreamExecutionEnvironment
from yarnflow.datastream.connectors.file_system import BucketAssigner, FileSink, FileSource, StreamFormat
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.datastream.connectors.parquet import ParquetSource
from yarnflow.datastream.expressions import col
from yarnflow.datastream.formats import DataTypes
from yarnflow.datastream.formats.csv import CsvBulkWriters, CsvReaderFormat, CsvSchema
from yarnflow.datastream.formats.parquet import ParquetBulkWriters
from yarnflow.errors import JobFailedError

pytestmark = pytest.mark.cluster


@pytest.fixture
def env() -> StreamExecutionEnvironment:
    made = StreamExecutionEnvironment.get_execution_environment()
    made.set_parallelism(2)
    return made


def read(env: StreamExecutionEnvironment, source: Any) -> DataStream:
    return env.from_source(source, WatermarkStrategy.no_watermarks(), "source")


def collected(stream: DataStream) -> list[Any]:
    with stream.execute_and_collect() as results:
        return sorted(results, key=str)


def lines_below(folder: Path) -> list[str]:
    return sorted(line for path in folder.rglob("part-*") for line in path.read_text().splitlines())


def numbers(env: StreamExecutionEnvironment, count: int = 1001) -> DataStream:
    return read(env, NumberSequenceSource(0, count - 1))


def test_numbers_by_key_on_columns(env: StreamExecutionEnvironment) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    keyed = numbers(env).select(k=col("value") % 3, v=col("value")).key_by("k").sum("v")
    assert [(row.k, row.v) for row in collected(keyed)] == [(0, 166833), (1, 167167), (2, 166500)]
    assert collected(numbers(env, 3).key_by("value").count()) == [(0, 1), (1, 1), (2, 1)]


def test_words_on_rows_and_on_columns(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    (tmp_path / "text").write_text("to be or not to be\n" * 3)
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path)).build()

    def split(batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch([pc.list_flatten(pc.utf8_split_whitespace(batch.column(0)))], names=["value"])

    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    expected = [("be", 6), ("not", 3), ("or", 3), ("to", 6)]
    assert collected(read(env, source).map_batches(split).key_by("value").count()) == expected
    words = read(env, source).flat_map(lambda line: line.split()).map(lambda word: (word, 1))
    assert collected(words.key_by(lambda pair: pair[0]).sum(1)) == expected


def test_parquet_there_and_back(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    row_type = DataTypes.ROW([DataTypes.FIELD(name, DataTypes.BIGINT()) for name in ("k", "v")])
    sink = FileSink.for_bulk_format(str(tmp_path), ParquetBulkWriters.for_row_type(row_type)).build()
    numbers(env).select(v=col("value"), k=col("value") % 3).sink_to(sink)
    env.execute()
    assert len(list(tmp_path.rglob("part-*"))) == 2
    rows = read(env, ParquetSource.for_paths(str(tmp_path)).columns(["v"]).build()).filter(col("v") < 3)
    assert [tuple(row) for row in collected(rows)] == [(0,), (1,), (2,)]


def test_csv_there_and_back(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    schema = CsvSchema.builder().add_number_column("n").add_string_column("s").set_use_header().build()
    sink = FileSink.for_bulk_format(str(tmp_path), CsvBulkWriters.for_schema(schema)).build()
    numbers(env, 4).map(lambda n: (n, f"a,{n}")).sink_to(sink)
    env.execute()
    source = FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), str(tmp_path)).build()
    for stream in (read(env, source).filter(lambda row: row.n > 1), read(env, source).filter(col("n") > 1)):
        assert [tuple(row) for row in collected(stream)] == [(2, "a,2"), (3, "a,3")]


def row_sink(folder: Path) -> FileSink:
    return (
        FileSink.for_row_format(str(folder), Encoder.simple_string_encoder())
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .build()
    )


def test_two_sinks_into_one_folder(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    numbers(env, 3).map(lambda n: ("a", n)).sink_to(row_sink(tmp_path))
    numbers(env, 2).map(lambda n: ("b", n)).sink_to(row_sink(tmp_path))
    env.execute()
    assert lines_below(tmp_path) == ["(a,0)", "(a,1)", "(a,2)", "(b,0)", "(b,1)"]


def test_a_restarted_job_writes_every_record_once(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    from yarnflow.common import RestartStrategies

    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, 10))
    marker = tmp_path / "failed"

    def fail_once(number: int) -> int:
        if number == 400 and not marker.exists():
            marker.touch()
            raise ValueError("once")
        return number

    out = tmp_path / "out"
    numbers(env).map(fail_once).sink_to(row_sink(out))
    env.execute()
    assert marker.exists()
    assert lines_below(out) == sorted(map(str, range(1001)))
    assert list(out.rglob(".*")) == []


def test_a_failed_writer_leaves_nothing_behind(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    def fail(number: int) -> Iterable[int]:
        yield number
        if number == 1000:
            raise ValueError("at the end")

    env.set_parallelism(1)
    numbers(env).flat_map(fail).sink_to(row_sink(tmp_path))
    with pytest.raises(JobFailedError, match="at the end"):
        env.execute()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_missing_input_is_named(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    path = str(tmp_path / "nothing")
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), path).build()
    with pytest.raises(JobFailedError, match=r"no such file or directory: .*nothing"):
        collected(read(env, source))
