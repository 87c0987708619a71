"""From the spellings of run, run-application and yarn-session.sh to configuration and program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yarnflow.cli import run as run_module
from yarnflow.cli import run_application as application_module
from yarnflow.cli import session as session_module
from yarnflow.cli.main import run as command_line
from yarnflow.config import Configuration
from yarnflow.config.execution import ExecutionOptions
from yarnflow.session import cluster_resources, targets
from yarnflow.session.program import Program


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FLINK_PROPERTIES", "YARNFLOW_PROPERTIES", "YARNFLOW_CLIENT_REEXECUTED"):
        monkeypatch.delenv(name, raising=False)
    for name in ("YARNFLOW_CONF_DIR", "FLINK_CONF_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.py").write_text("raise SystemExit(1)\n")


class Seen:
    """What a command would have done."""

    program: Program
    config: Configuration
    jobmanager: str = ""
    detached: bool | None = None
    how: str = ""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found = Seen()

    def execute(program: Program, config: Configuration, jobmanager: str) -> None:
        found.how, found.program, found.config, found.jobmanager = "run", program, config, jobmanager

    def deploy(program: Program, config: Configuration) -> None:
        found.how, found.program, found.config = "application", program, config

    def start(config: Configuration, detached: bool, properties: dict[str, str]) -> None:
        found.how, found.config, found.detached = "start", config, detached

    def attach(config: Configuration, detached: bool) -> None:
        found.how, found.config, found.detached = "attach", config, detached

    monkeypatch.setattr(run_module, "execute", execute)
    monkeypatch.setattr(application_module, "deploy", deploy)
    monkeypatch.setattr(session_module, "_start", start)
    monkeypatch.setattr(session_module, "_attach", attach)
    return found


#: Spellings without their "y" or "--yarn", a value, and the option that they set.
YARN: list[tuple[str, str, str, str, str]] = [
    ("jm", "jobManagerMemory", "1024m", "jobmanager.memory.process.size", "1g"),
    ("jm", "jobManagerMemory", "1024", "jobmanager.memory.process.size", "1g"),
    ("tm", "taskManagerMemory", "2048m", "taskmanager.memory.process.size", "2g"),
    ("tm", "taskManagerMemory", "2048", "taskmanager.memory.process.size", "2g"),
    ("s", "slots", "2", "taskmanager.numberOfTaskSlots", "2"),
    ("nm", "name", "my name", "yarn.application.name", "my name"),
    ("qu", "queue", "root.q", "yarn.application.queue", "root.q"),
    ("t", "ship", "/lib", "yarn.ship-files", "/lib"),
    ("at", "applicationType", "T", "yarn.application.type", "T"),
    ("nl", "nodeLabel", "ssd", "yarn.application.node-label", "ssd"),
    ("id", "applicationId", "application_1_0001", "yarn.application.id", "application_1_0001"),
]


@pytest.mark.parametrize(("short", "long", "value", "key", "text"), YARN)
def test_options_of_an_application_on_yarn(
    seen: Seen, short: str, long: str, value: str, key: str, text: str
) -> None:
    for spelling in (f"-y{short}", f"--yarn{long}", f"-yarn{long}"):
        assert command_line(["run", spelling, value, "job.py"]) == 0
        assert (seen.how, seen.config.to_dict()[key]) == ("run", text)
        assert command_line(["run-application", "-t", "yarn-application", spelling, value, "job.py"]) == 0
        assert (seen.how, seen.config.to_dict()[key]) == ("application", text)
    for spelling in (f"-{short}", f"--{long}", f"-{long}"):
        assert command_line(["session", spelling, value]) == 0
        assert seen.config.to_dict()[key] == text
        assert seen.how == ("attach" if short == "id" else "start")


@pytest.mark.parametrize(
    ("spellings", "value", "key"),
    [
        (("-p", "--parallelism", "-parallelism"), "4", "parallelism.default"),
        (("-pyfs", "--pyFiles"), "a.py,b.zip", "python.files"),
        (("-pyreq", "--pyRequirements"), "r.txt#dir", "python.requirements"),
        (("-pyarch", "--pyArchives"), "a.zip#x,b.zip", "python.archives"),
        (("-pyexec", "--pyExecutable"), "/usr/bin/python3", "python.executable"),
        (("-pypath", "--pyPythonPath"), "/a:/b", "python.pythonpath"),
    ],
)
def test_options_of_the_program(seen: Seen, spellings: tuple[str, ...], value: str, key: str) -> None:
    for spelling in spellings:
        for command in (["run"], ["run-application", "-t", "yarn-application"]):
            assert command_line([*command, spelling, value, "job.py"]) == 0
            assert seen.config.to_dict()[key] == value


@pytest.mark.parametrize(
    ("words", "program"),
    [
        (["job.py", "--in", "x", "-d"], Program("job.py", arguments=("--in", "x", "-d"))),
        (["-py", "job.py", "--in", "x"], Program("job.py", arguments=("--in", "x"))),
        (["--python", "job.py"], Program("job.py")),
        (["-pym", "pkg.job", "x"], Program(module="pkg.job", arguments=("x",))),
        (["--pyModule", "pkg.job"], Program(module="pkg.job")),
        (["-c", "pkg.job"], Program(module="pkg.job")),
        (["--class", "pkg.job"], Program(module="pkg.job")),
    ],
)
def test_what_is_run(seen: Seen, words: list[str], program: Program) -> None:
    assert command_line(["run", *words]) == 0
    assert seen.program == program


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name the program: its file, -py FILE, or -pym MODULE"),
        (["nowhere.py"], "there is no program 'nowhere.py'"),
        (["-py", "nowhere.py"], "there is no program 'nowhere.py'"),
        (["."], "'.' is a directory"),
        (["-py", "job.py", "-pym", "job"], "-py and -pym both name a program"),
        (["-p", "0", "job.py"], "0 is not in the range"),
        (["-ys", "0", "job.py"], "0 is not in the range"),
        (["-yjm", "lots", "job.py"], "'lots' is not a memory size"),
        (["-t", "moon", "job.py"], "execution.target"),
        (["-pyclientexec", "/nowhere/python", "job.py"], "there is no interpreter '/nowhere/python'"),
        (["-Dparallelism.default=many", "job.py"], "parallelism.default"),
    ],
)
@pytest.mark.usefixtures("seen")
def test_bad_input_is_one_line_and_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    # What run() looks at first, without running anything.
    def look(program: Program, config: Configuration, jobmanager: str) -> None:
        targets.resolve(config, jobmanager)
        config.get_integer("parallelism.default", 1)

    monkeypatch.setattr(run_module, "execute", look)
    assert command_line(["run", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert "Traceback" not in err
    assert "internal error" not in err


def test_where_and_how(seen: Seen) -> None:
    assert command_line(["run", "-m", "yarn-cluster", "-sae", "job.py"]) == 0
    assert seen.jobmanager == "yarn-cluster"
    assert seen.config[ExecutionOptions.ATTACHED] is True
    assert seen.config[ExecutionOptions.SHUTDOWN_ON_ATTACHED_EXIT] is True
    for spelling in ("-d", "--detached", "-yd", "--yarndetached"):
        assert command_line(["run", spelling, "job.py"]) == 0
        assert seen.config[ExecutionOptions.ATTACHED] is False
    for target in ("local", "remote", "yarn-session", "yarn-per-job", "yarn-application"):
        assert command_line(["run", "-t", target, "job.py"]) == 0
        assert seen.config[ExecutionOptions.TARGET] == target


def test_properties_and_flags_are_one_configuration(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "yarnflow-conf.yaml").write_text("pipeline.name: file\nparallelism.default: 1\n")
    words = ["-Dpipeline.name=given", "-yD", "yarn.application.name=n", "-ynm", "flag", "job.py", "-Dnot=ours"]
    assert command_line(["run", "--configDir", str(tmp_path / "conf"), *words]) == 0
    found = seen.config.to_dict()
    assert (found["pipeline.name"], found["parallelism.default"]) == ("given", "1")
    assert found["yarn.application.name"] == "flag"
    assert seen.program.arguments == ("-Dnot=ours",)


def test_several_paths_to_ship(seen: Seen) -> None:
    assert command_line(["session", "-t", "/a", "--ship", "/b;c"]) == 0
    from yarnflow.config.yarn import YarnOptions

    assert seen.config[YarnOptions.SHIP_FILES] == ("/a", "/b;c")


@pytest.mark.parametrize("words", [[], ["-t", "yarn-session"], ["-Dexecution.target=local"]])
@pytest.mark.usefixtures("seen")
def test_run_application_needs_its_target(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert command_line(["run-application", *words, "job.py"]) == 1
    assert "run-application needs -t yarn-application" in capsys.readouterr().err


def test_sessions_start_and_are_attached_to(seen: Seen) -> None:
    for spelling in ("-d", "--detached"):
        assert command_line(["session", spelling]) == 0
        assert (seen.how, seen.detached) == ("start", True)
    assert command_line(["session", "-Dyarn.application.id=application_1_0001"]) == 0
    assert (seen.how, seen.detached) == ("attach", False)


def test_what_the_cluster_offers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seen: Seen
) -> None:
    node = {"id": "n:1", "memoryMB": 4096, "vcores": 4, "usedMemoryMB": 0, "usedVcores": 0}
    queue = {"name": "default", "path": "root.default", "state": "RUNNING"}
    offer: dict[str, Any] = {"nodes": [node], "maximumAllocation": None, "queues": [queue]}
    monkeypatch.setattr(cluster_resources, "cluster_resources", lambda config: offer)
    assert command_line(["session", "-q", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == offer
    assert command_line(["session", "--query"]) == 0
    text = capsys.readouterr().out
    assert "NodeManagers in the cluster: 1\n  n:1: 4096 MB (0 used), 4 vcores" in text
    assert "root.default: RUNNING" in text
    assert seen.how == "", "nothing was started"


@pytest.mark.parametrize("command", ["run", "run-application", "session", "list", "cancel", "info"])
def test_help_is_complete(capsys: pytest.CaptureFixture[str], command: str) -> None:
    from yarnflow.cli.main import cli

    assert command_line([command, "-h"]) == 0
    text = capsys.readouterr().out
    found = cli.get_command(None, command)  # type: ignore[arg-type]
    assert found is not None
    for parameter in found.params:
        if parameter.param_type_name == "option":
            assert getattr(parameter, "help", None), f"{parameter.opts} of {command} has no help"
            assert all(spelling in text for spelling in parameter.opts)


def test_an_option_is_no_savepoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["run", "-s", "-py", "job.py"]) == 1
    assert "-s needs the path of a savepoint, and -py is an option" in capsys.readouterr().err
