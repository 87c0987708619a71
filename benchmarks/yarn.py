"""Deploying and running on YARN: yarnflow beside Flink 2.3 on one devcluster, in turn.

Needs a JDK (the job for Flink is put into a jar here) and the peer `flink`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers import CACHE, HERE, flink_home, flink_java
from yarnflow.devcluster.cluster import DevCluster

CHECKOUT = HERE.parent
WORD_COUNT = str(CHECKOUT / "examples" / "word_count.py")
APPLICATION = re.compile(r"application_\d+_\d+")
#: The nodes are this machine: nothing is packed. (Packing an environment of some hundred MB, and unpacking it on
#: each node, takes a minute, once.)
PYTHON = f"-Dyarn.python-environment=python://{sys.executable}"
SIZES = ("-jm", "1024m", "-tm", "1728m", "-s", "2")


class Commands:
    """Runs command lines in an environment and notes how long they took."""

    def __init__(self, env: dict[str, str], seconds: dict[str, list[float]], show: Callable[[str], None]) -> None:
        self.env = env
        self.seconds = seconds
        self.show = show

    def timed(self, what: str, *command: str, stdin: str = "") -> str:
        """Run, and file the wall time under `what`; returns what was printed. A failure ends the benchmark."""
        start = time.perf_counter()
        done = subprocess.run(
            command, env=self.env, input=stdin, capture_output=True, text=True, timeout=300, check=False
        )
        taken = time.perf_counter() - start
        if done.returncode != 0:
            raise RuntimeError(
                f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}"
            )
        if what:
            self.show(f"{what}: {taken:.2f} s")
            self.seconds.setdefault(what, []).append(taken)
        return done.stdout + done.stderr


def application_of(output: str) -> str:
    """The (last) application id in a command's output."""
    found = APPLICATION.findall(output)
    if not found:
        raise RuntimeError(f"no application id in:\n{output}")
    return str(found[-1])


def flink_jar() -> str:
    """A jar with FlinkJob, compiled against Flink's distribution."""
    if flink_java() is None or shutil.which("jar") is None:
        raise RuntimeError("the YARN benchmark needs a JDK and `python -m benchmarks --install-peers`")
    jar = CACHE / "flink-job.jar"
    subprocess.run(["jar", "cfe", jar, "FlinkJob", "-C", CACHE / "flink-classes", "."], check=True)
    return str(jar)


@contextmanager
def devcluster(show: Callable[[str], None]) -> Iterator[DevCluster]:
    """A cluster of its own for this run."""
    cluster = DevCluster(CACHE / "devcluster", nodes=1)
    cluster.start(show)
    try:
        yield cluster
    finally:
        cluster.stop()


def until_finished(commands: Commands, application: str, start: float, what: str) -> None:
    """Wait until YARN says that an application has ended; file the time since `start`."""
    import urllib.request

    address = commands.env["YARNFLOW_BENCHMARK_RM"]
    while time.perf_counter() - start < 300:
        with urllib.request.urlopen(f"{address}/ws/v1/cluster/apps/{application}") as answer:
            if json.load(answer)["app"]["state"] in ("FINISHED", "FAILED", "KILLED"):
                taken = time.perf_counter() - start
                commands.seconds.setdefault(what, []).append(taken)
                commands.show(f"{what}: {taken:.2f} s")
                return
        time.sleep(0.1)
    raise RuntimeError(f"{application} did not end")


def yarnflow_round(commands: Commands) -> None:
    """Session, first and warm job, list, stop; then a job with an application of its own."""
    script, session = str(CHECKOUT / "bin" / "yarnflow"), str(CHECKOUT / "bin" / "yarn-session.sh")
    output = commands.timed("yarnflow: yarn-session.sh -d", session, "-d", *SIZES, PYTHON)
    application = application_of(output)
    run = (script, "run", "-p", "2", "-yid", application, "-py", WORD_COUNT)
    commands.timed("yarnflow: first job in the session", *run)
    for _ in range(2):
        commands.timed("yarnflow: job in a warm session", *run)
    commands.timed("yarnflow: list", script, "list", "-yid", application)
    commands.timed("", session, "-id", application, stdin="stop\n")
    start = time.perf_counter()
    output = commands.timed(
        "yarnflow: per-job, command returns", script, "run", PYTHON, "-m", "yarn-cluster", "-yd", "-d",
        "-yjm", "1024m",
        "-ytm", "1728m", "-ys", "2", "-p", "2", "-py", WORD_COUNT,
        "--output", commands.env["YARNFLOW_BENCHMARK_OUT"],
    )  # fmt: skip
    until_finished(commands, application_of(output), start, "yarnflow: per-job, application finished")


def flink_round(commands: Commands, home: Path, jar: str) -> None:
    """The same with Flink's own scripts and a small Java job."""
    flink, session = str(home / "bin" / "flink"), str(home / "bin" / "yarn-session.sh")
    arguments = (jar, "W1", "2", "100000", "1", ".")
    output = commands.timed("Flink: yarn-session.sh -d", "bash", session, "-d", *SIZES)
    application = application_of(output)
    run = ("bash", flink, "run", "-t", "yarn-session", f"-Dyarn.application.id={application}", *arguments)
    commands.timed("Flink: first job in the session", *run)
    for _ in range(2):
        commands.timed("Flink: job in a warm session", *run)
    commands.timed(
        "Flink: list", "bash", flink, "list", "-t", "yarn-session", f"-Dyarn.application.id={application}"
    )
    commands.timed("", "bash", session, "-id", application, stdin="stop\n")
    start = time.perf_counter()
    output = commands.timed(
        "Flink: application mode, command returns", "bash", flink, "run", "-t", "yarn-application",
        "-Djobmanager.memory.process.size=1024m", "-Dtaskmanager.memory.process.size=1728m",
        "-Dtaskmanager.numberOfTaskSlots=2", *arguments,
    )  # fmt: skip
    until_finished(commands, application_of(output), start, "Flink: application mode, application finished")


def run(rounds: int, show: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """All figures, in seconds, by name."""
    seconds: dict[str, list[float]] = {}
    with devcluster(show) as cluster:
        env = {**os.environ, **cluster.env()}
        env["YARNFLOW_BENCHMARK_RM"] = cluster.rm_web_address
        env["YARNFLOW_BENCHMARK_OUT"] = f"{cluster.hdfs_uri}/benchmark/counts"
        env["HADOOP_CLASSPATH"] = subprocess.run(
            ["yarn", "classpath", "--glob"], env=env, capture_output=True, text=True, check=True
        ).stdout.strip()
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        commands = Commands(env, seconds, show)
        home = flink_home()
        jar = flink_jar() if home is not None else ""
        for _ in range(rounds):
            yarnflow_round(commands)
            if home is not None:
                flink_round(commands, home, jar)
    return {
        name: {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
        for name, values in seconds.items()
    }
