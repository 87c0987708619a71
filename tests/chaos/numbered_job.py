"""The job of the chaos tests, and what it must leave behind.

    numbered records with out-of-order times -> key_by -> sequence number per key (ValueState) and a timer
        -> key_by group -> tumbling event-time window -> one line per group and window -> file sink

Every line can be computed without running anything, so a lost or repeated record shows as a wrong line. Records
of a key come from one split, in order, so sequence numbers do not depend on which subtask was faster; times are
out of order by less than the watermark's bound, so nothing is late.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yarnflow.common.serialization import Encoder
from yarnflow.common.time import Duration, Time
from yarnflow.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from yarnflow.datastream import (
    KeyedProcessFunction,
    MapFunction,
    ProcessWindowFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.connectors.file_system import BucketAssigner, FileSink
from yarnflow.datastream.state import ValueStateDescriptor
from yarnflow.datastream.window import TumblingEventTimeWindows
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.source import Availability, Source, Split, SplitReader

#: The keys of a split are its own: a multiple of SPLITS.
SPLITS = 6
KEYS = 600
GROUPS = 60

#: Milliseconds.
WINDOW = 1000
TIMER = 20_000
DISORDER = 500

BATCH = 500


def time_of(number: int) -> int:
    """Event time in ms: one record per ms, out of order by less than DISORDER."""
    return number + (number * 7919) % DISORDER


@dataclass(frozen=True)
class NumberedSplit(Split):
    """Numbers `next`, `next` + SPLITS, ... below `end`."""

    next: int
    end: int


class NumberedSource(Source):
    """All numbers below `count`, at most `rate` of them per second (over all splits)."""

    #: Splits are read side by side, as those of a message queue; the job ends all the same.
    bounded = False

    def __init__(self, count: int, rate: float) -> None:
        self._count = count
        self._rate = rate

    def splits(self, parallelism: int) -> Sequence[Split]:
        return [NumberedSplit(str(first), first, self._count) for first in range(SPLITS)]

    def open(self, split: Split) -> SplitReader:
        assert isinstance(split, NumberedSplit)
        return NumberedReader(split, self._rate / SPLITS)



class NumberedReader(SplitReader):
    def __init__(self, split: NumberedSplit, rate: float) -> None:
        self._split = split
        self._rate = rate
        self._start = time.monotonic()
        self._read = 0

    def poll(self) -> Batch | Availability:
        first, end = self._split.next, self._split.end
        if first >= end:
            return Availability.END_OF_SPLIT
        if self._read > (time.monotonic() - self._start) * self._rate:
            return Availability.NOTHING_YET
        numbers = list(range(first, min(end, first + BATCH * SPLITS), SPLITS))
        self._read += len(numbers)
        self._split = NumberedSplit(self._split.split_id, first + len(numbers) * SPLITS, end)
        return RowBatch([(number, time_of(number)) for number in numbers])

    def split(self) -> Split:
        return self._split


class RecordTime(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int | None) -> int:
        return int(value[1])


class Numbering(KeyedProcessFunction):
    """(group, sequence number within the key, number); and at every full TIMER a record for the timer."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", None))

    def process_element(self, value: tuple[int, int], ctx: KeyedProcessFunction.Context) -> Iterable[Any]:
        number, event_time = value
        sequence = (self.seen.value() or 0) + 1
        self.seen.update(sequence)
        ctx.timer_service().register_event_time_timer((event_time // TIMER + 1) * TIMER)
        yield ctx.get_current_key() % GROUPS, sequence, number

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[Any]:
        yield ctx.get_current_key() % GROUPS, 0, timestamp


class Summing(ProcessWindowFunction):
    def process(self, key: int, context: ProcessWindowFunction.Context, elements: Iterable[Any]) -> Iterable[str]:
        everything = list(elements)
        records = [record for record in everything if record[1]]
        yield line(
            key,
            context.window().start,
            len(records),
            sum(record[1] for record in records),
            sum(record[2] for record in records),
            len(everything) - len(records),
        )


def line(group: int, start: int, count: int, sequences: int, numbers: int, timers: int) -> str:
    """One line of output."""
    return f"{group},{start},{count},{sequences},{numbers},{timers}"


class Cuttable(MapFunction):
    """Hands records on; on SIGUSR1 its process cuts all of its data connections."""

    def open(self, runtime_context: RuntimeContext) -> None:
        signal.signal(signal.SIGUSR1, lambda number, frame: cut_connections())

    def map(self, value: Any) -> Any:
        return value


def cut_connections() -> None:
    """Shut down every connected stream socket of this slot worker but the one to its supervisor."""
    supervisor = int(sys.argv[sys.argv.index("--fd") + 1]) if "--fd" in sys.argv else -1
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        try:
            if descriptor == supervisor or not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as connection:
                connection.getpeername()
                connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue  # it listens, or has been closed meanwhile


def build(env: StreamExecutionEnvironment, count: int, rate: float, output: Path) -> None:
    """Add the job to a program."""
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(DISORDER))
    source = env.from_source(
        NumberedSource(count, rate), strategy.with_timestamp_assigner(RecordTime()), "numbers"
    ).uid("numbers")
    numbered = (
        source.map(Cuttable())
        .uid("cuttable")
        .key_by(lambda record: record[0] % KEYS)
        .process(Numbering())
        .uid("numbering")
    )
    sink = (
        FileSink.for_row_format(str(output), Encoder.simple_string_encoder())
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .build()
    )
    (
        numbered.key_by(lambda record: record[0])
        .window(TumblingEventTimeWindows.of(Time.milliseconds(WINDOW)))
        .process(Summing())
        .uid("windows")
        .sink_to(sink)
        .uid("files")
    )


def expected(count: int) -> Counter[str]:
    """All lines, by plain arithmetic."""
    sequences: Counter[int] = Counter()
    windows: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    timers: set[tuple[int, int]] = set()
    # Within a split, and so within a key, numbers come in order.
    for number in range(count):
        key, event_time = number % KEYS, time_of(number)
        sequences[key] += 1
        window = windows[key % GROUPS, event_time // WINDOW * WINDOW]
        window[0] += 1
        window[1] += sequences[key]
        window[2] += number
        timers.add((key, (event_time // TIMER + 1) * TIMER))
    for key, timer in timers:
        windows[key % GROUPS, timer // WINDOW * WINDOW][3] += 1
    return Counter(line(group, start, *values) for (group, start), values in windows.items())


def committed(output: Path) -> Counter[str]:
    """All lines that readers of the directory see."""
    return Counter(
        text
        for path in output.rglob("*")
        if path.is_file() and not path.name.startswith(".")
        for text in path.read_text().splitlines()
    )
