"""What users do wrong, and what fails under a job: each has its clear end, without a hang or a restart in vain."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from yarnflow.common import Configuration, Time, Types
from yarnflow.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from yarnflow.datastream import (
    AsyncDataStream,
    AsyncFunction,
    DataStream,
    KeyedProcessFunction,
    KeyedStream,
    MapFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.datastream.functions import AggregateFunction, ProcessJoinFunction, ProcessWindowFunction
from yarnflow.datastream.state import ValueStateDescriptor
from yarnflow.datastream.window import TumblingEventTimeWindows
from yarnflow.errors import JobFailedError, JobSubmissionError
from yarnflow.functions.checkpointed import CheckpointedFunction
from yarnflow.functions.sink import Sink, SinkWriter, WriterContext
from yarnflow.runtime.minicluster import MiniCluster
from yarnflow.testing import mini_cluster

pytestmark = pytest.mark.cluster

RECORDS = [("a", 1000), ("b", 2000), ("a", 13000)]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[MiniCluster]:
    with mini_cluster({"task.cancellation.timeout": "1 s"}, slots=2, taskmanagers=1) as running:
        yield running


def environment(**options: str) -> StreamExecutionEnvironment:
    # A failure that a restart cannot help must not meet many of them.
    settings = {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "1",
        "restart-strategy.fixed-delay.delay": "10 ms",
        **{key.replace("__", "-").replace("_", "."): value for key, value in options.items()},
    }
    env = StreamExecutionEnvironment.get_execution_environment(Configuration(settings))
    env.set_parallelism(1)
    return env


def failure_of(stream: DataStream) -> str:
    """Why the job fails, without the end of the log."""
    with pytest.raises(JobFailedError) as caught, stream.execute_and_collect() as results:
        list(results)
    return str(caught.value).partition("The end of its log:")[0]


def fail(*arguments: Any) -> Any:
    raise ValueError("this is wrong")


# -- functions that throw --------------------------------------------------------------------------------------


class FailingTimer(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> None:
        ctx.timer_service().register_event_time_timer(value[1] + 5)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Any:
        fail()


class FailingAdd(AggregateFunction):
    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator + 1 if value[0] == "a" else fail()

    def get_result(self, accumulator: int) -> int:
        return accumulator

    def merge(self, acc_a: int, acc_b: int) -> int:
        return acc_a + acc_b


class FailingWindow(ProcessWindowFunction):
    def process(self, key: Any, context: ProcessWindowFunction.Context, elements: Any) -> Any:
        fail()


class FailingCall(AsyncFunction):
    async def async_invoke(self, value: Any) -> list[Any]:
        return fail()  # type: ignore[no-any-return]


class FailingJoin(ProcessJoinFunction):
    def process_element(self, left: Any, right: Any, ctx: ProcessJoinFunction.Context) -> Any:
        fail()


class SecondField(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value[1])


class FailingAssigner(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return fail()  # type: ignore[no-any-return]


class FailingWriter(SinkWriter):
    def write(self, batch: Any) -> None:
        fail()

    def finish(self) -> None:
        """Never called."""


class FailingSink(Sink):
    def writer(self, context: WriterContext) -> SinkWriter:
        return FailingWriter()


def records(
    assigner: TimestampAssigner | None = None, env: StreamExecutionEnvironment | None = None
) -> DataStream:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(assigner or SecondField())
    return (env or environment()).from_collection(RECORDS).assign_timestamps_and_watermarks(strategy)


def keyed(stream: DataStream | None = None) -> KeyedStream:
    return (stream or records()).key_by(lambda value: value[0])


def windowed() -> Any:
    return keyed().window(TumblingEventTimeWindows.of(Time.seconds(5)))


def joined() -> DataStream:
    stream = records()
    return keyed(stream).interval_join(keyed(stream)).between(Time(-1), Time(1)).process(FailingJoin())


@pytest.mark.parametrize(
    ("build", "operator", "at"),
    [
        (lambda: keyed().process(FailingTimer()), "KEYED PROCESS", "at Timer(time=1005, key='a')"),
        (lambda: windowed().aggregate(FailingAdd()), "TumblingEventTimeWindows", "with the record ('b', 2000)"),
        (
            lambda: windowed().process(FailingWindow()),
            "TumblingEventTimeWindows",
            "at FiringWindow(window=TimeWindow(start=0, end=5000), key='a')",
        ),
        (
            lambda: AsyncDataStream.unordered_wait(records(), FailingCall(), Time.seconds(9)),
            "async wait operator",
            "with the record ('",
        ),
        (joined, "Interval Join", "with the record ('a', 1000)"),
        (lambda: records(FailingAssigner()), "Timestamps/Watermarks", "with the record ('a', 1000)"),
    ],
    ids=["timer", "aggregate", "window", "async", "join", "assigner"],
)
def test_a_function_that_throws_is_named_with_what_it_worked_on(
    build: Callable[[], DataStream], operator: str, at: str
) -> None:
    text = failure_of(build())
    assert f"failed in {operator} (subtask 1) on " in text
    assert f"In operator '{operator}', {at}" in text
    assert text.rstrip().endswith("ValueError: this is wrong")
    assert "yarnflow/runtime" not in text


def test_a_sink_that_throws_is_named() -> None:
    env = environment()
    records(env=env).sink_to(FailingSink())
    with pytest.raises(JobFailedError, match=r"(?s)failed in Sink: Writer \(subtask 1\).*this is wrong"):
        env.execute()


# -- what no restart can help ----------------------------------------------------------------------------------


class UsesStateEarly(KeyedProcessFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        runtime_context.get_state(ValueStateDescriptor("sum", Types.LONG())).update(1)

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> None:
        """Never called."""


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (
            lambda: environment().from_collection(RECORDS).window_all(TumblingEventTimeWindows(5)).reduce(max),
            "the record ('a', 1000) has no timestamp: say where times are with assign_timestamps_and_watermarks()",
        ),
        (lambda: records().key_by(lambda value: [value]).reduce(max), "unhashable key [('a', 1000)] (list)"),
        (
            lambda: records().key_by(lambda value: time.time_ns()).reduce(max),
            "the key selector of 'Reduce' is not",
        ),
        (
            lambda: records().map(lambda value: value, Types.TUPLE([Types.INT()])),
            "the value ('a', 1000) does not fit the declared type TupleTypeInfo(Integer)",
        ),
        (lambda: keyed().process(UsesStateEarly()), "state 'sum' was used while there is no current key"),
        (lambda: records().flat_map(lambda value: 5), "must yield its results, or return a list of them"),
    ],
    ids=["no timestamp", "unhashable key", "unstable key", "type", "state in open", "no iterable"],
)
def test_mistakes_are_explained(build: Callable[[], DataStream], text: str) -> None:
    found = failure_of(build())
    assert text in found
    assert "yarnflow/runtime" not in found


def numbers(env: StreamExecutionEnvironment, count: int, pause: float = 0.001) -> DataStream:
    def slow(value: int) -> int:
        time.sleep(pause)
        return value

    return env.from_source(NumberSequenceSource(1, count), WatermarkStrategy.no_watermarks(), "numbers").map(slow)


def checkpointed(directory: Path | str, **options: str) -> StreamExecutionEnvironment:
    return environment(
        execution_checkpointing_interval="50 ms",
        execution_checkpointing_dir=f"file://{directory}",
        execution_checkpointing_data__inline__threshold="0b",
        restart__strategy_fixed__delay_attempts="1000000",
        **options,
    )


class Keeps(KeyedProcessFunction):
    """Counts, or keeps what cannot be stored."""

    def __init__(self, make: Callable[[int], Any] | None = None) -> None:
        self._make = make

    def open(self, runtime_context: RuntimeContext) -> None:
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        count = (self._count.value() or 0) + 1 if self._make is None else 0
        self._count.update(self._make(value) if self._make else count)
        yield value, count


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_state_that_cannot_be_pickled_ends_the_job_without_restarts(tmp_path: Path, backend: str) -> None:
    env = checkpointed(tmp_path, state_backend_type=backend)
    text = failure_of(
        numbers(env, 5000).key_by(lambda value: value % 7).process(Keeps(lambda _: threading.Lock()))
    )
    assert "a value of type _thread.lock in state cannot be stored" in text
    assert list(tmp_path.rglob("*-0")) == []


def test_large_state_without_a_directory_ends_the_job_without_restarts() -> None:
    env = checkpointed("/unused", execution_checkpointing_storage="jobmanager")
    large = Keeps(lambda value: bytes([value % 256]) * 2_000_000)
    text = failure_of(numbers(env, 5000).key_by(lambda value: value % 7).process(large))
    assert "without a directory for checkpoints at most 5242880 can be stored: set execution.checkpointing" in text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"execution_checkpointing_mode": "AT_LEAST_ONCE"}, "needs execution.checkpointing.mode: EXACTLY_ONCE"),
        ({"execution_checkpointing_max__concurrent__checkpoints": "2"}, "max-concurrent-checkpoints is 2"),
        ({"execution_checkpointing_interval": "1 ms"}, "at least 10 ms"),
        ({"state_backend_type": "disk"}, "state.backend.type: 'disk' is not one of hashmap, rocksdb"),
    ],
    ids=["mode", "concurrent", "interval", "backend"],
)
def test_contradicting_options_are_refused(options: dict[str, str], text: str) -> None:
    settings = {"execution_checkpointing_interval": "1 s", **options}
    env = environment(execution_checkpointing_unaligned_enabled="true", **settings)
    with pytest.raises(JobSubmissionError, match=text):
        numbers(env, 1).execute_and_collect()


# -- checkpoints that fail -------------------------------------------------------------------------------------


class FailingSnapshots(MapFunction, CheckpointedFunction):
    """Fails in the checkpoints `which`; remembers in a file how many there were."""

    def __init__(self, which: Sequence[int], file: Path) -> None:
        self._which = which
        self._file = file

    def initialize_state(self, context: Any) -> None:
        """There is none."""

    def snapshot_state(self, context: Any) -> None:
        with self._file.open("a") as file:
            file.write(".")
        if self._file.stat().st_size in self._which:
            fail()

    def map(self, value: Any) -> Any:
        return value


def test_checkpoints_may_fail_as_often_as_is_tolerable(tmp_path: Path) -> None:
    env = checkpointed(tmp_path, execution_checkpointing_tolerable__failed__checkpoints="2")
    calls = tmp_path / "calls"
    stream = numbers(env, 1500).map(FailingSnapshots([1, 2, 4, 5], calls))
    with stream.execute_and_collect() as results:
        assert sorted(results) == list(range(1, 1501)), "nothing was restarted"
    assert calls.stat().st_size >= 6


def test_one_more_and_the_job_fails_and_says_why(tmp_path: Path) -> None:
    env = checkpointed(tmp_path, execution_checkpointing_tolerable__failed__checkpoints="2")
    env._config.set_string("restart-strategy.type", "none")
    calls = tmp_path / "calls"
    text = failure_of(numbers(env, 5000).map(FailingSnapshots(range(100), calls)).name("Snapper"))
    assert "3 checkpoints failed in a row" in text
    assert "ValueError: this is wrong (operator 'Snapper', fail() in " in text
    assert calls.stat().st_size == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    mounted = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True)
    if not mounted or mounted.returncode:
        pytest.skip("this user may not mount a small file system")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def files_on(disk: Path) -> list[Path]:
    return [path for path in disk.rglob("*") if path.is_file()]


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_a_full_disk_fails_the_checkpoint_and_leaves_nothing(small_disk: Path, backend: str) -> None:
    env = checkpointed(small_disk / "checkpoints", state_backend_type=backend)
    env._config.set_string("restart-strategy.type", "none")
    noise = Keeps(lambda value: os.urandom(800_000))
    text = failure_of(numbers(env, 5000).key_by(lambda value: value % 7).process(noise))
    assert "No space left on device; free some space, or choose a directory on another volume" in text
    assert str(small_disk) in text
    assert files_on(small_disk) == []


def test_a_disk_that_is_full_for_a_while_costs_only_checkpoints(small_disk: Path) -> None:
    env = checkpointed(
        small_disk / "checkpoints",
        execution_checkpointing_tolerable__failed__checkpoints="1000",
        execution_checkpointing_externalized__checkpoint__retention="RETAIN_ON_CANCELLATION",
    )
    ballast = small_disk / "ballast"

    def fills_and_frees(value: int) -> int:
        if value == 300:
            with ballast.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass  # it is full
        elif value == 900:
            ballast.unlink()
        return value

    stream = numbers(env, 1500).map(fills_and_frees).key_by(lambda value: value % 7).process(Keeps())
    with stream.execute_and_collect() as results:
        found = list(results)
    assert sorted(value for value, _ in found) == list(range(1, 1501)), "nothing was restarted"
    assert max(count for _, count in found) == 1500 // 7 + 1
