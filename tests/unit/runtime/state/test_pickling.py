from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from yarnflow.errors import ProgramError
from yarnflow.runtime.state.pickling import dump_all, load_all

ROOT = Path(__file__).resolve().parents[4]

#: A program whose classes live in its main module: pickles its code, or objects of them.
PROGRAM = """
import sys, enum, cloudpickle
from dataclasses import dataclass
@dataclass
class Total:
    value: int
    def shown(self):
        return "{version} " + str(self.value)
class Level(enum.Enum):
    LOW = 1
def code():
    return Total, Level
sys.stdout.buffer.write(cloudpickle.dumps({what}))
"""


def run(version: str, what: str) -> bytes:
    program = PROGRAM.replace("{version}", version).replace("{what}", what)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60, cwd=ROOT)
    return done.stdout


#: What a worker does: loads the job's code, then state, then looks at it.
WORKER = """
import pickle, sys
from yarnflow.runtime.state.pickling import dump_all, load_all
code, stored = pickle.load(sys.stdin.buffer)
if code is not None:
    code = pickle.loads(code)
for _ in range(2):
    totals, level = load_all([stored, stored])[0]
    stored, = dump_all([(totals, level)])
print(totals[0].shown(), totals)
if code is not None:
    Total, Level = code()
    print(totals == [Total(1), Total(2)], level is Level.LOW, Total(3).shown())
"""


def worker(code: bytes | None, stored: bytes) -> str:
    import pickle

    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        input=pickle.dumps((code, stored)),
        capture_output=True,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


STORED = "([Total(1), Total(2)], Level.LOW)"


def test_restored_objects_are_of_the_jobs_own_class() -> None:
    shown = worker(run("new", "code"), run("old", STORED))
    assert shown == "new 1 [Total(value=1), Total(value=2)]\nTrue True new 3\n"


def test_without_the_job_objects_bring_their_class() -> None:
    assert worker(None, run("old", STORED)) == "old 1 [Total(value=1), Total(value=2)]\n"


def test_values_are_pickled_one_by_one() -> None:
    shared: list[Any] = []
    first, second = load_all(dump_all([shared, shared]))
    assert first == second == []
    assert first is not second


def test_what_cannot_be_pickled_is_named() -> None:
    with pytest.raises(ProgramError, match=r"a value of type builtins\.generator in state cannot be stored"):
        dump_all([1, (n for n in "ab")])
