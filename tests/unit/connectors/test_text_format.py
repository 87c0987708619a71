"""Lines of text files: the same lines wherever files are cut, and however lines end."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.connectors.harness import check_positions, read_all, read_batches
from yarnflow.common.time import Duration
from yarnflow.errors import ConfigurationError, FileMissingError, FileSystemError
from yarnflow.functions.columns import to_rows
from yarnflow.functions.connectors import file_splits, text_format
from yarnflow.functions.connectors.file_source import FileEnumeratorProvider, FileSource, StreamFormat
from yarnflow.functions.connectors.file_splits import FileSplit

TEXT = "éins\r\nzwei\n\ndrei\rvier 漢字\n\r\n\nlast"
LINES = ["éins", "zwei", "", "drei", "vier 漢字", "", "", "last"]


def source(*paths: Path, charset: str = "UTF-8") -> FileSource:
    return FileSource.for_record_stream_format(StreamFormat.text_line_format(charset), *map(str, paths)).build()


def java_lines(text: str) -> list[str]:
    """What BufferedReader.readLine gives."""
    lines = re.split("\r\n|\n|\r", text)
    return lines[:-1] if not lines[-1] else lines


@pytest.fixture
def small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line spans several reads."""
    for name in ("_FIRST_READ", "_MIN_READ", "_MAX_READ"):
        monkeypatch.setattr(text_format, name, 3)


@pytest.mark.parametrize("emit_columns", [False, True])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r"])
def test_every_pair_of_cuts(tmp_path: Path, emit_columns: bool, end: str) -> None:
    path = tmp_path / "text"
    data = (TEXT + end).encode()
    path.write_bytes(data)
    reading = source(path)
    reading.emit_columns = emit_columns
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            cuts = [0, first, second, len(data)]
            lines = [
                row
                for start, stop in zip(cuts, cuts[1:], strict=False)  # noqa: RUF007 - pairwise
                for batch in read_batches(reading, FileSplit("id", str(path), start, stop))
                for row in to_rows(batch).rows
            ]
            assert lines == LINES, cuts


@given(
    text=st.text(st.sampled_from("ab\n\ré漢"), max_size=40),
    cuts=st.lists(st.integers(0, 80), max_size=4),
    emit_columns=st.booleans(),
)
@settings(deadline=None, max_examples=300)
def test_any_text_and_cuts(
    tmp_path_factory: pytest.TempPathFactory, text: str, cuts: list[int], emit_columns: bool
) -> None:
    path = tmp_path_factory.mktemp("text") / "text"
    data = text.encode()
    path.write_bytes(data)
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reading = source(path)
    reading.emit_columns = emit_columns
    lines = [
        row
        for start, stop in zip(bounds, bounds[1:], strict=False)  # noqa: RUF007 - pairwise
        for batch in read_batches(reading, FileSplit("id", str(path), start, stop))
        for row in to_rows(batch).rows
    ]
    assert lines == java_lines(text)


@pytest.mark.parametrize("emit_columns", [False, True])
@pytest.mark.usefixtures("small_reads")
def test_lines_longer_than_a_read(tmp_path: Path, emit_columns: bool) -> None:
    path = tmp_path / "text"
    path.write_bytes(TEXT.encode())
    for start in range(len(TEXT.encode())):
        check_positions(source(path), FileSplit("id", str(path), start, len(TEXT.encode())), emit_columns)
    assert read_all(source(path), emit_columns=emit_columns) == LINES


@pytest.mark.parametrize(
    "charset",
    ["UTF-8", "ISO-8859-1", "windows-1252", "UTF-16", "UTF-16-LE", "UTF-32", "gbk", "shift_jis", "iso2022_jp"],
)
@pytest.mark.parametrize("emit_columns", [False, True])
@pytest.mark.usefixtures("small_reads")
def test_charsets(tmp_path: Path, charset: str, emit_columns: bool) -> None:
    lines = ["one", "", "日本", "x" * 20] if charset not in ("ISO-8859-1", "windows-1252") else ["é", "", "ü"]
    path = tmp_path / "text"
    path.write_bytes("\r\n".join(lines).encode(charset))
    reading = source(path, charset=charset)
    assert read_all(reading, 3, emit_columns) == lines
    check_positions(reading, reading.splits(1)[0], emit_columns)


def test_an_unknown_charset_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="'klingon'"):
        StreamFormat.text_line_format("klingon")


@pytest.mark.parametrize("emit_columns", [False, True])
def test_invalid_bytes_are_replaced(tmp_path: Path, emit_columns: bool) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"a\xff\nb")
    assert read_all(source(path), emit_columns=emit_columns) == ["a\ufffd", "b"]


def test_other_line_breaks_of_unicode_are_ordinary_characters(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("a\u2028b\x0bc\x85d\n", newline="")
    assert read_all(source(path)) == ["a\u2028b\x0bc\x85d"]


COMPRESS = {
    "gz": gzip.compress,
    "gzip": lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:]),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "deflate": zlib.compress,
}


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("emit_columns", [False, True])
@pytest.mark.usefixtures("small_reads")
def test_compressed_files_are_read_whole(
    tmp_path: Path, ending: str, emit_columns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_splits, "MIN_SPLIT", 4)
    path = tmp_path / f"text.{ending}"
    path.write_bytes(COMPRESS[ending](TEXT.encode()))
    reading = source(path)
    assert len(reading.splits(5)) == 1
    assert read_all(reading, 5, emit_columns) == LINES
    check_positions(reading, reading.splits(1)[0], emit_columns)


@pytest.mark.parametrize("ending", COMPRESS)
def test_broken_compressed_files_are_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"text.{ending}"
    path.write_bytes(COMPRESS[ending](b"some text\n" * 50)[:-12])
    with pytest.raises(FileSystemError, match=f"text.{ending} cannot be read.*complete"):
        read_all(source(path))


# -- which files ---------------------------------------------------------------------------------------------


def test_directories_are_read_recursively_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b/two", "a/one", "_SUCCESS", ".hidden", "_temporary/x", "c/.part.inprogress", "three"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert read_all(source(tmp_path)) == ["a/one", "b/two", "three"]
    assert read_all(source(tmp_path / "_SUCCESS", tmp_path / "three")) == ["_SUCCESS", "three"]


def test_empty_files_and_directories_have_no_lines(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "folder").mkdir()
    assert read_all(source(tmp_path)) == []


def test_a_missing_path_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError, match=r"no such file or directory: .*nothing.*check the path"):
        source(tmp_path / "nothing").splits(1)
    with pytest.raises(ConfigurationError, match="at least one path"):
        FileSource.for_record_stream_format(StreamFormat.text_line_format())


def test_large_files_are_cut_for_all_subtasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_splits, "MIN_SPLIT", 100)
    path = tmp_path / "text"
    lines = [f"line {number}" for number in range(1000)]
    path.write_text("\n".join(lines))
    reading = source(path)
    for parallelism in (1, 2, 3, 7):
        splits = reading.splits(parallelism)
        assert len(splits) == parallelism
        assert len({split.split_id for split in splits}) == parallelism
        assert read_all(reading, parallelism) == lines
    assert len(reading.splits(10**6)) == -(-path.stat().st_size // 100)
    whole = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(path)).set_file_enumerator(
        FileEnumeratorProvider.default_non_splittable_file_enumerator()
    )
    assert len(whole.build().splits(4)) == 1


def test_monitoring_names_new_files_by_their_path_alone(tmp_path: Path) -> None:
    builder = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path))
    reading = builder.monitor_continuously(Duration.of_millis(250)).build()
    assert (reading.bounded, reading.discovery_interval()) == (False, 0.25)
    (tmp_path / "a").write_text("1\n")
    first = {split.split_id for split in reading.splits(2)}
    (tmp_path / "a").write_text("1\n2\n")
    (tmp_path / "b").write_text("3\n")
    second = {split.split_id for split in reading.splits(2)}
    assert len(first) == 1
    assert first < second
    assert read_all(reading, 2) == ["1", "2", "3"]
    static = builder.process_static_file_set().build()
    assert (static.bounded, static.discovery_interval()) == (True, None)
    with pytest.raises(ConfigurationError, match="must be positive"):
        builder.monitor_continuously(Duration.of_millis(0))


def test_reading_small_text_loads_no_column_libraries(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a\n")
    program = (
        "import sys\n"
        "from yarnflow.datastream.connectors.file_system import FileSource, StreamFormat, FileSink\n"
        "from yarnflow.datastream.connectors.number_seq import NumberSequenceSource\n"
        "from yarnflow.datastream.formats.csv import CsvSchema, CsvReaderFormat\n"
        "source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), sys.argv[1]).build()\n"
        "assert source.open(source.splits(1)[0]).poll().rows == ['a']\n"
        "assert not {'pyarrow', 'numpy', 'fsspec', 'hdfs_native'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "text")], check=True, timeout=30)
