"""Files of a job reach the TaskManager containers: -pyfs, -pyreq, -pyarch."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

from tests.yarn.yarn_commands import Commands

IMPORTING = """
import os
from pyflink.datastream import StreamExecutionEnvironment


def use(number):
    import {module}
    return {module}.double(number), {module}.__file__.startswith(os.getcwd()), os.environ["CONTAINER_ID"]


env = StreamExecutionEnvironment.get_execution_environment()
with env.from_collection([1, 2]).map(use).execute_and_collect() as results:
    print(sorted(results))
"""

READING = """
from pyflink.datastream import StreamExecutionEnvironment


def read(name):
    with open(f"data/{name}") as file:
        return file.read()


env = StreamExecutionEnvironment.get_execution_environment()
with env.from_collection(["words.txt"]).map(read).execute_and_collect() as results:
    print(list(results))
"""

MODULE = "def double(number):\n    return 2 * number\n"


def _program(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(text)
    return str(path)


def _wheel(folder: Path, name: str) -> Path:
    """Write a wheel with one module."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": MODULE,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


@pytest.mark.parametrize("form", ["file", "package", "directory", "zip"])
def test_pyfs_makes_modules_importable(
    commands: Commands, yarn_session: str, tmp_path: Path, form: str
) -> None:
    module = f"shipped_{form}"
    program = _program(tmp_path, IMPORTING.format(module=module))
    if form == "file":
        shipped = tmp_path / f"{module}.py"
        shipped.write_text(MODULE)
    elif form == "package":
        shipped = tmp_path / "elsewhere" / module
        shipped.mkdir(parents=True)
        (shipped / "__init__.py").write_text(MODULE)
    elif form == "directory":
        shipped = tmp_path / "folder"
        shipped.mkdir()
        (shipped / f"{module}.py").write_text(MODULE)
    else:
        shipped = tmp_path / "modules.zip"
        with zipfile.ZipFile(shipped, "w") as archive:
            archive.writestr(f"{module}.py", MODULE)
    without = commands.run("run", "-py", program, code=1)
    assert f"No module named '{module}'" in without.stderr
    with_it = commands.run("run", "-pyfs", str(shipped), "-py", program)
    assert "(2, True, 'container_" in with_it.stdout
    assert "(4, True, 'container_" in with_it.stdout


def test_pyreq_installs_requirements_offline(commands: Commands, yarn_session: str, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    _wheel(packages, "shippedwheel")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("shippedwheel==1.0\n")
    program = _program(tmp_path, IMPORTING.format(module="shippedwheel"))
    done = commands.run("run", "-pyreq", f"{requirements}#{packages}", "-py", program)
    assert "(2, False, 'container_" in done.stdout
    requirements.write_text("shippedwheel==2.0\n")
    failed = commands.run("run", "-pyreq", f"{requirements}#{packages}", "-py", program, code=1)
    assert "cannot be installed" in failed.stderr


def test_pyarch_unpacks_archives(commands: Commands, yarn_session: str, tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("words.txt", "real words")
    done = commands.run("run", "-pyarch", f"{archive}#data", "-py", _program(tmp_path, READING))
    assert "['real words']" in done.stdout


def test_a_file_that_is_not_there(commands: Commands, yarn_session: str, tmp_path: Path) -> None:
    program = _program(tmp_path, READING)
    failed = commands.run("run", "-pyfs", "/nowhere/module.py", "-py", program, code=1)
    assert "python.files: there is no file or directory '/nowhere/module.py'" in failed.stderr
