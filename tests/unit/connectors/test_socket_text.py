"""SocketTextSource, against a server in the same process."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

import pytest

from yarnflow.errors import ConfigurationError
from yarnflow.functions.batch import RowBatch
from yarnflow.functions.connectors.socket_text import SocketConnectionError, SocketTextSource
from yarnflow.functions.source import Availability, SplitReader

DEADLINE = 10.0


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(DEADLINE)
        yield listening


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def poll(reader: SplitReader) -> RowBatch | Availability:
    """Poll until there is something, waiting as a task does."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        result = reader.poll()
        if result is not Availability.NOTHING_YET:
            assert isinstance(result, (RowBatch, Availability))
            return result
        descriptor = reader.fileno()
        select.select(
            [] if descriptor is None else [descriptor], [], [], 0.005 if descriptor is None else DEADLINE
        )
    raise AssertionError("nothing came")


def lines(reader: SplitReader, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        result = poll(reader)
        assert isinstance(result, RowBatch)
        found += result.rows
    return found


def test_reads_lines_until_the_server_closes(server: socket.socket) -> None:
    source = SocketTextSource("127.0.0.1", port_of(server))
    assert not source.bounded
    (split,) = source.splits(4)
    reader = source.open(split)
    assert reader.poll() in (Availability.NOTHING_YET,)
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"one\ntw")
        assert lines(reader, 1) == ["one"]
        assert reader.poll() is Availability.NOTHING_YET
        connection.sendall(b"o\r\n\xc3")
        assert lines(reader, 1) == ["two"]
        connection.sendall(b"\xa9\n\nrest")
        assert lines(reader, 2) == ["é", ""]
    assert lines(reader, 1) == ["rest"]
    assert poll(reader) is Availability.END_OF_SPLIT
    reader.close()


def test_another_delimiter(server: socket.socket) -> None:
    source = SocketTextSource("127.0.0.1", port_of(server), delimiter="||")
    reader = source.open(source.splits(1)[0])
    reader.poll()
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"a\r||b|")
        assert lines(reader, 1) == ["a\r"]
        connection.sendall(b"|")
        assert lines(reader, 1) == ["b|".removesuffix("|")]
    reader.close()


def test_connects_again_when_retries_are_allowed(server: socket.socket) -> None:
    source = SocketTextSource("127.0.0.1", port_of(server), max_retry=1)
    reader = source.open(source.splits(1)[0])
    reader.poll()
    for number in range(2):
        connection, _ = _accept_while_polling(server, reader) if number else server.accept()
        with connection:
            connection.sendall(f"{number}\n".encode())
            assert lines(reader, 1) == [str(number)]
    assert poll(reader) is Availability.END_OF_SPLIT
    reader.close()


def _accept_while_polling(server: socket.socket, reader: SplitReader) -> tuple[socket.socket, object]:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        assert reader.poll() is Availability.NOTHING_YET
        if select.select([server], [], [], 0.01)[0]:
            return server.accept()
    raise AssertionError("the reader did not connect again")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = port_of(gone)
    source = SocketTextSource("127.0.0.1", port)
    reader = source.open(source.splits(1)[0])
    with pytest.raises(SocketConnectionError, match=f"127.0.0.1:{port}.*refused.*Start the server"):
        poll(reader)
    reader.close()


@pytest.mark.parametrize("arguments", [("h", 0), ("h", 70000), ("h", 1, ""), ("h", 1, "\n", -2)])
def test_arguments_are_checked(arguments: tuple[object, ...]) -> None:
    with pytest.raises(ConfigurationError):
        SocketTextSource(*arguments)  # type: ignore[arg-type]
