"""bytewax 0.21. W1 to W4. Sources emit batches of 1,000, which is where bytewax is fastest."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import bytewax.operators as op
import bytewax.operators.windowing as windowing
from _measure import arguments, timed_runs, words_of
from bytewax._bytewax import cli_main
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

options = arguments(("W1", "W2", "W3", "W4"))
BATCH = 1000
EPOCH, MILLISECOND = datetime(2024, 1, 1, tzinfo=timezone.utc), timedelta(milliseconds=1)


class Numbers(DynamicSource):
    """0 .. count-1, shared by the workers."""

    def __init__(self, count):
        self.count = count

    def build(self, step_id, index, workers):
        return NumbersPart(self.count * index // workers, self.count * (index + 1) // workers)


class NumbersPart(StatelessSourcePartition):
    def __init__(self, start, end):
        self.start, self.end = start, end

    def next_batch(self):
        if self.start >= self.end:
            raise StopIteration
        batch = range(self.start, min(self.end, self.start + BATCH))
        self.start = batch.stop
        return batch


class Lines(DynamicSource):
    """The lines of a text file, by one worker."""

    def __init__(self, path):
        self.path = path

    def build(self, step_id, index, workers):
        return LinesPart(self.path, index == 0)


class LinesPart(StatelessSourcePartition):
    def __init__(self, path, mine):
        self.file = path.open() if mine else None

    def next_batch(self):
        if self.file is None:
            raise StopIteration
        batch = self.file.readlines(64 * 1024)
        if not batch:
            raise StopIteration
        return batch


class Discard(DynamicSink):
    def build(self, step_id, index, workers):
        return DiscardPart()


class DiscardPart(StatelessSinkPartition):
    def write_batch(self, items):
        pass


def count_value(state, value):
    count = (state or 0) + 1
    return count, (value, count)


def run(size: str) -> int:
    flow = Dataflow("benchmark")
    if options.workload == "W1":
        stream = op.input("in", flow, Numbers(int(size)))
        stream = op.filter("filter", op.map("map", stream, lambda x: x * 2 + 1), lambda x: x % 3 == 0)
        records = int(size)
    elif options.workload == "W3":
        # Keys of bytewax are strings.
        stream = op.map("key", op.input("in", flow, Numbers(int(size))), lambda x: (str(x % 10_000), x))
        stream = op.stateful_map("count", stream, count_value)
        records = int(size)
    elif options.workload == "W4":
        stream = op.map("key", op.input("in", flow, Numbers(int(size))), lambda x: (str(x % 1000), x))
        clock = windowing.EventClock(
            lambda x: EPOCH + MILLISECOND * x, timedelta(0), to_system_utc=lambda time: None
        )
        windower = windowing.TumblingWindower(length=timedelta(seconds=1), align_to=EPOCH)
        counts = windowing.fold_window(
            "count", stream, clock, windower, lambda: 0, lambda n, _: n + 1, lambda a, b: a + b, ordered=False
        )
        stream = counts.down
        records = int(size)
    else:
        stream = op.input("in", flow, Lines(options.data / size))
        stream = op.map("one", op.flat_map("split", stream, lambda line: line.split()), lambda word: (word, 1))
        stream = op.stateful_map("count", stream, lambda state, one: ((state or 0) + one,) * 2)
        records = words_of(options.data / size)
    op.output("out", stream, Discard())
    cli_main(flow, workers_per_process=options.slots)
    return records


timed_runs(options, run)
