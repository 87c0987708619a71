"""FileSink: what becomes visible and when, names, buckets, rolling, attempts."""

from __future__ import annotations

import pickle
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.unit.connectors.harness import all_files, context, read_all, visible
from yarnflow.common.serialization import Encoder
from yarnflow.common.types import Row
from yarnflow.errors import ConfigurationError, FileSystemError
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.connectors.file_sink import FileSink, RowFormatBuilder
from yarnflow.functions.connectors.file_sink_config import BucketAssigner, OutputFileConfig, RollingPolicy
from yarnflow.functions.connectors.file_sink_writer import FileCommitter, FileSinkWriter
from yarnflow.functions.connectors.file_source import FileSource, StreamFormat
from yarnflow.functions.connectors.writer_factories import CsvBulkWriters
from yarnflow.functions.sink import WriterContext

NOON = datetime(2024, 2, 29, 12, tzinfo=timezone.utc).timestamp()


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def builder(folder: Path) -> RowFormatBuilder:
    return FileSink.for_row_format(str(folder), Encoder.simple_string_encoder()).with_bucket_assigner(
        BucketAssigner.base_path_bucket_assigner()
    )


def open_writer(sink: FileSink, where: WriterContext | None = None, clock: Clock | None = None) -> FileSinkWriter:
    sink = pickle.loads(pickle.dumps(sink))
    return FileSinkWriter(
        sink.base_path,
        sink.factory,
        sink.assigner,
        sink.rolling,
        sink.names,
        where or context(),
        clock or Clock(),
    )


def finish(writer: FileSinkWriter) -> None:
    """The end of the input of a job without checkpoints."""
    writer.finish()
    FileCommitter().commit(writer.prepare_commit())


def test_nothing_is_visible_before_finish_and_all_is_after(tmp_path: Path) -> None:
    writer = open_writer(builder(tmp_path).build())
    writer.write(RowBatch(["a", "b"]))
    writer.flush()
    assert visible(tmp_path) == []
    (hidden,) = all_files(tmp_path)
    assert hidden.name.startswith(".part-")
    finish(writer)
    (path,) = all_files(tmp_path)
    assert path.read_text() == "a\nb\n"
    writer.close()
    assert all_files(tmp_path) == [path]


def test_a_writer_that_is_only_closed_leaves_nothing(tmp_path: Path) -> None:
    sink = builder(tmp_path).with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1)).build()
    writer = open_writer(sink)
    for _ in range(3):
        writer.write(RowBatch(["a"]))
    assert len(all_files(tmp_path)) == 3
    writer.close()
    assert all_files(tmp_path) == []


def test_no_records_no_file(tmp_path: Path) -> None:
    writer = open_writer(builder(tmp_path / "out").build())
    finish(writer)
    writer.close()
    assert not (tmp_path / "out").exists()


def test_names_tell_job_operator_subtask_and_number(tmp_path: Path) -> None:
    config = OutputFileConfig.builder().with_part_prefix("counts").with_part_suffix(".txt").build()
    assert (config.get_part_prefix(), config.get_part_suffix()) == ("counts", ".txt")
    sink = (
        builder(tmp_path)
        .with_output_file_config(config)
        .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1))
        .build()
    )
    for where in (context(0), context(1), context(0, job="c" * 32), context(0, operator="d" * 32)):
        writer = open_writer(sink, where)
        writer.write(RowBatch(["a"]))
        writer.write(RowBatch(["b"]))
        finish(writer)
        writer.close()
    names = [path.name for path in visible(tmp_path)]
    assert len(names) == 8
    uids = set()
    for name in names:
        prefix, uid, subtask, number = name.removesuffix(".txt").split("-")
        assert (prefix, subtask in "01", number in "01") == ("counts", True, True)
        uids.add(uid)
    assert len(uids) == 3


@pytest.mark.parametrize("prefix", [".hidden", "_hidden", "a/b"])
def test_names_that_readers_would_skip_are_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="part files cannot be named"):
        OutputFileConfig(prefix)


def test_a_restarted_attempt_replaces_what_the_first_published(tmp_path: Path) -> None:
    config = OutputFileConfig("part", "")
    rolls = (
        builder(tmp_path)
        .with_output_file_config(config)
        .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1))
    )
    first = open_writer(rolls.build(), context(attempt=0))
    for line in ("a", "b", "c"):
        first.write(RowBatch([line]))
    finish(first)  # published, and then the task was lost before anybody knew
    killed = open_writer(rolls.build(), context(attempt=1))
    killed.write(RowBatch(["a"]))  # never closed: its process is gone
    second = open_writer(builder(tmp_path).build(), context(attempt=2))
    second.write(RowBatch(["a", "b", "c"]))
    assert len(visible(tmp_path)) == 3
    finish(second)
    second.close()
    assert len(all_files(tmp_path)) == 1
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path)).build()
    assert read_all(source) == ["a", "b", "c"]
    killed._open.clear()


def test_a_restart_from_a_checkpoint_by_hand_keeps_what_was_published_with_it(tmp_path: Path) -> None:
    first = open_writer(builder(tmp_path).build())
    first.write(RowBatch(["before"]))
    FileCommitter().commit(first.prepare_commit())
    first.snapshot_state(4)
    first.write(RowBatch(["after"]))
    FileCommitter().commit(first.prepare_commit())
    first.snapshot_state(5)
    first.write(RowBatch(["end"]))
    finish(first)  # and then another task of the region failed
    second = open_writer(builder(tmp_path).build(), context(attempt=1, checkpoint_id=4))
    second.write(RowBatch(["after", "end"]))
    finish(second)
    assert sorted(path.read_text() for path in all_files(tmp_path)) == ["after\nend\n", "before\n"]
    first.close()
    second.close()


def test_a_restart_leaves_files_of_others_alone(tmp_path: Path) -> None:
    for where in (context(1), context(0, operator="d" * 32)):
        other = open_writer(builder(tmp_path).build(), where)
        other.write(RowBatch(["x"]))
        finish(other)
        other.close()
    (tmp_path / "README").write_text("mine")
    writer = open_writer(builder(tmp_path).build(), context(0, attempt=1))
    writer.write(RowBatch(["a"]))
    finish(writer)
    writer.close()
    assert len(visible(tmp_path)) == 4


@pytest.mark.parametrize("checkpointing", [False, True])
def test_committing_can_be_repeated_after_it_failed_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpointing: bool
) -> None:
    writer = open_writer(
        builder(tmp_path).with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1)).build(),
        context(checkpointing=checkpointing),
    )
    writer.write(RowBatch(["a"]))
    writer.write(RowBatch(["b"]))
    publish, calls = writer._fs.publish, [0]

    def failing(tmp: str, final: str, overwrite: bool = False) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise FileSystemError("the name node is restarting")
        publish(tmp, final, overwrite)

    monkeypatch.setattr(writer._fs, "publish", failing)
    prepared = writer.prepare_commit()
    with pytest.raises(FileSystemError):
        FileCommitter().commit(prepared)
    FileCommitter().commit(prepared)
    FileCommitter().commit(prepared)
    writer.close()
    assert [path.read_text() for path in all_files(tmp_path)] == ["a\n", "b\n"]


def test_buckets_by_the_hour_of_writing(tmp_path: Path) -> None:
    clock = Clock()
    sink = FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder()).with_bucket_assigner(
        BucketAssigner.date_time_bucket_assigner(timezone_id="UTC")
    )
    writer = open_writer(sink.build(), clock=clock)
    writer.write(RowBatch(["a"]))
    clock.now += 3600
    writer.write(RowBatch(["b"]))
    finish(writer)
    writer.close()
    assert [path.parent.name for path in visible(tmp_path)] == ["2024-02-29--12", "2024-02-29--13"]


def test_the_default_is_a_bucket_per_hour(tmp_path: Path) -> None:
    writer = open_writer(FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder()).build())
    writer.write(RowBatch(["a"]))
    finish(writer)
    writer.close()
    (path,) = visible(tmp_path)
    datetime.strptime(path.parent.name, "%Y-%m-%d--%H")


@pytest.mark.parametrize(
    ("pattern", "zone", "expected"),
    [
        ("yyyy/MM/dd", "UTC", "2024/02/29"),
        ("yy-M-d'T'H", "UTC", "24-2-29T12"),
        ("'dt='yyyyMMdd''", "UTC", "dt=20240229'"),
        ("HH-mm-ss.SSS", "GMT-08:00", "04-00-00.000"),
        ("HHmm", "UTC+5:30", "1730"),
        ("HH", "Europe/Berlin", "13"),
    ],
)
def test_bucket_formats(pattern: str, zone: str, expected: str) -> None:
    assert BucketAssigner.date_time_bucket_assigner(pattern, zone).bucket_id(NOON) == expected


@pytest.mark.parametrize(
    ("pattern", "zone"), [("EEE", None), ("yyyy-'x", None), ("yyyy", "Mars/Base"), ("MMM", None)]
)
def test_bucket_formats_that_are_not_understood(pattern: str, zone: str | None) -> None:
    with pytest.raises(ConfigurationError):
        BucketAssigner.date_time_bucket_assigner(pattern, zone)


@pytest.mark.parametrize(
    ("policy", "wait", "files"),
    [
        (RollingPolicy.default_rolling_policy(part_size=4), 0, 2),
        (RollingPolicy.default_rolling_policy(part_size=9), 0, 1),
        (RollingPolicy.default_rolling_policy(rollover_interval=1000), 0.5, 2),
        (RollingPolicy.default_rolling_policy(inactivity_interval=400), 0.5, 4),
        (RollingPolicy.default_rolling_policy(), 10, 1),
        (RollingPolicy.on_checkpoint_rolling_policy(), 10**6, 1),
    ],
)
def test_rolling(tmp_path: Path, policy: RollingPolicy, wait: float, files: int) -> None:
    clock = Clock()
    writer = open_writer(builder(tmp_path).with_rolling_policy(policy).build(), clock=clock)
    for _ in range(4):
        writer.write(RowBatch(["a"]))
        clock.now += wait
        writer.flush()
    finish(writer)
    writer.close()
    assert len(visible(tmp_path)) == files
    assert "".join(path.read_text() for path in visible(tmp_path)) == "a\n" * 4


def test_rolling_policies_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="part_size"):
        RollingPolicy.default_rolling_policy(part_size=0)


def test_bulk_formats_roll_on_checkpoints_only(tmp_path: Path) -> None:
    from yarnflow.functions.connectors.csv_schema import CsvSchema

    factory = CsvBulkWriters.for_schema(CsvSchema.builder().add_string_column("a").build())
    with pytest.raises(ValueError, match="rolls on checkpoints only"):
        FileSink.for_bulk_format(str(tmp_path), factory).with_rolling_policy(
            RollingPolicy.default_rolling_policy()
        )


def test_records_are_written_as_java_shows_them(tmp_path: Path) -> None:
    records = [
        ("word", 1),
        Row("a", 1, None),
        Row(name="b"),
        "text",
        7,
        True,
        None,
        0.5,
        1e7,
        123456789.0,
        1e-5,
        -2.5e-300,
        1e21,
        0.0,
        0.001,
        float("nan"),
        float("-inf"),
        [1, "a"],
        {"k": (1, None)},
    ]
    writer = open_writer(builder(tmp_path).build())
    writer.write(RowBatch(records))
    finish(writer)
    writer.close()
    (path,) = visible(tmp_path)
    assert path.read_text().splitlines() == [
        "(word,1)",
        "+I[a, 1, null]",
        "+I[b]",
        "text",
        "7",
        "true",
        "null",
        "0.5",
        "1.0E7",
        "1.23456789E8",
        "1.0E-5",
        "-2.5E-300",
        "1.0E21",
        "0.0",
        "0.001",
        "NaN",
        "-Infinity",
        "[1, a]",
        "{k=(1,null)}",
    ]


class Doubling(Encoder):
    def encode(self, value: object) -> bytes:
        return f"{value}{value};".encode()


def test_other_charsets_and_encoders(tmp_path: Path) -> None:
    for number, (encoder, expected) in enumerate(
        [(Encoder.simple_string_encoder("ISO-8859-1"), b"\xe9\n"), (Doubling(), "éé;".encode())]
    ):
        sink = FileSink.for_row_format(str(tmp_path / str(number)), encoder).build()
        writer = open_writer(sink)
        writer.write(RowBatch(["é"]))
        finish(writer)
        writer.close()
        (path,) = visible(tmp_path / str(number))
        assert path.read_bytes() == expected


def write(writer: FileSinkWriter, *lines: str) -> None:
    for line in lines:
        writer.write(RowBatch([line]))


def test_a_checkpoint_publishes_what_was_written_before_its_barrier(tmp_path: Path) -> None:
    writer = open_writer(builder(tmp_path).build(), context(checkpointing=True))
    write(writer, "a", "b")
    first = writer.prepare_commit()
    assert writer.snapshot_state(1) == ()
    write(writer, "c")
    assert visible(tmp_path) == []
    FileCommitter().commit(first)
    (path,) = visible(tmp_path)
    assert path.read_text() == "a\nb\n"
    assert writer.prepare_commit() != []
    assert writer.prepare_commit() == []
    writer.close()


def test_attempts_of_a_job_with_checkpoints_never_share_a_name(tmp_path: Path) -> None:
    for attempt in range(3):
        writer = open_writer(builder(tmp_path).build(), context(attempt=attempt, checkpointing=True))
        write(writer, "a")
        FileCommitter().commit(writer.prepare_commit())
        writer.close()
    assert len(visible(tmp_path)) == 3


def test_closing_leaves_what_was_prepared(tmp_path: Path) -> None:
    writer = open_writer(builder(tmp_path).build(), context(checkpointing=True))
    write(writer, "a")
    prepared = writer.prepare_commit()
    write(writer, "b")
    writer.close()
    assert len(all_files(tmp_path)) == 1
    FileCommitter().commit(prepared)
    assert [path.read_text() for path in visible(tmp_path)] == ["a\n"]


def test_a_prepared_file_that_has_vanished_is_an_error(tmp_path: Path) -> None:
    writer = open_writer(builder(tmp_path).build(), context(checkpointing=True))
    write(writer, "a")
    prepared = writer.prepare_commit()
    (path,) = all_files(tmp_path)
    path.unlink()
    with pytest.raises(FileSystemError, match="is gone before it could be published"):
        FileCommitter().commit(prepared)
    writer.close()


def test_the_end_removes_what_lost_attempts_left_and_nobody_will_publish(tmp_path: Path) -> None:
    first = open_writer(builder(tmp_path).build(), context(checkpointing=True))
    write(first, "in checkpoint 5")
    restored = first.prepare_commit()
    first.snapshot_state(5)
    write(first, "in checkpoint 6, which never completed")
    first.prepare_commit()
    first.snapshot_state(6)
    write(first, "lost with the process")
    second = open_writer(builder(tmp_path).build(), context(attempt=1, checkpointing=True, checkpoint_id=5))
    write(second, "again")
    second.finish()
    # Another subtask commits the restored file, and may be later.
    FileCommitter().commit([*second.prepare_commit(), *restored])
    assert sorted(path.read_text() for path in all_files(tmp_path)) == ["again\n", "in checkpoint 5\n"]
    second.close()
    first.close()
