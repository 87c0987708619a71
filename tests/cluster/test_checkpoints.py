"""Workers die while checkpoints are taken; results are exactly right all the same."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.waiting import eventually
from yarnflow.common import Types
from yarnflow.common.watermark_strategy import WatermarkStrategy
from yarnflow.datastream import (
    KeyedProcessFunction,
    MapFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.datastream.state import ValueStateDescriptor
from yarnflow.runtime.jobmanager import collect_buffer
from yarnflow.runtime.jobmanager.collect_buffer import CollectBuffer
from yarnflow.runtime.minicluster import MiniCluster
from yarnflow.testing import mini_cluster

pytestmark = pytest.mark.cluster

COUNT = 20_000
KEYS = 50
EXPECTED = [(key, count) for key in range(KEYS) for count in range(1, COUNT // KEYS + 1)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[MiniCluster]:
    with mini_cluster(
        {"task.cancellation.timeout": "1 s", "heartbeat.interval": "500 ms", "heartbeat.timeout": "3 s"},
        slots=1,
        taskmanagers=2,
    ) as running:
        yield running


def environment(folder: Path, **options: str) -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    settings = {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "20",
        "restart-strategy.fixed-delay.delay": "20 ms",
        "execution.checkpointing.interval": "50 ms",
        "execution.checkpointing.dir": (folder / "checkpoints").as_uri(),
        **{key.replace("_", "."): value for key, value in options.items()},
    }
    for key, value in settings.items():
        env._config.set_string(key, value)
    return env


class Fault(MapFunction):
    """Does something bad to its worker, once per place, but not before a checkpoint is complete that was taken
    since the last one; until then records come slowly."""

    def __init__(
        self, folder: Path, kind: str, places: Iterable[int], key: Callable[[Any], int] = lambda value: value
    ) -> None:
        self._folder = str(folder)
        self._key = key
        self._kind = kind
        self._places = sorted(places)

    def open(self, runtime_context: RuntimeContext) -> None:
        done = len([name for name in os.listdir(self._folder) if name.startswith("fault-")])
        self._left = self._places[done:]
        self._before = self._checkpoints()

    def map(self, value: Any) -> Any:
        if self._left and self._key(value) >= self._left[0]:
            time.sleep(0.001)
            if self._checkpoints() - self._before and self._first(self._left.pop(0)):
                if self._kind == "raise":
                    raise ValueError(f"the fault at {value}")
                if self._kind == "cut":
                    cut_connections()
                    return value
                os.kill(os.getpid(), signal.SIGKILL if self._kind == "kill" else signal.SIGSTOP)
        return value

    def _first(self, place: int) -> bool:
        try:
            os.close(os.open(f"{self._folder}/fault-{place}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False  # another subtask was faster
        return True

    def _checkpoints(self) -> set[str]:
        return {str(path) for path in Path(self._folder).glob("checkpoints/*/chk-*/_metadata")}


def cut_connections() -> None:
    """End all data connections of this worker."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            duplicate = socket.socket(fileno=os.dup(int(name)))
            with duplicate:
                listens = duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                # A pair without names is the way to the supervisor.
                named = duplicate.family != socket.AF_UNIX or duplicate.getsockname() or duplicate.getpeername()
                if named and not listens:
                    duplicate.shutdown(socket.SHUT_RDWR)


class Counter(KeyedProcessFunction):
    """Emits (key, how often it has come) for every record."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        count = (self._count.value() or 0) + 1
        self._count.update(count)
        yield value[0], count


def counted(env: StreamExecutionEnvironment, fault: MapFunction) -> list[tuple[int, int]]:
    """Run the job; what it gives."""
    numbers = env.from_source(NumberSequenceSource(1, COUNT), WatermarkStrategy.no_watermarks(), "numbers")
    pairs = numbers.map(fault).map(lambda value: (value % KEYS, value))
    with pairs.key_by(lambda pair: pair[0]).process(Counter()).execute_and_collect() as results:
        return list(results)


@pytest.mark.parametrize("kind", ["raise", "kill", "stop"])
@pytest.mark.parametrize("parallelism", [1, 2])
def test_records_count_exactly_once(cluster: MiniCluster, tmp_path: Path, kind: str, parallelism: int) -> None:
    env = environment(tmp_path)
    env.set_parallelism(parallelism)
    results = counted(env, Fault(tmp_path, kind, [COUNT // 3, COUNT // 2]))
    assert (tmp_path / f"fault-{COUNT // 3}").exists()
    assert sorted(results) == EXPECTED


def test_results_wait_for_checkpoints_in_bounded_memory(
    cluster: MiniCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, count = 0, 100_000
    hold = CollectBuffer._hold

    def held(buffer: CollectBuffer, message: Any) -> None:
        nonlocal most
        hold(buffer, message)
        most = max(most, buffer._held_bytes)

    monkeypatch.setattr(collect_buffer, "HELD_BYTES", 100_000)
    monkeypatch.setattr(CollectBuffer, "_hold", held)
    env = environment(tmp_path)
    env.set_parallelism(2)
    numbers = env.from_source(NumberSequenceSource(1, count), WatermarkStrategy.no_watermarks(), "numbers")
    texts = numbers.map(lambda value: f"{value:01000}").key_by(lambda text: text[-3:]).map(str)
    with texts.execute_and_collect() as results:
        assert sorted(map(int, results)) == list(range(1, count + 1))
    # The limit, and what lies in channels when a barrier leaves a source.
    assert 100_000 < most < 1000 * count / 2


def test_cut_connections_lead_to_a_restart_within_seconds(cluster: MiniCluster, tmp_path: Path) -> None:
    env = environment(tmp_path)
    env.set_parallelism(2)
    start = time.monotonic()
    results = counted(env, Fault(tmp_path, "cut", [COUNT // 2]))
    assert sorted(results) == EXPECTED
    assert time.monotonic() - start < 30


class Slow(MapFunction):
    """Takes a while, so that records pile up before it."""

    def map(self, value: Any) -> Any:
        time.sleep(0.0002)
        return value


@pytest.mark.parametrize("timeout", ["0 ms", "100 ms"])
@pytest.mark.parametrize("kind", ["raise", "kill"])
def test_unaligned_checkpoints_under_backpressure(
    cluster: MiniCluster, tmp_path: Path, kind: str, timeout: str
) -> None:
    env = environment(
        tmp_path,
        **{
            "execution.checkpointing.unaligned.enabled": "true",
            "execution.checkpointing.aligned-checkpoint-timeout": timeout,
        },
    )
    env.set_parallelism(2)
    numbers = env.from_source(NumberSequenceSource(1, COUNT), WatermarkStrategy.no_watermarks(), "numbers")
    pairs = numbers.map(lambda value: (value % KEYS, value)).rebalance().map(Slow())
    counted = pairs.key_by(lambda pair: pair[0]).process(Counter())
    last = counted.map(Fault(tmp_path, kind, [COUNT // KEYS // 3, COUNT // KEYS // 2], key=lambda pair: pair[1]))
    with last.execute_and_collect() as results:
        assert sorted(results) == EXPECTED
    assert len(list(tmp_path.glob("fault-*"))) == 2


@pytest.mark.parametrize("parallelism", [1, 2])
def test_overtaken_records_are_dealt_anew_at_another_parallelism(
    cluster: MiniCluster, tmp_path: Path, parallelism: int
) -> None:
    def job(parallelism: int, **options: str) -> Any:
        env = environment(
            tmp_path,
            **{
                "execution.checkpointing.unaligned.enabled": "true",
                "execution.checkpointing.num-retained": "1000",
                "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
                **options,
            },
        )
        env.set_parallelism(parallelism)
        source = NumberSequenceSource(1, COUNT)
        numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers").uid("numbers")
        slow = numbers.map(lambda value: (value % KEYS, value)).uid("pairs").rebalance().map(Slow()).uid("slow")
        return slow.key_by(lambda pair: pair[0]).process(Counter()).uid("counter")

    def with_records() -> list[Path]:
        return [
            path.parent
            for path in tmp_path.glob("checkpoints/*/chk-*/_metadata")
            if path.read_text().count('"channel"') > 1
        ]

    with job(3 - parallelism).execute_and_collect():
        eventually(lambda: bool(with_records()))
    start = max(with_records(), key=lambda path: int(path.name.split("-")[1]))
    with job(parallelism, **{"execution.state-recovery.path": start.as_uri()}).execute_and_collect() as results:
        counts: dict[int, list[int]] = {}
        for key, count in results:
            counts.setdefault(key, []).append(count)
    for found in counts.values():
        assert sorted(found) == list(range(min(found), COUNT // KEYS + 1))
    assert set(counts) == set(range(KEYS))


def test_at_least_once_loses_nothing(cluster: MiniCluster, tmp_path: Path) -> None:
    env = environment(tmp_path, execution_checkpointing_mode="AT_LEAST_ONCE")
    env.set_parallelism(2)
    results = counted(env, Fault(tmp_path, "kill", [COUNT // 2]))
    assert {key for key, _ in results} == set(range(KEYS))
    for key in range(KEYS):
        assert max(count for each, count in results if each == key) >= COUNT // KEYS
