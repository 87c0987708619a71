"""A tiny job from nothing: wall time, and the memory of all its processes together at the peak."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from pathlib import Path

from benchmarks.peers import HERE, Engine

EXAMPLE = HERE.parent / "examples" / "word_count.py"


def memory_of_tree(root: int) -> tuple[int, int]:
    """(RSS, PSS) in bytes of a process and all its descendants; RSS counts shared pages once per process."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    todo, rss, pss = [root], 0, 0
    while todo:
        pid = todo.pop()
        todo.extend(children.get(pid, ()))
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    rss += int(line.split()[1]) * 1024
                elif line.startswith("Pss:"):
                    pss += int(line.split()[1]) * 1024
        except OSError:
            continue
    return rss, pss


def timed(command: list[str], env: dict[str, str], sample: bool) -> tuple[float, float, float]:
    """Run a command; returns (wall seconds, peak RSS in MB, peak PSS in MB) of its process tree.

    Sampling memory costs time, so wall time and memory come from different runs."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = (0, 0)
    while sample and process.poll() is None:
        peak = max(peak, memory_of_tree(process.pid))
        time.sleep(0.01)
    _, error = process.communicate()
    seconds = time.perf_counter() - start
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{error.decode()[-3000:]}")
    return seconds, peak[0] / 1e6, peak[1] / 1e6


def run(engines: dict[str, Engine], rounds: int, show) -> dict[str, dict[str, float]]:
    """word_count.py on yarnflow and PyFlink's own example, each in a fresh process."""
    commands = {"yarnflow": ([engines["yarnflow"].command[0], str(EXAMPLE)], engines["yarnflow"].env)}
    if "pyflink" in engines:
        example = "pyflink.examples.datastream.word_count"
        commands["PyFlink"] = ([engines["pyflink"].command[0], "-m", example], engines["pyflink"].env)
    result = {}
    for name, (command, env) in commands.items():
        show(f"cold start: {name}")
        env = {**env, "PYTHONPATH": env.get("PYTHONPATH", "")} if name == "yarnflow" else dict(os.environ) | env
        seconds = [timed(command, env, sample=False)[0] for _ in range(rounds)]
        _, rss, pss = timed(command, env, sample=True)
        result[name] = {"seconds": statistics.median(seconds), "peak RSS MB": rss, "peak PSS MB": pss}
    return result
