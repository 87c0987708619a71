"""State and checkpoints on yarnflow's MiniCluster. One measurement per process; prints one JSON line.

    throughput   counters over a million keys, with or without checkpoints
    pause        what records see while checkpoints of a gigabyte are taken
    recovery     a worker is killed: seconds until the next new record comes out
    latency      a thousand records a second across one exchange
    memory       what a worker needs per million keys of a counter
    spill        rocksdb with a state of ten times its memory
    linear       counters over ten times as many keys
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yarnflow.common import WatermarkStrategy
from yarnflow.common.configuration import Configuration
from yarnflow.datastream import KeyedProcessFunction, MapFunction, RuntimeContext, StreamExecutionEnvironment
from yarnflow.datastream.connectors.discard import DiscardingSink
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource
from yarnflow.datastream.state import ValueStateDescriptor
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.source import Availability, Source, Split, SplitReader
from yarnflow.runtime.minicluster import MiniCluster
from yarnflow.testing import mini_cluster

MILLION = 1_000_000


@dataclass(frozen=True)
class At(Split):
    """The next number."""

    next: int


class Paced(Source):
    """Numbers, `rate` per second in batches of `batch`; the first `at_once` as fast as possible."""

    bounded = False

    def __init__(self, count: int, rate: float, batch: int, at_once: int = 0, stamped: bool = False) -> None:
        self.count, self.rate, self.batch, self.at_once, self.stamped = count, rate, batch, at_once, stamped

    def splits(self, parallelism: int) -> Sequence[Split]:
        return [At("all", 0)]

    def open(self, split: Split) -> SplitReader:
        assert isinstance(split, At)
        return PacedReader(self, split.next)


class PacedReader(SplitReader):
    def __init__(self, source: Paced, start: int) -> None:
        self._source = source
        self._next = start
        self._paced_from: tuple[float, int] | None = None

    def poll(self) -> Batch | Availability:
        source, first = self._source, self._next
        if first >= source.count:
            return Availability.END_OF_SPLIT
        size = source.batch
        if first >= source.at_once:
            now = time.perf_counter()
            since, begun = self._paced_from = self._paced_from or (now, first)
            if first - begun > (now - since) * source.rate:
                return Availability.NOTHING_YET
        else:
            size = 4096
        last = min(source.count, first + size)
        self._next = last
        if source.stamped:
            return RowBatch([(number, time.perf_counter()) for number in range(first, last)])
        return RowBatch(list(range(first, last)))

    def split(self) -> Split:
        return At("all", self._next)


class Counter(KeyedProcessFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", None))

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterable[int]:
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield count


class Keeper(KeyedProcessFunction):
    """Keeps `size` bytes per key; afterwards notes the longest time between two records."""

    def __init__(self, size: int, quiet: int, note: Path) -> None:
        self.size, self.quiet, self.note = size, quiet, str(note)

    def open(self, runtime_context: RuntimeContext) -> None:
        self.kept = runtime_context.get_state(ValueStateDescriptor("kept", None))
        self.last = 0.0
        self.gaps: list[float] = []

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterable[int]:
        if self.kept.value() is None:
            self.kept.update(os.urandom(self.size // 2).hex())
        now = time.perf_counter()
        if value >= self.quiet and self.last:
            self.gaps.append(now - self.last)
        self.last = now
        yield value

    def close(self) -> None:
        Path(self.note).write_text(json.dumps(sorted(self.gaps)[-20:]))


class Latency(MapFunction):
    def __init__(self, note: Path) -> None:
        self.note = str(note)

    def open(self, runtime_context: RuntimeContext) -> None:
        self.seen: list[float] = []
        self.note = f"{self.note}.{runtime_context.get_index_of_this_subtask()}"

    def map(self, value: tuple[int, float]) -> int:
        self.seen.append(time.perf_counter() - value[1])
        return value[0]

    def close(self) -> None:
        Path(self.note).write_text(json.dumps(self.seen))


class Noting(MapFunction):
    """Appends the time of each new record to a file; on a repeated one nothing."""

    def __init__(self, note: Path) -> None:
        self.note = str(note)

    def map(self, value: int) -> int:
        with open(self.note, "a") as file:
            file.write(f"{value} {time.perf_counter()}\n")
        return value


def environment(folder: Path, interval: str | None, backend: str = "hashmap", **more: str) -> Any:
    config = Configuration()
    settings = {"state.backend.type": backend, "execution.checkpointing.dir": (folder / "chk").as_uri(), **more}
    if interval is not None:
        settings["execution.checkpointing.interval"] = interval
    for key, value in settings.items():
        config.set_string(key, value)
    return StreamExecutionEnvironment.get_execution_environment(config)


def counters(env: Any, count: int, keys: int, function: Any = None) -> float:
    """Count `count` records over `keys` keys, in an order that jumps through memory; returns seconds."""
    start = time.perf_counter()
    (
        env.from_source(NumberSequenceSource(0, count - 1), WatermarkStrategy.no_watermarks(), "numbers")
        .key_by(lambda number: number * 7919 % keys)
        .process(function or Counter())
        .uid("counter")
        .sink_to(DiscardingSink())
    )
    env.execute("counters")
    return time.perf_counter() - start


def rss(pid: int) -> float:
    """Resident memory in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Watch:
    """Highest resident memory of the workers, in MB."""

    def __init__(self, cluster: MiniCluster) -> None:
        self.peak = 0.0
        self._cluster = cluster
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._done.wait(0.2):
            for pid in self._cluster.worker_pids():
                try:
                    self.peak = max(self.peak, rss(pid))
                except OSError:
                    continue  # it has just ended

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def throughput(cluster: MiniCluster, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Rates are slopes between two numbers of records: what starting a job and its last checkpoint take is the
    same for both."""
    count = options.records or 16 * MILLION
    small = count // 4
    counters(environment(folder, None), MILLION, MILLION)
    rates: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(3):
        for name, interval in (("without", None), ("with", "1 s")):
            seconds = [
                counters(environment(folder, interval, options.backend), size, MILLION) for size in (small, count)
            ]
            rates[name].append((count - small) / (seconds[1] - seconds[0]))
    without, with_ = statistics.median(rates["without"]), statistics.median(rates["with"])
    return {"without": without, "with": with_, "kept": with_ / without}


def pause(cluster: MiniCluster, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    keys, size = MILLION, 1000
    figures = {}
    for name, interval in (("without", None), ("with", "2 s")):
        note = folder / f"gaps-{name}"
        env = environment(folder, interval, options.backend)
        source = Paced(keys + 150_000, 10_000, 20, at_once=keys)
        with Watch(cluster) as watch:
            (
                env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
                .key_by(lambda number: number % MILLION)
                .process(Keeper(size, keys + 20_000, note))
                .uid("keeper")
                .sink_to(DiscardingSink())
            )
            env.execute("pause")
        gaps = json.loads(note.read_text())
        figures[f"{name}: longest gap ms"] = gaps[-1] * 1000
        figures[f"{name}: 5th gap ms"] = gaps[-5] * 1000
        figures[f"{name}: peak MB"] = watch.peak
    return figures


def recovery(cluster: MiniCluster, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    note = folder / "times"
    env = environment(
        folder,
        "500 ms",
        options.backend,
        **{"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.delay": "0 ms"},
    )
    keys = options.keys
    source = Paced(keys + 100_000, 10_000, 50, at_once=keys)
    (
        env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
        .key_by(lambda number: number % keys)
        .process(Counter())
        .uid("counter")
        .filter(lambda count: count > 1)
        .map(Noting(note))
        .sink_to(DiscardingSink())
    )
    job = env.execute_async("recovery")
    deadline = time.perf_counter() + 120
    while not (note.exists() and len(note.read_text().splitlines()) > 30_000):
        assert time.perf_counter() < deadline, "the job did not get going"
        time.sleep(0.05)
    (pid,) = cluster.worker_pids()[:1]
    struck = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    job.get_job_execution_result().result()
    later = [float(text.split()[1]) for text in note.read_text().splitlines() if float(text.split()[1]) > struck]
    return {"seconds": min(later) - struck}


def latency(cluster: MiniCluster, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    note = folder / "latency"
    env = environment(folder, None)
    env.set_parallelism(2)
    source = env.from_source(
        Paced(options.records or 15_000, 1000, 1, stamped=True), WatermarkStrategy.no_watermarks(), "numbers"
    ).set_parallelism(1)
    source.key_by(lambda pair: pair[0] % 100).process(Passing()).map(Latency(note)).sink_to(DiscardingSink())
    env.execute("latency")
    seen = sorted(second for path in folder.glob("latency.*") for second in json.loads(path.read_text()))
    return {f"p{rank} ms": seen[int(len(seen) * rank / 100)] * 1000 for rank in (50, 95, 99)}


class Passing(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        yield value


def memory(cluster: MiniCluster, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    figures = {}
    (pid,) = cluster.worker_pids()[:1]
    figures["empty MB"] = rss(pid)
    for millions in (1, 4):
        with Watch(cluster) as watch:
            counters(environment(folder, None), millions * MILLION, millions * MILLION)
        figures[f"{millions} M keys MB"] = watch.peak
    figures["MB per million keys"] = (figures["4 M keys MB"] - figures["1 M keys MB"]) / 3
    return figures


def linear(cluster: MiniCluster, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    figures = {}
    for keys in (10_000, 100_000, MILLION, 4 * MILLION):
        count = 8 * MILLION
        figures[f"{keys} keys, records/s"] = count / counters(environment(folder, None), count, keys)
    for count in (4 * MILLION, 16 * MILLION):
        figures[f"{count} records, records/s"] = count / counters(environment(folder, None), count, 10_000)
    return figures


def spill(cluster: MiniCluster, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    keys, size = 640_000, 1000
    env = environment(
        folder, "5 s", "rocksdb", **{
            "state.backend.rocksdb.memory.fixed-per-slot": "64 mb",
            "execution.checkpointing.incremental": "true",
        }
    )
    start = time.perf_counter()
    note = folder / "gaps"
    with Watch(cluster) as watch:
        (
            env.from_source(NumberSequenceSource(0, 2 * keys - 1), WatermarkStrategy.no_watermarks(), "numbers")
            .key_by(lambda number: number * 7919 % keys)
            .process(Keeper(size, 2 * keys, note))
            .uid("keeper")
            .sink_to(DiscardingSink())
        )
        env.execute("spill")
    rate = 2 * keys / (time.perf_counter() - start)
    return {"records/s": rate, "peak MB": watch.peak, "state MB": keys * size / 1e6}


def main() -> None:
    """Run one measurement."""
    what = {f.__name__: f for f in (throughput, pause, recovery, latency, memory, spill, linear)}
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=what)
    parser.add_argument("--records", type=int, default=0)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--backend", default="hashmap")
    options = parser.parse_args()
    slots = 2 if options.what == "latency" else 1
    with tempfile.TemporaryDirectory() as name, mini_cluster(taskmanagers=slots, parallelism=1) as cluster:
        print(json.dumps(what[options.what](cluster, Path(name), options)), flush=True)


if __name__ == "__main__":
    main()
