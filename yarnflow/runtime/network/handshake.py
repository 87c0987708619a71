"""Mutual proof of the cluster's secret at the start of a data connection.

    client -> server   MAGIC, 32 random bytes C
    server -> client   MAGIC, 32 random bytes S, HMAC-SHA256(secret, "server" C S)
    client -> server   HMAC-SHA256(secret, "client" C S)

Every message has a fixed length, nothing is unpickled before the proof, and the secret never travels.
The machines below hold no socket: bytes in, bytes out.
"""

from __future__ import annotations

import hmac
import os
from hashlib import sha256

from yarnflow.errors import ProtocolError

MAGIC = b"YFX1"
_NONCE = 32
_PROOF = sha256().digest_size
_REFUSED = "the peer does not know this cluster's secret"


def _proof(secret: bytes, role: bytes, client: bytes, server: bytes) -> bytes:
    return hmac.new(secret, role + client + server, sha256).digest()


class Handshake:
    """One end of the handshake.

    Attributes:
        done: True when the peer has proved itself; `rest` then holds what followed the handshake.
    """

    def __init__(self, secret: bytes, server: bool) -> None:
        self._secret = secret
        self._server = server
        self._mine = os.urandom(_NONCE)
        self._theirs = b""
        self._received = bytearray()
        self.done = False

    def start(self) -> bytes:
        """What to send first."""
        return b"" if self._server else MAGIC + self._mine

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take received bytes; return what to send. Raises ProtocolError when the peer is refused."""
        self._received += data
        if not self._theirs and not self._received.startswith(MAGIC[: len(self._received)]):
            raise ProtocolError("this is not a data connection of yarnflow")
        return self._feed_server() if self._server else self._feed_client()

    @property
    def rest(self) -> bytes:
        """Bytes after the handshake."""
        return bytes(self._received)

    def _take(self, length: int) -> bytes | None:
        if len(self._received) < length:
            return None
        taken = bytes(self._received[:length])
        del self._received[:length]
        return taken

    def _feed_server(self) -> bytes:
        answer = b""
        if not self._theirs:
            hello = self._take(len(MAGIC) + _NONCE)
            if hello is None:
                return b""
            self._theirs = hello[len(MAGIC) :]
            answer = MAGIC + self._mine + _proof(self._secret, b"server", self._theirs, self._mine)
        proof = self._take(_PROOF)
        if proof is not None:
            if not hmac.compare_digest(proof, _proof(self._secret, b"client", self._theirs, self._mine)):
                raise ProtocolError(_REFUSED)
            self.done = True
        return answer

    def _feed_client(self) -> bytes:
        hello = self._take(len(MAGIC) + _NONCE + _PROOF)
        if hello is None:
            return b""
        nonce, proof = hello[len(MAGIC) : len(MAGIC) + _NONCE], hello[len(MAGIC) + _NONCE :]
        if not hmac.compare_digest(proof, _proof(self._secret, b"server", self._mine, nonce)):
            raise ProtocolError(_REFUSED)
        self.done = True
        return _proof(self._secret, b"client", self._mine, nonce)
