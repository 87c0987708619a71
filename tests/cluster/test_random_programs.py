"""Random programs against a model in plain Python: no record is lost, doubled or given another time.

Every stream is a bag of integers, some with event times. The steps are chosen so that the bag is known whatever
the order of records is; a reduce, for example, counts, so that its updates are 1, 2, ... n in any order. The
seed is part of each test's id, and the program is printed when its results are not the model's.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from yarnflow.common import Types
from yarnflow.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from yarnflow.datastream import (
    CoFlatMapFunction,
    CoMapFunction,
    DataStream,
    OutputTag,
    ProcessFunction,
    RuntimeExecutionMode,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.functions.timers import NO_TIMESTAMP
from yarnflow.testing import mini_cluster

pytestmark = pytest.mark.cluster

#: More programs for a longer hunt: YARNFLOW_RANDOM_PROGRAMS=500 pytest tests/cluster/test_random_programs.py
FIRST = int(os.environ.get("YARNFLOW_RANDOM_FIRST", "0"))
PROGRAMS = int(os.environ.get("YARNFLOW_RANDOM_PROGRAMS", "12"))

#: Larger bags are not made larger still.
LARGE = 3000

#: The time of a record that depends on the order of other records.
UNKNOWN = -1

MODULUS = 1009

Bag = Counter[tuple[int, "int | None"]]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two TaskManagers, so that data goes by reference, by socket, and between TaskManagers."""
    with mini_cluster(slots=2, taskmanagers=2, parallelism=2):
        yield


@dataclass
class Model:
    """A stream and what must come out of it."""

    stream: DataStream
    bag: Bag
    parallelism: int

    def each(self, function: Callable[[int], list[int]]) -> Bag:
        """The bag after a flat map; times stay."""
        found: Bag = Counter()
        for (value, time), count in self.bag.items():
            for made in function(value):
                found[made, time] += count
        return found


class Times(TimestampAssigner):
    def extract_timestamp(self, value: int, record_timestamp: int | None) -> int:
        return 10 * value


class Split(ProcessFunction):
    def __init__(self, tag: OutputTag, divisor: int) -> None:
        self._tag = tag
        self._divisor = divisor

    def process_element(self, value: int, ctx: ProcessFunction.Context) -> Iterator[Any]:
        if value % self._divisor == 0:
            yield self._tag, value
        if value % 3:
            yield value


class Show(ProcessFunction):
    """The end of every program: the record with its time."""

    def __init__(self, number: int) -> None:
        self._number = number

    def process_element(self, value: int, ctx: ProcessFunction.Context) -> Iterator[Any]:
        time = ctx.timestamp()
        yield self._number, value, None if time == NO_TIMESTAMP else time


class Both(CoMapFunction):
    def map1(self, value: int) -> int:
        return value + 1

    def map2(self, value: int) -> int:
        return value + 2


class Several(CoFlatMapFunction):
    def flat_map1(self, value: int) -> Iterator[int]:
        yield value
        yield value + 5

    def flat_map2(self, value: int) -> list[int]:
        return [value] if value % 2 else []


class Builder:
    """Makes one random program."""

    def __init__(self, seed: int, batch: bool) -> None:
        self._random = random.Random(seed)
        self._batch = batch
        self.text: list[str] = []
        self.env = StreamExecutionEnvironment.get_execution_environment()
        self.env.set_parallelism(self._random.randint(1, 3))
        self.env.set_runtime_mode(RuntimeExecutionMode.BATCH if batch else RuntimeExecutionMode.STREAMING)
        self.streams: list[Model] = []
        #: Numbers of streams that something reads.
        self._read: set[int] = set()

    def build(self) -> list[Model]:
        """The ends of the program: every stream that nobody reads, and some others."""
        for _ in range(self._random.randint(1, 3)):
            self._source()
        for _ in range(self._random.randint(3, 10)):
            self._step()
        return [
            model
            for number, model in enumerate(self.streams)
            if number not in self._read or self._random.random() < 0.1
        ]

    def _source(self) -> None:
        count = self._random.choice([0, 1, 7, 100, 1500])
        parallelism = self._random.randint(1, 3)
        if count == 0 or self._random.random() < 0.5:
            values = [self._random.randrange(200) for _ in range(count)]
            stream, parallelism = self.env.from_collection(values, type_info=Types.LONG()), 1
        else:
            values = list(range(1, count + 1))
            source = NumberSequenceSource(1, count)
            stream = self.env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
            stream = stream.set_parallelism(parallelism)
        self._add(f"source({count})", stream, Counter((value, None) for value in values), parallelism)

    def _add(self, text: str, stream: DataStream, bag: Bag, parallelism: int | None = None) -> None:
        """Remember an operator; gives it a random parallelism, chaining and slot sharing group."""
        if parallelism is None:
            parallelism = self._random.randint(1, 3)
            stream = stream.set_parallelism(parallelism)
            chance = self._random.random()
            if chance < 0.2:
                stream = stream.disable_chaining()
            elif chance < 0.3:
                stream = stream.start_new_chain()
            elif chance < 0.36:
                stream = stream.slot_sharing_group("other")
        self.text.append(f"s{len(self.streams)} = {text}  # parallelism {parallelism}, {bag.total()} records")
        self.streams.append(Model(stream, bag, parallelism))

    def _pick(self) -> tuple[int, Model]:
        # Newer streams more often: longer programs rather than wide ones.
        number = max(self._random.randrange(len(self.streams)) for _ in range(2))
        self._read.add(number)
        return number, self.streams[number]

    def _step(self) -> None:
        steps = [
            self._map, self._map, self._filter, self._flat_map, self._union, self._union, self._side_output,
            self._count, self._sum, self._partition, self._partition, self._connect, self._times,
        ]  # fmt: skip
        self._random.choice(steps)()

    # -- steps -----------------------------------------------------------------------------------------------

    def _map(self) -> None:
        number, model = self._pick()
        factor, offset = self._random.randint(1, 9), self._random.randint(0, 99)
        stream = model.stream.map(lambda value: (value * factor + offset) % MODULUS)
        bag = model.each(lambda value: [(value * factor + offset) % MODULUS])
        self._add(f"s{number}.map(*{factor}+{offset})", stream, bag)

    def _filter(self) -> None:
        number, model = self._pick()
        divisor = self._random.choice([1, 2, 5])
        stream = model.stream.filter(lambda value: value % divisor == 0)
        self._add(f"s{number}.filter(%{divisor})", stream, model.each(lambda v: [v] * (v % divisor == 0)))

    def _flat_map(self) -> None:
        number, model = self._pick()
        most = 1 if model.bag.total() > LARGE else self._random.choice([2, 5])
        stream = model.stream.flat_map(lambda value: [value + i for i in range(value % most)] or None)
        self._add(f"s{number}.flat_map(%{most})", stream, model.each(lambda v: [v + i for i in range(v % most)]))

    def _union(self) -> None:
        (first, model), (second, other) = self._pick(), self._pick()
        if model.bag.total() + other.bag.total() > 2 * LARGE:
            return
        stream = model.stream.union(other.stream).map(lambda value: value)
        self._add(f"s{first}.union(s{second}).map()", stream, model.bag + other.bag)

    def _side_output(self) -> None:
        number, model = self._pick()
        divisor = self._random.choice([2, 7])
        tag = OutputTag(f"tag-{len(self.streams)}", Types.LONG())
        main = model.stream.process(Split(tag, divisor))
        self._add(f"s{number}.process(side %{divisor})", main, model.each(lambda v: [v] * (v % 3 != 0)))
        made = self.streams[-1]
        side = made.stream.get_side_output(tag).map(lambda value: -value)
        self._read.add(len(self.streams) - 1)
        self._add(
            f"side output of s{len(self.streams) - 1}.map(-)",
            side,
            model.each(lambda v: [-v] * (v % divisor == 0)),
        )

    def _counted(self, model: Model, modulus: int) -> Bag:
        """What counting per key gives: every count on the way, in batch mode only the last one."""
        totals: Counter[int] = Counter()
        for (value, _), count in model.bag.items():
            totals[value % modulus] += count
        time = None if all(time is None for _, time in model.bag) else UNKNOWN
        found: Bag = Counter()
        for key, total in totals.items():
            for number in range(total if self._batch else 1, total + 1):
                found[(1000 * key + number) % MODULUS, time] += 1
        return found

    def _count(self) -> None:
        number, model = self._pick()
        modulus = self._random.choice([1, 3, 50])
        stream = (
            model.stream.map(lambda value: (value % modulus, 1))
            .key_by(lambda pair: pair[0])
            .reduce(lambda a, b: (a[0], a[1] + b[1]))
            .set_parallelism(self._random.randint(1, 3))
            .map(lambda pair: (1000 * pair[0] + pair[1]) % MODULUS)
        )
        self._add(f"count of s{number} by %{modulus}", stream, self._counted(model, modulus))

    def _sum(self) -> None:
        number, model = self._pick()
        modulus = self._random.choice([2, 20])
        stream = (
            model.stream.map(lambda value: (f"key {value % modulus}", 1))
            .key_by(0)
            .sum(1)
            .set_parallelism(self._random.randint(1, 3))
            .map(lambda pair: (1000 * int(pair[0][4:]) + pair[1]) % MODULUS)
        )
        self._add(f"sum of s{number} by %{modulus}", stream, self._counted(model, modulus))

    def _partition(self) -> None:
        number, model = self._pick()
        kinds = ["rebalance", "rescale", "shuffle", "broadcast", "global_", "forward", "custom"]
        kind = self._random.choice(kinds)
        parallelism = model.parallelism if kind == "forward" else self._random.randint(1, 3)
        if kind == "custom":
            stream = model.stream.partition_custom(lambda key, count: key % count, lambda value: value % 10)
        else:
            stream = getattr(model.stream, kind)()
        times = parallelism if kind == "broadcast" else 1
        if model.bag.total() * times > 2 * LARGE:
            return
        stream = stream.map(lambda value: value).set_parallelism(parallelism)
        bag = Counter({item: count * times for item, count in model.bag.items()})
        self._add(f"s{number}.{kind}().map()", stream, bag, parallelism)

    def _connect(self) -> None:
        (first, model), (second, other) = self._pick(), self._pick()
        connected = model.stream.connect(other.stream)
        if self._random.random() < 0.5:
            bag = model.each(lambda v: [v + 1]) + other.each(lambda v: [v + 2])
            self._add(f"s{first}.connect(s{second}).map()", connected.map(Both()), bag)
        elif model.bag.total() < LARGE:
            bag = model.each(lambda v: [v, v + 5]) + other.each(lambda v: [v] * (v % 2))
            self._add(f"s{first}.connect(s{second}).flat_map()", connected.flat_map(Several()), bag)

    def _times(self) -> None:
        number, model = self._pick()
        strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Times())
        stream = model.stream.assign_timestamps_and_watermarks(strategy)
        found: Bag = Counter()
        for (value, _), count in model.bag.items():
            found[value, 10 * value] += count
        self._add(f"s{number}.times()", stream, found)


@pytest.mark.parametrize("batch", [False, True], ids=["streaming", "batch"])
@pytest.mark.parametrize("seed", range(FIRST, FIRST + PROGRAMS))
def test_a_random_program_gives_what_the_model_says(seed: int, batch: bool) -> None:
    builder = Builder(seed, batch)
    ends = builder.build()
    shown = [model.stream.process(Show(number)) for number, model in enumerate(ends)]
    found: list[Bag] = [Counter() for _ in ends]
    program = "\n".join([f"seed {seed}", *builder.text])
    print(program)
    with shown[0].union(*shown[1:]).execute_and_collect(f"seed {seed}") as results:
        for number, value, time in results:
            found[number][value, time] += 1
    for number, model in enumerate(ends):
        unknown = any(time == UNKNOWN for _, time in model.bag)
        wanted, got = model.bag, found[number]
        if unknown:
            wanted, got = _without_times(wanted), _without_times(got)
        assert got == wanted, (
            f"end {number}: missing {dict(wanted - got)}, too many {dict(got - wanted)} in\n{program}"
        )


def _without_times(bag: Bag) -> Bag:
    found: Bag = Counter()
    for (value, _), count in bag.items():
        found[value, None] += count
    return found
