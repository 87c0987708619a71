"""What goes wrong gives one clear message, a code that is not 0, and leaves nothing running."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.yarn.yarn_commands import RUN_SIZES, SIZES, WORD_COUNT, Commands

pytestmark = pytest.mark.usefixtures("nothing_left")

NO_EXECUTE = """
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([1, 2]).map(lambda number: number)
"""

UNPICKLABLE = """
import threading
from pyflink.datastream import StreamExecutionEnvironment

lock = threading.Lock()


def locked(number):
    with lock:
        return number


env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([1, 2]).map(locked).print()
env.execute()
"""


def _fails(commands: Commands, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Run what must fail; returns the message, which must be clear and free of stack traces."""
    done = commands.run(*arguments, env=env, code=1)
    message = done.stderr.strip()
    assert message
    assert "Traceback" not in message
    assert "internal error" not in message
    return message


@pytest.mark.parametrize("command", ["session", "per-job"])
def test_unknown_queue(commands: Commands, command: str) -> None:
    if command == "session":
        message = _fails(commands, "session", "-d", *SIZES, "-qu", "defualt")
    else:
        message = _fails(commands, "run", "-m", "yarn-cluster", *RUN_SIZES, "-yqu", "defualt", "-py", WORD_COUNT)
    assert "there is no queue 'defualt': did you mean 'default'?" in message


@pytest.mark.parametrize(("flag", "who"), [("-jm", "JobManager"), ("-tm", "TaskManager")])
def test_more_memory_than_the_scheduler_grants(commands: Commands, flag: str, who: str) -> None:
    message = _fails(commands, "session", "-d", flag, "9000m")
    assert f"a {who} of 9000 MB can never run" in message
    assert "8192 MB" in message


def test_no_yarn_command(commands: Commands) -> None:
    path = os.pathsep.join(
        folder
        for folder in commands.env["PATH"].split(os.pathsep)
        if not Path(folder, "yarn").exists()
    )
    message = _fails(commands, "session", "-d", env={"PATH": path})
    assert "the command `yarn` is not on the PATH" in message


def test_no_hadoop_configuration(commands: Commands) -> None:
    nowhere = {"HADOOP_CONF_DIR": "", "YARN_CONF_DIR": "", "HADOOP_HOME": ""}
    message = _fails(commands, "session", "-d", env=nowhere)
    assert "HADOOP_CONF_DIR" in message


def test_resourcemanager_does_not_answer(commands: Commands, tmp_path: Path) -> None:
    conf = Path(commands.env["HADOOP_CONF_DIR"])
    port = commands.cluster.rm_web_address.rpartition(":")[2]
    (tmp_path / "core-site.xml").write_text((conf / "core-site.xml").read_text())
    (tmp_path / "yarn-site.xml").write_text((conf / "yarn-site.xml").read_text().replace(f":{port}<", ":9<"))
    elsewhere = {"HADOOP_CONF_DIR": str(tmp_path), "YARN_CONF_DIR": str(tmp_path)}
    start = time.monotonic()
    message = _fails(commands, "session", "-d", env=elsewhere)
    assert "no ResourceManager answers: tried http://localhost:9 (connection refused)" in message
    assert time.monotonic() - start < 20


def test_application_that_ends_before_it_runs(commands: Commands) -> None:
    message = _fails(commands, "session", "-d", *SIZES, "-Dyarn.python-environment=python:///nowhere/python3")
    assert "final status FAILED" in message
    assert "this node has no Python at /nowhere/python3" in message


def test_jobmanager_that_cannot_start_shows_its_log(commands: Commands) -> None:
    message = _fails(commands, "session", "-d", *SIZES, "-Drest.bind-address=192.0.2.1")
    assert "192.0.2.1" in message
    assert "The end of the JobManager's log" in message


def test_deployment_has_a_time_limit(commands: Commands) -> None:
    message = _fails(commands, "session", "-d", *SIZES, "-Dyarn.deployment.timeout=1 s")
    assert "has no JobManager after 1 s and was killed (yarn.deployment.timeout)" in message


def test_missing_program(commands: Commands) -> None:
    message = _fails(commands, "run", "-m", "yarn-cluster", "-py", "/nowhere.py")
    assert "there is no program '/nowhere.py'" in message
    assert "there is no module 'nowhere'" in _fails(commands, "run", "-t", "local", "-pym", "nowhere")


@pytest.mark.parametrize(
    ("text", "said"),
    [(NO_EXECUTE, "ended without calling execute()"), (UNPICKLABLE, "cannot be pickled")],
    ids=["no execute", "unpicklable"],
)
def test_program_that_cannot_be_submitted(commands: Commands, tmp_path: Path, text: str, said: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(text)
    before = commands.submitted()
    message = _fails(commands, "run", "-m", "yarn-cluster", *RUN_SIZES, "-py", str(program))
    assert said in message
    assert commands.submitted() == before


def test_unknown_application(commands: Commands) -> None:
    assert "knows no application" in _fails(commands, "list", "-yid", "application_1_0001")
    assert "is not the id of a YARN application" in _fails(commands, "list", "-yid", "nonsense")


def test_no_session(commands: Commands, tmp_path: Path) -> None:
    own = Commands(commands.cluster, tmp_path)
    message = _fails(own, "run", "-t", "yarn-session", "-py", WORD_COUNT)
    assert "there is no YARN session" in message
