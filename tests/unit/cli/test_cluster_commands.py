"""run, run-application, list, cancel, info, session: what their flags mean and what they print."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from yarnflow.cli import main as cli_main
from yarnflow.cli import run as run_module
from yarnflow.cli import run_application as run_application_module
from yarnflow.cli import session as session_module
from yarnflow.config import Configuration
from yarnflow.session import targets
from yarnflow.session.program import Program

JOBS = [
    {"jid": "a" * 32, "name": "flowing", "state": "RUNNING", "start-time": 1_000},
    {"jid": "b" * 32, "name": "waiting", "state": "CREATED", "start-time": 2_000},
    {"jid": "c" * 32, "name": "over", "state": "FINISHED", "start-time": 3_000},
]

PROGRAM = """
import sys
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([1, 2]).map(lambda number: number + 1).name("add").print()
env.execute("planned")
raise AssertionError("info runs no program to its end")
"""


class Launched:
    """What `run` and `run-application` would have done."""

    def __init__(self) -> None:
        self.program = Program()
        self.config = Configuration()
        self.jobmanager = ""

    def take(self, program: Program, config: Configuration, jobmanager: str = "") -> None:
        self.program, self.config, self.jobmanager = program, config, jobmanager


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Launched:
    found = Launched()
    monkeypatch.setattr(run_module, "execute", found.take)
    monkeypatch.setattr(run_application_module, "deploy", found.take)
    monkeypatch.setenv("YARNFLOW_CONF_DIR", str(tmp_path))
    monkeypatch.delenv("YARNFLOW_PROPERTIES", raising=False)
    (tmp_path / "job.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return found


class Client:
    """A cluster's REST client."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    def jobs(self) -> list[dict[str, Any]]:
        return JOBS

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    found = Client()

    class Cluster:
        client = found

    monkeypatch.setattr(targets, "attach", lambda config, jobmanager: Cluster)
    return found


def test_every_flag_of_run_sets_its_option(launched: Launched) -> None:
    arguments = shlex.split(
        "-m yarn-cluster -p 4 -yjm 1024 -ytm 2g -ys 3 -ynm mine -yqu etl -yt lib -yt more -yat T -ynl big "
        "-yD a.b=1 -Dc.d=2 -pyfs x.py,y.zip -pyreq r.txt#wheels -pyarch d.zip#data -pyexec /py -pypath /p -sae "
        "-s hdfs:///s/savepoint-1 -n -py job.py --input x -p 7"
    )
    assert cli_main.run(["run", *arguments]) == 0
    assert launched.jobmanager == "yarn-cluster"
    assert launched.program == Program(file="job.py", arguments=("--input", "x", "-p", "7"))
    assert launched.config.to_dict() == {
        "a.b": "1",
        "c.d": "2",
        "execution.attached": "true",
        "execution.state-recovery.ignore-unclaimed-state": "true",
        "execution.state-recovery.path": "hdfs:///s/savepoint-1",
        "execution.shutdown-on-attached-exit": "true",
        "jobmanager.memory.process.size": "1g",
        "parallelism.default": "4",
        "python.archives": "d.zip#data",
        "python.executable": "/py",
        "python.files": "x.py,y.zip",
        "python.pythonpath": "/p",
        "python.requirements": "r.txt#wheels",
        "taskmanager.memory.process.size": "2g",
        "taskmanager.numberOfTaskSlots": "3",
        "yarn.application.name": "mine",
        "yarn.application.node-label": "big",
        "yarn.application.queue": "etl",
        "yarn.application.type": "T",
        "yarn.ship-files": "lib;more",
    }


@pytest.mark.parametrize("flag", ["-d", "-yd", "--detached", "-detached"])
def test_detached(launched: Launched, flag: str) -> None:
    assert cli_main.run(["run", flag, "job.py"]) == 0
    assert launched.config.get_string("execution.attached", "") == "false"


def test_the_program_is_a_file_an_argument_or_a_module(launched: Launched) -> None:
    for words, program in (
        (["job.py", "-x", "1"], Program(file="job.py", arguments=("-x", "1"))),
        (["-py", "job.py", "x"], Program(file="job.py", arguments=("x",))),
        (["-pym", "a.b", "x"], Program(module="a.b", arguments=("x",))),
        (["-c", "a.b"], Program(module="a.b")),
    ):
        assert cli_main.run(["run", *words]) == 0
        assert launched.program == program


def test_a_program_must_be_named(launched: Launched, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(["run", "-d"]) == 1
    assert "name the program" in capsys.readouterr().err
    assert cli_main.run(["run", "-py", "job.py", "-pym", "a"]) == 1
    assert "give one of them" in capsys.readouterr().err


def test_an_application_id_is_a_session(launched: Launched) -> None:
    assert cli_main.run(["run", "-yid", "application_1_0001", "job.py"]) == 0
    assert launched.config.get_string("yarn.application.id", "") == "application_1_0001"


def test_run_application_needs_its_target(launched: Launched, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(["run-application", "-t", "yarn-application", "-yjm", "1g", "job.py", "x"]) == 0
    assert launched.program.arguments == ("x",)
    assert launched.config.get_string("execution.target", "") == "yarn-application"
    assert cli_main.run(["run-application", "job.py"]) == 1
    assert cli_main.run(["run-application", "-t", "local", "job.py"]) == 1
    assert "needs -t yarn-application" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ([], ["flowing", "waiting"]),
        (["-r"], ["flowing"]),
        (["-s"], ["waiting"]),
        (["-a"], ["flowing", "waiting", "over"]),
    ],
)
def test_list_shows_what_was_asked_for(
    client: Client, capsys: pytest.CaptureFixture[str], flags: list[str], names: list[str]
) -> None:
    assert cli_main.run(["list", *flags, "--output", "json"]) == 0
    assert [job["name"] for job in json.loads(capsys.readouterr().out)] == names
    assert cli_main.run(["list", *flags]) == 0
    text = capsys.readouterr().out
    assert [job["name"] for job in JOBS if f"{job['jid']} : {job['name']} ({job['state']})" in text] == names


def test_cancel(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(["cancel", "a" * 32]) == 0
    assert client.cancelled == ["a" * 32]
    assert capsys.readouterr().out.splitlines() == [f"Cancelling job {'a' * 32}.", f"Cancelled job {'a' * 32}."]
    assert cli_main.run(["cancel"]) == 1


def test_info_prints_the_plan_and_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    assert cli_main.run(["info", "--output", "json", "-p", "3", str(program)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert {node["parallelism"] for node in plan["nodes"]} == {1, 3}
    assert cli_main.run(["info", str(program)]) == 0
    assert "Execution Plan" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    ["run", "run-application", "info", "list", "cancel", "stop", "savepoint", "checkpoint", "session"],
)
def test_help_is_complete(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run([command, "-h"]) == 0
    text = capsys.readouterr().out
    assert "Options:" in text
    options = [line.strip() for line in text.partition("Options:")[2].splitlines() if line.startswith("  -")]
    assert len(options) > 4


def test_commands_typed_together_are_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        typed = session_module._Typed()
        os.write(writing, b"help\n\n stop \nrest")
        assert typed.wait(10) == ["help", "stop"]
        os.close(writing)
        assert typed.wait(10) == ["rest"], "a last line without an end"
        assert typed.wait(0.01) == []
