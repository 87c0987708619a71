from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from yarnflow.devcluster import jars, logs, ports, processes, state
from yarnflow.devcluster.cluster import DevCluster
from yarnflow.devcluster.locking import locked
from yarnflow.devcluster.settings import HADOOP_VERSION, Settings
from yarnflow.errors import DevClusterError


def remember(folder: Path, **daemons: processes.ProcessId) -> state.State:
    folder.mkdir(exist_ok=True)
    made = state.State(
        Settings(2, True, 1024, 2),
        {name: 12_345 + index for index, name in enumerate(ports.names_for(2, zookeeper=True))},
        Path("/lib"),
        Path("/java"),
        {role: state.Started(process, 7.5) for role, process in daemons.items()},
    )
    state.save(folder, made)
    return made


def test_state_survives_a_round_trip_and_knows_who_lives(tmp_path: Path) -> None:
    me = processes.identify(os.getpid())
    saved = remember(tmp_path, namenode=me, datanode=processes.ProcessId(me.pid, me.started - 1))
    loaded = state.load(tmp_path)
    assert loaded == saved
    assert loaded is not None
    assert set(loaded.alive()) == {"namenode"}
    assert state.load(tmp_path / "none") is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}'])
def test_a_damaged_state_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(DevClusterError, match=r"state\.json cannot be read"):
        state.load(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    remember(tmp_path)
    raw = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps({**raw, "format": 99}))
    with pytest.raises(DevClusterError, match="has format 99"):
        state.load(tmp_path)


def test_the_folder_is_chosen_by_argument_environment_and_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(state.DIRECTORY_VARIABLE, raising=False)
    assert DevCluster().directory == tmp_path / "yarnflow" / "devcluster"
    monkeypatch.setenv(state.DIRECTORY_VARIABLE, str(tmp_path / "named"))
    assert DevCluster().directory == tmp_path / "named"
    assert DevCluster(tmp_path / "given").directory == tmp_path / "given"


@pytest.mark.parametrize("name", ["with space", "with,comma", "with:colon", "ünicode"])
def test_folder_names_hadoop_cannot_hold_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DevClusterError, match="choose another with --dir"):
        DevCluster(tmp_path / name)


def test_sizes_are_checked(tmp_path: Path) -> None:
    with pytest.raises(DevClusterError, match="one node at least, not 0"):
        DevCluster(tmp_path, nodes=0)
    with pytest.raises(DevClusterError, match="128 MB and 1 vcore at least, not 64 MB"):
        DevCluster(tmp_path, node_memory_mb=64)


def test_addresses_and_environment_come_from_what_was_started(tmp_path: Path) -> None:
    remember(tmp_path)
    found = DevCluster(tmp_path)
    assert found.hdfs_uri == "hdfs://localhost:12345"
    assert found.rm_web_address == "http://localhost:12354"
    assert found.zookeeper_quorum == "localhost:12355"
    variables = found.env()
    assert variables["HADOOP_CONF_DIR"] == f"{tmp_path}/conf"
    assert variables["PATH"].startswith(f"{tmp_path}/bin:")
    assert found.status().state == "stopped"
    assert not found.is_running()


def test_nothing_was_started_says_how_to(tmp_path: Path) -> None:
    fresh = DevCluster(tmp_path)
    assert fresh.status().state == "stopped"
    fresh.stop()
    with pytest.raises(DevClusterError, match="run `yarnflow devcluster start`"):
        fresh.env()


def test_two_commands_on_one_folder_wait_for_each_other(tmp_path: Path) -> None:
    told: list[str] = []
    with (
        locked(tmp_path / "lock", 1.0, "another command", told.append),
        pytest.raises(DevClusterError, match=rf"another command \(pid {os.getpid()}"),
        locked(tmp_path / "lock", 0.2, "another command", told.append),
    ):
        pass
    assert told == [f"waiting for another command (pid {os.getpid()})"]
    with locked(tmp_path / "lock", 0.2, "another command", told.append):
        pass


def test_a_full_disk_is_noticed_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 100, 5 * 2**20))
    with pytest.raises(DevClusterError, match=rf"only 5 MB are free in {tmp_path} and 512 MB are needed"):
        DevCluster(tmp_path).start()


def make_maven(folder: Path, body: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "mvn").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "mvn").chmod(0o755)


def test_jars_are_fetched_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.defpath}")
    make_maven(tmp_path / "bin", "echo '[ERROR] no route to the repository'; exit 1")
    with pytest.raises(DevClusterError, match="no route to the repository"):
        jars.ensure(print, tmp_path)
    lib = tmp_path / "cache" / "yarnflow" / f"hadoop-{HADOOP_VERSION}" / "lib"
    assert [entry.name for entry in lib.parent.iterdir()] == ["lock"]

    make_maven(tmp_path / "bin", f"test -f pom.xml && mkdir lib && touch lib/hadoop-common-{HADOOP_VERSION}.jar")
    assert jars.ensure(print, tmp_path) == lib
    assert [entry.name for entry in lib.iterdir()] == [f"hadoop-common-{HADOOP_VERSION}.jar"]
    make_maven(tmp_path / "bin", "exit 1")
    assert jars.ensure(print, tmp_path) == lib


def test_the_end_of_a_log_is_shown_without_stack_frames() -> None:
    causes = ["ERROR cannot bind", "java.net.BindException: in use"]
    lines = [*causes, "\tat a.b(C.java:1)", "\t... 12 more", "INFO bye"]
    assert logs.telling_lines(lines) == [*causes, "INFO bye"]
    assert len(logs.telling_lines(["x"] * 100)) == 15
