"""Records per second of each engine, by the slope between two input sizes in one warm process, so that
start-up does not count. Engines take turns in every round, so that a slow minute hits all of them."""

from __future__ import annotations

import json
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks import inputs
from benchmarks.peers import Engine


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        name: as shown.
        engine: short name in peers.engines().
        workload: of the engine script.
        slots: parallelism.
        sizes: records (millions), megabytes of text or millions of Parquet rows: small and large.
        input: "numbers", "text" or "parquet".
    """

    name: str
    engine: str
    workload: str
    slots: int
    sizes: tuple[float, float]
    input: str


@dataclass(frozen=True)
class Bar:
    """What must hold: case / other >= factor, or a rate (in records/s) when `other` is a number."""

    case: str
    other: str | float
    factor: float


CASES = (
    Case("W1 plain Python", "python", "W1", 1, (2, 8), "numbers"),
    Case("W1 yarnflow", "yarnflow", "W1", 1, (2, 8), "numbers"),
    Case("W1 bytewax", "bytewax", "W1", 1, (1, 4), "numbers"),
    Case("W1 PyFlink", "pyflink", "W1", 1, (0.2, 0.6), "numbers"),
    Case("W1 Flink Java", "flink", "W1", 1, (50, 250), "numbers"),
    Case("W1 yarnflow columns", "yarnflow", "W1C", 1, (50, 250), "numbers"),
    Case("W2 plain Python", "python", "W2", 1, (6, 24), "text"),
    Case("W2 yarnflow", "yarnflow", "W2", 1, (6, 24), "text"),
    Case("W2 yarnflow, 2 slots", "yarnflow", "W2", 2, (6, 24), "text"),
    Case("W2 bytewax", "bytewax", "W2", 1, (3, 12), "text"),
    Case("W2 PyFlink", "pyflink", "W2", 1, (1, 3), "text"),
    Case("W2 Flink Java", "flink", "W2", 1, (24, 96), "text"),
    Case("W2 yarnflow columns", "yarnflow", "W2C", 1, (24, 96), "text"),
    Case("W3 plain Python", "python", "W3", 1, (0.5, 3), "numbers"),
    Case("W3 yarnflow", "yarnflow", "W3", 1, (0.5, 3), "numbers"),
    Case("W3 yarnflow, 2 slots", "yarnflow", "W3", 2, (0.5, 3), "numbers"),
    Case("W3 bytewax", "bytewax", "W3", 1, (0.2, 1), "numbers"),
    Case("W3 PyFlink", "pyflink", "W3", 1, (0.05, 0.2), "numbers"),
    Case("W3 Flink Java", "flink", "W3", 1, (5, 25), "numbers"),
    Case("W3 yarnflow columns", "yarnflow", "W3C", 1, (5, 40), "numbers"),
    Case("W4 plain Python", "python", "W4", 1, (0.5, 3), "numbers"),
    Case("W4 yarnflow", "yarnflow", "W4", 1, (0.5, 3), "numbers"),
    Case("W4 bytewax", "bytewax", "W4", 1, (0.05, 0.2), "numbers"),
    Case("W4 PyFlink", "pyflink", "W4", 1, (0.02, 0.06), "numbers"),
    Case("W4 Flink Java", "flink", "W4", 1, (1, 5), "numbers"),
    Case("W4 yarnflow columns", "yarnflow", "W4C", 1, (5, 40), "numbers"),
    Case("W4 out of order, plain Python", "python", "W4O", 1, (0.5, 3), "numbers"),
    Case("W4 out of order, yarnflow", "yarnflow", "W4O", 1, (0.5, 3), "numbers"),
    Case("W4 out of order, Flink Java", "flink", "W4O", 1, (1, 5), "numbers"),
    Case("W4 out of order, yarnflow columns", "yarnflow", "W4OC", 1, (5, 40), "numbers"),
    Case("W4 sliding, yarnflow", "yarnflow", "W4S", 1, (0.5, 3), "numbers"),
    Case("W4 sliding, Flink Java", "flink", "W4S", 1, (0.1, 0.5), "numbers"),
    Case("W4 sliding, yarnflow columns", "yarnflow", "W4SC", 1, (1, 10), "numbers"),
    Case("W5 plain Python", "python", "W5", 1, (0.5, 3), "numbers"),
    Case("W5 yarnflow", "yarnflow", "W5", 1, (0.5, 3), "numbers"),
    Case("W6 plain Python", "python", "W6", 1, (0.5, 3), "numbers"),
    Case("W6 yarnflow", "yarnflow", "W6", 1, (0.5, 3), "numbers"),
    Case("Parquet, final sums", "yarnflow", "PARQUET_BATCH", 1, (10, 60), "parquet"),
    Case("Parquet, every update", "yarnflow", "PARQUET", 1, (10, 60), "parquet"),
)

BARS = (
    Bar("W1 yarnflow", "W1 plain Python", 0.6),
    Bar("W1 yarnflow", "W1 bytewax", 1.5),
    Bar("W1 yarnflow", "W1 PyFlink", 25),
    Bar("W2 yarnflow", "W2 plain Python", 0.5),
    Bar("W2 yarnflow", "W2 bytewax", 3),
    Bar("W2 yarnflow", "W2 Flink Java", 0.5),
    Bar("W2 yarnflow, 2 slots", "W2 yarnflow", 1.5),
    Bar("W1 yarnflow columns", "W1 Flink Java", 2),
    Bar("W2 yarnflow columns", "W2 Flink Java", 3),
    Bar("W3 yarnflow", "W3 plain Python", 0.4),
    Bar("W3 yarnflow", "W3 bytewax", 2),
    Bar("W3 yarnflow", "W3 PyFlink", 50),
    Bar("W3 yarnflow columns", "W3 Flink Java", 1),
    Bar("W4 yarnflow", "W4 Flink Java", 1),
    Bar("W4 yarnflow", "W4 PyFlink", 100),
    Bar("W4 yarnflow columns", "W4 Flink Java", 5),
    Bar("W4 out of order, yarnflow", "W4 out of order, Flink Java", 1),
    Bar("W4 out of order, yarnflow columns", "W4 out of order, Flink Java", 5),
    Bar("Parquet, final sums", 10_000_000.0, 1),
)


def sizes_of(case: Case, data: Path) -> str:
    """The --sizes argument: numbers, or names of generated files."""
    if case.input == "numbers":
        return ",".join(str(int(size * 1_000_000)) for size in case.sizes)
    make = inputs.text if case.input == "text" else inputs.parquet
    return ",".join(make(data, max(1, round(size))) for size in case.sizes)


def measure(case: Case, engine: Engine, data: Path, repeat: int, timeout: float) -> list[float]:
    """Run a case once (one process, `repeat` pairs of sizes after a first pair that only warms up); returns
    one rate in records/s for each pair."""
    sizes = sizes_of(case, data)
    command = engine.arguments(case.workload, case.slots, sizes, repeat + 1, data)
    done = subprocess.run(command, env=engine.env, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise RuntimeError(
            f"{case.name}: {' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        )
    runs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    pairs = list(zip(runs[::2], runs[1::2], strict=False))[1:]
    rates = []
    for small, large in pairs:
        seconds = large["seconds"] - small["seconds"]
        if seconds > 0:
            rates.append((large["n"] - small["n"]) / seconds)
    return rates


def run(
    cases: tuple[Case, ...], engines: dict[str, Engine], data: Path, rounds: int, show
) -> dict[str, list[float]]:
    """All cases in turn, `rounds` times; returns rates by case name."""
    rates: dict[str, list[float]] = {}
    for number in range(rounds):
        for case in cases:
            if case.engine not in engines:
                continue
            show(f"round {number + 1}/{rounds}: {case.name}")
            rates.setdefault(case.name, []).extend(measure(case, engines[case.engine], data, 2, 600))
    return rates


def verdicts(rates: dict[str, list[float]]) -> list[dict]:
    """Each bar with the ratio reached; bars whose engines did not take part are left out."""
    median = {name: statistics.median(values) for name, values in rates.items() if values}
    found = []
    for bar in BARS:
        base = bar.other if isinstance(bar.other, float) else median.get(bar.other)
        if bar.case in median and base:
            ratio = median[bar.case] / base
            found.append(
                {
                    "case": bar.case,
                    "over": bar.other,
                    "wanted": bar.factor,
                    "ratio": ratio,
                    "reached": ratio >= bar.factor,
                }
            )
    return found
