"""What every file system of ours does, whatever is behind it. tests/yarn/test_hdfs.py runs the same on HDFS."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from yarnflow import fs
from yarnflow.errors import (
    FileAlreadyExistsError,
    FileMissingError,
    FilePermissionError,
    FileSystemError,
    PathIsDirectoryError,
)
from yarnflow.fs import registry
from yarnflow.fs.base import FileSystem
from yarnflow.fs.object_store import FsspecFileSystem

MIB = 1024 * 1024


class FileSystemContract:
    """Subclasses supply `uri`: an empty directory's URI, removed afterwards."""

    @pytest.fixture
    def uri(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def files(self, uri: str) -> FileSystem:
        return fs.file_system(uri)

    @pytest.fixture
    def root(self, uri: str) -> str:
        return fs.get(uri)[1]

    def test_bytes_come_back(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/a", b"hello")
        assert files.read_bytes(f"{root}/a") == b"hello"
        assert files.exists(f"{root}/a")

    def test_status_tells_length_kind_and_time(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/d/a", b"hello")
        status = files.status(f"{root}/d/a")
        assert status is not None
        assert (status.path, status.length, status.is_directory, status.name) == (f"{root}/d/a", 5, False, "a")
        assert status.modification_time > 1_600_000_000_000
        directory = files.status(f"{root}/d")
        assert directory is not None
        assert (directory.path, directory.length, directory.is_directory) == (f"{root}/d", 0, True)

    def test_nothing_there_has_no_status(self, files: FileSystem, root: str) -> None:
        assert files.status(f"{root}/no") is None
        assert files.status(f"{root}/no/such") is None
        assert not files.exists(f"{root}/no")

    def test_an_empty_file_is_a_file(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/empty", b"")
        assert files.read_bytes(f"{root}/empty") == b""
        assert files.list(root)[0].length == 0

    @pytest.mark.parametrize("name", ["a b", "100%", "%20", "ü-é-日本", "_hidden", ".hidden", "a#b", "a+b=c&d"])
    def test_names_are_taken_literally(self, files: FileSystem, root: str, uri: str, name: str) -> None:
        files.write_atomic(f"{root}/x {name}/{name}", b"1")
        assert [each.path for each in files.list(f"{root}/x {name}")] == [f"{root}/x {name}/{name}"]
        found, path = fs.get(f"{uri}/x {name}/{name}")
        assert found.read_bytes(path) == b"1"
        found, path = fs.get(files.uri(f"{root}/x {name}/{name}"))
        assert found.read_bytes(path) == b"1"

    def test_a_listing_is_sorted_and_hides_nothing(self, files: FileSystem, root: str) -> None:
        for name in ("b", "a", "_c", ".d", "sub/e"):
            files.write_atomic(f"{root}/{name}", b"1")
        found = files.list(root)
        assert [each.path for each in found] == [f"{root}/{name}" for name in (".d", "_c", "a", "b", "sub")]
        assert [each.is_directory for each in found] == [False, False, False, False, True]

    def test_a_recursive_listing_has_directories_too(self, files: FileSystem, root: str) -> None:
        for name in ("a/b/c", "a/d", "e"):
            files.write_atomic(f"{root}/{name}", b"1")
        found = files.list(root, recursive=True)
        assert [each.path for each in found] == [f"{root}/{name}" for name in ("a", "a/b", "a/b/c", "a/d", "e")]
        assert [each.is_directory for each in found] == [True, True, False, False, False]

    def test_listing_a_file_gives_its_status(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/a", b"1")
        assert files.list(f"{root}/a") == [files.status(f"{root}/a")]

    def test_listing_nothing_is_an_error(self, files: FileSystem, root: str) -> None:
        with pytest.raises(FileMissingError, match=r"no such file or directory: .*/no; check the path"):
            files.list(f"{root}/no")

    def test_globs(self, files: FileSystem, root: str) -> None:
        for name in ("2024/jan/a.csv", "2024/feb/b.csv", "2025/jan/c.csv", "2025/jan/d.txt", "2025/_e.csv"):
            files.write_atomic(f"{root}/{name}", b"1")

        def match(pattern: str) -> list[str]:
            return [each.path[len(root) + 1 :] for each in files.glob(f"{root}/{pattern}")]

        assert match("*/jan/*.csv") == ["2024/jan/a.csv", "2025/jan/c.csv"]
        assert match("202[45]") == ["2024", "2025"]
        assert match("{2024,2025}/{jan,feb}/?.csv") == ["2024/feb/b.csv", "2024/jan/a.csv", "2025/jan/c.csv"]
        assert match("**/*.csv") == ["2024/feb/b.csv", "2024/jan/a.csv", "2025/_e.csv", "2025/jan/c.csv"]
        assert match("2025/jan/c.csv") == ["2025/jan/c.csv"]
        assert match("2023/*") == []
        assert match("2025/_e.csv/*") == []

    def test_reading_starts_at_an_offset_and_seeks(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/a", bytes(range(200)))
        with files.open_read(f"{root}/a", offset=50) as stream:
            assert stream.tell() == 50
            assert stream.read(3) == bytes([50, 51, 52])
            assert stream.seekable()
            stream.seek(10)
            assert stream.read(1) == b"\x0a"
            stream.seek(-1, os.SEEK_END)
            assert stream.read() == b"\xc7"
            assert stream.read(1) == b""

    def test_an_offset_past_the_end_reads_nothing(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/a", b"abc")
        with files.open_read(f"{root}/a", offset=100) as stream:
            assert stream.read(5) == b""

    def test_lines_can_be_read(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/a", b"one\ntwo\nthree")
        with files.open_read(f"{root}/a") as stream:
            assert list(stream) == [b"one\n", b"two\n", b"three"]
        with io.TextIOWrapper(files.open_read(f"{root}/a", offset=4), encoding="utf-8") as text:
            assert text.readline() == "two\n"

    def test_64_mib_come_back_unchanged(self, files: FileSystem, root: str) -> None:
        block = os.urandom(MIB - 7)  # not a divisor of any buffer or block
        written, read = hashlib.sha256(), hashlib.sha256()
        with files.open_write(f"{root}/big") as out:
            for _ in range(65):
                out.write(block)
                written.update(block)
        assert files.list(f"{root}/big")[0].length == 65 * len(block)
        with files.open_read(f"{root}/big") as stream:
            while chunk := stream.read(3 * MIB + 1):
                read.update(chunk)
        assert read.digest() == written.digest()
        with files.open_read(f"{root}/big", offset=40 * len(block) + 5) as stream:
            assert stream.read(10) == block[5:15]

    def test_upload_and_download(self, files: FileSystem, root: str, tmp_path: Path) -> None:
        local = tmp_path / "in"
        local.write_bytes(os.urandom(9 * MIB + 1))
        files.upload(str(local), f"{root}/new/up")
        files.download(f"{root}/new/up", str(tmp_path / "new" / "out"))
        assert (tmp_path / "new" / "out").read_bytes() == local.read_bytes()
        assert [each.name for each in files.list(f"{root}/new")] == ["up"]
        with pytest.raises(FileAlreadyExistsError):
            files.upload(str(local), f"{root}/new/up")
        files.upload(str(local), f"{root}/new/up", overwrite=True)
        with pytest.raises(FileMissingError):
            files.download(f"{root}/no", str(tmp_path / "none"))
        assert not (tmp_path / "none").exists()

    def test_writing_makes_parents_and_refuses_to_overwrite(self, files: FileSystem, root: str) -> None:
        with files.open_write(f"{root}/x/y/a") as out:
            out.write(b"1")
        with pytest.raises(FileAlreadyExistsError, match=r"/x/y/a exists already"):
            files.open_write(f"{root}/x/y/a")
        with files.open_write(f"{root}/x/y/a", overwrite=True) as out:
            out.write(b"22")
        assert files.read_bytes(f"{root}/x/y/a") == b"22"

    def test_a_directory_is_no_file(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/d/a", b"1")
        with pytest.raises(PathIsDirectoryError):
            files.read_bytes(f"{root}/d")
        with pytest.raises(PathIsDirectoryError):
            files.open_write(f"{root}/d", overwrite=True)
        with pytest.raises(FileAlreadyExistsError):
            files.write_atomic(f"{root}/d", b"1")
        files.write_atomic(f"{root}/t", b"1")
        with pytest.raises(FileSystemError):
            files.publish(f"{root}/t", f"{root}/d", overwrite=True)
        assert files.read_bytes(f"{root}/d/a") == b"1"

    def test_reading_nothing_names_the_path(self, files: FileSystem, root: str) -> None:
        with pytest.raises(FileMissingError, match=r"/no/such") as caught:
            files.read_bytes(f"{root}/no/such")
        assert caught.value.path == f"{root}/no/such"
        copy = pickle.loads(pickle.dumps(caught.value))
        assert (str(copy), copy.path) == (str(caught.value), caught.value.path)

    def test_publish_moves_and_makes_parents(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/tmp", b"1")
        files.publish(f"{root}/tmp", f"{root}/new/dir/final")
        assert files.read_bytes(f"{root}/new/dir/final") == b"1"
        assert not files.exists(f"{root}/tmp")

    def test_publish_does_not_overwrite_unless_told(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/tmp", b"new")
        files.write_atomic(f"{root}/final", b"old")
        with pytest.raises(FileAlreadyExistsError):
            files.publish(f"{root}/tmp", f"{root}/final")
        assert files.read_bytes(f"{root}/final") == b"old"
        assert files.read_bytes(f"{root}/tmp") == b"new"
        files.publish(f"{root}/tmp", f"{root}/final", overwrite=True)
        assert files.read_bytes(f"{root}/final") == b"new"
        assert not files.exists(f"{root}/tmp")

    def test_publish_of_nothing_is_an_error(self, files: FileSystem, root: str) -> None:
        with pytest.raises(FileMissingError):
            files.publish(f"{root}/no", f"{root}/final")
        with pytest.raises(FileMissingError):
            files.publish(f"{root}/no", f"{root}/new/final")

    def test_write_atomic_leaves_nothing_behind(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/a", b"1")
        with pytest.raises(FileAlreadyExistsError):
            files.write_atomic(f"{root}/a", b"2")
        files.write_atomic(f"{root}/a", b"3", overwrite=True)
        assert files.read_bytes(f"{root}/a") == b"3"
        assert [each.name for each in files.list(root)] == ["a"]

    def test_rename_moves_files_and_directories(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/d/a", b"1")
        files.write_atomic(f"{root}/b", b"2")
        files.rename(f"{root}/b", f"{root}/d/b")
        files.rename(f"{root}/d", f"{root}/e")
        found = [each.path for each in files.list(root, recursive=True) if not each.is_directory]
        assert found == [f"{root}/{name}" for name in ("e/a", "e/b")]
        with pytest.raises(FileAlreadyExistsError):
            files.rename(f"{root}/e/a", f"{root}/e/b")
        with pytest.raises(FileMissingError):
            files.rename(f"{root}/no", f"{root}/x")
        assert files.read_bytes(f"{root}/e/b") == b"2"

    def test_delete(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/d/a", b"1")
        with pytest.raises(FileSystemError, match="recursive"):
            files.delete(f"{root}/d")
        assert files.delete(f"{root}/d/a")
        assert not files.delete(f"{root}/d/a")
        assert not files.delete(f"{root}/no/such", recursive=True)
        files.write_atomic(f"{root}/d/b/c", b"1")
        assert files.delete(f"{root}/d", recursive=True)
        assert not files.exists(f"{root}/d")

    def test_only_glob_takes_names_for_patterns(self, files: FileSystem, root: str) -> None:
        for name in ("a*", "ab", "d*/x", "db/x"):
            files.write_atomic(f"{root}/{name}", name.encode())
        files.rename(f"{root}/a*", f"{root}/c*")
        assert files.delete(f"{root}/d*", recursive=True)
        found = [each.path for each in files.list(root, recursive=True) if not each.is_directory]
        assert found == [f"{root}/{name}" for name in ("ab", "c*", "db/x")]
        assert [each.name for each in files.glob(f"{root}/c[*]")] == ["c*"]

    def test_arrow_reads_one_column_of_a_parquet_file(self, files: FileSystem, root: str) -> None:
        table = pa.table({"number": list(range(1000)), "text": [str(number) for number in range(1000)]})
        arrow = files.arrow()
        with arrow.open_output_stream(f"{root}/data.parquet") as out:
            pa.parquet.write_table(table, out, row_group_size=100)
        read = pa.parquet.read_table(f"{root}/data.parquet", columns=["number"], filesystem=arrow)
        assert read == table.select(["number"])
        dataset = pa.dataset.dataset(root, filesystem=arrow, format="parquet")
        assert dataset.to_table(columns=["text"], filter=pa.dataset.field("number") < 3)["text"].to_pylist() == [
            "0",
            "1",
            "2",
        ]

    def test_block_size(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/a", b"1")
        assert files.block_size(f"{root}/a") >= MIB
        with pytest.raises(FileMissingError):
            files.block_size(f"{root}/no")

    def test_it_pickles(self, files: FileSystem) -> None:
        assert pickle.loads(pickle.dumps(files)).uri("/") == files.uri("/")


class DirectoriesAndLocks:
    """What file systems with real directories and an atomic rename do besides; object stores do not."""

    def test_empty_directories(self, files: FileSystem, root: str) -> None:
        files.mkdirs(f"{root}/a/b")
        files.mkdirs(f"{root}/a/b")
        assert files.list(f"{root}/a/b") == []
        assert [each.is_directory for each in files.list(f"{root}/a")] == [True]
        assert files.delete(f"{root}/a/b")
        files.write_atomic(f"{root}/file", b"1")
        with pytest.raises(FileAlreadyExistsError):
            files.mkdirs(f"{root}/file")
        with pytest.raises(FileSystemError):
            files.mkdirs(f"{root}/file/below")

    def test_a_long_listing_is_complete(self, files: FileSystem, root: str) -> None:
        names = [f"d{number:04}" for number in range(1100)]  # a NameNode answers 1000 at a time
        for name in names:
            files.mkdirs(f"{root}/many/{name}")
        assert [each.name for each in files.list(f"{root}/many")] == names

    def test_a_rename_needs_the_parent(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/a", b"1")
        with pytest.raises(FileMissingError):
            files.rename(f"{root}/a", f"{root}/no/a")

    def test_of_concurrent_publishers_one_wins(self, files: FileSystem, root: str) -> None:
        writers = 8
        for number in range(writers):
            files.write_atomic(f"{root}/tmp-{number}", str(number).encode())
        start = Barrier(writers)

        def publish(number: int) -> bool:
            start.wait(30)
            try:
                files.publish(f"{root}/tmp-{number}", f"{root}/out/final")
            except FileAlreadyExistsError:
                return False
            return True

        with ThreadPoolExecutor(writers) as pool:
            won = list(pool.map(publish, range(writers)))
        assert won.count(True) == 1
        assert files.read_bytes(f"{root}/out/final") == str(won.index(True)).encode()
        losers = sorted(f"tmp-{number}" for number in range(writers) if not won[number])
        assert [each.name for each in files.list(root)] == ["out", *losers]


class TestLocal(FileSystemContract, DirectoriesAndLocks):
    @pytest.fixture(params=["plain", "file://"])
    def uri(self, request: pytest.FixtureRequest, tmp_path: Path) -> str:
        directory = tmp_path / "files"
        directory.mkdir()
        return str(directory) if request.param == "plain" else f"file://{directory}"

    def test_permission_denied(self, files: FileSystem, root: str) -> None:
        files.mkdirs(f"{root}/closed")
        os.chmod(f"{root}/closed", 0)
        # Root may do everything, so then somebody else tries.
        me = os.geteuid()
        user = 65534 if me == 0 else me
        os.seteuid(user)
        try:
            with pytest.raises(FilePermissionError, match=rf"permission denied: .*/closed/.* \(user id {user}\)"):
                files.write_atomic(f"{root}/closed/a", b"1")
        finally:
            os.seteuid(me)
            os.chmod(f"{root}/closed", 0o700)
        assert files.list(f"{root}/closed") == []

    def test_a_colon_is_like_any_other_character(self, files: FileSystem, root: str) -> None:
        files.write_atomic(f"{root}/a:b", b"1")
        assert [each.name for each in files.glob(f"{root}/a:*")] == ["a:b"]


class TestFsspec(FileSystemContract):
    """The adapter of object stores, above fsspec's own file system in memory: no service is needed."""

    @pytest.fixture
    def uri(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        from fsspec.implementations.memory import MemoryFileSystem

        inner = MemoryFileSystem()
        adapted = FsspecFileSystem("memory", "bucket", inner)
        # The scheme is no user's: it stands in for s3, which needs a service.
        monkeypatch.setattr(registry, "_open", lambda *_: adapted)
        monkeypatch.setattr(registry, "_instances", {})
        inner.makedirs("/bucket/dir")
        yield "memory://bucket/dir"
        inner.rm("/bucket", recursive=True)
