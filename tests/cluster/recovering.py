"""Jobs that fail while they run and recover: how they restart, what they read, and how slowly."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yarnflow.datastream import DataStream, StreamExecutionEnvironment
from yarnflow.testing import At, FailingSource, FaultPlan, ScriptedSource
from yarnflow.testing.scripted_source import watermark_per_batch

#: How far records are out of order at most, in ms.
DISORDER = 200
KEYS = 7


def environment(tmp_path: Path, backend: str = "hashmap") -> StreamExecutionEnvironment:
    """Checkpoints every 50 ms, and 20 restarts."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.enable_checkpointing(50)
    for key, value in {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "20",
        "restart-strategy.fixed-delay.delay": "10 ms",
        "state.backend.type": backend,
        "execution.checkpointing.dir": (tmp_path / "checkpoints").as_uri(),
    }.items():
        env._config.set_string(key, value)
    return env


def slowly(value: Any) -> Any:
    """Hand a record on with a delay that gives checkpoints the time to happen."""
    time.sleep(0.0005)
    return value


def script(seed: int, count: int) -> list[At]:
    """Records (key, seed, number) with out-of-order times."""
    generator = random.Random(seed)
    return [At(10 * n + generator.randrange(DISORDER), (n % KEYS, seed, n)) for n in range(count)]


def stream(
    env: StreamExecutionEnvironment,
    scripts: Sequence[Sequence[At]],
    name: str,
    faults: FaultPlan,
    ends: bool = True,
) -> DataStream:
    """The records of scripts, a split each, from a source that fails as planned; it stays open without `ends`."""
    source = ScriptedSource(*scripts, batch_size=10, bounded=False, ends=ends)
    return env.from_source(FailingSource(source, faults), watermark_per_batch(DISORDER), name).map(slowly)
