"""The rules of the whole package: who imports whom, what machines may use, how long a module is, what importing
the API costs.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "yarnflow"

BASE = {"config", "errors"}
API = BASE | {"common", "functions", "graph"}

#: Which parts of yarnflow each part may import, besides itself. docs/architecture.md says why.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "config": {"errors"},
    "common": BASE,
    "functions": BASE | {"common", "fs"},
    "graph": BASE | {"common", "functions"},
    "fs": BASE,
    "security": BASE | {"fs"},
    "ha": BASE | {"fs", "security"},
    "metrics": BASE,
    "datastream": API | {"fs"},
    "compat": API | {"datastream"},
    "runtime": API | {"compat", "fs", "ha", "metrics", "security"},
    "state_reader": API | {"fs", "runtime"},
    "history": API | {"fs", "runtime", "web"},
    "web": API | {"fs", "metrics", "runtime", "security"},
    "yarn": BASE | {"common", "fs", "security"},
    "am": API | {"compat", "fs", "ha", "metrics", "runtime", "security", "web", "yarn"},
    "container": BASE | {"common", "fs", "metrics", "runtime", "security", "yarn"},
    "session": API | {"compat", "fs", "ha", "metrics", "runtime", "security", "web", "yarn"},
    "standalone": API | {"fs", "ha", "metrics", "runtime", "security", "web"},
    "devcluster": BASE | {"common", "fs", "security"},
    "testing": API | {"datastream", "fs", "ha", "metrics", "runtime", "security", "session", "web"},
    "cli": API
    | {
        "compat",
        "datastream",
        "devcluster",
        "fs",
        "ha",
        "history",
        "metrics",
        "runtime",
        "security",
        "session",
        "standalone",
        "state_reader",
        "web",
    },
}

#: Third-party packages that one place owns; prefixes of module paths.
OWNERS: dict[str, tuple[str, ...]] = {
    "skein": ("yarn/skein",),
    "kazoo": ("ha/",),
    "click": ("cli/",),
    "requests_kerberos": ("security/", "yarn/"),
    "pyarrow": (
        "graph/",
        "functions/",
        "fs/",
        "runtime/network/",
        "runtime/operators/",
        "runtime/state/",
        "state_reader.py",
        "datastream/connectors/",
        "datastream/formats/",
    ),
}

IMPURE = {
    "asyncio",
    "socket",
    "threading",
    "time",
    "subprocess",
    "random",
    "multiprocessing",
    "concurrent",
    "selectors",
}
#: What takes tens of milliseconds or more to import.
HEAVY = {"pyarrow", "aiohttp", "grpc", "requests", "rich", "skein", "hdfs_native", "yaml"}
MAX_LINES = 500


@cache
def modules() -> tuple[Path, ...]:
    return tuple(sorted(PACKAGE.rglob("*.py")))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def imports(path: Path) -> frozenset[str]:
    """Absolute names of all that a module imports, at the top, in functions and for type checkers alike."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: import by absolute name"
            # `from yarnflow import runtime` names a part as well.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("yarnflow.")}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_part_has_a_line_in_the_table() -> None:
    found = {part_of(path) for path in modules()} - {"__init__", "__main__"}
    assert found <= MAY_IMPORT.keys(), "say in MAY_IMPORT which parts the new one may import"


def test_imports_go_one_way() -> None:
    wrong = [
        f"{name_of(path)} imports yarnflow.{part}"
        for path in modules()
        if part_of(path) in MAY_IMPORT
        for part in sorted(parts(path) & MAY_IMPORT.keys() - MAY_IMPORT[part_of(path)] - {part_of(path)})
    ]
    assert wrong == []


def test_the_table_itself_has_no_circle() -> None:
    left = {part: set(allowed) for part, allowed in MAY_IMPORT.items()}
    while free := [part for part, allowed in left.items() if not allowed & left.keys()]:
        for part in free:
            del left[part]
    assert left == {}


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_is_imported_by_its_owner_alone(library: str) -> None:
    wrong = [
        name_of(path)
        for path in modules()
        if any(name.split(".")[0] == library for name in imports(path))
        and not name_of(path).startswith(OWNERS[library])
    ]
    assert wrong == []


def test_machines_do_no_io_and_have_no_clock() -> None:
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in modules()
        if path.name.endswith("_machine.py")
        for name in sorted(imports(path))
        if name.split(".")[0] in IMPURE
    ]
    assert wrong == []


def test_modules_stay_readable() -> None:
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in modules()}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}, (
        "look for the second noun"
    )


def test_modules_say_what_they_are() -> None:
    wrong = [
        name_of(path)
        for path in modules()
        if (tree := ast.parse(path.read_text("utf-8"))).body and not ast.get_docstring(tree)
    ]
    assert wrong == []


def repository_files() -> Iterator[Path]:
    for folder in ("yarnflow", "bin", "conf", "docs", "examples", "tests", "benchmarks", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and not {"__pycache__", ".cache", "results", ".pytest_cache"} & set(path.parts):
                yield path
    yield from (path for path in ROOT.iterdir() if path.suffix in {".md", ".py", ".cfg", ".toml", ".txt"})


def test_no_path_of_a_machine_is_written_anywhere() -> None:
    # Homes and checkouts of whoever wrote the code. For the system's temporary directory there is ruff's S108.
    personal = re.compile(r"(?<![\w.~}$-])/(?:work|root)/\w")
    wrong = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in repository_files()
        for match in personal.finditer(path.read_text("utf-8", errors="replace"))
    ]
    assert wrong == []


@pytest.mark.parametrize("part", ["common", "config", "functions", "graph", "datastream"])
def test_importing_the_api_imports_nothing_heavy(part: str) -> None:
    code = f"import sys, yarnflow.{part}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_slot_workers_never_load_grpc() -> None:
    # They fork to write checkpoints (state/forked_writer.py); threads of gRPC do not survive that.
    code = (
        "import sys, importlib, pkgutil, yarnflow.runtime.taskmanager.worker\n"
        "from yarnflow.runtime import network, operators, state\n"
        "for part in (network, operators, state):\n"
        "    for module in pkgutil.iter_modules(part.__path__, part.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "print('grpc' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
