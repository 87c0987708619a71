"""State on disk after failures: incremental checkpoints, little memory, nothing left behind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.recovering import slowly
from tests.cluster.waiting import eventually
from yarnflow.common import WatermarkStrategy
from yarnflow.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from yarnflow.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from yarnflow.testing import At, FailingSource, FaultKind, FaultPlan, ScriptedSource

pytestmark = pytest.mark.cluster

KEYS = 50
COUNT = 2000


class Remember(KeyedProcessFunction):
    """Emits how often and with which numbers a key was seen."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count"))
        self.by_digit = runtime_context.get_map_state(MapStateDescriptor("by digit"))
        self.ballast = runtime_context.get_list_state(ListStateDescriptor("ballast"))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Any:
        key, number = value
        self.count.update((self.count.value() or 0) + 1)
        self.by_digit.put(number % 10, (self.by_digit.get(number % 10) or 0) + 1)
        self.ballast.add(bytes(1000))
        yield key, self.count.value(), dict(self.by_digit.items()), len(list(self.ballast.get()))


@pytest.mark.parametrize("directory", [True, False], ids=["incremental", "without a directory"])
def test_state_on_disk_survives_killed_workers(cluster: Any, tmp_path: Path, directory: bool) -> None:
    local, faults = tmp_path / "local", tmp_path / "faults"
    faults.mkdir()
    env = StreamExecutionEnvironment.get_execution_environment()
    env.enable_checkpointing(50)
    settings = {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "20",
        "restart-strategy.fixed-delay.delay": "10 ms",
        "state.backend.type": "rocksdb",
        "state.backend.rocksdb.localdir": str(local),
        "state.backend.rocksdb.memory.fixed-per-slot": "4mb",
        "execution.checkpointing.incremental": "true",
    }
    if directory:
        settings["execution.checkpointing.dir"] = (tmp_path / "checkpoints").as_uri()
    for key, value in settings.items():
        env._config.set_string(key, value)
    count = COUNT if directory else COUNT // 10  # all of it must travel inline
    source = ScriptedSource([At(n, (f"key {n % KEYS}", n)) for n in range(count)], batch_size=10)
    plan = FaultPlan(str(faults), (count // 3, count // 2), FaultKind.KILL)
    records = env.from_source(FailingSource(source, plan), WatermarkStrategy.no_watermarks(), "numbers")
    results = records.map(slowly).key_by(lambda value: value[0]).process(Remember())
    with results.execute_and_collect() as found:
        last = {key: rest for key, *rest in found}
    assert len(list(faults.iterdir())) == 2
    expected = {}
    for key in range(KEYS):
        numbers = range(key, count, KEYS)
        expected[f"key {key}"] = [len(numbers), dict(Counter(n % 10 for n in numbers)), len(numbers)]
    assert last == expected
    eventually(lambda: list(local.iterdir()) == [])
