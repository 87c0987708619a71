"""The examples on real data, run as a user runs them; and the data, read in plain Python to compare with."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, program: str, *arguments: str) -> str:
    """Run an example in `folder`; returns what it printed."""
    completed = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{program}.py"), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def rows(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with file.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def hour(row: dict[str, str]) -> datetime:
    """What stands in time_hour."""
    return datetime.fromisoformat(row["time_hour"].replace("Z", "+00:00")).astimezone(timezone.utc)


def scheduled(flight: dict[str, str]) -> datetime:
    """When a flight should have left."""
    return hour(flight) + timedelta(minutes=int(flight["minute"]))
