"""The data connections of one slot worker.

Workers connect in pairs: the producer's worker opens one connection per consumer worker and sends all
channels over it, by Unix socket when both run on one machine. Channels between tasks of one worker never
come here as bytes. A consumer that is not deployed yet has granted no credit, so its producers wait.

A lost connection is reported to the tasks at both ends, which wait a while before they fail: when a worker
dies its own supervisor tells the JobManager first, and that is the root cause to show.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import time
from collections.abc import Callable

from yarnflow.errors import ConfigurationError, ProtocolError
from yarnflow.graph.job_graph import Exchange
from yarnflow.runtime.network.connection import Connection
from yarnflow.runtime.network.framing import Frame, FrameKind
from yarnflow.runtime.network.input import InputChannel, LocalChannel, RemoteChannel
from yarnflow.runtime.network.output import HeldOutput, LocalOutput, OutputChannel, RemoteOutput
from yarnflow.runtime.network.spill import MemoryBudget, SpillingQueue
from yarnflow.runtime.rpc.messages import Channel, DataAddress

log = logging.getLogger(__name__)

#: Bytes of blocking results that a worker keeps in memory before it spills.
HELD_MEMORY = 64 * 1024 * 1024

#: Seconds that a peer may take to prove itself, and how many such peers there may be at once.
HANDSHAKE_TIMEOUT = 10.0
MAX_UNPROVEN = 64

Lost = Callable[[str, str], None]


class DataExchange:
    """Opens and serves the data connections of a worker.

    Args:
        selector: of the worker's loop; registered data is a callable that takes the event mask.
        secret: of the cluster.
        lost: called with a channel id and a reason when a channel's connection has ended.
        spill_directory: where blocking results spill.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        secret: bytes,
        lost: Lost,
        spill_directory: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = DataAddress("", 0, "", "")
        self._selector = selector
        self._secret = secret
        self._lost = lost
        self._spill_directory = spill_directory
        self._clock = clock
        self._held = MemoryBudget(HELD_MEMORY)
        self._stores: list[SpillingQueue] = []
        self._listeners: list[socket.socket] = []
        self._unproven: dict[Connection, float] = {}
        self._incoming: set[Connection] = set()
        self._outgoing: dict[DataAddress, Connection] = {}
        self._inputs: dict[str, InputChannel] = {}
        self._next_number: dict[Connection, int] = {}

    # -- listening -------------------------------------------------------------------------------------------

    def listen(self, host: str, ports: range, socket_path: str, machine_id: str) -> DataAddress:
        """Bind a TCP port of `ports` (range(0, 1): any) and, if `socket_path` is not "", a Unix socket.

        Raises ConfigurationError when no port is free or the host is not one of this machine's.
        """
        tcp = _bind(host, ports)
        self._accept_from(tcp)
        if socket_path:
            unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                unix.bind(socket_path)
                os.chmod(socket_path, 0o600)
                self._accept_from(unix)
            except OSError as error:
                unix.close()
                log.warning("no Unix socket at %s (%s): data goes over TCP", socket_path, error)
                socket_path = ""
        self.address = DataAddress(host, tcp.getsockname()[1], socket_path, machine_id)
        return self.address

    def _accept_from(self, listener: socket.socket) -> None:
        listener.listen(128)
        listener.setblocking(False)
        self._listeners.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, lambda mask: self._accept(listener))

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, peer = listener.accept()
        except OSError:
            return  # the peer has gone again
        if len(self._unproven) >= MAX_UNPROVEN:
            log.warning(
                "refused a data connection from %s: %d others have not proved themselves", peer, MAX_UNPROVEN
            )
            sock.close()
            return
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = str(peer[0]) if isinstance(peer, tuple) else "this machine"
        connection = Connection(
            sock, self._selector, self._secret, True, self._received, self._incoming_lost, name
        )
        self._unproven[connection] = self._clock() + HANDSHAKE_TIMEOUT
        self._incoming.add(connection)

    def tick(self, now: float) -> None:
        """Drop peers that did not prove themselves in time."""
        for connection, deadline in list(self._unproven.items()):
            if connection.authenticated or connection.closed:
                del self._unproven[connection]
            elif now >= deadline:
                log.warning(
                    "refused a data connection from %s: no proof within %g s",
                    connection.name,
                    HANDSHAKE_TIMEOUT,
                )
                connection.close()
                self._incoming.discard(connection)
                del self._unproven[connection]

    # -- channels --------------------------------------------------------------------------------------------

    def open_input(self, channel: Channel, window: int) -> InputChannel:
        """The consumer's end of a channel; `window` bounds the bytes under way when it is remote."""
        known = self._inputs.get(channel.channel_id)
        if known is not None:
            return known
        if channel.peer == self.address:
            return self._local(channel.channel_id)
        remote = RemoteChannel(channel.channel_id, window)
        self._inputs[channel.channel_id] = remote
        for connection in self._incoming:
            number = connection.waiting.pop(channel.channel_id, None)
            if number is not None:
                connection.inputs[number] = remote
                remote.bind(connection, number)
        return remote

    def open_output(self, channel: Channel, exchange: Exchange) -> OutputChannel:
        """The producer's end of a channel."""
        blocking = exchange is Exchange.BLOCKING
        if channel.peer == self.address:
            local = self._local(channel.channel_id)
            return HeldOutput(channel.channel_id, self._store(), None, local) if blocking else LocalOutput(local)
        connection = self._connect(channel.peer)
        number = self._next_number[connection]
        self._next_number[connection] = number + 1
        remote = RemoteOutput(channel.channel_id, connection, number)
        output: RemoteOutput | HeldOutput = remote
        if blocking:
            output = HeldOutput(channel.channel_id, self._store(), remote, None)
        connection.outputs[number] = output
        connection.send(number, FrameKind.OPEN, 0, channel.channel_id.encode())
        return output

    def close_input(self, channel: InputChannel) -> None:
        """The consumer has ended: forget the channel; what still arrives for it is dropped."""
        self._inputs.pop(channel.channel_id, None)
        for connection in self._incoming:
            for number, known in connection.inputs.items():
                if known is channel:
                    connection.inputs[number] = None

    def close(self) -> None:
        """Close all sockets and forget held results."""
        for connection in [*self._incoming, *self._outgoing.values()]:
            connection.close()
        for store in self._stores:
            store.close()
        for listener in self._listeners:
            self._selector.unregister(listener)
            listener.close()
        if self.address.socket_path and os.path.exists(self.address.socket_path):
            os.unlink(self.address.socket_path)
        self._listeners.clear()

    def _local(self, channel_id: str) -> LocalChannel:
        channel = self._inputs.setdefault(channel_id, LocalChannel(channel_id))
        assert isinstance(channel, LocalChannel)
        return channel

    def _store(self) -> SpillingQueue:
        store = SpillingQueue(self._held, self._spill_directory())
        self._stores.append(store)
        return store

    # -- connections -----------------------------------------------------------------------------------------

    def _connect(self, peer: DataAddress) -> Connection:
        connection = self._outgoing.get(peer)
        if connection is not None and not connection.closed:
            return connection
        connection = Connection(
            _dial(peer, self.address.machine_id),
            self._selector,
            self._secret,
            False,
            self._received,
            self._outgoing_lost,
            f"{peer.host}:{peer.port}",
        )
        self._outgoing[peer] = connection
        self._next_number[connection] = 1
        return connection

    def _received(self, connection: Connection, frame: Frame) -> None:
        number, kind = frame.channel, frame.kind
        if kind is FrameKind.CREDIT:
            output = connection.outputs.get(number)
            if output is None:
                raise ProtocolError(f"credit for channel {number}, which was never opened")
            output.granted(frame.records)
        elif kind is FrameKind.OPEN:
            self._opened(connection, number, frame.payload.decode("utf-8", "replace"))
        elif number not in connection.inputs:
            raise ProtocolError(f"data for channel {number}, which was never opened or has no credit")
        elif kind is FrameKind.CLOSE:
            connection.inputs[number] = None
            connection.waiting = {key: value for key, value in connection.waiting.items() if value != number}
        else:
            channel = connection.inputs[number]
            if channel is not None:
                channel.received(frame)

    def _opened(self, connection: Connection, number: int, channel_id: str) -> None:
        channel = self._inputs.get(channel_id)
        if isinstance(channel, RemoteChannel):
            connection.inputs[number] = channel
            channel.bind(connection, number)
        else:
            connection.inputs[number] = None
            connection.waiting[channel_id] = number

    def _incoming_lost(self, connection: Connection, reason: str) -> None:
        self._incoming.discard(connection)
        self._unproven.pop(connection, None)
        for channel in connection.inputs.values():
            if channel is not None and not channel.ended:
                self._lost(channel.channel_id, f"data connection from {connection.name}: {reason}")

    def _outgoing_lost(self, connection: Connection, reason: str) -> None:
        self._next_number.pop(connection, None)
        for output in connection.outputs.values():
            self._lost(output.channel_id, f"data connection to {connection.name}: {reason}")


def _bind(host: str, ports: range) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    problem: OSError | None = None
    for port in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            return listener
        except OSError as error:
            listener.close()
            problem = error
    raise ConfigurationError(
        f"cannot listen for data at {host}, ports {ports.start}-{ports.stop - 1}: {problem}. Set "
        "taskmanager.host to an address of this machine and taskmanager.data.port to free ports"
    )


def _dial(peer: DataAddress, machine_id: str) -> socket.socket:
    """A socket that connects, or will, to the peer. Raises OSError when that can be told at once."""
    if peer.socket_path and machine_id and peer.machine_id == machine_id:
        unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            unix.connect(peer.socket_path)  # immediate: the backlog takes it or not
            return unix
        except OSError as error:
            unix.close()
            log.info("Unix socket %s: %s; using TCP", peer.socket_path, error)
    family = socket.AF_INET6 if ":" in peer.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect_ex((peer.host, peer.port))
    return sock
