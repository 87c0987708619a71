"""The file system contract on a real HDFS, and what only HDFS does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.test_file_system import DirectoriesAndLocks, FileSystemContract
from yarnflow import fs
from yarnflow.devcluster.cluster import DevCluster
from yarnflow.errors import FilePermissionError, FileSystemError, FileSystemUnreachableError

pytestmark = pytest.mark.yarn

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def uri(devcluster: DevCluster) -> Iterator[str]:
    """An empty directory, named by host and port."""
    uri = f"{devcluster.hdfs_uri}/tmp/contract-{uuid.uuid4().hex}"
    files, path = fs.get(uri)
    files.mkdirs(path)
    yield uri
    files.delete(path, recursive=True)


@pytest.fixture
def address(devcluster: DevCluster) -> str:
    return devcluster.hdfs_uri.removeprefix("hdfs://")


class TestHdfs(FileSystemContract, DirectoriesAndLocks):
    @pytest.fixture
    def uri(self, uri: str) -> str:
        return uri


def test_the_default_file_system_is_that_of_the_configuration(devcluster: DevCluster, uri: str) -> None:
    files, path = fs.get(uri)
    files.write_atomic(f"{path}/a", b"1")
    conf = {"env.hadoop.conf.dir": devcluster.env()["HADOOP_CONF_DIR"]}
    default, same = fs.get(f"hdfs://{path}/a", conf)
    assert same == f"{path}/a"
    assert default.uri(same) == f"hdfs://{path}/a"
    assert default.read_bytes(same) == b"1"


def test_a_name_service_keeps_its_case(address: str, uri: str) -> None:
    options = {
        "flink.hadoop.dfs.nameservices": "MixedCase",
        "flink.hadoop.dfs.ha.namenodes.MixedCase": "Nn1",
        "flink.hadoop.dfs.namenode.rpc-address.MixedCase.Nn1": address,
    }
    _, path = fs.get(uri)
    files, path = fs.get(f"hdfs://MixedCase{path}/a", options)
    files.write_atomic(path, b"1")
    assert files.read_bytes(path) == b"1"
    assert files.uri(path) == f"hdfs://MixedCase{path}"


def test_another_user_is_refused_by_name(uri: str) -> None:
    # The client takes its user from the environment of the process, so it is another process.
    program = "import sys; from yarnflow import fs; f, p = fs.get(sys.argv[1]); f.write_atomic(p, b'1')"
    ended = subprocess.run(
        [sys.executable, "-c", program, f"{uri}/a"],
        env={**os.environ, "HADOOP_USER_NAME": "bob"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"{FilePermissionError.__name__}: " in ended.stderr
    assert "user=bob, access=WRITE" in ended.stderr
    assert "org.apache.hadoop" not in ended.stderr.splitlines()[-1]


def test_a_client_made_before_a_fork_works_after_it(uri: str) -> None:
    # In a process of its own: forking the test's process would copy the threads of other tests' libraries.
    program = (
        "import os, sys\n"
        "from yarnflow import fs\n"
        "files, path = fs.get(sys.argv[1])\n"
        "files.write_atomic(path, b'parent')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    files.write_atomic(path + '2', files.read_bytes(path) + b' and child')\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "print(files.read_bytes(path + '2').decode())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, f"{uri}/a"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout == "parent and child\n"


def test_writers_over_a_file_being_written_are_told(uri: str) -> None:
    files, path = fs.get(uri)
    with files.open_write(f"{path}/a") as out:
        out.write(b"1")
        with pytest.raises(FileSystemError, match="exists already"):
            files.open_write(f"{path}/a")


def test_a_namenode_that_is_not_there_is_given_up_soon() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"flink.hadoop.dfs.client.failover.sleep.base.millis": "10"}
    files = fs.file_system(f"hdfs://127.0.0.1:{port}/", options)
    with pytest.raises(FileSystemUnreachableError, match=rf"no answer from hdfs://127.0.0.1:{port}/: .*NameNode"):
        files.status("/a")


def test_blocks_have_the_size_of_the_file_system(uri: str) -> None:
    files, path = fs.get(uri)
    files.write_atomic(f"{path}/a", b"1")
    assert files.block_size(f"{path}/a") % (1024 * 1024) == 0
