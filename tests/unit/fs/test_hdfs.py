"""HDFS without a NameNode: configuration and the wording of errors. tests/yarn/test_hdfs.py has the rest."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from yarnflow import errors, fs
from yarnflow.errors import FileSystemError
from yarnflow.fs.hdfs import HdfsFileSystem, _Reader


def rpc_error(name: str, message: str) -> RuntimeError:
    """As hdfs-native words what a NameNode answers."""
    return RuntimeError(f'RPCError("{name}", "{message}\\n\\tat org.apache.hadoop.Some(Some.java:1)\\n")')


@pytest.fixture
def files() -> HdfsFileSystem:
    return HdfsFileSystem("hdfs", "nn:8020", {})


@pytest.mark.parametrize(
    ("raised", "expected", "wording"),
    [
        (FileNotFoundError("/a"), errors.FileMissingError, "no such file or directory: hdfs://nn:8020/a; check"),
        (FileNotFoundError("Path is not a file: /a\n\tat"), errors.PathIsDirectoryError, "is a directory"),
        (FileExistsError("/a already exists as a directory"), errors.PathIsDirectoryError, "is a directory"),
        (FileExistsError("/a for client 1 already exists\n\tat"), errors.FileAlreadyExistsError, "exists already"),
        (
            rpc_error("org.apache.hadoop.security.AccessControlException", 'denied: user=bob, inode=\\"/a\\"'),
            errors.FilePermissionError,
            'hdfs://nn:8020/a: denied: user=bob, inode="/a"; check the owner',
        ),
        (
            rpc_error("org.apache.hadoop.hdfs.server.namenode.SafeModeException", "Cannot create"),
            errors.FileSystemUnreachableError,
            "not ready: Cannot create; try again",
        ),
        (
            rpc_error("org.apache.hadoop.hdfs.protocol.DSQuotaExceededException", "The quota of /a is exceeded"),
            FileSystemError,
            "DSQuotaExceededException: The quota of /a is exceeded; see the NameNode's log",
        ),
        (
            RuntimeError('GSSAPIError(GSS_S_FAILURE, 1, "No Kerberos credentials available")'),
            errors.FilePermissionError,
            "login failed at hdfs://nn:8020/: .*No Kerberos credentials available.*; run kinit",
        ),
        (
            RuntimeError(
                'FatalRPCError("org.apache.hadoop.security.AccessControlException", '
                '"SIMPLE authentication is not enabled.  Available:[TOKEN, KERBEROS]")'
            ),
            errors.FilePermissionError,
            "login failed at hdfs://nn:8020/: SIMPLE authentication is not enabled.*; run kinit",
        ),
        (
            OSError("Connection refused (os error 111)"),
            errors.FileSystemUnreachableError,
            "no answer from hdfs://nn:8020/: Connection refused",
        ),
    ],
)
def test_errors_say_what_happened_and_what_to_do(
    files: HdfsFileSystem, raised: Exception, expected: type[FileSystemError], wording: str
) -> None:
    with pytest.raises(expected, match=wording) as caught, files._errors("/a"):
        raise raised
    assert type(caught.value) is expected
    assert "\n" not in str(caught.value)
    assert "Some.java" not in str(caught.value)
    assert caught.value.__cause__ is raised


def test_no_default_file_system_says_where_to_set_it(tmp_path: Path) -> None:
    with pytest.raises(
        FileSystemError, match=r"No fs.defaultFS setting found.*set HADOOP_CONF_DIR or env\.hadoop"
    ):
        fs.file_system("hdfs:///a", {"env.hadoop.conf.dir": str(tmp_path)})


def test_the_default_file_system_is_read_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "core-site.xml").write_text(
        "<configuration><property>\n<name>fs.defaultFS</name>\n<value>hdfs://Nn.example:8020/</value>\n"
        "</property></configuration>"
    )
    files = HdfsFileSystem("hdfs", "", {"env.hadoop.conf.dir": str(tmp_path)})
    assert files._default_authority() == "Nn.example:8020"
    assert files._config == {"dfs.client.failover.max.attempts": "5"}
    assert files.uri("/a") == "hdfs:///a"


def test_a_name_service_keeps_the_clients_patience() -> None:
    options = {
        "flink.hadoop.dfs.ha.namenodes.Ns": "a",
        "flink.hadoop.dfs.namenode.rpc-address.Ns.a": "127.0.0.1:1",
        "parallelism.default": "1",
    }
    assert set(HdfsFileSystem("hdfs", "Ns", options)._config) == {
        "dfs.ha.namenodes.Ns",
        "dfs.namenode.rpc-address.Ns.a",
    }


class FakeFile:
    """The two calls of hdfs-native's reader that ours makes; like it, reads no further than the end."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def read_range(self, offset: int, length: int) -> bytes:
        assert offset + length <= len(self.data)
        return self.data[offset : offset + length]


def test_a_reader_never_asks_past_the_end(files: HdfsFileSystem) -> None:
    raw = _Reader(files, "/a", FakeFile(bytes(range(10))))  # type: ignore[arg-type]
    assert raw.seek(20) == 20
    assert raw.read(5) == b""
    assert raw.read() == b""
    assert raw.seek(-4, io.SEEK_END) == 6
    assert raw.read(100) == bytes([6, 7, 8, 9])
    assert raw.seek(-2, io.SEEK_CUR) == 8
    assert raw.readall() == bytes([8, 9])
    with pytest.raises(ValueError, match="before the start"):
        raw.seek(-1)
    buffered = io.BufferedReader(raw, 4)
    buffered.seek(3)
    assert buffered.read(3) == bytes([3, 4, 5])
