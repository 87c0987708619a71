"""PyFlink programs print with yarnflow what they print with PyFlink.

`pyflink_programs/NAME.py` are programs for PyFlink; `NAME.txt` is what PyFlink 2.3 printed for them. To record one
again, run it with PyFlink's Python: `python NAME.py | LC_ALL=C sort > NAME.txt`. Lines are compared without their
order, which parallel branches of a job do not have in Flink either.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "pyflink_programs"


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("*.py")))
def test_prints_what_pyflink_prints(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yarnflow", "run", "-t", "local", "-py", str(PROGRAMS / f"{name}.py")],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        # Files of the programs go to the test's folder; no session of this user is looked at.
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = (PROGRAMS / f"{name}.txt").read_text("utf-8").splitlines()
    assert sorted(done.stdout.splitlines()) == sorted(expected)
