"""Files, environment and -D become one checked configuration."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from yarnflow.config import loader
from yarnflow.config.checkpointing import CheckpointingOptions
from yarnflow.config.core import PipelineOptions
from yarnflow.config.execution import ExecutionOptions, RestartStrategyOptions, RestartStrategyType
from yarnflow.config.jobmanager import JobManagerOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.config.yarn import YarnOptions
from yarnflow.errors import ConfigurationError

OLD_FLINK = """\
# An old configuration, as a Flink 1.x installation has it.
jobmanager.rpc.address: master1   # the master
env.java.opts: -XX:+UseG1GC -Dfoo=bar
jobmanager.heap.size: 2048m
taskmanager.numberOfTaskSlots: 4
taskmanager.memory.task.heap.size: 400m
classloader.resolve-order: parent-first
state.checkpoints.dir: hdfs:///flink/checkpoints
restart-strategy: fixed-delay
this line is broken
"""

NEW_FLINK = """\
env:
  java:
    opts:
      all: --add-opens=java.base/java.lang=ALL-UNNAMED
jobmanager:
  rpc: {address: master2, port: 6124}
taskmanager.numberOfTaskSlots: 3
restart-strategy:
  type: off
execution:
  checkpointing:
    interval:
yarn:
  ship-files:
    - /a;b
    - /c
pipeline:
  cached-files: [{name: words, path: 'hdfs:///words'}]
"""


@pytest.fixture(autouse=True)
def _warn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_warned", set())


def write(directory: Path, name: str, text: str) -> Path:
    (directory / name).write_text(text)
    return directory


def test_without_a_file_every_option_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "__file__", str(tmp_path / "site" / "yarnflow" / "config" / "loader.py"))
    assert len(loader.load(environ={"HOME": str(tmp_path)})) == 0


def test_a_flat_file_is_read_without_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)  # importing it now fails
    text = (
        "# comment\n\n"
        "jobmanager.rpc.address: 'host # 1'   # comment\n"
        'pipeline.name: "my: job"\n'
        "yarn.tags: a,b # comment\n"
        "yarn.ship-files: [/a, /b]\n"
        "python.archives: env.zip#env\n"
    )
    config = loader.load(write(tmp_path, "yarnflow-conf.yaml", text), environ={})
    assert config[JobManagerOptions.RPC_ADDRESS] == "host # 1"
    assert config[PipelineOptions.NAME] == "my: job"
    assert config[YarnOptions.APPLICATION_TAGS] == ("a", "b")
    assert config[YarnOptions.SHIP_FILES] == ("/a", "/b")
    assert config.to_dict()["python.archives"] == "env.zip#env"


def test_an_existing_flink_conf_is_read_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="yarnflow")
    config = loader.load(write(tmp_path, "flink-conf.yaml", OLD_FLINK), environ={})
    assert config[JobManagerOptions.RPC_ADDRESS] == "master1"
    assert str(config[JobManagerOptions.PROCESS_MEMORY]) == "2g"
    assert config[TaskManagerOptions.NUM_TASK_SLOTS] == 4
    assert config[CheckpointingOptions.DIR] == "hdfs:///flink/checkpoints"
    assert config[RestartStrategyOptions.TYPE] is RestartStrategyType.FIXED_DELAY
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    infos = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert len(warnings) == 1
    assert "flink-conf.yaml:10" in warnings[0]
    assert len(infos) == 1
    for key in ("env.java.opts", "taskmanager.memory.task.heap.size", "classloader.resolve-order"):
        assert key in infos[0]


def test_an_existing_nested_config_is_read_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = loader.load(write(tmp_path, "config.yaml", NEW_FLINK), environ={})
    assert config[JobManagerOptions.RPC_ADDRESS] == "master2"
    assert config[JobManagerOptions.RPC_PORT] == 6124
    assert config[TaskManagerOptions.NUM_TASK_SLOTS] == 3
    assert (
        config[RestartStrategyOptions.TYPE] is RestartStrategyType.NONE
    )  # yaml's `off` is not a boolean here
    assert config[CheckpointingOptions.INTERVAL] is None
    assert config[YarnOptions.SHIP_FILES] == ("/a;b", "/c")
    assert config[PipelineOptions.CACHED_FILES] == ("name:words,path:'hdfs:///words'",)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_flinks_own_nested_forms_of_one_option_do_not_clash(tmp_path: Path) -> None:
    text = "execution:\n  buffer-timeout:\n    interval: 5 ms\n"
    config = loader.load(write(tmp_path, "config.yaml", text), environ={})
    assert config[ExecutionOptions.BUFFER_TIMEOUT].microseconds == 5000


def test_our_own_file_comes_first(tmp_path: Path) -> None:
    for name, address in zip(loader.FILE_NAMES, "abc", strict=True):
        write(tmp_path, name, f"jobmanager.rpc.address: {address}\n")
    for name, address in zip(loader.FILE_NAMES, "abc", strict=True):
        assert loader.load(tmp_path, environ={})[JobManagerOptions.RPC_ADDRESS] == address
        (tmp_path / name).unlink()


def test_the_environment_overrides_the_file_and_d_overrides_both(tmp_path: Path) -> None:
    write(
        tmp_path,
        "yarnflow-conf.yaml",
        "parallelism.default: 1\npipeline.name: f\nyarn.tags: f\nyarn.application.name: f\n",
    )
    environ = {
        "FLINK_PROPERTIES": "pipeline.name: e1\nyarn.tags: e1\nyarn.application.name: e1\n",
        "YARNFLOW_PROPERTIES": "yarn.tags: e2\nyarn.application.name: e2",
    }
    config = loader.load(tmp_path, {"yarn.application.name": "d"}, environ)
    assert config.to_dict() == {
        "parallelism.default": "1",
        "pipeline.name": "e1",
        "yarn.tags": "e2",
        "yarn.application.name": "d",
    }


def test_a_deprecated_key_of_a_stronger_source_wins(tmp_path: Path) -> None:
    write(tmp_path, "yarnflow-conf.yaml", "execution.checkpointing.dir: /file\n")
    config = loader.load(tmp_path, {"state.checkpoints.dir": "/d"}, {})
    assert config[CheckpointingOptions.DIR] == "/d"
    assert config.to_dict() == {"execution.checkpointing.dir": "/d"}


def test_within_one_source_the_current_key_wins(tmp_path: Path) -> None:
    text = "execution.checkpointing.dir: /new\nstate.checkpoints.dir: /old\n"
    assert (
        loader.load(write(tmp_path, "yarnflow-conf.yaml", text), environ={})[CheckpointingOptions.DIR]
        == "/new"
    )


def test_a_key_that_is_also_a_fallback_stays_under_its_name(tmp_path: Path) -> None:
    config = loader.load(
        write(tmp_path, "yarnflow-conf.yaml", "taskmanager.registration.timeout: 9 s\n"), environ={}
    )
    assert config[TaskManagerOptions.REGISTRATION_TIMEOUT].seconds == 9


def test_an_unknown_key_warns_once_with_the_nearest_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "yarnflow-conf.yaml", "\ntaskmanager.numberOfTaskSlot: 2\n")
    for _ in range(2):
        config = loader.load(tmp_path, environ={})
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert "yarnflow-conf.yaml:2" in message
    assert "did you mean 'taskmanager.numberOfTaskSlots'?" in message
    assert config.get_string("taskmanager.numberOfTaskSlot", "") == "2"  # a program may read keys of its own


def test_protection_that_is_not_there_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "security.ssl.internal.enabled: true\nhigh-availability.type: NONE\n"
    for _ in range(2):
        loader.load(write(tmp_path, "yarnflow-conf.yaml", text), environ={})
    assert [record.getMessage() for record in caplog.records] == [
        "this version does not act on these options yet: security.ssl.internal.enabled"
    ]


def test_keys_below_a_declared_prefix_are_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loader.load(write(tmp_path, "yarnflow-conf.yaml", "containerized.master.env.LD_PATH: /x\n"), environ={})
    assert caplog.records == []


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("yarnflow-conf.yaml", "# c\ntaskmanager.numberOfTaskSlots: two\n", "yarnflow-conf.yaml:2"),
        ("flink-conf.yaml", "taskmanager.numberOfTaskSlots: two\n", "flink-conf.yaml:1"),
        ("config.yaml", "taskmanager:\n  host: h\n  numberOfTaskSlots: two\n", "config.yaml:3"),
    ],
)
def test_a_wrong_value_names_file_and_line(tmp_path: Path, name: str, text: str, where: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        loader.load(write(tmp_path, name, text), environ={})
    assert f"{where}: taskmanager.numberOfTaskSlots: 'two' is not a whole number" in str(error.value)


def test_a_wrong_value_of_d_names_d(tmp_path: Path) -> None:
    write(tmp_path, "yarnflow-conf.yaml", "")
    with pytest.raises(
        ConfigurationError, match=r"^-Dheartbeat\.timeout: heartbeat\.timeout: 'soon' is not a duration"
    ):
        loader.load(tmp_path, {"heartbeat.timeout": "soon"}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n  - [b\n", "is not YAML"),
        ("- a\n- b\n", "expected lines"),
        ("a: \xff", "cannot be read"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "yarnflow-conf.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=message):
        loader.load(tmp_path, environ={})


def test_properties_in_the_environment_must_be_lines(tmp_path: Path) -> None:
    write(tmp_path, "yarnflow-conf.yaml", "")
    with pytest.raises(ConfigurationError, match=r"\$YARNFLOW_PROPERTIES"):
        loader.load(tmp_path, environ={"YARNFLOW_PROPERTIES": "no colon"})


def test_a_key_set_twice_warns_and_the_last_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "yarnflow-conf.yaml", "parallelism.default: 1\nparallelism.default: 2\n")
    assert loader.load(tmp_path, environ={}).to_dict() == {"parallelism.default": "2"}
    assert "second time" in caplog.text


def test_where_the_directory_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, ours, flinks, home, checkout = (tmp_path / name for name in ("n", "o", "f", "home", "checkout"))
    for directory in (named, ours, flinks, home / ".yarnflow", checkout / "bin", checkout / "conf"):
        directory.mkdir(parents=True)
    write(checkout / "conf", "yarnflow-conf.yaml", "")
    monkeypatch.setattr(loader, "__file__", str(checkout / "yarnflow" / "config" / "loader.py"))
    environ = {"YARNFLOW_CONF_DIR": str(ours), "FLINK_CONF_DIR": str(flinks), "HOME": str(home)}
    assert loader.find_conf_dir(named, environ) == named
    assert loader.find_conf_dir(None, environ) == ours
    del environ["YARNFLOW_CONF_DIR"]
    assert loader.find_conf_dir(None, environ) == flinks
    del environ["FLINK_CONF_DIR"]
    assert loader.find_conf_dir(None, environ) == checkout / "conf"
    (checkout / "bin").rmdir()
    assert loader.find_conf_dir(None, environ) == home / ".yarnflow"
    assert loader.find_conf_dir(None, {}) is None


def test_a_named_directory_must_exist_and_hold_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"FLINK_CONF_DIR is .* not a directory"):
        loader.load(environ={"FLINK_CONF_DIR": str(tmp_path / "no")})
    with pytest.raises(ConfigurationError, match=r"no configuration file: none of yarnflow-conf\.yaml"):
        loader.load(tmp_path, environ={})
