"""Frames survive being cut anywhere; what cannot be a frame is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yarnflow.errors import ProtocolError
from yarnflow.runtime.network.framing import HEADER, MAX_PAYLOAD, Frame, FrameKind, FrameReader, header

_FRAMES = [
    Frame(1, FrameKind.OPEN, 0, b"0:a:b"),
    Frame(1, FrameKind.ROWS, 3, b"x" * 50),
    Frame(7, FrameKind.CREDIT, 65536, b""),
    Frame(2, FrameKind.CLOSE, 0, b""),
]


def _bytes(frames: list[Frame]) -> bytes:
    return b"".join(header(f.channel, f.kind, f.records, len(f.payload)) + f.payload for f in frames)


def test_a_stream_split_at_every_byte_gives_the_same_frames() -> None:
    stream = _bytes(_FRAMES)
    for cut in range(len(stream) + 1):
        reader = FrameReader()
        assert reader.feed(stream[:cut]) + reader.feed(stream[cut:]) == _FRAMES
        assert reader.pending() == 0


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1))
def test_a_stream_in_pieces_of_any_size_gives_the_same_frames(sizes: list[int]) -> None:
    stream = _bytes(_FRAMES * 3)
    reader, got, position, turn = FrameReader(), [], 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        got += reader.feed(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert got == _FRAMES * 3


def test_a_truncated_frame_waits() -> None:
    reader = FrameReader()
    stream = _bytes([_FRAMES[1]])
    assert reader.feed(stream[:-1]) == []
    assert reader.pending() == len(stream) - 1


def test_a_hostile_length_is_refused_before_anything_is_allocated() -> None:
    reader = FrameReader()
    with pytest.raises(ProtocolError, match="above the limit"):
        reader.feed(HEADER.pack(1, FrameKind.ROWS, 1, MAX_PAYLOAD + 1))
    assert reader.pending() <= HEADER.size


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ProtocolError, match="unknown frame kind 99"):
        FrameReader().feed(struct.pack(">IBII", 1, 99, 0, 0))


def test_a_payload_above_the_limit_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="emit smaller records"):
        header(1, FrameKind.ROWS, 1, MAX_PAYLOAD + 1)
