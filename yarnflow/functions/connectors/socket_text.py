"""Lines from a TCP server, as Flink's socketTextStream reads them."""

from __future__ import annotations

import codecs
import errno
import os
import select
import socket
import time
from collections.abc import Callable, Sequence

from yarnflow.errors import ConfigurationError, YarnflowError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.source import Availability, Source, Split, SplitReader

#: Seconds between attempts to connect (Flink's DEFAULT_CONNECTION_RETRY_SLEEP).
RETRY_DELAY = 0.5

_CHUNK = 64 * 1024


class SocketConnectionError(YarnflowError):
    """Nobody accepts connections at the address, or the connection broke."""


class SocketTextSource(Source):
    """Reads text from a TCP server until it closes the connection. One subtask reads. What was read since the last
    checkpoint, and what the server sends meanwhile, is lost in a failure: a socket cannot be read again.

    Args:
        host: name or address of the server.
        port: its port.
        delimiter: ends a record. With a newline, a carriage return before it is dropped too.
        max_retry: how often to connect again, half a second apart, after a failed attempt or when the server has
            closed the connection: 0 for never, -1 for without end. With 0 the source ends when the server closes.
    """

    bounded = False

    def __init__(self, host: str, port: int, delimiter: str = "\n", max_retry: int = 0) -> None:
        if not 0 < port < 65536:
            raise ConfigurationError(f"the port of a socket source is 1 to 65535, not {port}")
        if not delimiter:
            raise ConfigurationError("the delimiter of a socket source must not be empty")
        if max_retry < -1:
            raise ConfigurationError(f"max_retry is -1 (without end) or more, not {max_retry}")
        self.host = host
        self.port = port
        self.delimiter = delimiter
        self.max_retry = max_retry

    def splits(self, parallelism: int) -> Sequence[Split]:
        return [Split(f"{self.host}:{self.port}")]

    def open(self, split: Split) -> SplitReader:
        return _SocketReader(self, split)


class _SocketReader(SplitReader):
    """Connects and reads without ever blocking."""

    def __init__(
        self, source: SocketTextSource, split: Split, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._split = split
        self._clock = clock
        self._socket: socket.socket | None = None
        self._connected = False
        self._ended = False
        self._retries = 0
        self._next_attempt = 0.0
        self._pending = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def poll(self) -> Batch | Availability:
        if self._ended:
            return Availability.END_OF_SPLIT
        if self._socket is None:
            if self._clock() < self._next_attempt:
                return Availability.NOTHING_YET
            self._connect()
        if not self._connected and not self._finish_connect():
            return Availability.NOTHING_YET
        return self._read()

    def split(self) -> Split:
        return self._split

    def fileno(self) -> int | None:
        if self._socket is None or not self._connected:
            return None
        return self._socket.fileno()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        source = self._source
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                source.host, source.port, type=socket.SOCK_STREAM
            )[0]
        except OSError as error:
            raise SocketConnectionError(
                f"the host {source.host} of the socket source is unknown: {error}"
            ) from error
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        code = self._socket.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            self._again(os.strerror(code))

    def _finish_connect(self) -> bool:
        if self._socket is None:
            return False
        _, writable, _ = select.select([], [self._socket], [], 0)
        if not writable:
            return False
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._again(os.strerror(code))
            return False
        self._connected = True
        return True

    def _read(self) -> Batch | Availability:
        assert self._socket is not None
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return Availability.NOTHING_YET
        except OSError as error:
            self._again(error.strerror or str(error))
            return Availability.NOTHING_YET
        if data:
            return self._records(self._decoder.decode(data))
        source = self._source
        if source.max_retry and (source.max_retry < 0 or self._retries < source.max_retry):
            self._again("the server closed the connection")
            return Availability.NOTHING_YET
        self._ended = True
        rest = self._pending + self._decoder.decode(b"", final=True)
        self._pending = ""
        return RowBatch([rest]) if rest else Availability.END_OF_SPLIT

    def _records(self, text: str) -> Batch | Availability:
        delimiter = self._source.delimiter
        *rows, self._pending = (self._pending + text).split(delimiter)
        if delimiter == "\n":
            rows = [row[:-1] if row.endswith("\r") else row for row in rows]
        return RowBatch(rows) if rows else Availability.NOTHING_YET

    def _again(self, reason: str) -> None:
        """Close, and connect later; raises when that was the last attempt."""
        self.close()
        self._connected = False
        source = self._source
        if 0 <= source.max_retry <= self._retries:
            raise SocketConnectionError(
                f"the socket source cannot read from {source.host}:{source.port}: {reason}. Start the server "
                f"first (for instance `nc -lk {source.port}`), or allow retries with max_retry"
            )
        self._retries += 1
        self._next_attempt = self._clock() + RETRY_DELAY
