"""Mutual proof of the cluster's secret when a TaskManager connects.

    client -> server   MAGIC, 32 random bytes C
    server -> client   MAGIC, 32 random bytes S, epoch (8 bytes), HMAC-SHA256(secret, "server" C S epoch)
    client -> server   HMAC-SHA256(secret, "client" C S epoch)

The secret never travels, nothing is unpickled before both ends are sure, and a recorded exchange cannot be
replayed. Pure functions: the transport moves the frames.
"""

from __future__ import annotations

import hmac
import os
from hashlib import sha256

from yarnflow.errors import ProtocolError

MAGIC = b"YFR1"
_NONCE = 32
_EPOCH = 8
_PROOF = sha256().digest_size
#: What the refused side says. It does not tell which part was wrong.
REFUSED = "the peer does not know this cluster's secret"


def _mac(secret: bytes, role: bytes, nonces: bytes) -> bytes:
    return hmac.new(secret, role + nonces, sha256).digest()


def client_hello() -> bytes:
    """The client's first frame."""
    return MAGIC + os.urandom(_NONCE)


def server_hello(secret: bytes, epoch: int, hello: bytes) -> bytes:
    """The server's answer to a client's first frame. Raises ProtocolError when it is not one."""
    if len(hello) != len(MAGIC) + _NONCE or not hello.startswith(MAGIC):
        raise ProtocolError("this is not a connection of a yarnflow TaskManager")
    challenge = os.urandom(_NONCE) + epoch.to_bytes(_EPOCH, "big")
    return MAGIC + challenge + _mac(secret, b"server", hello[len(MAGIC) :] + challenge)


def client_proof(secret: bytes, hello: bytes, answer: bytes) -> tuple[bytes, int]:
    """The client's second frame and the leader's epoch. Raises ProtocolError when the server is refused."""
    if len(answer) != len(MAGIC) + _NONCE + _EPOCH + _PROOF or not answer.startswith(MAGIC):
        raise ProtocolError("this is not a JobManager of yarnflow")
    challenge, proof = answer[len(MAGIC) : -_PROOF], answer[-_PROOF:]
    nonces = hello[len(MAGIC) :] + challenge
    if not hmac.compare_digest(proof, _mac(secret, b"server", nonces)):
        raise ProtocolError(REFUSED)
    return _mac(secret, b"client", nonces), int.from_bytes(challenge[-_EPOCH:], "big")


def check_client(secret: bytes, hello: bytes, answer: bytes, proof: bytes) -> None:
    """Raise ProtocolError unless `proof` is what a client that knows the secret would say."""
    nonces = hello[len(MAGIC) :] + answer[len(MAGIC) : -_PROOF]
    if not hmac.compare_digest(proof, _mac(secret, b"client", nonces)):
        raise ProtocolError(REFUSED)


def session_token(secret: bytes, hello: bytes, answer: bytes) -> str:
    """Authorises this connection's side calls (blobs): known to both ends, sent by neither before."""
    return _mac(secret, b"session", hello[len(MAGIC) :] + answer[len(MAGIC) : -_PROOF]).hex()
