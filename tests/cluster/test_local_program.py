"""Programs started with plain `python`: the MiniCluster comes with the first job and goes with the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cluster.waiting import eventually

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]

BEGIN = """
from yarnflow.datastream import StreamExecutionEnvironment
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(2)
def numbers(count):
    return env.from_source(NumberSequenceSource(1, count), None, "numbers")
"""


def start(tmp_path: Path, program: str) -> subprocess.Popen[str]:
    script = tmp_path / "program.py"
    script.write_text(BEGIN + program)
    (tmp_path / "tmp").mkdir()
    return subprocess.Popen(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_several_jobs_in_one_program_and_nothing_left_behind(tmp_path):
    (tmp_path / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "data.txt").write_text("found")
    process = start(
        tmp_path,
        """
import helper
for round in range(2):
    with numbers(10).map(helper.double).execute_and_collect() as results:
        print(sorted(results)[-1])
numbers(1).map(lambda _: open("data.txt").read()).print()
env.execute()
""",
    )
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.split() == ["20", "20", *out.split()[2:]]
    assert out.split()[-1] == "found"
    assert err == ""
    assert list((tmp_path / "tmp").iterdir()) == []


def test_shipped_files_reach_the_workers(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "shipped_package.py").write_text("def triple(x):\n    return 3 * x\n")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("inner.txt", "from the archive")
    process = start(
        tmp_path,
        """
env.add_python_file("lib")
env.add_python_archive("data.zip", "data")
def use(value):
    import shipped_package
    return shipped_package.triple(value), open("data/inner.txt").read()
with numbers(3).map(use).execute_and_collect() as results:
    print(sorted(results))
""",
    )
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.strip() == str([(n, "from the archive") for n in (3, 6, 9)])


def test_a_program_without_execute_starts_nothing(tmp_path):
    process = start(tmp_path, "import sys; assert 'asyncio' not in sys.modules")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert list((tmp_path / "tmp").iterdir()) == []


def test_ctrl_c_cancels_the_job_and_leaves_nothing(tmp_path):
    process = start(
        tmp_path,
        """
import pathlib
def mark(value):
    pathlib.Path("running").touch()
    return False
numbers(10**12).filter(mark).print()
env.execute()
""",
    )
    eventually((tmp_path / "running").exists)
    workers = children(process.pid)
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    assert not any(alive(pid) for pid in workers)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_workers_of_a_killed_program_end(tmp_path):
    process = start(
        tmp_path,
        """
import pathlib
def mark(value):
    pathlib.Path("running").touch()
    return False
numbers(10**12).filter(mark).print()
env.execute()
""",
    )
    eventually((tmp_path / "running").exists)
    workers = children(process.pid)
    process.kill()
    process.communicate()
    eventually(lambda: not any(alive(pid) for pid in workers))


def test_a_failing_program_shows_the_users_traceback(tmp_path):
    process = start(tmp_path, "numbers(3).map(lambda value: value.missing).print()\nenv.execute()\n")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "AttributeError: 'int' object has no attribute 'missing'" in err
    assert "In operator 'Map'" in err


def test_a_worker_that_cannot_start_is_told(tmp_path):
    process = start(
        tmp_path,
        'env._config.set_string("python.executable", "/bin/false")\nnumbers(3).print()\nenv.execute()\n',
    )
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "could not be started: it exited with code 1" in err
