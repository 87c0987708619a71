"""Running the user's main()."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from yarnflow.config import Configuration
from yarnflow.errors import NoExecuteError, ProgramError, ProgramMissingError, SerializationError
from yarnflow.graph.job_graph import JobGraph
from yarnflow.session.program import Program, run

EXECUTES = """
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([1, 2]).map(lambda number: number + 1).print()
env.execute_async("two numbers")
"""


class Executor:
    """Remembers what was submitted."""

    def __init__(self) -> None:
        self.jobs: list[JobGraph] = []
        self.configs: list[Configuration] = []

    def submit(self, job: JobGraph, config: Configuration) -> Any:
        self.jobs.append(job)
        self.configs.append(config)
        return self

    job_id = "0" * 32


def _write(folder: Path, text: str, name: str = "program.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_the_program_sees_pyflink_its_arguments_and_the_configuration(tmp_path: Path) -> None:
    executor = Executor()
    text = "import sys\nassert sys.argv[1:] == ['--to', 'x'], sys.argv\nassert __name__ == '__main__'\n" + EXECUTES
    saved = list(sys.argv), list(sys.path)
    run(
        Program(_write(tmp_path, text), arguments=("--to", "x")),
        Configuration({"parallelism.default": "3"}),
        executor,
    )
    assert [job.name for job in executor.jobs] == ["two numbers"]
    assert executor.configs[0].get_string("parallelism.default", "") == "3"
    assert (sys.argv, sys.path) == saved


def test_a_module_and_what_pyfs_names(tmp_path: Path) -> None:
    _write(tmp_path, EXECUTES, "the_program_module.py")
    executor = Executor()
    run(Program(module="the_program_module"), Configuration({"python.files": str(tmp_path)}), executor)
    assert len(executor.jobs) == 1


def test_modules_beside_the_program_are_importable(tmp_path: Path) -> None:
    _write(tmp_path, "VALUE = 1\n", "beside_the_program.py")
    run(Program(_write(tmp_path, "import beside_the_program\n" + EXECUTES)), Configuration(), Executor())


def test_a_missing_program() -> None:
    with pytest.raises(ProgramMissingError, match="there is no program"):
        run(Program("/nowhere.py"), Configuration(), Executor())
    with pytest.raises(ProgramMissingError, match="no module 'no_such_module'"):
        run(Program(module="no_such_module"), Configuration(), Executor())


def test_a_directory_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissingError, match="is a directory"):
        run(Program(str(tmp_path)), Configuration(), Executor())


def test_a_program_without_execute(tmp_path: Path) -> None:
    with pytest.raises(NoExecuteError, match=r"program.py ended without calling execute\(\)"):
        run(Program(_write(tmp_path, "x = 1\n")), Configuration(), Executor())


def test_an_unpicklable_function(tmp_path: Path) -> None:
    text = EXECUTES.replace("lambda number: number + 1", "lambda number, lock=__import__('threading').Lock(): 1")
    with pytest.raises(SerializationError, match="cannot be pickled"):
        run(Program(_write(tmp_path, text)), Configuration(), Executor())


def test_what_the_program_raises_comes_with_its_own_frames_only(tmp_path: Path) -> None:
    with pytest.raises(ProgramError) as caught:
        run(Program(_write(tmp_path, "def f():\n    return {}['x']\n\nf()\n")), Configuration(), Executor())
    message = str(caught.value)
    assert "KeyError: 'x'" in message
    assert "return {}['x']" in message
    assert "runpy" not in message
    assert "yarnflow/session" not in message


@pytest.mark.parametrize(("exit", "said"), [("3", "exited with code 3"), ("'no input'", "exited: no input")])
def test_a_program_that_exits(tmp_path: Path, exit: str, said: str) -> None:
    with pytest.raises(ProgramError, match=said):
        run(Program(_write(tmp_path, f"import sys\nsys.exit({exit})\n")), Configuration(), Executor())


def test_exit_with_success_is_the_end_of_the_program(tmp_path: Path) -> None:
    executor = Executor()
    run(Program(_write(tmp_path, EXECUTES + "import sys\nsys.exit(0)\n")), Configuration(), executor)
    assert len(executor.jobs) == 1
