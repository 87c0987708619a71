"""What a container finds and how its process is started."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from yarnflow.errors import ConfigurationError
from yarnflow.yarn.deployment import Deployment, Mode
from yarnflow.yarn.environment import ContainerEnvironment
from yarnflow.yarn.layout import CONFIGURATION, SECRET, STAGING_VARIABLE
from yarnflow.yarn.processes import script

VARIABLES = {
    "CONTAINER_ID": "container_e17_1410901177871_0001_02_000005",
    "SKEIN_APPLICATION_ID": "application_1410901177871_0001",
    "NM_HOST": "node",
    "LOG_DIRS": "/logs/a,/logs/b",
    STAGING_VARIABLE: "hdfs:///user/alice/.yarnflow",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    options = {"some.password": "hidden-value", "parallelism.default": "3"}
    (tmp_path / CONFIGURATION).write_text(json.dumps(options))
    (tmp_path / SECRET).write_bytes(b"hidden-secret")
    return tmp_path


def test_everything_is_read(folder: Path) -> None:
    found = ContainerEnvironment.read(VARIABLES, folder)
    assert (found.application_id, found.attempt, found.host) == ("application_1410901177871_0001", 2, "node")
    assert found.container_id == VARIABLES["CONTAINER_ID"]
    assert found.log_directory == Path("/logs/a")
    assert found.staging == "hdfs:///user/alice/.yarnflow"
    assert found.config.to_dict()["parallelism.default"] == "3"
    assert found.secret == b"hidden-secret"
    assert "hidden" not in repr(found)


@pytest.mark.parametrize("container", ["container_1410901177871_0001_01_000001", VARIABLES["CONTAINER_ID"]])
def test_the_attempt_is_in_the_containers_id(folder: Path, container: str) -> None:
    attempt = ContainerEnvironment.read({**VARIABLES, "CONTAINER_ID": container}, folder).attempt
    assert attempt == int(container.split("_")[-2])


@pytest.mark.parametrize("name", ["CONTAINER_ID", "SKEIN_APPLICATION_ID", "NM_HOST", "LOG_DIRS"])
def test_a_missing_variable_is_named(folder: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the variable {name} is not set"):
        ContainerEnvironment.read({**VARIABLES, name: ""}, folder)


def test_a_missing_file_and_an_id_that_is_none(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="which is not the id of a container"):
        ContainerEnvironment.read({**VARIABLES, "CONTAINER_ID": "c1"}, folder)
    (folder / SECRET).unlink()
    with pytest.raises(ConfigurationError, match=f"the container has no file {SECRET}"):
        ContainerEnvironment.read(VARIABLES, folder)


def test_a_deployment_survives_its_file(tmp_path: Path) -> None:
    deployment = Deployment(
        Mode.APPLICATION,
        initial_workers=2,
        program_file="usrlib/0/job.py",
        program_arguments=("--input", "x"),
        program_options={"python.files": "usrlib/1/a.py"},
    )
    deployment.write(tmp_path / "deployment.json")
    assert Deployment.read(tmp_path / "deployment.json") == deployment


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    variables = {"LOG_DIRS": f"{folder},/elsewhere", "PATH": os.environ["PATH"]}
    command = ["bash", "-c", text]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=variables, timeout=30)


def test_the_script_becomes_the_process_and_logs_where_flink_does(tmp_path: Path) -> None:
    python = tmp_path / "my python" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/bash\necho "$$ $PYTHONPATH $@"\necho problem >&2\nexit 3\n')
    python.chmod(0o755)
    done = run(tmp_path, f"echo $$ > pid; {script(str(python), 'some.module', 'taskmanager')}")
    assert done.returncode == 3
    pid = (tmp_path / "pid").read_text().strip()
    assert (tmp_path / "taskmanager.out").read_text() == f"{pid} {tmp_path}/yarnflow-library -m some.module\n"
    assert (tmp_path / "taskmanager.log").read_text() == "problem\n"


@pytest.mark.parametrize("executable", ["/nowhere/python3", "/no where/$(touch pwned)python3"])
def test_a_node_without_python_says_so(tmp_path: Path, executable: str) -> None:
    done = run(tmp_path, script(executable, "some.module", "jobmanager"))
    assert done.returncode == 127
    said = (tmp_path / "jobmanager.log").read_text()
    assert said == f"this node has no Python at {executable}: see yarn.python-environment\n"
    assert not (tmp_path / "pwned").exists()
