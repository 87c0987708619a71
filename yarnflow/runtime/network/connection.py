"""One data connection: a non-blocking socket, the handshake, frames in and out.

The connection does not know what frames mean: it hands them to `receive` and reports its end to `lost`.
Nothing is queued without bound because senders only send what they have credit for.
"""

from __future__ import annotations

import logging
import selectors
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from yarnflow.errors import ProtocolError
from yarnflow.runtime.network.framing import Frame, FrameKind, FrameReader, header
from yarnflow.runtime.network.handshake import Handshake

if TYPE_CHECKING:
    from yarnflow.runtime.network.input import RemoteChannel
    from yarnflow.runtime.network.output import HeldOutput, RemoteOutput

log = logging.getLogger(__name__)

_RECEIVE = 256 * 1024


class Connection:
    """A data connection.

    Args:
        sock: connected, or connecting without blocking.
        selector: where the connection registers itself; `on_event` is the registered data.
        secret: of the cluster.
        server: True at the end that accepted.
        receive: called with each frame.
        lost: called once when the connection ends otherwise than by `close`, with the reason.
        name: of the peer, for messages.

    Attributes:
        inputs: consumer's end: channel number -> channel; None for one that nobody wants any more.
        outputs: producer's end: channel number -> output.
        waiting: consumer's end: channel id -> number, opened by a producer whose consumer is not here yet.
    """

    def __init__(
        self,
        sock: socket.socket,
        selector: selectors.BaseSelector,
        secret: bytes,
        server: bool,
        receive: Callable[[Connection, Frame], None],
        lost: Callable[[Connection, str], None],
        name: str,
    ) -> None:
        self.name = name
        self.inputs: dict[int, RemoteChannel | None] = {}
        self.outputs: dict[int, RemoteOutput | HeldOutput] = {}
        self.waiting: dict[str, int] = {}
        self._sock = sock
        self._selector = selector
        self._handshake = Handshake(secret, server)
        self._server = server
        self._receive = receive
        self._lost = lost
        self._reader = FrameReader()
        self._out: deque[memoryview] = deque()
        #: Frames made before the handshake was done.
        self._early: list[memoryview] = []
        self._queued = 0
        self._flushed = 0
        self._closed = False
        self._connected = server
        self._writing = False
        sock.setblocking(False)
        self._selector.register(sock, selectors.EVENT_READ, self.on_event)
        start = self._handshake.start()
        if start:
            self._out.append(memoryview(start))
        self._watch_writing()

    # -- sending ---------------------------------------------------------------------------------------------

    def send(self, channel: int, kind: FrameKind, records: int, payload: bytes) -> int:
        """Queue a frame and send what the socket takes; returns its end position in the stream."""
        pieces = [memoryview(header(channel, kind, records, len(payload)))]
        if payload:
            pieces.append(memoryview(payload))
        self._queued += sum(map(len, pieces))
        if self._closed:
            return self._queued
        if not self._handshake.done:
            self._early += pieces
            return self._queued
        idle = not self._out
        self._out += pieces
        if idle:
            self._write()
        return self._queued

    def grant(self, channel: int, credit: int) -> None:
        """Allow the producer to send `credit` more bytes on a channel."""
        self.send(channel, FrameKind.CREDIT, credit, b"")

    def flushed(self) -> int:
        """Bytes of frames that the kernel has taken."""
        return self._flushed

    def _write(self) -> None:
        out = self._out
        try:
            while out:
                sent = self._sock.sendmsg(list(out)[:16]) if len(out) > 1 else self._sock.send(out[0])
                if self._handshake.done:
                    self._flushed += sent
                while sent:
                    first = out[0]
                    if sent >= len(first):
                        sent -= len(first)
                        out.popleft()
                    else:
                        out[0] = first[sent:]
                        sent = 0
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._end(f"{error.strerror or error}")
            return
        self._watch_writing()

    def _watch_writing(self) -> None:
        writing = bool(self._out) or not self._connected
        if writing is not self._writing and not self._closed:
            self._writing = writing
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
            self._selector.modify(self._sock, events, self.on_event)

    # -- receiving -------------------------------------------------------------------------------------------

    def on_event(self, mask: int) -> None:
        """The selector found the socket readable or writable."""
        if mask & selectors.EVENT_WRITE:
            if not self._connected:
                code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    import os

                    self._end(os.strerror(code))
                    return
                self._connected = True
            self._write()
        if mask & selectors.EVENT_READ and not self._closed:
            self._read()

    def _read(self) -> None:
        try:
            data = self._sock.recv(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(f"{error.strerror or error}")
            return
        if not data:
            self._end("the peer closed the connection")
            return
        try:
            if self._handshake.done:
                frames = self._reader.feed(data)
            else:
                answer = self._handshake.feed(data)
                if answer:
                    self._out.append(memoryview(answer))
                if not self.authenticated:
                    self._write()
                    return
                # The proof must not count as frame bytes: send it before the frames that waited for it.
                proof = sum(map(len, self._out))
                self._flushed -= proof
                self._out += self._early
                self._early = []
                self._write()
                frames = self._reader.feed(self._handshake.rest)
            for frame in frames:
                self._receive(self, frame)
        except ProtocolError as error:
            if self._server and not self._handshake.done:
                log.warning("refused a data connection from %s: %s", self.name, error)
            self._end(str(error))

    # -- ending ----------------------------------------------------------------------------------------------

    @property
    def authenticated(self) -> bool:
        """The peer has proved that it knows the secret."""
        return self._handshake.done

    @property
    def closed(self) -> bool:
        """The connection has ended."""
        return self._closed

    def close(self) -> None:
        """End the connection without calling `lost`."""
        if not self._closed:
            self._closed = True
            self._selector.unregister(self._sock)
            self._sock.close()

    def _end(self, reason: str) -> None:
        if not self._closed:
            self.close()
            self._lost(self, reason)
