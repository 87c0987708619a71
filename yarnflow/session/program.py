"""Runs the user's main(): a file or a module, in this process, with a launcher's executor behind execute()."""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from yarnflow import compat, fs
from yarnflow.config import Configuration
from yarnflow.config.core import PythonOptions
from yarnflow.errors import NoExecuteError, ProgramError, ProgramMissingError, YarnflowError
from yarnflow.graph import executor as seam
from yarnflow.graph.job_graph import JobGraph


@dataclass(frozen=True)
class Program:
    """What to run.

    Attributes:
        file: of the program; "" when `module` is given. Any file system's.
        module: its dotted name; "" when `file` is given.
        arguments: for the program.
    """

    file: str = ""
    module: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As shown to people."""
        return self.module or os.path.basename(self.file)

    def check(self) -> None:
        """Raise ProgramMissingError unless the file is there (modules are found when they run)."""
        if not self.file:
            return
        files, path = fs.get(self.file)
        status = files.status(path)
        if status is None:
            raise ProgramMissingError(f"there is no program {self.file!r}")
        if status.is_directory:
            raise ProgramMissingError(
                f"{self.file!r} is a directory: name the program's file, or its module with -pym"
            )


class _Counting:
    """Remembers whether the program executed anything."""

    def __init__(self, inner: seam.Executor) -> None:
        self._inner = inner
        self.submissions = 0

    def submit(self, job: JobGraph, config: Configuration) -> seam.SubmittedJob:
        self.submissions += 1
        return self._inner.submit(job, config)


def run(program: Program, config: Configuration, executor: seam.Executor) -> None:
    """Run the program to its end.

    Args:
        program: what to run.
        config: what the launcher was told; the program's environments see it.
        executor: gets the jobs.

    Raises:
        ProgramMissingError: there is no such file or module.
        NoExecuteError: it ended without calling execute().
        ProgramError: it raised something, with its traceback, or exited with a code that is not 0.
        YarnflowError: whatever execute() raised and the program did not handle.
    """
    program.check()
    counting = _Counting(executor)
    seam.install(counting, config)
    compat.install()
    try:
        files = config[PythonOptions.FILES]
        with _python_path([*(config[PythonOptions.PYTHONPATH] or "").split(os.pathsep), *files]):
            _run(program)
    finally:
        seam.install(None)
    if counting.submissions == 0:
        raise NoExecuteError(
            f"the program {program.name} ended without calling execute(): nothing was submitted. Call "
            "env.execute(), or execute_and_collect(), at its end"
        )


def _run(program: Program) -> None:
    saved_argv, saved_main = sys.argv, sys.modules["__main__"]
    try:
        if program.module:
            sys.path.insert(0, os.getcwd())
            if _spec(program.module) is None:
                raise ProgramMissingError(
                    f"there is no module {program.module!r}: ship it with -pyfs, or run where it can be imported"
                )
            sys.argv = [program.module, *program.arguments]
            runpy.run_module(program.module, run_name="__main__", alter_sys=True)
        else:
            with _local_file(program.file) as path:
                sys.argv = [path, *program.arguments]
                sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
                runpy.run_path(path, run_name="__main__")
    except SystemExit as exit:
        if exit.code not in (None, 0):
            said = f": {exit.code}" if isinstance(exit.code, str) else f" with code {exit.code}"
            raise ProgramError(f"the program {program.name} exited{said}") from exit
    except YarnflowError:
        raise
    except Exception as error:
        raise ProgramError(f"the program {program.name} failed:\n{user_traceback(error)}") from error
    finally:
        sys.argv = saved_argv
        sys.modules["__main__"] = saved_main


def _spec(module: str) -> object:
    try:
        return importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None


@contextmanager
def _local_file(file: str) -> Iterator[str]:
    scheme, _, path = fs.split_uri(file)
    if scheme == "file":
        yield path
        return
    files, remote = fs.get(file)
    with tempfile.TemporaryDirectory(prefix="yarnflow-program-") as folder:
        local = os.path.join(folder, os.path.basename(remote))
        files.download(remote, local)
        yield local


@contextmanager
def _python_path(files: Sequence[str]) -> Iterator[None]:
    """Make what -pyfs names importable in main(): folders and zips go on the path; of a .py file, its folder."""
    saved = list(sys.path)
    for file in filter(None, files):
        scheme, _, path = fs.split_uri(file)
        if scheme == "file":
            is_package = os.path.exists(os.path.join(path, "__init__.py"))
            parent = path.endswith(".py") or is_package
            sys.path.insert(0, os.path.dirname(path) if parent else path)
    try:
        yield
    finally:
        sys.path[:] = saved


def user_traceback(error: BaseException) -> str:
    """The traceback without our own frames: from the program's first to where it failed."""
    own = str(Path(__file__).resolve().parents[1]) + os.sep
    frames = traceback.extract_tb(error.__traceback__)
    kept = [frame for frame in frames if not _is_ours(frame.filename, own)] or list(frames)
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(kept)]
    lines += traceback.format_exception_only(type(error), error)
    return "".join(lines).rstrip()


def _is_ours(filename: str, own: str) -> bool:
    return filename.startswith((own, "<frozen")) or filename.endswith(f"{os.sep}runpy.py")
