"""What leaves a task along one edge: which record goes to which channel.

    PassThrough      one channel: whole batches
    HashPartition    by key; the chain's generated loop appends straight into its buffers
    Distribution     everything else that spreads records over several channels

Several channels gather records until a batch is worth sending; `flush` sends what there is.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.key_groups import subtask_for_key
from yarnflow.runtime.network.elements import CheckpointBarrier, Element
from yarnflow.runtime.network.output import OutputChannel, slice_batch
from yarnflow.runtime.network.serialization import EncodedFrame
from yarnflow.runtime.operators.isolation import own_all

#: Keys whose channel is remembered. Beyond it the memory is cleared, so it stays a few MB.
ROUTES = 1 << 17

Append = Callable[[Any], None]


class Buffer:
    """Records that wait for one channel. The lists stay the same objects, so that appends can be bound."""

    __slots__ = ("channel", "rows", "times")

    def __init__(self, channel: OutputChannel) -> None:
        self.channel = channel
        self.rows: list[Any] = []
        self.times: list[int] = []

    def flush(self) -> None:
        """Write what there is."""
        if self.rows:
            self.channel.write(RowBatch(self.rows.copy(), self.times.copy() if self.times else None))
            self.rows.clear()
            self.times.clear()


class Partition(ABC):
    """Writes one edge of a task.

    Attributes:
        channels: by consumer subtask.
        records_out: records written.
    """

    def __init__(self, channels: Sequence[OutputChannel]) -> None:
        self.channels = list(channels)
        self.records_out = 0

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Send a batch; the partition owns it."""

    def flush(self) -> None:
        """Send what is gathered."""

    def has_room(self) -> bool:
        """Whether every channel takes more."""
        return all(channel.has_room() for channel in self.channels)

    def send(self, element: Element) -> None:
        """Send a control element to all channels, after everything written before."""
        self.flush()
        for channel in self.channels:
            channel.write(element)

    def overtake(self, barrier: CheckpointBarrier) -> list[tuple[int, EncodedFrame]]:
        """Send a barrier to all channels before everything that waits; returns what waits, by channel."""
        self.flush()
        return [
            (index, frame) for index, channel in enumerate(self.channels) for frame in channel.overtake(barrier)
        ]

    def drained(self) -> bool:
        """Whether everything has left this worker's memory."""
        return all(channel.drained() for channel in self.channels)

    def bytes_out(self) -> int:
        """Bytes encoded for other workers."""
        return sum(channel.bytes_out for channel in self.channels)

    def close(self) -> None:
        """Forget what was not sent."""
        for channel in self.channels:
            channel.close()


class PassThrough(Partition):
    """One channel. Tiny batches are joined when the channel has to encode them."""

    def __init__(self, channels: Sequence[OutputChannel]) -> None:
        super().__init__(channels)
        (self._channel,) = self.channels
        self._buffer = Buffer(self._channel)

    def write(self, batch: Batch) -> None:
        self.records_out += len(batch)
        channel, buffer = self._channel, self._buffer
        if isinstance(batch, RowBatch) and not channel.local:
            timed = batch.timestamps is not None
            if len(buffer.rows) + len(batch.rows) < channel.batch_records:
                if buffer.rows and bool(buffer.times) is not timed:
                    buffer.flush()
                buffer.rows += batch.rows
                buffer.times += batch.timestamps or ()
                return
        buffer.flush()
        channel.write(batch)

    def flush(self) -> None:
        self._buffer.flush()


class _Buffered(Partition):
    """Several channels with a buffer each."""

    def __init__(self, channels: Sequence[OutputChannel]) -> None:
        super().__init__(channels)
        self._buffers = [Buffer(channel) for channel in self.channels]
        self._timed = False

    def flush(self) -> None:
        for buffer in self._buffers:
            buffer.flush()

    def _prepare(self, timed: bool) -> None:
        """Batches with and without times do not mix."""
        if timed is not self._timed:
            self.flush()
            self._timed = timed

    def _flush_full(self) -> None:
        for buffer in self._buffers:
            if len(buffer.rows) >= buffer.channel.batch_records:
                buffer.flush()


class _Appends(dict[Any, Any]):
    """key -> append of the buffer of the key's channel, filled as keys appear."""

    def __init__(self, targets: Sequence[Any], max_parallelism: int) -> None:
        super().__init__()
        self._targets = targets
        self._max_parallelism = max_parallelism

    def __missing__(self, key: Any) -> Any:
        if len(self) >= ROUTES:
            self.clear()
        target = self._targets[subtask_for_key(key, len(self._targets), self._max_parallelism)]
        self[key] = target
        return target


class HashPartition(_Buffered):
    """Equal keys go to the same channel.

    The chain compiler appends through `appends` (or `timed_appends`) between `begin` and `end`; `write`
    does the same for operators that are not compiled.

    Attributes:
        key: key(record).
        columnar_key: the field by which columns can be partitioned, or None.
        appends: key -> append of records.
        timed_appends: key -> (append of records, append of timestamps).
    """

    def __init__(
        self,
        channels: Sequence[OutputChannel],
        key: Callable[[Any], Any],
        columnar_key: int | str | None,
        max_parallelism: int,
    ) -> None:
        super().__init__(channels)
        self.key = key
        self.columnar_key = columnar_key
        self._max_parallelism = max_parallelism
        self.appends = _Appends([buffer.rows.append for buffer in self._buffers], max_parallelism)
        self.timed_appends = _Appends(
            [(buffer.rows.append, buffer.times.append) for buffer in self._buffers], max_parallelism
        )
        self._before = 0

    def begin(self, timed: bool) -> None:
        """The chain is about to append."""
        self._prepare(timed)
        self._before = sum([len(buffer.rows) for buffer in self._buffers])

    def end(self) -> None:
        """The chain has appended the results of one batch."""
        self.records_out += sum([len(buffer.rows) for buffer in self._buffers]) - self._before
        self._flush_full()

    def write(self, batch: Batch) -> None:
        if isinstance(batch, ColumnBatch):
            if self.columnar_key is not None:
                self._write_columns(batch)
                return
            # pyarrow is loaded already when columns exist.
            from yarnflow.runtime.operators.columns.columnar import to_rows

            batch = to_rows(batch)
        key = self.key
        if batch.timestamps is None:
            self.begin(timed=False)
            appends = self.appends
            for record in batch.rows:
                appends[key(record)](record)
        else:
            self.begin(timed=True)
            timed_appends = self.timed_appends
            for record, time in zip(batch.rows, batch.timestamps, strict=True):
                add, add_time = timed_appends[key(record)]
                add(record)
                add_time(time)
        self.end()

    def _write_columns(self, batch: ColumnBatch) -> None:
        from yarnflow.runtime.operators.columns.columnar import partition

        assert self.columnar_key is not None
        self.flush()
        self.records_out += len(batch)
        parts = partition(batch, self.columnar_key, len(self.channels), self._max_parallelism)
        for channel, part in zip(self.channels, parts, strict=True):
            if len(part):
                channel.write(part)


class Distribution(_Buffered):
    """Spreads records by a rule that looks at a batch as a whole.

    Args:
        channels: by consumer subtask.
        spread: batch, number of channels -> one part per channel.
    """

    def __init__(self, channels: Sequence[OutputChannel], spread: Callable[[Batch, int], Sequence[Batch]]) -> None:
        super().__init__(channels)
        self._spread = spread

    def write(self, batch: Batch) -> None:
        self.records_out += len(batch)
        if isinstance(batch, ColumnBatch):
            self.flush()
        else:
            self._prepare(batch.timestamps is not None)
        for buffer, part in zip(self._buffers, self._spread(batch, len(self.channels)), strict=True):
            if isinstance(part, ColumnBatch):
                if len(part):
                    buffer.channel.write(part)
            elif not buffer.rows and len(part.rows) >= buffer.channel.batch_records:
                buffer.channel.write(part)
            else:
                buffer.rows += part.rows
                buffer.times += part.timestamps or ()
        self._flush_full()


def make_partition(
    partitioning: Partitioning,
    channels: Sequence[OutputChannel],
    max_parallelism: int,
    key: Callable[[Any], Any] | None = None,
    columnar_key: int | str | None = None,
    choose: Callable[[Any, int], int] | None = None,
    seed: int | None = None,
) -> Partition:
    """The partition for an edge.

    Args:
        partitioning: the rule.
        channels: by consumer subtask (for pointwise rules, those of this producer).
        max_parallelism: the consumer's number of key groups.
        key: key(record), for HASH and CUSTOM.
        columnar_key: the field behind `key` if it is one.
        choose: partitioner(key, number of channels), for CUSTOM.
        seed: for rules with chance; where round-robin starts differs between subtasks.
    """
    if partitioning is Partitioning.GLOBAL:
        return _Global(channels)
    if len(channels) == 1 and partitioning is not Partitioning.CUSTOM:
        return PassThrough(channels)
    if partitioning is Partitioning.HASH:
        assert key is not None
        return HashPartition(channels, key, columnar_key, max_parallelism)
    if partitioning is Partitioning.BROADCAST:
        return Distribution(channels, _to_all)
    generator = random.Random(seed)
    if partitioning is Partitioning.SHUFFLE:
        return Distribution(channels, _Shuffle(generator))
    if partitioning is Partitioning.CUSTOM:
        assert key is not None
        assert choose is not None
        return Distribution(channels, _Custom(key, choose))
    return Distribution(channels, _RoundRobin(generator.randrange(len(channels))))


class _Global(PassThrough):
    """Everything goes to the first consumer; the others only get control elements."""

    def __init__(self, channels: Sequence[OutputChannel]) -> None:
        super().__init__(channels[:1])
        self.channels = list(channels)

    def has_room(self) -> bool:
        return self.channels[0].has_room()


class _RoundRobin:
    """Record by record in turns; columns in equal slices, in turns."""

    def __init__(self, start: int) -> None:
        self._next = start

    def __call__(self, batch: Batch, channels: int) -> Sequence[Batch]:
        first, total = self._next, len(batch)
        self._next = (first + total) % channels
        parts: list[Batch] = []
        for channel in range(channels):
            offset = (channel - first) % channels
            if isinstance(batch, ColumnBatch):
                # Neighbouring channels share a border, so the slices cover the batch without overlap.
                begin, end = offset * total // channels, (offset + 1) * total // channels
                parts.append(slice_batch(batch, begin, end - begin))
            else:
                times = batch.timestamps
                parts.append(
                    RowBatch(batch.rows[offset::channels], None if times is None else times[offset::channels])
                )
        return parts


def _to_all(batch: Batch, channels: int) -> Sequence[Batch]:
    if isinstance(batch, ColumnBatch):
        return [batch] * channels  # columns cannot be changed
    times = batch.timestamps
    copies: list[Batch] = [
        RowBatch(own_all(batch.rows), None if times is None else times.copy()) for _ in range(channels - 1)
    ]
    return [*copies, batch]


class _Shuffle:
    """Each record to a channel by chance; for columns each batch is dealt out from a random start."""

    def __init__(self, generator: random.Random) -> None:
        self._generator = generator

    def __call__(self, batch: Batch, channels: int) -> Sequence[Batch]:
        if isinstance(batch, ColumnBatch):
            return _RoundRobin(self._generator.randrange(channels))(batch, channels)
        return _deal(batch, self._generator.choices(range(channels), k=len(batch)), channels)


class _Custom:
    """The user's partitioner decides record by record."""

    def __init__(self, key: Callable[[Any], Any], choose: Callable[[Any, int], int]) -> None:
        self._key = key
        self._choose = choose

    def __call__(self, batch: Batch, channels: int) -> Sequence[Batch]:
        if isinstance(batch, ColumnBatch):
            from yarnflow.runtime.operators.columns.columnar import to_rows

            batch = to_rows(batch)
        key, choose = self._key, self._choose
        chosen = []
        for record in batch.rows:
            index = choose(key(record), channels)
            if not hasattr(index, "__index__") or not 0 <= index < channels:
                raise ProgramError(
                    f"the partitioner returned {index!r} for the key {key(record)!r}: it must return an index "
                    f"from 0 to {channels - 1}"
                )
            chosen.append(index)
        return _deal(batch, chosen, channels)


def _deal(batch: RowBatch, chosen: Sequence[int], channels: int) -> Sequence[Batch]:
    times = batch.timestamps
    parts = [RowBatch([], None if times is None else []) for _ in range(channels)]
    if times is None:
        appends = [part.rows.append for part in parts]
        for record, index in zip(batch.rows, chosen, strict=True):
            appends[index](record)
    else:
        for record, time, index in zip(batch.rows, times, chosen, strict=True):
            part = parts[index]
            part.rows.append(record)
            assert part.timestamps is not None
            part.timestamps.append(time)
    return parts
