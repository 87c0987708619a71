"""The consumer's end of channels: queues of what has arrived, and the order in which a task takes it.

    LocalChannel   the producer runs in this worker: elements are passed by reference
    RemoteChannel  frames from another worker, decoded when taken; taking them grants new credit

Both are bounded: a local channel by a number of elements, a remote one by the bytes its producer may send.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from yarnflow.functions.batch import Batch
from yarnflow.runtime.network.elements import CheckpointBarrier, Element, EndOfChannel
from yarnflow.runtime.network.framing import HEADER, Frame, FrameKind
from yarnflow.runtime.network.serialization import EncodedFrame, decode, encode_frame

#: Batches that wait in a channel inside one worker before its producer pauses.
LOCAL_CAPACITY = 2

#: Bytes that may be under way to all remote channels of one task input, and the bounds of one channel.
INPUT_WINDOW = 8 * 1024 * 1024
MIN_WINDOW = 32 * 1024
MAX_WINDOW = 256 * 1024


class InputChannel:
    """One producer subtask's stream into a task.

    Attributes:
        channel_id: as in the deployment.
        index: position among the task's channels.
        input_index: which input of the head operator it feeds.
        ended: EndOfChannel has been taken.
    """

    def __init__(self, channel_id: str) -> None:
        self.channel_id = channel_id
        self.index = -1
        self.input_index = 0
        self.ended = False
        self.bytes_in = 0
        #: EndOfChannel has arrived, though it may still be in the queue.
        self.closing = False
        #: Where data is noted when it is taken, while an unaligned checkpoint wants it.
        self.record: list[EncodedFrame] | None = None
        #: In the task's list of channels that have something.
        self.offered = False
        self._owner: TaskInput | None = None

    def attach(self, owner: TaskInput, index: int, input_index: int) -> None:
        """Become channel `index` of a task; what arrived before is offered to it."""
        self._owner, self.index, self.input_index = owner, index, input_index
        if self.queued():
            owner.offer(self)

    def queued(self) -> int:
        """Elements that wait."""
        raise NotImplementedError

    def take(self) -> Batch | Element:
        """Remove and return the oldest element."""
        raise NotImplementedError

    def overtake(self, checkpoint_id: int) -> list[EncodedFrame] | None:
        """Take the barrier of a checkpoint out of the queue; returns the data before it, which stays. The end of
        the channel stands for all barriers. None when there is neither, or only behind a savepoint's barrier."""
        raise NotImplementedError

    def _control_arrived(self, element: Element) -> None:
        if isinstance(element, EndOfChannel):
            self.closing = True
        elif not isinstance(element, CheckpointBarrier) or not (element.unaligned or element.unaligned_at):
            return
        if self._owner is not None:
            self._owner.control_arrived(self, element)

    def _arrived(self) -> None:
        """The queue was empty and is not any more."""
        if self._owner is not None:
            self._owner.offer(self)


class LocalChannel(InputChannel):
    """A channel whose producer runs in the same worker.

    Attributes:
        on_room: called after an element was taken; a producer with more to give puts it then.
    """

    def __init__(self, channel_id: str) -> None:
        super().__init__(channel_id)
        self._queue: deque[Batch | Element] = deque()
        self.on_room: Callable[[], None] | None = None

    def put(self, element: Batch | Element) -> None:
        """Add an element; the producer gives it away."""
        self._queue.append(element)
        if len(self._queue) == 1:
            self._arrived()
        if isinstance(element, Element):
            self._control_arrived(element)

    def has_room(self) -> bool:
        """Whether the producer should go on."""
        return len(self._queue) < LOCAL_CAPACITY

    def queued(self) -> int:
        return len(self._queue)

    def take(self) -> Batch | Element:
        element = self._queue.popleft()
        if self.on_room is not None:
            self.on_room()
        return element

    def overtake(self, checkpoint_id: int) -> list[EncodedFrame] | None:
        before: list[EncodedFrame] = []
        for position, element in enumerate(self._queue):
            if isinstance(element, CheckpointBarrier) and element.checkpoint_id == checkpoint_id:
                del self._queue[position]
                return before
            if not isinstance(element, Element):
                before.append(encode_frame(element))
            elif _is_savepoint(element):
                return None
        return before if self.closing else None


class Granter(Protocol):
    """What a remote channel needs of its connection."""

    def grant(self, channel: int, credit: int) -> None:
        """Allow the producer to send `credit` more bytes."""


class RemoteChannel(InputChannel):
    """A channel whose producer runs in another worker.

    Attributes:
        window: bytes that may be under way or waiting.
    """

    def __init__(self, channel_id: str, window: int) -> None:
        super().__init__(channel_id)
        self.window = window
        self._queue: deque[Frame] = deque()
        self._granter: Granter | None = None
        self._number = 0
        self._taken = 0

    def bind(self, granter: Granter, number: int) -> None:
        """The producer has opened the channel as `number` of its connection: let it send."""
        self._granter, self._number = granter, number
        granter.grant(number, self.window)

    def received(self, frame: Frame) -> None:
        """A frame of data has arrived."""
        self.bytes_in += len(frame.payload)
        self._queue.append(frame)
        if len(self._queue) == 1:
            self._arrived()
        if frame.kind is FrameKind.ELEMENT:
            element = _decoded(frame)
            assert isinstance(element, Element)
            self._control_arrived(element)

    def queued(self) -> int:
        return len(self._queue)

    def take(self) -> Batch | Element:
        frame = self._queue.popleft()
        self._used(frame)
        return _decoded(frame)

    def overtake(self, checkpoint_id: int) -> list[EncodedFrame] | None:
        before: list[EncodedFrame] = []
        for position, frame in enumerate(self._queue):
            if frame.kind is not FrameKind.ELEMENT:
                before.append((frame.kind, frame.records, frame.payload))
                continue
            element = _decoded(frame)
            if isinstance(element, CheckpointBarrier) and element.checkpoint_id == checkpoint_id:
                del self._queue[position]
                self._used(frame)
                return before
            if _is_savepoint(element):
                return None
        return before if self.closing else None

    def _used(self, frame: Frame) -> None:
        self._taken += HEADER.size + len(frame.payload)
        # Half a window at a time: few credit frames, and the producer never runs dry.
        if self._taken * 2 >= self.window and self._granter is not None:
            self._granter.grant(self._number, self._taken)
            self._taken = 0


def _is_savepoint(element: Batch | Element) -> bool:
    return isinstance(element, CheckpointBarrier) and element.savepoint


def _decoded(frame: Frame) -> Batch | Element:
    return decode(frame.kind, frame.payload, frame.records)


def window_for(channels: int) -> int:
    """Bytes that each of a task's remote channels may have under way."""
    return max(MIN_WINDOW, min(MAX_WINDOW, INPUT_WINDOW // max(1, channels)))


class TaskInput:
    """All channels of a task; takes from those that have something, in turns.

    Attributes:
        on_control: called with the channel and a barrier that may overtake data, or EndOfChannel, when that has
            arrived.
    """

    def __init__(self) -> None:
        self.on_control: Callable[[InputChannel, Element], None] | None = None
        self.channels: list[InputChannel] = []
        self._ready: deque[InputChannel] = deque()
        self._blocked: list[InputChannel] = []

    def add(self, channel: InputChannel, input_index: int) -> None:
        """Add a channel that feeds `input_index` of the head operator."""
        self.channels.append(channel)
        channel.attach(self, len(self.channels) - 1, input_index)

    def offer(self, channel: InputChannel) -> None:
        """A channel that was empty has something now."""
        if not channel.offered:
            channel.offered = True
            self._ready.append(channel)

    def has_data(self) -> bool:
        """Whether `take` would return something."""
        return bool(self._ready)

    def take(self) -> tuple[InputChannel, Batch | Element]:
        """Remove and return the next element; `has_data` must hold."""
        ready = self._ready
        channel = ready.popleft()
        element = channel.take()
        if channel.queued():
            ready.append(channel)
        else:
            channel.offered = False
        return channel, element

    def control_arrived(self, channel: InputChannel, element: Element) -> None:
        """Something that concerns what is before it is in the queue of a channel."""
        if self.on_control is not None:
            self.on_control(channel, element)

    def overtake(self, channel: InputChannel, checkpoint_id: int) -> list[EncodedFrame] | None:
        """Take a barrier out of the queue of a channel; see InputChannel."""
        before = channel.overtake(checkpoint_id)
        if before is not None and not channel.queued() and channel in self._ready:
            self._ready.remove(channel)
            channel.offered = False
        return before

    def block(self, index: int) -> None:
        """Take nothing from a channel until `release`: a remote producer runs out of credit, a local one of
        room."""
        channel = self.channels[index]
        if channel.offered:
            self._ready.remove(channel)
        channel.offered = True  # as if it were in the list: what arrives does not put it there
        self._blocked.append(channel)

    def release(self) -> None:
        """Take from all channels again."""
        blocked, self._blocked = self._blocked, []
        for channel in blocked:
            channel.offered = False
            if channel.queued():
                self.offer(channel)

    def bytes_in(self) -> int:
        """Bytes received from other workers."""
        return sum(channel.bytes_in for channel in self.channels)
