"""Faults strike a job of many kinds of operators, several sinks and pipelines that are not connected.

    numbers -> async -> even --+--union--> broadcast process <-- rules       partners
                     -> odd ---+                 |   \\--> a file sink             |
                                                 +-----------interval join--------+
                                                                 |--> a file sink
                                                                 |--> session windows --> the client
    others -> map -> a file sink        a region of its own per subtask; splits are read one after the other

As in numbered_job.py, plain arithmetic says what must come out.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.faults import Chaos
from tests.chaos.numbered_job import DISORDER, KEYS, Cuttable, NumberedSource, RecordTime, committed, time_of
from tests.chaos.test_exactly_once import SEED, difference, environment
from yarnflow.common.serialization import Encoder
from yarnflow.common.time import Duration, Time
from yarnflow.common.watermark_strategy import WatermarkStrategy
from yarnflow.datastream import (
    AsyncDataStream,
    AsyncFunction,
    BroadcastProcessFunction,
    DataStream,
    ProcessJoinFunction,
    ProcessWindowFunction,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.file_system import BucketAssigner, FileSink
from yarnflow.datastream.state import MapStateDescriptor
from yarnflow.datastream.window import EventTimeSessionWindows
from yarnflow.runtime.minicluster import MiniCluster
from yarnflow.testing import mini_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(180)]

COUNT = 15_000
RATE = 4000
RULES = 40

#: Of five records of a key in a row, so many count; the others leave a gap between two sessions.
IN_SESSION = 3

#: Milliseconds; more than neighbours of a session are apart, and less than sessions are.
GAP = KEYS + DISORDER + 50

RULE_STATE = MapStateDescriptor("rules")


class Others(NumberedSource):
    """Splits of this one are read one after the other."""

    bounded = True


class Answer(AsyncFunction):
    async def async_invoke(self, value: tuple[int, int]) -> list[Any]:
        await asyncio.sleep(0.001 * (value[0] % 7))
        return [value]


class Apply(BroadcastProcessFunction):
    """Hands numbers on; tells each rule once per subtask, and remembers it."""

    def process_element(self, value: Any, ctx: Any) -> Iterable[Any]:
        yield "number", *value

    def process_broadcast_element(self, value: Any, ctx: Any) -> Iterable[Any]:
        state = ctx.get_broadcast_state(RULE_STATE)
        times = (state.get(value[0]) or 0) + 1
        state.put(value[0], times)
        yield "rule", value[0], times


class Pairs(ProcessJoinFunction):
    def process_element(self, left: Any, right: Any, ctx: ProcessJoinFunction.Context) -> Iterable[Any]:
        yield left[1], right[0]


class Session(ProcessWindowFunction):
    def process(self, key: int, context: ProcessWindowFunction.Context, elements: Iterable[Any]) -> Iterable[Any]:
        numbers = [number for number, _ in elements]
        yield f"{key},{len(numbers)},{sum(numbers)}"


def numbers(env: StreamExecutionEnvironment, source: NumberedSource, name: str) -> DataStream:
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(DISORDER))
    return env.from_source(source, strategy.with_timestamp_assigner(RecordTime()), name).uid(name)


def to_files(stream: DataStream, folder: Path) -> None:
    sink = FileSink.for_row_format(str(folder), Encoder.simple_string_encoder())
    sink = sink.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
    stream.sink_to(sink.build()).uid(f"to {folder.name}")


def build(env: StreamExecutionEnvironment, output: Path) -> DataStream:
    """Add the job to a program; returns the sessions."""
    asked = numbers(env, NumberedSource(COUNT, RATE), "numbers").map(Cuttable()).uid("cuttable")
    answers = AsyncDataStream.unordered_wait(asked, Answer(), Time.seconds(60), 100).uid("async")
    even = answers.filter(lambda record: record[0] % 2 == 0).uid("even")
    odd = answers.filter(lambda record: record[0] % 2 == 1).uid("odd").rebalance()
    rules = numbers(env, NumberedSource(RULES, 100), "rules").broadcast(RULE_STATE)
    applied = even.union(odd).connect(rules).process(Apply()).uid("apply")
    told = applied.filter(lambda record: record[0] == "rule").uid("only rules")
    to_files(told.map(str).uid("rule"), output / "rules")
    left = applied.filter(lambda record: record[0] == "number").uid("only numbers")
    right = numbers(env, NumberedSource(COUNT, RATE), "partners")
    pairs = (
        left.key_by(lambda record: record[1] % KEYS)
        .interval_join(right.key_by(lambda record: record[0] % KEYS))
        .between(Time.milliseconds(0), Time.milliseconds(0))
        .process(Pairs())
        .uid("pairs")
    )
    to_files(pairs.map(str).uid("pair"), output / "pairs")
    to_files(numbers(env, Others(COUNT, RATE), "others").map(lambda record: str(record[0])), output / "others")
    return (
        pairs.filter(lambda pair: pair[0] // KEYS % 5 < IN_SESSION)
        .uid("in session")
        .key_by(lambda pair: pair[0] % KEYS)
        .window(EventTimeSessionWindows.with_gap(Time.milliseconds(GAP)))
        .process(Session())
        .uid("sessions")
    )


def sessions() -> Counter[str]:
    """All sessions, by plain arithmetic."""
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number in range(COUNT):
        if number // KEYS % 5 < IN_SESSION:
            found[number % KEYS, number // (5 * KEYS)].append(number)
    return Counter(f"{key},{len(group)},{sum(group)}" for (key, _), group in found.items())


def check(output: Path, copies: int) -> None:
    """Compare what was committed. `copies`: subtasks that have told each rule."""
    for name, wanted in {
        "pairs": Counter(str((number, number)) for number in range(COUNT)),
        "others": Counter(str(number) for number in range(COUNT)),
        "rules": Counter({str(("rule", rule, 1)): copies for rule in range(RULES)}),
    }.items():
        found = committed(output / name)
        assert found == wanted, f"{name}: {difference(found, wanted)}"


@pytest.fixture
def cluster() -> Iterator[MiniCluster]:
    with mini_cluster({"task.cancellation.timeout": "2 s"}, slots=1, taskmanagers=3, parallelism=2) as running:
        yield running


@pytest.mark.parametrize(("backend", "unaligned"), [("hashmap", False), ("rocksdb", True)])
def test_faults_lose_nothing_and_repeat_nothing(
    cluster: MiniCluster, tmp_path: Path, backend: str, unaligned: bool
) -> None:
    assert max(abs(time_of(number) - number) for number in range(COUNT)) < DISORDER
    parallelism = random.Random(SEED).choice((1, 2, 3))
    env = environment(tmp_path, parallelism, backend, unaligned)
    chaos = Chaos(cluster, SEED)
    over = threading.Event()
    with build(env, tmp_path).execute_and_collect() as results:
        striking = threading.Thread(target=chaos.strike, args=(4, lambda: not over.is_set(), 0.7))
        striking.start()
        try:
            found = Counter(results)
        finally:
            over.set()
            striking.join()
    print("struck:", chaos.struck, "parallelism:", parallelism)
    wanted = sessions()
    assert found == wanted, difference(found, wanted)
    check(tmp_path, parallelism)
