"""Random programs in event time on real workers, with failures and other parallelisms, against plain Python.

Hypothesis draws the shape of the program; the records come from a seed, so that few examples are rich. A longer
hunt: YARNFLOW_EVENT_TIME_PROGRAMS=500 YARNFLOW_RANDOM_FIRST=7 pytest tests/cluster/test_random_event_time.py
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.cluster.event_time_programs import Builder, Fault, Found, Part, Program
from tests.cluster.event_time_results import check
from tests.cluster.waiting import eventually
from yarnflow.common import Configuration
from yarnflow.datastream import StreamExecutionEnvironment
from yarnflow.runtime.minicluster import MiniCluster
from yarnflow.runtime.rpc.checkpoint_messages import StopMode
from yarnflow.runtime.states import JobStatus
from yarnflow.testing import FaultKind, mini_cluster

pytestmark = pytest.mark.cluster

PROGRAMS = int(os.environ.get("YARNFLOW_EVENT_TIME_PROGRAMS", "6"))
FIRST = int(os.environ.get("YARNFLOW_RANDOM_FIRST", "0"))

#: How far records are out of order at most, in ms; there is one per 10 ms and script.
DISORDER = 120


@pytest.fixture(scope="module")
def cluster() -> Iterator[MiniCluster]:
    with mini_cluster({"task.cancellation.timeout": "2 s"}, slots=1, taskmanagers=3) as running:
        yield running


@st.composite
def programs(draw: st.DrawFn, order: str) -> Program:
    exact = order == "exact"
    generator = random.Random(draw(st.integers(0, 10**6)))
    parallelisms = st.integers(1, 3)
    scripts, number = [], 0
    keys = draw(st.sampled_from([1, 4, 30]))
    stop_at = draw(st.none() | st.integers(10, 40))
    for _ in range(1 if exact else draw(parallelisms)):
        script = []
        for at in range(draw(st.integers(50, 130))):
            script.append((generator.randrange(keys), number, 10 * at + generator.randrange(DISORDER)))
            number += 1
        scripts.append(tuple(script))
    # Whatever has two channels mixes their records, and which are late is not known any more.
    names = ["map"] if exact else ["map", "rebalance", "slow", "union", "connect", "broadcast"]
    steps = draw(st.lists(st.tuples(st.sampled_from(names), st.just(1) if exact else parallelisms), max_size=2))
    # In the middle of a stream splits are mixed, and nobody knows how far they are apart.
    in_the_middle = order != "on time" and draw(st.booleans())
    fault = None
    if draw(st.integers(0, 3)):
        first = draw(st.integers(1, 9 if stop_at is not None else 49))
        after = (first,) if stop_at is not None else (first, draw(st.integers(1, 40)))
        fault = Fault(after, draw(st.sampled_from(FaultKind)))
    return Program(
        order=order,
        scripts=tuple(scripts),
        bound=DISORDER if order == "on time" else draw(st.sampled_from([0, 20, 60])),
        batch=1 if exact else draw(st.sampled_from([1, 5, 20])),
        per_batch=exact or draw(st.booleans()),
        idle=order == "races" and draw(st.booleans()),
        in_the_middle=in_the_middle,
        parallelism=1 if exact else draw(parallelisms),
        steps=tuple(steps),
        parts=tuple(draw(st.lists(parts(order), min_size=1, max_size=3))),
        fault=fault,
        backend=draw(st.sampled_from(["hashmap", "hashmap", "rocksdb"])),
        unaligned=draw(st.booleans()),
        stop_at=stop_at,
        rescaled=draw(parallelisms),
    )


@st.composite
def parts(draw: st.DrawFn, order: str) -> Part:
    kinds = ["tumbling", "sliding", "session", "count", "timers", "interval"]
    if order != "races":
        kinds.append("columns")
    if order == "on time":
        kinds += ["join", "co_group"]
    kind = draw(st.sampled_from(kinds))
    size = draw(st.integers(2, 9)) if kind == "count" else draw(st.integers(1, 250))
    slide = size
    if kind == "interval":
        slide = draw(st.integers(-size, 100))
    elif kind == "session":
        size = draw(st.integers(1, 60))
    elif kind != "tumbling" and draw(st.booleans()):
        slide = draw(st.integers(max(1, size // 8), size))
    lateness = 0 if kind in ("columns", "join", "co_group", "timers") else draw(st.sampled_from([0, 0, 50]))
    how = draw(st.sampled_from(["reduce", "aggregate", "process"]))
    return Part(kind, how, size, slide, lateness, draw(st.integers(1, 3)))


def environment(program: Program, folder: Path, savepoint: str = "") -> StreamExecutionEnvironment:
    options = {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "20",
        "restart-strategy.fixed-delay.delay": "10 ms",
        "execution.checkpointing.interval": "40 ms",
        "execution.checkpointing.dir": (folder / "checkpoints").as_uri(),
        "execution.checkpointing.savepoint-dir": (folder / "savepoints").as_uri(),
        "execution.checkpointing.unaligned.enabled": str(program.unaligned).lower(),
        "pipeline.auto-watermark-interval": "1 ms",
        "state.backend.type": program.backend,
        "state.backend.rocksdb.localdir": str(folder / "local"),
    }
    if savepoint:
        options["execution.state-recovery.path"] = savepoint
    return StreamExecutionEnvironment.get_execution_environment(Configuration(options))


def run(program: Program, cluster: MiniCluster, folder: Path) -> list[Found]:
    """What comes out of the program, however often it fails and is stopped."""
    (folder / "faults").mkdir()
    job = Builder(program, environment(program, folder), folder, rescaled=False).build()
    if program.stop_at is None:
        with job.execute_and_collect() as results:
            return list(results)
    with job.execute_and_collect() as results:
        numbers = [script[program.stop_at][1] for script in program.scripts]
        eventually(lambda: all((folder / f"reached-{number}").exists() for number in numbers), 60)
        savepoint = stop(cluster)
        found = list(results)
    (folder / "gate").touch()
    job = Builder(program, environment(program, folder, savepoint), folder, rescaled=True).build()
    with job.execute_and_collect() as results:
        return [*found, *results]


def stop(cluster: MiniCluster) -> str:
    """Stop the job that runs with a savepoint; where that is. When a restart comes between, another is taken."""
    location = ""

    def stopped() -> bool:
        nonlocal location
        jobs = cluster.call(cluster.dispatcher.jobs())
        running = [job.job_id for job in jobs if job.status is JobStatus.RUNNING]
        if not running:
            return False
        request = cluster.call(cluster.dispatcher.trigger_savepoint(running[0], stop=StopMode.SUSPEND))

        def outcome() -> Any:
            return cluster.call(cluster.dispatcher.snapshot_outcome(running[0], request))

        eventually(lambda: outcome() is not None and outcome().done)
        location = outcome().location
        return bool(location)

    eventually(stopped)
    return location


@pytest.mark.timeout(600)
@pytest.mark.parametrize("order", ["exact", "on time", "races"])
def test_event_time(order: str, cluster: MiniCluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    @seed(FIRST)
    @settings(
        max_examples=PROGRAMS, deadline=None, database=None, print_blob=True,
        phases=[Phase.explicit, Phase.generate],  # examples are programs of a second: too slow to be shrunk
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(programs(order))
    def runs_like_the_model(program: Program) -> None:
        results = run(program, cluster, tmp_path_factory.mktemp("program"))
        for number in range(len(program.parts)):
            check(program, number, results)

    runs_like_the_model()
