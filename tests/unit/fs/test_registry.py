from __future__ import annotations

import builtins
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from yarnflow import fs
from yarnflow.errors import FileSystemError, MissingDependencyError
from yarnflow.fs.local import LocalFileSystem


@pytest.fixture
def options() -> Iterator[None]:
    yield
    fs.initialize({})


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("hdfs:///a/b", ("hdfs", "", "/a/b")),
        ("hdfs:/a/b", ("hdfs", "", "/a/b")),
        ("hdfs://NameService1/a", ("hdfs", "NameService1", "/a")),
        ("HDFS://Host:8020", ("hdfs", "Host:8020", "/")),
        ("s3a://Bucket/a%20b c", ("s3a", "Bucket", "/a%20b c")),
        ("hdfs://h/a?b#c", ("hdfs", "h", "/a?b#c")),
        ("file:///a", ("file", "", "/a")),
        ("file:/a", ("file", "", "/a")),
        ("file://localhost/a", ("file", "", "/a")),
        ("/a/b:c", ("file", "", "/a/b:c")),
        ("/a/../b/", ("file", "", "/b")),
    ],
)
def test_uris_come_apart(uri: str, expected: tuple[str, str, str]) -> None:
    assert fs.split_uri(uri) == expected


def test_a_name_with_a_colon_is_a_local_path() -> None:
    scheme, _, path = fs.split_uri("part:1")
    assert scheme == "file"
    assert path.endswith("/part:1")


def test_a_file_of_another_host_is_refused() -> None:
    with pytest.raises(FileSystemError, match="three slashes"):
        fs.get("file://tmp/a")


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(
        FileSystemError, match=r"scheme gopher \(of gopher://x/y\); known are file, hdfs, s3, s3a, viewfs"
    ):
        fs.get("gopher://x/y")


def test_there_is_one_instance_per_authority_and_options(options: None) -> None:
    assert fs.file_system("/a") is fs.file_system("file:///b")
    assert isinstance(fs.file_system("/a"), LocalFileSystem)
    one = fs.file_system("hdfs://127.0.0.1:1/")
    assert fs.file_system("hdfs://127.0.0.1:1/x") is one
    assert fs.file_system("hdfs://127.0.0.1:2/x") is not one
    fs.initialize({"flink.hadoop.dfs.client.failover.max.attempts": "1"})
    assert fs.file_system("hdfs://127.0.0.1:1/") is not one


def test_s3_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_s3fs(name: str, *rest: Any, **more: Any) -> Any:
        if name == "s3fs":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_s3fs)
    with pytest.raises(MissingDependencyError, match=r"s3:// needs the package s3fs: .*yarnflow\[s3\]"):
        fs.get("s3://bucket/a")


def test_local_files_load_no_client_library() -> None:
    program = (
        "import sys; from yarnflow import fs; f, p = fs.get(sys.argv[1]); f.read_bytes(p); f.glob('/*');"
        "print([name for name in ('pyarrow', 'fsspec', 'hdfs_native', 'numpy', 'asyncio') if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, __file__], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "[]\n"


def test_a_representation_shows_no_options() -> None:
    files = fs.file_system("hdfs://127.0.0.1:1/", {"flink.hadoop.some.password": "hush"})
    assert repr(files) == "<HdfsFileSystem hdfs://127.0.0.1:1/>"
