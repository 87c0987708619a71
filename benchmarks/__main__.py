"""python -m benchmarks [throughput] [start] [state] [yarn] [--install-peers] [--rounds N] [--only TEXT]

Runs the same programs on yarnflow and its peers, and prints a table of medians and of the ratios that the
project asks for. Results also go to benchmarks/results/<date>.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time

from rich.console import Console
from rich.table import Table

from benchmarks import peers, start, state, throughput, yarn

PARTS = ("throughput", "start", "state", "yarn")


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: throughput and start")
    parser.add_argument("--install-peers", action="store_true", help="make the peers' environments first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    options = parser.parse_args()
    parts = options.parts or ["throughput", "start"]
    console = Console()
    show = lambda line: console.print(f"[dim]{line}[/]")  # noqa: E731 - a callback of one line
    if options.install_peers:
        for peer in peers.PACKAGES:
            if not (peers.environment(peer) / "bin" / "python").exists():
                show(f"installing {peers.PACKAGES[peer]}")
                peers.install(peer)
    data = peers.CACHE / "data"
    data.mkdir(parents=True, exist_ok=True)
    result: dict = {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
    }
    engines = peers.engines()
    if "throughput" in parts:
        cases = tuple(case for case in throughput.CASES if options.only in case.name)
        rates = throughput.run(cases, engines, data, options.rounds, show)
        result["throughput"] = rates
        result["ratios"] = throughput.verdicts(rates)
        print_rates(console, rates)
        print_ratios(console, result["ratios"])
    if "start" in parts:
        result["start"] = start.run(engines, options.rounds, show)
        print_seconds(console, "Start to end of word_count.py, cold", result["start"])
    if "state" in parts:
        result["state"] = state.run(options.only, show)
        print_seconds(console, "State and checkpoints", result["state"])
    if "yarn" in parts:
        result["yarn"] = yarn.run(options.rounds, show)
        print_seconds(console, "On one single-node YARN", result["yarn"])
    folder = peers.HERE / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(result, indent=1))
    show(f"written to {path}")


def print_rates(console: Console, rates: dict[str, list[float]]) -> None:
    """Medians with the spread."""
    table = Table("case", "records/s", "lowest", "highest", title="Throughput")
    for name, values in rates.items():
        if values:
            table.add_row(
                name, *(f"{value:,.0f}" for value in (statistics.median(values), min(values), max(values)))
            )
    console.print(table)


def print_ratios(console: Console, ratios: list[dict]) -> None:
    """What was asked for and what was reached."""
    table = Table("case", "over", "wanted", "reached", title="Ratios in this run")
    for row in ratios:
        over = f"{row['over']:,.0f}/s" if isinstance(row["over"], float) else row["over"]
        colour = "green" if row["reached"] else "red"
        table.add_row(row["case"], over, f"{row['wanted']:g}", f"[{colour}]{row['ratio']:.2f}[/]")
    console.print(table)


def print_seconds(console: Console, title: str, rows: dict[str, dict[str, float]]) -> None:
    """Seconds and, where known, memory."""
    table = Table("what", "figure", title=title)
    for name, figures in rows.items():
        table.add_row(name, ", ".join(f"{key} {value:.2f}" for key, value in figures.items()))
    console.print(table)


main()
