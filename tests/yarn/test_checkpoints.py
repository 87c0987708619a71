"""Checkpoints and savepoints on real HDFS: in a session and as applications on real YARN, by the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.numbered_job import expected
from tests.cluster.waiting import eventually
from tests.yarn.yarn_commands import ROOT, RUN_SIZES, SECONDS, Commands, application_of, url_of
from yarnflow import fs

pytestmark = pytest.mark.usefixtures("nothing_left", "devcluster_env")

COUNT = 240_000

PROGRAM = f"""
import sys
from numbered_job import build
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.set_max_parallelism(60)
build(env, {COUNT}, float(sys.argv[1]), sys.argv[2])
env.execute("numbered")
"""

JOB_ID = re.compile(r"JobID ([0-9a-f]{32})")


def lines_of(uri: str) -> Counter[str]:
    """All lines of the visible files of a directory."""
    system, path = fs.get(uri)
    found: Counter[str] = Counter()
    for status in system.list(path, recursive=True):
        if not status.is_directory and not status.name.startswith("."):
            found.update(system.read_bytes(status.path).decode().splitlines())
    return found


class Numbered:
    """The job of the chaos tests, from the command line, with everything on HDFS."""

    def __init__(self, commands: Commands, name: str, backend: str) -> None:
        self.commands = commands
        self.base = f"hdfs:///user/tests/{name}"
        self.output = f"{self.base}/out"
        self.savepoints = f"{self.base}/savepoints"
        self.program = commands.folder / f"{name}.py"
        self.program.write_text(PROGRAM)
        self.options = (
            "-D",
            "execution.checkpointing.interval=500 ms",
            "-D",
            f"execution.checkpointing.dir={self.base}/checkpoints",
            "-D",
            "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION",
            "-D",
            "execution.checkpointing.incremental=true",
            "-D",
            f"state.backend.type={backend}",
            "-D",
            "restart-strategy.fixed-delay.delay=100 ms",
            "-D",
            "restart-strategy.fixed-delay.attempts=100",
            "-D",
            "restart-strategy.type=fixed-delay",
        )

    def run(self, *options: str, parallelism: int, rate: float) -> str:
        """Submit detached; returns everything printed."""
        done = self.commands.run(
            "run",
            "-d",
            "-p",
            str(parallelism),
            *self.options,
            *options,
            "-pyfs",
            str(ROOT / "tests" / "chaos" / "numbered_job.py"),
            "-py",
            str(self.program),
            str(rate),
            self.output,
        )
        return done.stdout + done.stderr

    def check(self) -> None:
        """The output is complete and right."""
        found, wanted = lines_of(self.output), expected(COUNT)
        assert found == wanted, (sorted(wanted - found)[:5], sorted(found - wanted)[:5])


def job_of(output: str) -> str:
    """The job's id in a command's output."""
    found = JOB_ID.search(output)
    assert found, output
    return found[1]


def savepoint_of(output: str) -> str:
    """The path of a savepoint in a command's output, "" for none."""
    return next((word.rstrip(".") for word in output.split() if "/savepoint-" in word), "")


class Rest:
    """The JobManager's REST API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        """The document at a path."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=20) as answer:
            return json.load(answer)

    def completed(self, job_id: str) -> int:
        """How many checkpoints the job has completed."""
        return int(self.get(f"/jobs/{job_id}/checkpoints")["counts"]["completed"])


def slot_workers(application_id: str) -> list[int]:
    """Process ids of an application's slot workers; its nodes are on this machine."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes()
            worker = b"yarnflow.runtime.taskmanager.worker\0" in command
            if worker and application_id.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # no process, or one that has just ended
    return found


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_a_session_loses_nothing(commands: Commands, yarn_session: str, backend: str) -> None:
    """Worker killed, stopped with a savepoint, inspected, resumed at another parallelism: every line is right."""
    job = Numbered(commands, f"session-{backend}", backend)
    rest = Rest(url_of(commands.run("session", "-d", "-id", yarn_session).stdout))
    job_id = job_of(job.run(parallelism=2, rate=12_000))
    eventually(lambda: rest.completed(job_id) >= 2, SECONDS, "two checkpoints")
    os.kill(slot_workers(yarn_session)[0], signal.SIGKILL)
    before = rest.completed(job_id)
    eventually(lambda: rest.completed(job_id) > before + 1, SECONDS, "checkpoints after the restart")
    assert rest.get(f"/jobs/{job_id}/checkpoints")["counts"]["restored"] == 1

    savepoint = savepoint_of(commands.run("stop", "-p", job.savepoints, job_id).stdout)
    assert savepoint
    shown = commands.run("savepoint", "inspect", savepoint, "--output", "json").stdout
    assert "numbering" in shown
    assert "seen" in shown
    assert f"{job_id} : numbered (FINISHED)" in commands.run("list", "-a").stdout

    second = job_of(job.run("-s", savepoint, parallelism=1, rate=1e9))
    eventually(lambda: rest.get(f"/jobs/{second}")["state"] == "FINISHED", SECONDS, "the end of the resumed job")
    job.check()
    commands.run("savepoint", "-d", savepoint)
    system, path = fs.get(savepoint)
    assert not system.exists(path)


def test_an_application_goes_on_from_the_savepoint_of_another(commands: Commands) -> None:
    """cancel -s in one application, and the next per-job one starts from what it left."""
    job = Numbered(commands, "per-job", "hashmap")
    first = job.run("-m", "yarn-cluster", *RUN_SIZES, parallelism=1, rate=12_000)
    application_id, job_id = application_of(first), job_of(first)
    url = eventually(lambda: commands.application(application_id).get("trackingUrl"), SECONDS, "a tracking URL")
    assert url
    running = f"{job_id} : numbered (RUNNING)"
    eventually(lambda: running in commands.run("list", "-yid", application_id).stdout, SECONDS, "the job to run")
    cancel = ("cancel", "-s", job.savepoints, "-yid", application_id, job_id)
    savepoint = eventually(lambda: savepoint_of(commands.run(*cancel, code=None).stdout), SECONDS, "a savepoint")
    commands.until_ended(application_id)
    second = job.run("-m", "yarn-cluster", *RUN_SIZES, "-s", savepoint, parallelism=2, rate=1e9)
    assert commands.until_ended(application_of(second))["finalStatus"] == "SUCCEEDED"
    job.check()
