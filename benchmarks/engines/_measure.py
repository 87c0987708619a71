"""What every engine script shares: its arguments and how one timed run is reported.

An engine script runs in the virtual environment of its engine and prints one JSON line per timed run:
{"n": records, "seconds": s}. Only the standard library is used here.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path


def arguments(workloads: tuple[str, ...]) -> argparse.Namespace:
    """Parse --workload, --slots, --sizes (comma separated), --repeat and --data."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", required=True, choices=workloads)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--sizes", required=True, help="records (W1) or name of a text file (W2), by comma")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--data", type=Path, required=True, help="folder with the generated inputs")
    return parser.parse_args()


def words_of(path: Path) -> int:
    """How many words a generated text has."""
    return int(json.loads(path.with_suffix(".json").read_text())["words"])


def timed_runs(options: argparse.Namespace, run: Callable[[str], int]) -> None:
    """Call `run(size)`, which returns the number of records, for each size in turn, `repeat` times."""
    for _ in range(options.repeat):
        for size in options.sizes.split(","):
            start = time.perf_counter()
            records = run(size)
            print(json.dumps({"size": size, "n": records, "seconds": time.perf_counter() - start}), flush=True)
