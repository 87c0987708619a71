"""The file that tells the next `run` about a session, and which cluster a command means."""

from __future__ import annotations

import getpass
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from yarnflow.config import Configuration
from yarnflow.config.yarn import YarnOptions
from yarnflow.errors import ApplicationNotFoundError, ConfigurationError
from yarnflow.session import properties_file, running
from yarnflow.session.properties_file import SessionNote
from yarnflow.session.running import StandaloneCluster, YarnCluster
from yarnflow.session.targets import Target, attach, resolve
from yarnflow.yarn.application import ApplicationReport, ApplicationState

APP = "application_1_0001"


@pytest.fixture
def config(tmp_path: Path) -> Configuration:
    return Configuration({YarnOptions.PROPERTIES_FILE_LOCATION.key: str(tmp_path)})


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")) | st.sampled_from("\\:=\n\t#"))


@given(st.dictionaries(st.from_regex(r"[a-z][a-z.\-]{0,10}", fullmatch=True), TEXT, max_size=3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_note_survives_its_file(config: Configuration, properties: dict[str, str]) -> None:
    # Space around a value means nothing in such a file, and @@ stands between entries.
    properties = {key: value.strip().replace("@", "") for key, value in properties.items()}
    file = properties_file.write(config, SessionNote(APP, properties))
    assert properties_file.read(config) == SessionNote(APP, properties)
    assert file.name == f".yarn-properties-{getpass.getuser()}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "it may have secrets given with -D"


def test_flinks_own_file_can_be_read(config: Configuration) -> None:
    properties_file.path(config).write_text(
        "#Generated YARN properties file\n#Mon Jan 1\ndynamicPropertiesString=a\\=b\\:c@@d\\=1\n"
        f"applicationID={APP}\n"
    )
    assert properties_file.read(config) == SessionNote(APP, {"a": "b:c", "d": "1"})


def test_it_is_removed_with_its_session_only(config: Configuration) -> None:
    file = properties_file.write(config, SessionNote(APP))
    properties_file.remove(config, "application_1_0002")
    assert file.exists()
    properties_file.remove(config, APP)
    assert not file.exists()
    properties_file.remove(config, APP)


def test_what_others_put_there_is_not_believed(config: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "alice")
    file = properties_file.write(config, SessionNote(APP))
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: -1)
        assert properties_file.read(config) is None
    file.unlink()
    os.mkfifo(file)
    assert properties_file.read(config) is None, "and nobody waits for the other end of a pipe"
    file.unlink()
    file.write_bytes(b"\xff\xfe")
    assert properties_file.read(config) is None
    file.write_text("nothing=here\n")
    assert properties_file.read(config) is None


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(config: Configuration, tmp_path: Path) -> None:
    properties_file.path(config).mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="directory"):
        properties_file.write(config, SessionNote(APP))
    assert sorted(tmp_path.iterdir()) == before


# -- which cluster -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "jobmanager", "target"),
    [
        ({}, "", Target.LOCAL),
        ({}, "yarn-cluster", Target.YARN_PER_JOB),
        ({"execution.target": "yarn-per-job"}, "yarn-cluster", Target.YARN_PER_JOB),
        ({}, "host:1", Target.REMOTE),
        ({"execution.target": "remote"}, "host:1", Target.REMOTE),
        ({"execution.target": "local"}, "", Target.LOCAL),
        ({"yarn.application.id": APP}, "", Target.YARN_SESSION),
        ({"execution.target": "yarn-application"}, "", Target.YARN_APPLICATION),
    ],
)
def test_where_a_program_runs(
    config: Configuration, options: dict[str, str], jobmanager: str, target: Target
) -> None:
    assert resolve(config.merge(options), jobmanager).target is target


def test_a_noted_session_without_hadoops_configuration_says_why_yarn_was_chosen(
    config: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("YARN_CONF_DIR", "HADOOP_CONF_DIR", "HADOOP_HOME"):
        monkeypatch.delenv(name, raising=False)
    properties_file.write(config, SessionNote(APP, {}))
    with pytest.raises(ConfigurationError, match=rf"notes the session {APP}.*HADOOP_CONF_DIR.*-t local"):
        resolve(config)


def test_the_noted_session_is_weaker_than_everything_else(
    config: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    properties_file.write(config, SessionNote(APP, {"parallelism.default": "4", "yarn.application.name": "n"}))
    found = resolve(config.merge({"parallelism.default": "2"}))
    assert found.target is Target.YARN_SESSION
    assert found.config[YarnOptions.APPLICATION_ID] == APP
    assert found.config.to_dict()["parallelism.default"] == "2"
    assert found.config.to_dict()["yarn.application.name"] == "n"
    other = resolve(config.merge({"yarn.application.id": "application_1_0002"}))
    assert other.config[YarnOptions.APPLICATION_ID] == "application_1_0002"
    assert resolve(config.merge({"execution.target": "local"})).target is Target.LOCAL
    assert resolve(config, "host:1").target is Target.REMOTE


@pytest.mark.parametrize(
    ("target", "jobmanager"), [("local", "yarn-cluster"), ("yarn-session", "host:1"), ("yarn-session", "")]
)
def test_contradictions_and_no_session(config: Configuration, target: str, jobmanager: str) -> None:
    with pytest.raises(ConfigurationError, match=r"contradict each other|there is no YARN session"):
        resolve(config.merge({"execution.target": target}), jobmanager)


@pytest.mark.parametrize(
    ("target", "jobmanager"), [("", "yarn-cluster"), ("yarn-per-job", ""), ("yarn-application", "")]
)
def test_asking_an_application_nobody_names(config: Configuration, target: str, jobmanager: str) -> None:
    options = {"execution.target": target} if target else {}
    with pytest.raises(ConfigurationError, match="-yid"):
        attach(config.merge(options), jobmanager)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("", "http://localhost:8081"),
        ("host", "http://host:8081"),
        ("host:1", "http://host:1"),
        ("http://host:1/", "http://host:1"),
        ("[::1]:1", "http://[::1]:1"),
        ("[::1]", "http://[::1]:8081"),
    ],
)
def test_addresses_of_standalone_clusters(config: Configuration, address: str, url: str) -> None:
    assert StandaloneCluster(config, address).url == url
    found = attach(config, address)
    assert isinstance(found, StandaloneCluster)
    assert found.url == url


def test_a_stale_session_says_where_it_is_noted(
    config: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("yarn-site.xml", "core-site.xml"):
        (tmp_path / name).write_text("<configuration/>")
    config = config.merge({"env.hadoop.conf.dir": str(tmp_path)})
    ended = ApplicationReport(
        APP, "session", "u", "default", ApplicationState.KILLED, "KILLED", "by admin", "", frozenset()
    )
    forgotten: list[str] = []
    monkeypatch.setattr(YarnCluster, "report", lambda self: ended)
    monkeypatch.setattr(running, "Staging", lambda *_: SimpleNamespace(forget=forgotten.append))
    file = properties_file.write(config, SessionNote(APP))
    with pytest.raises(ApplicationNotFoundError) as caught:
        attach(config)
    assert "has ended: KILLED, final status KILLED. YARN says: by admin" in str(caught.value)
    assert f"the session noted in {file}: start a new one with yarn-session.sh" in str(caught.value)
    assert forgotten == [APP], "nothing stays in the staging directory"
    file.unlink()
    with pytest.raises(ApplicationNotFoundError) as caught:
        YarnCluster(APP, config)
    assert "noted in" not in str(caught.value)


def test_an_id_that_is_none_touches_no_file(config: Configuration) -> None:
    with pytest.raises(ApplicationNotFoundError, match="is not the id of a YARN application"):
        YarnCluster("../../etc", config)
