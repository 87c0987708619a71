"""The TaskManager's end of the channel over gRPC; see grpc_server.py."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from yarnflow.errors import ClusterError, ClusterUnreachableError, ProtocolError
from yarnflow.runtime.rpc import authentication, codec
from yarnflow.runtime.rpc.channel import Accept, Connection
from yarnflow.runtime.rpc.grpc_common import FETCH_BLOB, OPTIONS, SERVICE, SESSION_KEY, TALK, identity
from yarnflow.runtime.rpc.messages import Message

logger = logging.getLogger(__name__)

#: Seconds for TCP, HTTP/2 and the handshake.
CONNECT_TIMEOUT = 10.0


class _ClientConnection(Connection):
    def __init__(self, epoch: int, address: str, channel: Any, call: Any, session: str) -> None:
        super().__init__(epoch, address)
        self._channel = channel
        self._call = call
        self._session = session
        self._outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._close_reason = ""
        self._done = asyncio.Event()

    def run(self) -> None:
        """Begin to move frames."""
        self._task = asyncio.ensure_future(self._pump())

    def _transmit(self, epoch: int, message: Message) -> None:
        self._outgoing.put_nowait(codec.encode(epoch, message))

    async def close(self, reason: str) -> None:
        if not self.is_closed:
            self._close_reason = self._close_reason or reason
            self._outgoing.put_nowait(None)
        await self._done.wait()

    async def fetch_blob(self, sha256: str, target: Path) -> None:
        fetch = self._channel.unary_stream(
            f"/{SERVICE}/{FETCH_BLOB}", request_serializer=identity, response_deserializer=identity
        )
        loop = asyncio.get_running_loop()
        try:
            with await loop.run_in_executor(None, target.open, "wb") as file:
                async for piece in fetch(sha256.encode("ascii"), metadata=((SESSION_KEY, self._session),)):
                    await loop.run_in_executor(None, file.write, piece)
        except grpc.aio.AioRpcError as error:
            raise ClusterError(
                f"blob {sha256} could not be fetched from the JobManager at {self.peer}: {error.details()}"
            ) from error

    async def _pump(self) -> None:
        writer = asyncio.ensure_future(self._write())
        reader = asyncio.ensure_future(self._read())
        reason = "the JobManager closed the connection"
        try:
            done, _ = await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            reason = self._close_reason or reason
            if writer in done:
                # Wait for the server to end its half: then everything that was sent has been read.
                await asyncio.wait((reader,), timeout=1.0)
        except ProtocolError as error:
            reason = str(error)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            reason = await self._why()
        finally:
            for task in (writer, reader):
                task.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)
            self._report_closed(reason)
            self._done.set()
            await self._channel.close()

    async def _write(self) -> None:
        while (frame := await self._outgoing.get()) is not None:
            await self._call.write(frame)
        await self._call.done_writing()

    async def _read(self) -> None:
        while (frame := await self._call.read()) is not grpc.aio.EOF:
            self._deliver(*codec.decode(frame))
        # EOF also stands for a broken stream; the status tells.
        if await self._call.code() is not grpc.StatusCode.OK:
            raise ProtocolError(await self._why())

    async def _why(self) -> str:
        """The status with which the stream ended."""
        return (
            f"the connection to the JobManager at {self.peer} ended with {(await self._call.code()).name}: "
            f"{await self._call.details()}"
        )


class GrpcConnector:
    """Connector over gRPC.

    Args:
        address: "host:port" of the leader.
        secret: of the cluster.
        credentials: grpc.ChannelCredentials for TLS, or None.
    """

    def __init__(self, address: str, secret: bytes, credentials: Any = None) -> None:
        self._address = address
        self._secret = secret
        self._credentials = credentials

    async def connect(self, accept: Accept, minimum_epoch: int = 0) -> Connection:
        if self._credentials is None:
            channel = grpc.aio.insecure_channel(self._address, options=OPTIONS)
        else:
            channel = grpc.aio.secure_channel(self._address, self._credentials, options=OPTIONS)
        try:
            connection = await asyncio.wait_for(self._open(channel, minimum_epoch), CONNECT_TIMEOUT)
        except asyncio.TimeoutError:
            await channel.close()
            raise ClusterUnreachableError(
                f"the JobManager at {self._address} did not answer within {CONNECT_TIMEOUT:.0f} s"
            ) from None
        except grpc.aio.AioRpcError as error:
            await channel.close()
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise ProtocolError(
                    f"the JobManager at {self._address} refused this TaskManager: {error.details()}"
                ) from error
            raise ClusterUnreachableError(
                f"the JobManager at {self._address} cannot be reached: {error.details()}"
            ) from error
        except BaseException:
            await channel.close()
            raise
        connection.bind(accept(connection))
        connection.run()
        return connection

    async def _open(self, channel: Any, minimum_epoch: int) -> _ClientConnection:
        call = channel.stream_stream(
            f"/{SERVICE}/{TALK}", request_serializer=identity, response_deserializer=identity
        )()
        hello = authentication.client_hello()
        await call.write(hello)
        answer = await call.read()
        if not isinstance(answer, bytes):
            code, details = await call.code(), await call.details()
            if code is grpc.StatusCode.UNAVAILABLE:
                raise ClusterUnreachableError(f"the JobManager at {self._address} cannot be reached: {details}")
            raise ProtocolError(f"the JobManager at {self._address} refused this TaskManager: {details}")
        proof, epoch = authentication.client_proof(self._secret, hello, answer)
        if epoch < minimum_epoch:
            raise ProtocolError(
                f"the JobManager at {self._address} leads epoch {epoch}, "
                f"but epoch {minimum_epoch} was seen already"
            )
        await call.write(proof)
        return _ClientConnection(
            epoch, self._address, channel, call, authentication.session_token(self._secret, hello, answer)
        )
