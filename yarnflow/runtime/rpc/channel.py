"""The channel between the JobManager and one TaskManager: what both transports have in common.

    in_process.py      both ends in one event loop (MiniCluster); loads no gRPC
    grpc_server.py     the JobManager's end of real clusters
    grpc_client.py     the TaskManager's end

A `Connection` is one end. `send` never blocks; what arrives goes to a `Receiver`, in order, on the event loop;
`closed` comes exactly once, as soon as the connection is gone. Fencing happens here: every message
carries the leader's epoch, and one with another epoch than the connection's is refused, so handlers never
see a message from or for a leader of the past.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from yarnflow.runtime.rpc.messages import Message

logger = logging.getLogger(__name__)


class Receiver(Protocol):
    """Who gets what arrives. Both methods are called on the event loop and must not block."""

    def received(self, message: Message) -> None:
        """One message, in the order in which the peer sent it."""

    def closed(self, reason: str) -> None:
        """The connection is gone, for whatever reason. Called exactly once; nothing follows."""


Accept = Callable[["Connection"], Receiver]
#: Finds the file of a blob by its sha256, or None.
FindBlob = Callable[[str], "Path | None"]


class Connection(ABC):
    """One end of a channel.

    Attributes:
        epoch: of the leader at the JobManager's end.
        peer: the other end, as shown in logs and views.
        refused: messages that were refused because of their epoch.
    """

    def __init__(self, epoch: int, peer: str) -> None:
        self.epoch = epoch
        self.peer = peer
        self.refused = 0
        self._receiver: Receiver | None = None
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """True once `closed` was or is about to be reported."""
        return self._closed

    def bind(self, receiver: Receiver) -> None:
        """Name the receiver; done by the transport before anything is delivered."""
        self._receiver = receiver

    def send(self, message: Message) -> None:
        """Queue a message. What is sent on a closed connection is dropped: `closed` tells."""
        if not self._closed:
            self._transmit(self.epoch, message)

    @abstractmethod
    def _transmit(self, epoch: int, message: Message) -> None:
        """Hand the envelope to the transport, without blocking."""

    @abstractmethod
    async def close(self, reason: str) -> None:
        """Send what is queued, then end the connection; both ends see `closed`."""

    async def fetch_blob(self, sha256: str, target: Path) -> None:
        """Write the blob's content to `target` (TaskManager's end only).

        Raises ClusterError when the JobManager has no such blob or the connection is lost.
        """
        raise NotImplementedError("the JobManager does not fetch blobs from TaskManagers")

    def _deliver(self, epoch: int, message: Message) -> None:
        if self._closed or self._receiver is None:
            return
        if epoch != self.epoch:
            self.refused += 1
            logger.warning(
                "refused %s from %s: it carries epoch %d, the leader's is %d",
                type(message).__name__,
                self.peer,
                epoch,
                self.epoch,
            )
            return
        self._receiver.received(message)

    def _report_closed(self, reason: str) -> None:
        if not self._closed:
            self._closed = True
            if self._receiver is not None:
                self._receiver.closed(reason)


class RpcServer(Protocol):
    """The JobManager's side of a transport."""

    async def start(self, accept: Accept, find_blob: FindBlob) -> None:
        """Begin to accept; `accept` is called for each authenticated TaskManager connection."""

    @property
    def address(self) -> str:
        """Where TaskManagers reach it: "host:port", or "in-process"."""

    async def stop(self) -> None:
        """Close every connection and stop listening."""


class Connector(Protocol):
    """The TaskManager's side of a transport: how to reach the leader."""

    async def connect(self, accept: Accept, minimum_epoch: int = 0) -> Connection:
        """Connect to the leader.

        Raises ClusterUnreachableError when nobody answers, ProtocolError when the peer does not know the
        cluster's secret, or leads an epoch before `minimum_epoch`.
        """
