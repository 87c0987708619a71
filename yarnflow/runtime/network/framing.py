"""Frames: what goes over a data connection once both ends have proved who they are.

    header   channel number (u32) | kind (u8) | record count (u32) | payload length (u32), big-endian
    payload  `length` bytes

The producer's worker opens the connection and numbers its channels with OPEN frames; data flows towards
the consumer, CREDIT frames flow back. A length above `MAX_PAYLOAD` or an unknown kind ends the connection.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from yarnflow.errors import ProtocolError

HEADER = struct.Struct(">IBII")

#: Bytes of the largest payload that is sent or accepted. One batch is cut far below it; only a single
#: huge record comes near.
MAX_PAYLOAD = 256 * 1024 * 1024


class FrameKind(IntEnum):
    """What a frame carries."""

    #: producer -> consumer: payload is the channel id that this channel number stands for
    OPEN = 1
    #: pickled list of records
    ROWS = 2
    #: int64 timestamps (native order; one per record), then a pickled list of records
    TIMED_ROWS = 3
    #: an Arrow record batch
    COLUMNS = 4
    #: a pickled control element
    ELEMENT = 5
    #: consumer -> producer: `records` holds the number of bytes that may be sent further
    CREDIT = 6
    #: either way: nothing more will be sent or taken on this channel
    CLOSE = 7


_KINDS: dict[int, FrameKind] = {kind.value: kind for kind in FrameKind}


class Frame(NamedTuple):
    """One frame."""

    channel: int
    kind: FrameKind
    records: int
    payload: bytes


def header(channel: int, kind: FrameKind, records: int, length: int) -> bytes:
    """The header of a frame. Raises ProtocolError when the payload is too long."""
    if length > MAX_PAYLOAD:
        raise ProtocolError(
            f"a frame of {length} bytes is above the limit of {MAX_PAYLOAD} bytes: emit smaller records"
        )
    return HEADER.pack(channel, kind, records, length)


class FrameReader:
    """Cuts a byte stream into frames; `feed` it pieces of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """Take bytes and return the frames that are complete now.

        Raises ProtocolError at the first header that cannot be one.
        """
        buffer = self._buffer
        buffer += data
        frames = []
        position = 0
        available = len(buffer)
        with memoryview(buffer) as view:
            while available - position >= HEADER.size:
                channel, code, records, length = HEADER.unpack_from(view, position)
                kind = _KINDS.get(code)
                if kind is None:
                    raise ProtocolError(f"unknown frame kind {code}")
                if length > MAX_PAYLOAD:
                    raise ProtocolError(f"a frame of {length} bytes is above the limit of {MAX_PAYLOAD} bytes")
                start = position + HEADER.size
                if available < start + length:
                    break
                position = start + length
                frames.append(Frame(channel, kind, records, bytes(view[start:position])))
        del buffer[:position]
        return frames

    def pending(self) -> int:
        """Bytes of the incomplete frame at the end."""
        return len(self._buffer)
