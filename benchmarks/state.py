"""State and checkpoints: cost, pause, recovery, latency, memory. yarnflow only, each case in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from benchmarks import peers

#: As shown -> arguments of engines/yarnflow_state.py.
CASES: dict[str, tuple[str, ...]] = {
    "a checkpoint every second, 1 M keys, hashmap": ("throughput",),
    "checkpoints of 1 GB, hashmap": ("pause",),
    "worker killed, 10,000 keys": ("recovery",),
    "worker killed, 1 M keys": ("recovery", "--keys", "1000000"),
    "1,000 records/s across an exchange": ("latency",),
    "memory of counters, hashmap": ("memory",),
    "keys and records": ("linear",),
    "rocksdb, 64 MB of memory": ("spill",),
    "a checkpoint every second, 1 M keys, rocksdb": ("throughput", "--backend", "rocksdb", "--records", "2000000"),
}


def run(only: str, show: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Figures by case."""
    figures = {}
    script = peers.HERE / "engines" / "yarnflow_state.py"
    for name, arguments in CASES.items():
        if only in name:
            show(name)
            done = subprocess.run(
                [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=600, check=False
            )
            if done.returncode != 0:
                raise RuntimeError(f"{name}: ended with {done.returncode}:\n{done.stderr[-3000:]}")
            figures[name] = json.loads(done.stdout.splitlines()[-1])
    return figures
