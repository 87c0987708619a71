"""Both ends prove that they know the secret, or nothing further is read."""

from __future__ import annotations

import pytest

from yarnflow.errors import ProtocolError
from yarnflow.runtime.network.handshake import MAGIC, Handshake


def _talk(client: Handshake, server: Handshake, extra: bytes = b"") -> None:
    to_server = client.start()
    to_client = server.feed(to_server)
    to_server = client.feed(to_client)
    assert server.feed(to_server + extra) == b""


def test_two_ends_with_the_secret_accept_each_other_and_keep_what_follows() -> None:
    client, server = Handshake(b"secret", server=False), Handshake(b"secret", server=True)
    _talk(client, server, extra=b"frames")
    assert client.done
    assert server.done
    assert server.rest == b"frames"
    assert client.rest == b""


def test_the_handshake_works_byte_by_byte() -> None:
    client, server = Handshake(b"secret", server=False), Handshake(b"secret", server=True)
    to_client = b"".join(server.feed(bytes([byte])) for byte in client.start())
    to_server = b"".join(client.feed(bytes([byte])) for byte in to_client)
    for byte in to_server:
        assert server.feed(bytes([byte])) == b""
    assert client.done
    assert server.done


def test_a_client_without_the_secret_is_refused() -> None:
    client, server = Handshake(b"wrong", server=False), Handshake(b"secret", server=True)
    to_client = server.feed(client.start())
    with pytest.raises(ProtocolError, match="secret"):
        client.feed(to_client)
    with pytest.raises(ProtocolError, match="secret"):
        server.feed(bytes(32))
    assert not server.done


def test_a_proof_cannot_be_sent_back_to_its_maker() -> None:
    server = Handshake(b"secret", server=True)
    answer = server.feed(MAGIC + bytes(32))
    with pytest.raises(ProtocolError, match="secret"):
        server.feed(answer[-32:])


def test_strangers_are_refused_at_their_first_bytes() -> None:
    with pytest.raises(ProtocolError, match="not a data connection"):
        Handshake(b"secret", server=True).feed(b"GET / HTTP/1.1\r\n")
