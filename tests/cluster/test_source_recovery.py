"""Sources go on where the checkpoint says, at its event time: nothing is lost, comes twice, or comes late."""

from __future__ import annotations

import os
from ast import literal_eval
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.recovering import slowly
from tests.cluster.waiting import eventually
from yarnflow.common import Duration, Time, WatermarkStrategy
from yarnflow.datastream import KeyedProcessFunction, ProcessWindowFunction, StreamExecutionEnvironment
from yarnflow.datastream.state import ValueStateDescriptor
from yarnflow.datastream.window import TumblingEventTimeWindows
from yarnflow.functions.connectors.number_sequence import NumberSequenceSource
from yarnflow.testing import At, FailingSource, FaultKind, ScriptedSource, Until

pytestmark = pytest.mark.cluster

KEYS = 7


def environment() -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.enable_checkpointing(50)
    env._config.set_string("restart-strategy.type", "fixed-delay")
    env._config.set_string("restart-strategy.fixed-delay.attempts", "20")
    env._config.set_string("restart-strategy.fixed-delay.delay", "10 ms")
    return env


class Numbering(KeyedProcessFunction):
    """Each record with its number within the key."""

    def open(self, runtime_context: Any) -> None:
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", None))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any]:
        number = (self.seen.value() or 0) + 1
        self.seen.update(number)
        yield value, number


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_number_is_counted_once(cluster, plan, kind):
    env = environment()
    source = FailingSource(NumberSequenceSource(0, 3999), plan("faults", kind, 300, 400))
    numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers").map(slowly)
    with numbers.key_by(lambda value: value % KEYS).process(Numbering()).execute_and_collect() as results:
        found = list(results)
    assert sorted(value for value, _ in found) == list(range(4000))
    for key in range(KEYS):
        times = sorted(number for value, number in found if value % KEYS == key)
        assert times == list(range(1, len(times) + 1))


class Members(ProcessWindowFunction):
    def process(self, key: int, context: ProcessWindowFunction.Context, elements: Iterable[Any]) -> Iterable[Any]:
        yield context.window().start, sorted(elements)


def test_windows_after_failures_hold_every_record(cluster, plan):
    """Five splits on two subtasks, out of order within the bound, and each subtask fails."""
    bound, splits, count = 200, 5, 400
    scripts = [
        [At(10 * n + n * 7919 % bound, splits * n + split) for n in range(count)] for split in range(splits)
    ]
    expected: Counter[Any] = Counter()
    windows: dict[tuple[int, int], list[int]] = {}
    for script in scripts:
        for step in script:
            windows.setdefault((step.value % KEYS, step.timestamp // 1000 * 1000), []).append(step.value)
    for (_, start), values in windows.items():
        expected[start, tuple(sorted(values))] += 1

    env = environment()
    script_source = ScriptedSource(*scripts, batch_size=20, bounded=False, ends=True)
    source = FailingSource(script_source, plan("faults", FaultKind.RAISE, 40, 30))
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(bound))
    env._config.set_string("pipeline.auto-watermark-interval", "10 ms")
    stream = (
        env.from_source(source, strategy, "script")
        .map(slowly)
        .key_by(lambda value: value % KEYS)
        .window(TumblingEventTimeWindows.of(Time.seconds(1)))
        .process(Members())
    )
    with stream.execute_and_collect() as results:
        found = Counter((start, tuple(members)) for start, members in results)
    assert found == expected


class Append:
    """Writes records down as lines, one file per process."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __call__(self, value: Any) -> Any:
        with open(Path(self.folder) / f"{os.getpid()}", "a") as file:
            file.write(f"{value}\n")
        return value


def lines(folder: Path) -> list[Any]:
    return [literal_eval(line) for path in folder.iterdir() for line in path.read_text().splitlines()]


def test_a_stopped_job_goes_on_at_another_parallelism(cluster, tmp_path):
    """2 -> 1 -> 2: five splits in turns, stopped in the middle; windows hold every record, none is late."""
    bound, splits, count = 200, 5, 120
    gates = [tmp_path / "gate-1", tmp_path / "gate-2"]
    scripts = []
    for split in range(splits):
        script: list[Any] = [At(10 * n + n * 7919 % bound, splits * n + split) for n in range(count)]
        # The splits are at different times when the job is stopped.
        script.insert(80 + 5 * split, Until(str(gates[1])))
        script.insert(30 + 7 * split, Until(str(gates[0])))
        scripts.append(script)
    folder = tmp_path / "out"
    folder.mkdir()

    def start(parallelism: int, savepoint: str | None) -> Any:
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_parallelism(parallelism)
        env._config.set_string("pipeline.auto-watermark-interval", "10 ms")
        if savepoint is not None:
            env._config.set_string("execution.state-recovery.path", savepoint)
        source = ScriptedSource(*scripts, batch_size=7, bounded=False, ends=True)
        strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(bound))
        (
            env.from_source(source, strategy, "script")
            .uid("script")
            .key_by(lambda value: value % KEYS)
            .window(TumblingEventTimeWindows.of(Time.milliseconds(100)))
            .process(Members())
            .uid("windows")
            .map(Append(folder))
            .print()
        )
        return env.execute_async("rescaled")

    client = start(2, None)
    for parallelism, gate in ((1, gates[0]), (2, gates[1])):
        before = len(lines(folder))
        eventually(lambda before=before: len(lines(folder)) > before + 5)
        savepoint = client.stop_with_savepoint(False, str(tmp_path / "savepoints")).result()
        gate.touch()
        client = start(parallelism, savepoint)
    client.get_job_execution_result().result()

    expected: dict[tuple[int, int], list[int]] = {}
    for script in scripts:
        for step in script:
            if isinstance(step, At):
                expected.setdefault((step.timestamp // 100 * 100, step.value % KEYS), []).append(step.value)
    assert sorted(lines(folder)) == sorted((start, sorted(values)) for (start, _), values in expected.items())
