"""Random programs in event time; event_time_results.py knows what must come out of them.

A program has one source of 1-3 scripts, some steps that change no record, and one to three operators in event time
(`Part`) that all read the same stream. Records are (key, number, time); numbers are unique.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.models.windows import Collect, Show
from yarnflow.common import Duration, Time, Types, WatermarkStrategy
from yarnflow.common.watermark_strategy import TimestampAssigner
from yarnflow.datastream import (
    BroadcastProcessFunction,
    CoMapFunction,
    DataStream,
    KeyedProcessFunction,
    OutputTag,
    ProcessFunction,
    ProcessJoinFunction,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.expressions import col, count
from yarnflow.datastream.state import MapStateDescriptor
from yarnflow.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from yarnflow.functions.source import Source
from yarnflow.testing import At, FailingSource, FaultKind, FaultPlan, ScriptedSource, Until, watermark_per_batch

Record = tuple[int, int, int]

#: What the end of a program gives: (number of the part, "main" or "late" or ..., record, its time).
Found = tuple[int, str, Any, int]


@dataclass(frozen=True)
class Part:
    """An operator in event time. What `size` and `slide` (ms) mean depends on `kind`."""

    kind: str
    how: str
    size: int
    slide: int
    lateness: int
    parallelism: int


@dataclass(frozen=True)
class Fault:
    """Each split fails after so many records, again and again."""

    after: tuple[int, ...]
    kind: FaultKind


@dataclass(frozen=True)
class Program:
    """One example.

    Attributes:
        order: "exact": one script and one subtask up to the exchange by key, so that it is known which records are
            late; "on time": none are; "races": some are, and nobody knows which.
        scripts: records of each split.
        bound: of the watermarks, in ms.
        per_batch: watermarks follow each batch; else they come at the interval.
        steps: (name, parallelism) of what stands between the source and the parts.
        parallelism: of the source.
        fault: what goes wrong.
        stop_at: in each script, the record at which the job is stopped with a savepoint; None: never.
        rescaled: the parallelism of everything behind the source after that.
    """

    order: str
    scripts: tuple[tuple[Record, ...], ...]
    bound: int
    batch: int
    per_batch: bool
    idle: bool
    in_the_middle: bool
    parallelism: int
    steps: tuple[tuple[str, int], ...]
    parts: tuple[Part, ...]
    fault: Fault | None
    backend: str
    unaligned: bool
    stop_at: int | None
    rescaled: int

    @property
    def records(self) -> list[Record]:
        return [record for script in self.scripts for record in script]


# -- the functions of the programs ------------------------------------------------------------------------------


class Times(TimestampAssigner):
    def extract_timestamp(self, value: Record, record_timestamp: int) -> int:
        return value[2]


class Slowly:
    """Gives checkpoints the time to happen, and leaves a file for each of some records."""

    def __init__(self, folder: Path, signals: set[int]) -> None:
        self.folder = str(folder)
        self.signals = signals

    def __call__(self, value: Record) -> Record:
        time.sleep(0.0005)
        if value[1] in self.signals:
            (Path(self.folder) / f"reached-{value[1]}").touch()
        return value


class Same(CoMapFunction):
    def map1(self, value: Record) -> Record:
        return value

    def map2(self, value: Record) -> Record:
        return value


RULES = MapStateDescriptor("rules", Types.INT(), Types.INT())


class Beside(BroadcastProcessFunction):
    """Hands records on; rules come beside them."""

    def process_element(self, value: Record, ctx: Any) -> Iterator[Record]:
        assert all(key == 2 * rule for rule, key in ctx.get_broadcast_state(RULES).items())
        yield value

    def process_broadcast_element(self, value: int, ctx: Any) -> None:
        ctx.get_broadcast_state(RULES).put(value, 2 * value)


class InOrder(KeyedProcessFunction):
    """Gives the numbers of a key with the same time together, twice: when event time is `delay` ms past it, and
    after as much again. Late records go to the side."""

    def __init__(self, delay: int, late: OutputTag) -> None:
        self._delay = delay
        self._late = late

    def open(self, runtime_context: Any) -> None:
        descriptor = MapStateDescriptor("waiting", Types.LONG(), Types.PICKLED_BYTE_ARRAY())
        self._waiting = runtime_context.get_map_state(descriptor)

    def process_element(self, value: Record, ctx: Any) -> Iterator[Any]:
        now, due = ctx.timestamp(), ctx.timestamp() + self._delay
        if due <= ctx.timer_service().current_watermark():
            yield self._late, value[:2]
            return
        self._waiting.put(now, [*(self._waiting.get(now) or []), value[1]])
        ctx.timer_service().register_event_time_timer(due)
        # One that never fires, set and deleted.
        ctx.timer_service().register_event_time_timer(due + 10**6 + now)
        ctx.timer_service().delete_event_time_timer(due + 10**6 + now)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        first, second = timestamp - self._delay, timestamp - 2 * self._delay
        if not (self._waiting.contains(first) or self._waiting.contains(second)):
            yield "nothing was to happen", timestamp
        if self._waiting.contains(second):
            numbers = self._waiting.get(second)
            if isinstance(numbers, tuple):  # else only first timers of that time have been set
                self._waiting.remove(second)
                yield ctx.get_current_key(), numbers
        if self._waiting.contains(first):
            numbers = tuple(sorted(self._waiting.get(first)))
            self._waiting.put(first, numbers)
            ctx.timer_service().register_event_time_timer(timestamp + self._delay)
            yield ctx.get_current_key(), numbers


class Pairs(ProcessJoinFunction):
    def process_element(self, left: Record, right: Record, ctx: Any) -> Iterator[Any]:
        yield left, right


class End(ProcessFunction):
    """Shows a record with its time."""

    def __init__(self, part: int, what: str, show: Callable[[Any], Any] | None = None) -> None:
        self._part = part
        self._what = what
        self._show = show

    def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Iterator[Found]:
        yield self._part, self._what, self._show(value) if self._show else value, ctx.timestamp()


def even(record: Record) -> bool:
    return record[1] % 2 == 0


def odd(record: Record) -> bool:
    return record[1] % 2 == 1


# -- building ---------------------------------------------------------------------------------------------------


class Builder:
    """Makes the job of a program: the first one, or the one that goes on after the savepoint."""

    def __init__(self, program: Program, env: StreamExecutionEnvironment, folder: Path, rescaled: bool) -> None:
        self._program = program
        self._env = env
        self._folder = folder
        self._rescaled = rescaled

    def build(self) -> DataStream:
        program = self._program
        stream = self._source()
        for number, (name, parallelism) in enumerate(program.steps):
            stream = self._named(getattr(self, f"_{name}")(stream), f"step {number}", parallelism)
        ends: list[DataStream] = []
        for number, part in enumerate(program.parts):
            for what, end, show in self._part(number, part, stream):
                shown = end.process(End(number, what, show))
                ends.append(shown.set_parallelism(self._parallelism(part.parallelism)))
        return ends[0].union(*ends[1:])

    def _parallelism(self, usual: int) -> int:
        return self._program.rescaled if self._rescaled else usual

    def _named(self, stream: DataStream, uid: str, usual: int) -> DataStream:
        parallelism = usual if self._program.order == "exact" else self._parallelism(usual)
        return stream.uid(uid).set_parallelism(parallelism)

    def _source(self) -> DataStream:
        program = self._program
        scripts: list[list[Any]] = [[At(record[2], record) for record in script] for script in program.scripts]
        signals = set()
        if program.stop_at is not None:
            for script in scripts:
                # Behind the record where it is stopped the job waits for the one that goes on.
                script.insert(program.stop_at + 3, Until(str(self._folder / "gate")))
                signals.add(script[program.stop_at].value[1])
        source: Source = ScriptedSource(*scripts, batch_size=program.batch, bounded=False, ends=True)
        if program.fault is not None:
            plan = FaultPlan(str(self._folder / "faults"), program.fault.after, program.fault.kind)
            source = FailingSource(source, plan)
        strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(program.bound))
        if program.per_batch:
            strategy = watermark_per_batch(program.bound)
        if program.idle:
            strategy = strategy.with_idleness(Duration.of_millis(2))
        at_source = WatermarkStrategy.no_watermarks() if program.in_the_middle else strategy
        stream = self._env.from_source(source, at_source, "scripts").uid("scripts")
        stream = stream.set_parallelism(program.parallelism).map(Slowly(self._folder, signals))
        stream = stream.set_parallelism(program.parallelism)
        if program.in_the_middle:
            stream = stream.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(Times()))
            stream = stream.uid("times").set_parallelism(program.parallelism)
        return stream

    # -- steps

    def _map(self, stream: DataStream) -> DataStream:
        return stream.map(lambda record: record)

    def _rebalance(self, stream: DataStream) -> DataStream:
        return stream.rebalance().map(lambda record: record)

    def _slow(self, stream: DataStream) -> DataStream:
        return stream.rebalance().map(Slowly(self._folder, set()))

    def _union(self, stream: DataStream) -> DataStream:
        return stream.filter(even).union(stream.filter(odd)).map(lambda record: record)

    def _connect(self, stream: DataStream) -> DataStream:
        return stream.filter(even).connect(stream.filter(odd)).map(Same())

    def _broadcast(self, stream: DataStream) -> DataStream:
        rules = self._env.from_collection(range(5)).broadcast(RULES)
        return stream.connect(rules).process(Beside())

    # -- parts

    def _part(self, number: int, part: Part, stream: DataStream) -> list[tuple[str, DataStream, Any]]:
        """The streams that come out of a part, and how they are shown."""
        parallelism = self._parallelism(part.parallelism)
        if part.kind in ("interval", "join", "co_group"):
            return self._of_two(number, part, stream)
        late = OutputTag(f"late {number}")
        if part.kind == "timers":
            main = stream.key_by(lambda record: record[0]).process(InOrder(part.size, late))
            main = main.uid(f"part {number}").set_parallelism(parallelism)
            return [("main", main, None), ("late", main.get_side_output(late), None)]
        if part.kind == "columns":
            triple = Types.TUPLE([Types.LONG(), Types.LONG(), Types.LONG()])
            typed = stream.map(lambda record: record, triple)
            if self._program.order == "exact":
                typed = typed.set_parallelism(1)
            key: Any = 0
            if part.how != "process":  # else rows become columns only inside of the windows
                typed, key = typed.select(f0=col("f0"), f1=col("f1")), "f0"
                if self._program.order == "exact":
                    typed = typed.set_parallelism(1)
            windows = typed.key_by(key).window(assigner(part))
            numbers = col("f1")
            main = windows.aggregate(n=count(), sum=numbers.sum(), low=numbers.min(), high=numbers.max())
            main = main.uid(f"part {number}").set_parallelism(parallelism)
            return [("main", main, tuple)]
        reduces = part.how == "reduce"
        pairs = stream.map(lambda record: (record[0], (record[1],) if reduces else record[1]))
        if self._program.order == "exact":
            pairs = pairs.set_parallelism(1)
        keyed = pairs.key_by(lambda record: record[0])
        if part.kind == "count":
            windowed = keyed.count_window(part.size)
        else:
            windowed = keyed.window(assigner(part)).allowed_lateness(part.lateness).side_output_late_data(late)
        if reduces:
            main = windowed.reduce(lambda one, other: (one[0], one[1] + other[1]))
        else:
            main = windowed.aggregate(Collect()) if part.how == "aggregate" else windowed.process(Show())
        main = main.uid(f"part {number}").set_parallelism(parallelism)
        found = [("main", main, lambda value: (value[0], tuple(sorted(value[1]))))]
        if part.kind != "count":
            show = (lambda value: (value[0], value[1][0])) if reduces else None
            found.append(("late", main.get_side_output(late), show))
        return found

    def _of_two(self, number: int, part: Part, stream: DataStream) -> list[tuple[str, DataStream, Any]]:
        left, right = stream.filter(even), stream.filter(odd)
        parallelism = self._parallelism(part.parallelism)
        if part.kind == "interval":
            tags = OutputTag(f"left {number}"), OutputTag(f"right {number}")
            first = left.key_by(lambda record: record[0])
            joined = first.interval_join(right.key_by(lambda record: record[0]))
            between = joined.between(Time.milliseconds(-part.size), Time.milliseconds(part.slide))
            between = between.side_output_left_late_data(tags[0]).side_output_right_late_data(tags[1])
            main = between.process(Pairs()).uid(f"part {number}").set_parallelism(parallelism)
            return [("main", main, None), *(("late", main.get_side_output(tag), None) for tag in tags)]
        streams = left.join(right) if part.kind == "join" else left.co_group(right)
        windowed = streams.where(lambda record: record[0]).equal_to(lambda record: record[0])
        windows = windowed.window(assigner(part))
        main = windows.apply((lambda one, other: (one, other)) if part.kind == "join" else both)
        return [("main", main.uid(f"part {number}").set_parallelism(parallelism), None)]


def both(left: Iterable[Record], right: Iterable[Record]) -> list[Any]:
    return [(tuple(sorted(left)), tuple(sorted(right)))]


def assigner(part: Part) -> Any:
    """Tumbling where size and slide are the same."""
    if part.kind == "session":
        return EventTimeSessionWindows.with_gap(Time.milliseconds(part.size))
    if part.size == part.slide:
        return TumblingEventTimeWindows.of(Time.milliseconds(part.size))
    return SlidingEventTimeWindows.of(Time.milliseconds(part.size), Time.milliseconds(part.slide))
