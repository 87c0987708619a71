"""What `import yarnflow.datastream` loads decides how soon a program prints its first line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

HEAVY = [
    "aiohttp", "asyncio", "click", "cloudpickle", "concurrent.futures", "fsspec", "grpc", "hdfs_native", "kazoo",
    "logging", "numpy", "pyarrow", "requests", "rich", "skein", "socket", "subprocess", "yaml",
    "yarnflow.cli", "yarnflow.runtime", "yarnflow.session",
]  # fmt: skip


def test_building_a_program_loads_nothing_heavy() -> None:
    code = f"""
import sys
import yarnflow.common, yarnflow.datastream
from yarnflow.common import Types, Row, WatermarkStrategy, RestartStrategies
env = yarnflow.datastream.StreamExecutionEnvironment.get_execution_environment()
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
