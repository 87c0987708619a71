from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from yarnflow.devcluster import daemons, hadoop_conf, launchers, ports
from yarnflow.devcluster.processes import MARK, ROLE_MARK
from yarnflow.devcluster.settings import Settings, Site


def make_site(directory: Path, nodes: int = 2, zookeeper: bool = True) -> Site:
    names = ports.names_for(nodes, zookeeper)
    numbers = {name: 20_000 + index for index, name in enumerate(names)}
    return Site(directory, Settings(nodes, zookeeper, 4096, 4), numbers, directory / "lib", directory / "java")


def read(path: Path) -> dict[str, str]:
    entries = ElementTree.parse(path).iter("property")
    return {entry.findtext("name", ""): entry.findtext("value", "") for entry in entries}


def test_every_daemon_listens_on_ports_of_its_own_on_this_machine_only(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    given = {**hadoop_conf.hdfs_site(site), **hadoop_conf.yarn_site(site)}
    used = [value for name, value in given.items() if name.endswith("address")]
    for daemon in daemons.daemons(site):
        used += [word.partition("=")[2] for word in daemon.arguments if ".address=" in word]
    used.append(site.address("zookeeper-client"))
    assert sorted(used) == sorted(f"localhost:{port}" for port in site.ports.values())
    assert "clientPortAddress=127.0.0.1" in hadoop_conf.zoo_cfg(site)


def test_all_state_lies_below_the_folder(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    given = {**hadoop_conf.core_site(site), **hadoop_conf.hdfs_site(site), **hadoop_conf.yarn_site(site)}
    folders = [value for name, value in given.items() if name.endswith("dir") and "app-log" not in name]
    for daemon in daemons.daemons(site):
        folders += [word.partition("=")[2] for word in daemon.arguments if "-dirs=" in word]
    assert len(folders) == 3 + 2 * 2
    assert len(set(folders)) == len(folders)
    assert all(folder.removeprefix("file://").startswith(f"{tmp_path}/") for folder in folders)


def test_containers_carry_the_marks_by_which_stop_finds_them(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    whitelist = hadoop_conf.yarn_site(site)["yarn.nodemanager.env-whitelist"].split(",")
    assert {MARK, ROLE_MARK, "JAVA_HOME", "HADOOP_CONF_DIR"} <= set(whitelist)
    for daemon in daemons.daemons(site):
        environment = daemons.environment(daemon, site)
        assert environment[MARK] == str(tmp_path)
        assert environment[ROLE_MARK] == daemon.role


def test_daemons_do_not_see_the_shell_that_started_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET_TOKEN", "hush")
    monkeypatch.setenv("VIRTUAL_ENV", "/some/venv")
    monkeypatch.setenv("PATH", "/some/venv/bin")
    site = make_site(tmp_path)
    environment = daemons.environment(daemons.daemons(site)[0], site)
    assert not {"SOME_SECRET_TOKEN", "VIRTUAL_ENV", "PYTHONPATH"} & set(environment)
    assert "/some/venv" not in environment["PATH"]


def test_the_files_are_written_as_hadoop_reads_them(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    hadoop_conf.write(site)
    assert read(site.conf / "core-site.xml")["fs.defaultFS"] == site.hdfs_uri == "hdfs://localhost:20000"
    yarn = read(site.conf / "yarn-site.xml")
    assert yarn["yarn.nodemanager.resource.memory-mb"] == "4096"
    assert yarn["yarn.nodemanager.resource.cpu-vcores"] == "4"
    assert (site.conf / "webapps" / "hdfs").is_dir()
    assert (site.conf / "zoo.cfg").exists()
    hadoop_conf.write(make_site(tmp_path, zookeeper=False))
    assert not (site.conf / "zoo.cfg").exists()


def test_values_are_escaped() -> None:
    text = hadoop_conf.to_xml({"a": "<b> & c"})
    assert ElementTree.fromstring(text).findtext("property/value") == "<b> & c"


def test_the_queues_share_the_cluster() -> None:
    given = hadoop_conf.capacity_scheduler()
    queues = given["yarn.scheduler.capacity.root.queues"].split(",")
    assert queues == ["default", "batch"]
    assert sum(int(given[f"yarn.scheduler.capacity.root.{queue}.capacity"]) for queue in queues) == 100


def test_nodes_differ_in_ports_and_folders(tmp_path: Path) -> None:
    first, second = (d for d in daemons.daemons(make_site(tmp_path)) if d.role.startswith("nodemanager-"))
    differing = {a.partition("=")[0] for a, b in zip(first.arguments, second.arguments, strict=True) if a != b}
    assert differing == {
        f"-Dyarn.nodemanager.{name}"
        for name in ("address", "localizer.address", "webapp.address", "local-dirs", "log-dirs")
    }
    site = make_site(tmp_path)
    assert first.ports(site) == {use: site.ports[f"nodemanager-0-{use}"] for use in ("rpc", "localizer", "web")}


def test_the_launchers_are_shell_that_runs(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    java = site.java_home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    java.chmod(0o755)
    site.lib.mkdir()
    (site.lib / "a.jar").touch()
    (site.lib / "b.jar").touch()
    launchers.write(site)

    def run(*line: str) -> subprocess.CompletedProcess[str]:
        command = [site.bin / line[0], *line[1:]]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)

    assert run("yarn", "classpath", "--glob").stdout == f"{site.conf}:{site.lib}/a.jar:{site.lib}/b.jar\n"
    said = run("yarn", "application", "-list", "two words").stdout.splitlines()
    assert said[-4:] == ["org.apache.hadoop.yarn.client.cli.ApplicationCLI", "app", "-list", "two words"]
    unknown = run("hdfs", "balancer")
    assert unknown.returncode == 2
    assert "unknown command 'balancer'" in unknown.stderr
    assert "dfsadmin" in unknown.stderr
