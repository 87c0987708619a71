"""The JobManager's end of the channel over gRPC.

One bidirectional stream per TaskManager carries the frames of codec.py after the handshake of
authentication.py; a second method streams blobs to peers that hold the stream's session token. A stream that
ends, for whatever reason, is reported to its receiver at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from yarnflow.errors import ClusterError, ProtocolError
from yarnflow.runtime.rpc import authentication, codec
from yarnflow.runtime.rpc.channel import Accept, Connection, FindBlob
from yarnflow.runtime.rpc.grpc_common import (
    BLOB_PIECE,
    FETCH_BLOB,
    OPTIONS,
    SERVICE,
    SESSION_KEY,
    TALK,
    identity,
)
from yarnflow.runtime.rpc.messages import Message

logger = logging.getLogger(__name__)

#: Seconds a peer has for its handshake.
HANDSHAKE_TIMEOUT = 10.0


class _ServerConnection(Connection):
    def __init__(self, epoch: int, peer: str) -> None:
        super().__init__(epoch, peer)
        # None ends the stream.
        self.outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.close_reason = ""
        self.done = asyncio.Event()

    def _transmit(self, epoch: int, message: Message) -> None:
        self.outgoing.put_nowait(codec.encode(epoch, message))

    async def close(self, reason: str) -> None:
        if not self.is_closed:
            self.close_reason = self.close_reason or reason
            self.outgoing.put_nowait(None)
            await self.done.wait()

    def deliver_frame(self, frame: bytes) -> None:
        self._deliver(*codec.decode(frame))

    def report_closed(self, reason: str) -> None:
        self._report_closed(reason)
        self.done.set()


class GrpcServer:
    """RpcServer over gRPC.

    Args:
        secret: of the cluster.
        epoch: of this leader.
        bind_host: address to bind, "" or "0.0.0.0" for all interfaces.
        bind_port: 0 for any.
        advertised_host: what TaskManagers are told.
        credentials: grpc.ServerCredentials for TLS, or None for plain TCP.
    """

    def __init__(
        self,
        secret: bytes,
        epoch: int,
        bind_host: str,
        bind_port: int,
        advertised_host: str,
        credentials: Any = None,
    ) -> None:
        self._secret = secret
        self._epoch = epoch
        self._bind = f"{bind_host or '0.0.0.0'}:{bind_port}"  # noqa: S104  all interfaces is Flink's default
        self._advertised_host = advertised_host
        self._credentials = credentials
        self._port = 0
        self._accept: Accept | None = None
        self._find_blob: FindBlob | None = None
        self._server: Any = None
        self._connections: set[_ServerConnection] = set()
        self._sessions: set[str] = set()

    @property
    def address(self) -> str:
        return f"{self._advertised_host}:{self._port}"

    @property
    def port(self) -> int:
        """The bound port."""
        return self._port

    async def start(self, accept: Accept, find_blob: FindBlob) -> None:
        """Bind and begin to accept. Raises ClusterError when the port is taken."""
        self._accept, self._find_blob = accept, find_blob
        self._server = grpc.aio.server(options=OPTIONS)
        handlers = {
            TALK: grpc.stream_stream_rpc_method_handler(
                self._talk, request_deserializer=identity, response_serializer=identity
            ),
            FETCH_BLOB: grpc.unary_stream_rpc_method_handler(
                self._fetch_blob, request_deserializer=identity, response_serializer=identity
            ),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        try:
            if self._credentials is None:
                self._port = self._server.add_insecure_port(self._bind)
            else:
                self._port = self._server.add_secure_port(self._bind, self._credentials)
        except RuntimeError as error:
            raise ClusterError(
                # What gRPC says is how to make it say more.
                f"the JobManager cannot listen on {self._bind}: is the port taken, or the address not this "
                "host's? Set jobmanager.rpc.port (0 for any) and jobmanager.bind-host"
            ) from error
        await self._server.start()

    async def stop(self) -> None:
        await asyncio.gather(*(connection.close("the JobManager stops") for connection in self._connections))
        if self._server is not None:
            await self._server.stop(grace=0.2)

    async def _talk(self, _requests: Any, context: Any) -> None:
        peer = str(context.peer())
        try:
            session = await asyncio.wait_for(self._authenticate(context), HANDSHAKE_TIMEOUT)
        except asyncio.TimeoutError:
            logger.warning("%s connected and did not finish its handshake", peer)
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no handshake in time")
        except ProtocolError as error:
            logger.warning("refused a connection from %s: %s", peer, error)
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        connection = _ServerConnection(self._epoch, peer)
        assert self._accept is not None
        connection.bind(self._accept(connection))
        self._connections.add(connection)
        self._sessions.add(session)
        reason = "the TaskManager closed the connection"
        try:
            reason = await self._pump(connection, context) or reason
        except ProtocolError as error:
            reason = str(error)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
        except (grpc.RpcError, asyncio.CancelledError) as error:
            # gRPC cancels the handler when the TCP connection breaks.
            reason = connection.close_reason or f"the connection broke ({type(error).__name__})"
            raise
        finally:
            self._sessions.discard(session)
            self._connections.discard(connection)
            connection.report_closed(reason)

    async def _authenticate(self, context: Any) -> str:
        hello = await self._read_frame(context)
        answer = authentication.server_hello(self._secret, self._epoch, hello)
        await context.write(answer)
        authentication.check_client(self._secret, hello, answer, await self._read_frame(context))
        return authentication.session_token(self._secret, hello, answer)

    @staticmethod
    async def _read_frame(context: Any) -> bytes:
        frame = await context.read()
        if not isinstance(frame, bytes):
            raise ProtocolError("the peer left during its handshake")
        return frame

    async def _pump(self, connection: _ServerConnection, context: Any) -> str:
        """Move frames both ways until one side ends; returns the reason if this side did."""
        writer = asyncio.ensure_future(self._write(connection, context))
        reader = asyncio.ensure_future(self._read(connection, context))
        try:
            done, _ = await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            return connection.close_reason if writer in done else ""
        finally:
            for task in (writer, reader):
                task.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)

    @staticmethod
    async def _write(connection: _ServerConnection, context: Any) -> None:
        while (frame := await connection.outgoing.get()) is not None:
            await context.write(frame)

    @staticmethod
    async def _read(connection: _ServerConnection, context: Any) -> None:
        while (frame := await context.read()) is not grpc.aio.EOF:
            connection.deliver_frame(frame)

    async def _fetch_blob(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        offered = dict(context.invocation_metadata()).get(SESSION_KEY, "")
        if offered not in self._sessions:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, authentication.REFUSED)
        sha256 = request.decode("ascii", "replace")
        assert self._find_blob is not None
        path = self._find_blob(sha256)
        if path is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no blob {sha256}")
        assert path is not None
        loop = asyncio.get_running_loop()
        with await loop.run_in_executor(None, path.open, "rb") as file:
            while piece := await loop.run_in_executor(None, file.read, BLOB_PIECE):
                yield piece
