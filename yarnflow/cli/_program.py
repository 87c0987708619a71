"""Options of the commands that take a program: `run`, `run-application` and `info`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from yarnflow.config.checkpointing import CheckpointingOptions
from yarnflow.config.core import CoreOptions, PythonOptions
from yarnflow.config.option import Option
from yarnflow.errors import ProgramMissingError

if TYPE_CHECKING:
    from yarnflow.session.program import Program

F = TypeVar("F", bound=Callable[..., Any])

#: Options that name the program in place of the first argument.
PROGRAM_OPTIONS = ("-py", "--python", "-pym", "--pyModule", "-c", "--class")

_KEYS: Mapping[str, Option[Any]] = {
    "parallelism": CoreOptions.DEFAULT_PARALLELISM,
    "py_files": PythonOptions.FILES,
    "py_requirements": PythonOptions.REQUIREMENTS,
    "py_archives": PythonOptions.ARCHIVES,
    "py_executable": PythonOptions.EXECUTABLE,
    "py_client_executable": PythonOptions.CLIENT_EXECUTABLE,
    "py_path": PythonOptions.PYTHONPATH,
    "savepoint": CheckpointingOptions.RECOVERY_PATH,
}


def program_options(function: F) -> F:
    """The options; they arrive as `file`, `module`, `words` and one dict `python`: option key -> text (also of
    -s and -n)."""
    declared: list[Callable[[Any], Any]] = [
        click.option("-py", "--python", "file", metavar="FILE", help="The program's file; a URI is fetched."),
        click.option("-pym", "--pyModule", "module", metavar="MODULE", help="Its module, as in python -m."),
        click.option("-c", "--class", "entry_class", metavar="MODULE", help="The same as -pym."),
        click.option(
            "-p",
            "--parallelism",
            "parallelism",
            type=click.IntRange(min=1),
            metavar="N",
            help="Default parallelism.",
        ),
        click.option(
            "-pyfs",
            "--pyFiles",
            "py_files",
            metavar="PATHS",
            help="Python files, packages, zips and directories to import from, here and in every worker.",
        ),
        click.option(
            "-pyreq",
            "--pyRequirements",
            "py_requirements",
            metavar="FILE[#DIR]",
            help="requirements.txt that is installed for the workers, offline from DIR if given.",
        ),
        click.option(
            "-pyarch",
            "--pyArchives",
            "py_archives",
            metavar="ARCHIVE[#NAME]",
            help="Archives that are unpacked in the workers' folder. A list by comma.",
        ),
        click.option("-pyexec", "--pyExecutable", "py_executable", metavar="PATH", help="Python of the workers."),
        click.option(
            "-pyclientexec",
            "--pyClientExecutable",
            "py_client_executable",
            metavar="PATH",
            help="Python that runs main().",
        ),
        click.option(
            "-pypath",
            "--pyPythonPath",
            "py_path",
            metavar="PATHS",
            help="Directories of the nodes that go on the workers' path, by colon.",
        ),
        click.option(
            "-s",
            "--fromSavepoint",
            "savepoint",
            metavar="PATH",
            help="Start from this savepoint or retained checkpoint (or the newest in a job's directory of them).",
        ),
        click.option(
            "-n",
            "--allowNonRestoredState",
            "allow_unclaimed",
            is_flag=True,
            help="Start even if it holds state of operators that the program no longer has.",
        ),
        click.argument("words", nargs=-1, metavar="[PROGRAM] [ARGUMENTS]..."),
    ]

    def command(*args: Any, **kwargs: Any) -> Any:
        kwargs["module"] = kwargs.pop("entry_class") or kwargs["module"]
        if (kwargs["savepoint"] or "").startswith("-"):
            raise click.UsageError(f"-s needs the path of a savepoint, and {kwargs['savepoint']} is an option")
        kwargs["savepoint"] = absolute(kwargs["savepoint"])
        kwargs["python"] = {
            option.key: str(value)
            for argument, option in _KEYS.items()
            if (value := kwargs.pop(argument)) is not None
        }
        if kwargs.pop("allow_unclaimed"):
            kwargs["python"][CheckpointingOptions.RECOVERY_IGNORE_UNCLAIMED.key] = "true"
        return function(*args, **kwargs)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(declared):
        command = option(command)
    return command  # type: ignore[return-value]


def absolute(path: str | None) -> str | None:
    """A path for processes that run elsewhere: a relative one is meant from here, a URI stays as it is."""
    import os  # both not at the top: only paths need them

    from yarnflow import fs

    if path is None or os.path.isabs(path):
        return path
    scheme, _, name = fs.split_uri(path)
    return name if scheme == "file" else path


def program_of(file: str | None, module: str | None, words: Sequence[str]) -> Program:
    """What is to run. Raises ProgramMissingError when nothing says so, or the file is not there."""
    from yarnflow.session.program import Program  # not at the top: --help needs none of it

    if file and module:
        raise click.UsageError("-py and -pym both name a program: give one of them")
    if module:
        return Program(module=module, arguments=tuple(words))
    rest = list(words)
    if not file:
        if not rest:
            raise ProgramMissingError("name the program: its file, -py FILE, or -pym MODULE")
        file = rest.pop(0)
    program = Program(file=file, arguments=tuple(rest))
    program.check()
    return program
