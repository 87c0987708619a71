"""The producer's end of channels.

    LocalOutput    the consumer runs in this worker: by reference
    RemoteOutput   frames over a connection, as far as the consumer has granted credit
    HeldOutput     a blocking exchange: keeps everything (spilled beyond a bound) until the consumer asks

`write` gives an element away. `has_room` false asks the task to pause; writing is allowed all the same, so
an operator that makes many records of one batch cannot lose any.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Protocol

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.runtime.network.elements import CheckpointBarrier, Element
from yarnflow.runtime.network.framing import HEADER, MAX_PAYLOAD, FrameKind
from yarnflow.runtime.network.input import LocalChannel
from yarnflow.runtime.network.serialization import EncodedFrame, decode, encode_frame
from yarnflow.runtime.network.spill import SpillingQueue

#: Records that a remote channel's first batch has, until their size is known, and the most of any batch.
FIRST_BATCH = 64
LARGEST_BATCH = 1024

#: Bytes that a frame should have: large enough to make its fixed cost small, small enough for the caches.
FRAME_BYTES = 16 * 1024

#: Bytes of columns in one frame; they cost nothing per record, so frames may be larger.
COLUMN_FRAME_BYTES = 1024 * 1024

#: Elements that wait for credit before the producer pauses.
PENDING_CAPACITY = 2


class OutputChannel(ABC):
    """One stream to a consumer subtask.

    Attributes:
        channel_id: as in the deployment.
        batch_records: how many records a batch should have.
        local: elements are passed by reference.
    """

    local = False

    def __init__(self, channel_id: str) -> None:
        self.channel_id = channel_id
        self.batch_records = FIRST_BATCH
        self.bytes_out = 0

    @abstractmethod
    def write(self, element: Batch | Element) -> None:
        """Send an element after those written before."""

    @abstractmethod
    def has_room(self) -> bool:
        """Whether the producer should go on."""

    @abstractmethod
    def drained(self) -> bool:
        """Whether everything written has reached the consumer's worker (or its kernel)."""

    def overtake(self, barrier: CheckpointBarrier) -> list[EncodedFrame]:
        """Send a barrier before everything that waits here; returns what waits and was overtaken. In the same
        worker nothing waits here: the consumer lets the barrier overtake what waits there."""
        self.write(barrier)
        return []

    def close(self) -> None:
        """The producer has stopped before its end: forget what was not sent."""

    def piece_length(self, batch: Batch, left: int) -> int:
        """How many of the `left` last records of a batch the next frame should have."""
        if isinstance(batch, ColumnBatch):
            wanted = max(1, COLUMN_FRAME_BYTES * len(batch) // max(1, batch.columns.nbytes))
        else:
            wanted = self.batch_records
        return left if left <= 2 * wanted else wanted

    def encoded(self, batch: Batch) -> list[EncodedFrame]:
        """The frames of a batch, usually one; learns how many records make a good frame."""
        frame = encode_frame(batch)
        size, records = len(frame[2]), len(batch)
        if size > MAX_PAYLOAD and records > 1:
            half = records // 2
            self.batch_records = 1
            return [
                *self.encoded(slice_batch(batch, 0, half)),
                *self.encoded(slice_batch(batch, half, records - half)),
            ]
        if size > MAX_PAYLOAD:
            raise ProgramError(
                f"a record of {size} bytes cannot be sent to another process: the limit is {MAX_PAYLOAD} bytes. "
                "Emit smaller records, or write large values to files and emit their names"
            )
        if isinstance(batch, RowBatch) and records:
            wanted = FRAME_BYTES * records // max(1, size)
            self.batch_records = max(1, min(LARGEST_BATCH, 2 * self.batch_records, wanted))
        return [frame]


class LocalOutput(OutputChannel):
    """Passes elements to a consumer in the same worker."""

    local = True

    def __init__(self, channel: LocalChannel) -> None:
        super().__init__(channel.channel_id)
        self.batch_records = LARGEST_BATCH
        self._channel = channel
        self.write = channel.put  # type: ignore[method-assign]  # spares a call per batch
        self.has_room = channel.has_room  # type: ignore[method-assign]

    def write(self, element: Batch | Element) -> None:
        self._channel.put(element)

    def has_room(self) -> bool:
        return self._channel.has_room()

    def drained(self) -> bool:
        return True


class FrameSender(Protocol):
    """What outputs need of a connection."""

    def send(self, channel: int, kind: FrameKind, records: int, payload: bytes) -> int:
        """Queue a frame and send what the socket takes; returns its position in the stream of bytes."""

    def flushed(self) -> int:
        """Bytes of the stream that the socket has taken."""


class RemoteOutput(OutputChannel):
    """Sends frames as far as credit reaches."""

    def __init__(self, channel_id: str, sender: FrameSender, number: int) -> None:
        super().__init__(channel_id)
        self._sender = sender
        self._number = number
        self._credit = 0
        self._position = 0
        self._pending: deque[Batch | Element] = deque()
        #: Records of the first pending batch that were sent already.
        self._offset = 0
        #: A record could not be encoded when credit arrived: for the task to raise.
        self._failure: Exception | None = None

    def write(self, element: Batch | Element) -> None:
        self._pending.append(element)
        if self._credit > 0:
            self._pump()

    def has_room(self) -> bool:
        self._raise_failure()
        return len(self._pending) < PENDING_CAPACITY

    def drained(self) -> bool:
        self._raise_failure()
        return not self._pending and self._sender.flushed() >= self._position

    def overtake(self, barrier: CheckpointBarrier) -> list[EncodedFrame]:
        if any(isinstance(element, CheckpointBarrier) and element.savepoint for element in self._pending):
            self.write(barrier)  # a savepoint is never overtaken
            return []
        waiting: list[EncodedFrame] = []
        offset = self._offset
        for element in self._pending:
            if not isinstance(element, Element):
                rest = slice_batch(element, offset, len(element) - offset) if offset else element
                waiting += self.encoded(rest)
            offset = 0
        # Without regard to credit, which may be negative until the consumer has taken it.
        self.send_frame(*encode_frame(barrier))
        return waiting

    def granted(self, credit: int) -> None:
        """The consumer takes `credit` more bytes. What fails here is the task's failure, not the worker's."""
        self._credit += credit
        try:
            self._pump()
        except Exception as error:
            self._pending.clear()
            self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        self._pending.clear()
        self._sender.send(self._number, FrameKind.CLOSE, 0, b"")

    def _pump(self) -> None:
        pending = self._pending
        while pending and self._credit > 0:
            element = pending[0]
            if isinstance(element, Element):
                self.send_frame(*encode_frame(element))
                pending.popleft()
                continue
            start, total = self._offset, len(element)
            length = self.piece_length(element, total - start)
            piece = element if length == total else slice_batch(element, start, length)
            if start + length == total:
                pending.popleft()
                self._offset = 0
            else:
                self._offset = start + length
            for frame in self.encoded(piece):
                self.send_frame(*frame)

    def send_frame(self, kind: FrameKind, records: int, payload: bytes) -> None:
        """Send a frame that is encoded already; uses credit."""
        size = HEADER.size + len(payload)
        self._credit -= size
        self.bytes_out += size
        self._position = self._sender.send(self._number, kind, records, payload)

    @property
    def credit(self) -> int:
        """Bytes that may be sent."""
        return self._credit


class HeldOutput(OutputChannel):
    """The result of a finished producer, kept until its consumer runs.

    What is written is encoded and stored. `deliver` passes on as much as the consumer takes; the exchange
    calls it whenever that may have become more.
    """

    def __init__(
        self, channel_id: str, store: SpillingQueue, remote: RemoteOutput | None, local: LocalChannel | None
    ) -> None:
        super().__init__(channel_id)
        self._store = store
        self._remote = remote
        self._local = local
        if local is not None:
            local.on_room = self.deliver

    def write(self, element: Batch | Element) -> None:
        if isinstance(element, Element):
            self._keep(encode_frame(element))
        else:
            start, total = 0, len(element)
            while start < total:
                length = self.piece_length(element, total - start)
                for frame in self.encoded(slice_batch(element, start, length)):
                    self._keep(frame)
                start += length
        self.deliver()

    def has_room(self) -> bool:
        return True

    def drained(self) -> bool:
        return True  # complete is enough: the worker keeps it until its slot is freed

    def granted(self, credit: int) -> None:
        """The remote consumer takes `credit` more bytes."""
        assert self._remote is not None
        self._remote.granted(credit)
        self.deliver()

    def _keep(self, frame: EncodedFrame) -> None:
        self.bytes_out += len(frame[2])
        self._store.append(*frame)

    def deliver(self) -> None:
        """Pass on what the consumer has room for."""
        store, local, remote = self._store, self._local, self._remote
        if local is not None:
            while store and local.has_room():
                kind, records, payload = store.popleft()
                local.put(decode(kind, payload, records))
        elif remote is not None:
            while store and remote.credit > 0:
                kind, records, payload = store.popleft()
                remote.send_frame(kind, records, payload)

    def close(self) -> None:
        self._store.close()
        if self._remote is not None:
            self._remote.close()


def slice_batch(batch: Batch, start: int, length: int) -> Batch:
    """A part of a batch; columns are shared, not copied."""
    if isinstance(batch, ColumnBatch):
        times = batch.timestamps
        return ColumnBatch(
            batch.columns.slice(start, length),
            None if times is None else times.slice(start, length),
            batch.scalar,
        )
    stop = start + length
    return RowBatch(batch.rows[start:stop], None if batch.timestamps is None else batch.timestamps[start:stop])
