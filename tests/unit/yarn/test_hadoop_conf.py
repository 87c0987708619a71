"""What the client's Hadoop configuration means to us."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from yarnflow.config import Configuration
from yarnflow.errors import ConfigurationError
from yarnflow.yarn.hadoop_conf import HadoopConf, conf_directory, hadoop_user, load


def write(directory: Path, name: str, properties: Mapping[str, str]) -> None:
    entries = "".join(
        f"<property><name> {key} </name><value>\n{value}\n</value></property>" for key, value in properties.items()
    )
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"<?xml version='1.0'?><configuration>{entries}</configuration>")




def rm(properties: Mapping[str, str]) -> tuple[str, ...]:
    named = {key if key.startswith("yarn.") else f"yarn.resourcemanager.{key}": v for key, v in properties.items()}
    return HadoopConf(Path("/conf"), named).web_addresses()


def test_files_are_read_in_hadoops_order(tmp_path: Path) -> None:
    write(tmp_path, "core-site.xml", {"fs.defaultFS": "hdfs://NameNode:8020/", "a": "core"})
    write(tmp_path, "yarn-default.xml", {"a": "default", "b": "default"})
    write(tmp_path, "yarn-site.xml", {"b": "site"})
    found = load(Configuration(), {"HADOOP_CONF_DIR": str(tmp_path)})
    assert (found.get("a"), found.get("b"), found.get("c", "none")) == ("default", "site", "none")
    assert found.default_fs == "hdfs://NameNode:8020"
    assert found.directory == tmp_path


def test_variables_are_substituted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RM_HOST", "rm.example")
    found = HadoopConf(
        Path("/conf"),
        {
            "a": "${b}:${c}/${unknown}",
            "b": "${env.RM_HOST}",
            "c": "1",
            "loop": "${loop}",
            "env": "${env.NOT_SET_X}",
        },
    )
    assert found.get("a") == "rm.example:1/${unknown}"
    assert found.get("loop") == "${loop}"
    assert found.get("env") == "${env.NOT_SET_X}"


def test_defaults_of_an_empty_configuration() -> None:
    found = HadoopConf(Path("/conf"), {})
    assert found.default_fs == "file://"
    assert not found.secure
    assert not found.web_secure
    assert found.web_addresses() == ("http://localhost:8088",)


@pytest.mark.parametrize(
    ("properties", "addresses"),
    [
        ({"hostname": "rm"}, ("http://rm:8088",)),
        ({"webapp.address": "web:99", "hostname": "rm"}, ("http://web:99",)),
        ({"webapp.address": "0.0.0.0:8188"}, ("http://localhost:8188",)),
        ({"yarn.http.policy": "HTTPS_ONLY", "hostname": "rm"}, ("https://rm:8090",)),
        ({"yarn.http.policy": "HTTPS_ONLY", "webapp.https.address": "web:9", "webapp.address": "no:1"},
         ("https://web:9",)),
        ({"ha.enabled": "true", "ha.rm-ids": "rm1, rm2", "hostname.rm1": "one", "hostname.rm2": "two"},
         ("http://one:8088", "http://two:8088")),
        ({"ha.enabled": "true", "ha.rm-ids": "rm1,rm2", "webapp.address.rm1": "one:1", "hostname.rm2": "two"},
         ("http://one:1", "http://two:8088")),
        ({"ha.enabled": "true", "ha.rm-ids": "", "hostname": "rm"}, ("http://rm:8088",)),
        ({"ha.enabled": "false", "ha.rm-ids": "rm1", "hostname": "rm"}, ("http://rm:8088",)),
    ],
)  # fmt: skip
def test_addresses_of_the_resourcemanagers(properties: dict[str, str], addresses: tuple[str, ...]) -> None:
    assert rm(properties) == addresses


@pytest.mark.parametrize(
    ("properties", "secure", "web"),
    [
        ({"hadoop.security.authentication": "kerberos"}, True, True),
        ({"hadoop.http.authentication.type": "kerberos"}, False, True),
        ({"hadoop.security.authentication": "simple"}, False, False),
    ],
)
def test_kerberos(properties: dict[str, str], secure: bool, web: bool) -> None:
    found = HadoopConf(Path("/conf"), properties)
    assert (found.secure, found.web_secure) == (secure, web)


def test_where_the_directory_is_found(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("option", "yarn", "hadoop")]
    home = tmp_path / "home"
    for place in [*places, home / "etc" / "hadoop"]:
        place.mkdir(parents=True)
    environ = {"YARN_CONF_DIR": str(places[1]), "HADOOP_CONF_DIR": str(places[2]), "HADOOP_HOME": str(home)}
    assert conf_directory(Configuration({"env.yarn.conf.dir": str(places[0])}), environ) == places[0]
    assert conf_directory(Configuration(), environ) == places[1]
    del environ["YARN_CONF_DIR"]
    assert conf_directory(Configuration(), environ) == places[2]
    assert conf_directory(Configuration(), {"HADOOP_HOME": str(home)}) == home / "etc" / "hadoop"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="set HADOOP_CONF_DIR"):
        load(Configuration(), {})
    with pytest.raises(ConfigurationError, match=r"HADOOP_CONF_DIR says .*/nowhere, which is not a directory"):
        load(Configuration(), {"HADOOP_CONF_DIR": "/nowhere"})
    with pytest.raises(ConfigurationError, match=r"has no yarn-site\.xml"):
        load(Configuration(), {"HADOOP_CONF_DIR": str(tmp_path)})
    (tmp_path / "yarn-site.xml").write_text("<configuration>")
    with pytest.raises(ConfigurationError, match=r"yarn-site\.xml cannot be read"):
        load(Configuration(), {"HADOOP_CONF_DIR": str(tmp_path)})


def test_who_we_are() -> None:
    assert hadoop_user({"HADOOP_USER_NAME": "alice"}) == "alice"
    assert hadoop_user({})
