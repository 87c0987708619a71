"""The table of commands, what becomes of errors, and Flink's spellings of options."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import click
import pytest

from yarnflow.cli import main as cli_main
from yarnflow.cli._common import (
    FlinkCommand,
    config_dir_option,
    dynamic_properties,
    load_configuration,
    memory,
    output_option,
    print_answer,
)
from yarnflow.errors import ConfigurationError


@click.command(cls=FlinkCommand, takes_program=True, program_options=("-py", "-pym"))
@click.option("-py", "--python", "python")
@click.option("-pym", "--pyModule", "py_module")
@click.option("-pyfs", "--pyFiles", "py_files")
@click.option("-p", "--parallelism", "parallelism", type=int)
@click.option("-d", "--detached", "detached", is_flag=True)
@click.option("-yd", "--yarndetached", "yarn_detached", is_flag=True)
@click.option("-yjm", "--yarnjobManagerMemory", "yarn_jm", type=memory, metavar="MEMORY", help="Memory.")
@click.option("-m", "--jobmanager", "jobmanager")
@dynamic_properties("-D", "-yD")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run_command(**values: Any) -> None:
    """Run a program."""
    click.echo(json.dumps({key: str(value) if key == "yarn_jm" else value for key, value in values.items()}))


@click.command(cls=FlinkCommand)
@click.option("-s", "--withSavepoint", "savepoint", is_flag=False, flag_value="", default=None)
@click.option("-m", "--jobmanager", "jobmanager")
@output_option
@config_dir_option
@dynamic_properties()
@click.argument("job", required=False)
def query_command(output: str, config_dir: Path | None, properties: dict[str, str], **values: Any) -> None:
    """Ask something."""
    print_answer({**values, "properties": properties}, output, lambda: f"job {values['job']}")
    if config_dir:
        print(load_configuration(config_dir, properties).to_dict())


@click.command(cls=FlinkCommand)
@click.argument("how")
def fail_command(how: str) -> None:
    """End badly."""
    if how == "ours":
        error = ConfigurationError("the queue 'x' is not there; choose one of a, b")
        error.exit_code = 3
        raise error
    if how == "abort":
        raise click.Abort
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "pipe":
        raise BrokenPipeError
    raise TypeError("a defect")


@pytest.fixture(autouse=True)
def _commands(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("yarnflow_test_commands")
    module.run, module.query, module.fail = run_command, query_command, fail_command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("run", "query", "fail"):
        monkeypatch.setitem(cli_main.COMMANDS, name, (f"{module.__name__}:{name}", f"Help of {name}."))
    monkeypatch.setitem(cli_main.COMMANDS, "gone", ("yarnflow.cli.no_such_module:command", "Not there."))


def parsed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli_main.run(["run", *arguments]) == 0
    return {
        key: value
        for key, value in json.loads(capsys.readouterr().out).items()
        if value not in (None, "None")
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-yjm", "1024m"], {"yarn_jm": "1g"}),
        (["-yjm", "1024"], {"yarn_jm": "1g"}),
        (["--yarnjobManagerMemory", "1g"], {"yarn_jm": "1g"}),
        (["-yjm=1g"], {"yarn_jm": "1g"}),
        (["-p", "4"], {"parallelism": 4}),
        (["-p4"], {"parallelism": 4}),
        (["--parallelism=4"], {"parallelism": 4}),
        (["-parallelism", "4"], {"parallelism": 4}),
        (["-pyfs", "a.py,b.zip"], {"py_files": "a.py,b.zip"}),
        (["-detached"], {"detached": True}),
        (["-d", "-yd"], {"detached": True, "yarn_detached": True}),
        (["-m", "-"], {"jobmanager": "-"}),
        (["-m", "--"], {"jobmanager": "--"}),
        (["-Da=1"], {"properties": {"a": "1"}}),
        (["-D", "a=1"], {"properties": {"a": "1"}}),
        (["-yD", "a=1", "-yDb=2"], {"properties": {"a": "1", "b": "2"}}),
        (["-Da=1", "-yD", "a=2"], {"properties": {"a": "2"}}),
        (["-Da=x=y"], {"properties": {"a": "x=y"}}),
        (["-Da"], {"properties": {"a": "true"}}),
        (["-Da="], {"properties": {"a": ""}}),
    ],
)
def test_flinks_spellings(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: dict[str, Any]
) -> None:
    defaults = {"detached": False, "yarn_detached": False, "properties": {}, "arguments": ["job.py"]}
    assert parsed(capsys, *words, "job.py") == defaults | expected


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["job.py", "--input", "x", "-p", "3"], ["job.py", "--input", "x", "-p", "3"]),
        (["job.py", "--", "-h"], ["job.py", "--", "-h"]),
        (["--", "job.py", "-d"], ["job.py", "-d"]),
        (["-d", "job.py", "-h"], ["job.py", "-h"]),
        (["-py", "job.py", "--input", "x", "-d"], ["--input", "x", "-d"]),
        (["-pym", "pkg.job", "x", "-d"], ["x", "-d"]),
    ],
)
def test_arguments_after_the_program_belong_to_it(
    capsys: pytest.CaptureFixture[str], words: list[str], arguments: list[str]
) -> None:
    assert parsed(capsys, *words)["arguments"] == arguments


def test_our_options_may_follow_the_program_named_by_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    values = parsed(capsys, "-py", "job.py", "-p", "2", "--input", "x", "-p", "9")
    assert (values["python"], values["parallelism"]) == ("job.py", 2)
    assert values["arguments"] == ["--input", "x", "-p", "9"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-yjmm", "1g", "job.py"], "No such option '-yjmm'"),
        (["-pyfz", "a", "job.py"], "'-pyfs'"),
        (["--paralelism", "4", "job.py"], "'--parallelism'"),
        (["-p", "many", "job.py"], "'many' is not a valid integer"),
        (["-p"], "-p"),
        (["-yjm", "much", "job.py"], "'much' is not a memory size"),
        (["-yjm", "10b", "job.py"], "less than a megabyte"),
        (["-D", "=1", "job.py"], "'=1' is not of the form key=value"),
    ],
)
def test_what_cannot_be_understood_exits_1_with_a_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert cli_main.run(["run", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err.replace('"', "'")
    assert err.endswith("Try 'yarnflow run --help'.\n")
    assert "Traceback" not in err


def test_help_of_a_command_shows_flinks_spellings(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("-h", "--help"):
        assert cli_main.run(["run", flag]) == 0
        text = capsys.readouterr().out
        for spelling in (
            "-yjm, --yarnjobManagerMemory MEMORY",
            "-D, -yD KEY=VALUE",
            "-h, --help",
            "-v, --verbose",
        ):
            assert spelling in text


def test_options_of_a_query_may_follow_its_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(["query", "j1", "-m", "host:1", "--output", "json", "-Da=1"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "savepoint": None,
        "jobmanager": "host:1",
        "job": "j1",
        "properties": {"a": "1"},
    }
    assert cli_main.run(["query", "j1"]) == 0
    assert capsys.readouterr().out == "job j1\n"


def test_an_option_may_have_a_value_that_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(["query", "--output", "json", "-s", "-m", "h"]) == 0
    assert json.loads(capsys.readouterr().out)["savepoint"] == ""
    assert cli_main.run(["query", "--output", "json", "-s", "hdfs:///s", "j1"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["savepoint"], answer["job"]) == ("hdfs:///s", "j1")


def test_a_command_loads_the_configuration_of_its_options(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("FLINK_PROPERTIES", "YARNFLOW_PROPERTIES"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "yarnflow-conf.yaml").write_text("parallelism.default: 1\npipeline.name: n\n")
    assert cli_main.run(["query", "--configDir", str(tmp_path), "-Dparallelism.default=7"]) == 0
    assert capsys.readouterr().out.endswith("{'parallelism.default': '7', 'pipeline.name': 'n'}\n")
    assert cli_main.run(["query", "--configDir", str(tmp_path / "no")]) == 1
    assert "not a directory" in capsys.readouterr().err


def test_an_error_is_one_line_and_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(["fail", "ours"]) == 3
    out, err = capsys.readouterr()
    assert (out, err) == ("", "yarnflow: the queue 'x' is not there; choose one of a, b\n")


@pytest.mark.parametrize(
    "words", [["--verbose", "fail", "ours"], ["fail", "-v", "ours"], ["fail", "ours", "-v"]]
)
def test_verbose_shows_the_stack(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert cli_main.run(words) == 3
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("yarnflow: the queue 'x' is not there; choose one of a, b\n")


def test_a_defect_is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(["fail", "defect"]) == 1
    assert (
        capsys.readouterr().err == "yarnflow: internal error: TypeError: a defect (--verbose shows where)\n"
    )


@pytest.mark.parametrize("how", ["abort", "interrupt"])
def test_an_interruption_exits_as_a_shell_expects(capsys: pytest.CaptureFixture[str], how: str) -> None:
    assert cli_main.run(["fail", how]) == 130
    assert capsys.readouterr().err.lstrip() == "yarnflow: interrupted\n"  # click ends the line with ^C in it


def test_no_command_an_unknown_one_and_one_that_is_not_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run([]) == 1
    assert "name a command" in capsys.readouterr().err
    assert cli_main.run(["rum"]) == 1
    assert "'rum' is not a command; did you mean 'run'?" in capsys.readouterr().err
    assert cli_main.run(["xyzzy"]) == 1
    assert "there are: run," in capsys.readouterr().err
    assert cli_main.run(["gone"]) == 1
    assert "'gone' is not part of this installation" in capsys.readouterr().err


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[3]
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=60)


def test_help_and_version_import_no_subcommand_and_nothing_heavy() -> None:
    for flag in ("--help", "--version"):
        done = run_python(
            f"import sys; from yarnflow.cli.main import run; code = run(['{flag}']);"
            "heavy = {'yaml', 'pyarrow', 'aiohttp', 'grpc', 'requests', 'rich', 'skein', 'numpy', 'asyncio'};"
            "ours = [m for m in sys.modules if m.startswith('yarnflow.cli.')];"
            "print(heavy & set(sys.modules), ours, file=sys.stderr);"
            "sys.exit(code)"
        )
        assert done.returncode == 0
        assert done.stderr == "set() ['yarnflow.cli._common', 'yarnflow.cli.main']\n"


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    done = run_python(
        "from yarnflow.cli.main import run; import yarnflow.cli.main as m, click, sys, types\n"
        "@click.command()\ndef command():\n    raise BrokenPipeError\n"
        "sys.modules['t'] = types.SimpleNamespace(command=command)\n"
        "m.COMMANDS['t'] = ('t:command', '')\nsys.exit(run(['t']))"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
