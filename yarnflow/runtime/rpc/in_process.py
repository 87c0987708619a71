"""The channel inside one event loop: JobManager and supervisor of a MiniCluster.

Same contract as gRPC (one test suite runs on both) without pickling, sockets or imports that cost time.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from yarnflow.errors import ClusterError, ClusterUnreachableError, ProtocolError
from yarnflow.runtime.rpc.channel import Accept, Connection, FindBlob
from yarnflow.runtime.rpc.messages import Message


class _InProcessConnection(Connection):
    def __init__(self, epoch: int, peer: str, hub: InProcessHub) -> None:
        super().__init__(epoch, peer)
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self.other: _InProcessConnection

    def _transmit(self, epoch: int, message: Message) -> None:
        # Through the loop and not by a call, so that neither side is entered from within its own handler.
        self._loop.call_soon(self.other._deliver, epoch, message)

    async def close(self, reason: str) -> None:
        for end in (self, self.other):
            if not end.is_closed:
                self._loop.call_soon(end._report_closed, reason)
        # call_soon is first in, first out: after one more turn both ends have seen it.
        await asyncio.sleep(0)

    async def fetch_blob(self, sha256: str, target: Path) -> None:
        source = self._hub.find_blob(sha256)
        if source is None:
            raise ClusterError(f"the JobManager has no blob {sha256}: submit the job again")
        await asyncio.get_running_loop().run_in_executor(None, shutil.copyfile, source, target)


class InProcessHub:
    """RpcServer and Connector at once.

    Args:
        epoch: of the JobManager.
    """

    def __init__(self, epoch: int = 1) -> None:
        self._epoch = epoch
        self._accept: Accept | None = None
        self._find_blob: FindBlob | None = None
        self._connections: set[_InProcessConnection] = set()

    @property
    def address(self) -> str:
        return "in-process"

    async def start(self, accept: Accept, find_blob: FindBlob) -> None:
        self._accept, self._find_blob = accept, find_blob

    def find_blob(self, sha256: str) -> Path | None:
        return self._find_blob(sha256) if self._find_blob is not None else None

    async def connect(self, accept: Accept, minimum_epoch: int = 0) -> Connection:
        if self._accept is None:
            raise ClusterUnreachableError("the JobManager of this process does not run")
        if self._epoch < minimum_epoch:
            raise ProtocolError(
                f"the JobManager leads epoch {self._epoch}, but epoch {minimum_epoch} was seen already"
            )
        server_end = _InProcessConnection(self._epoch, "in-process", self)
        client_end = _InProcessConnection(self._epoch, "in-process", self)
        server_end.other, client_end.other = client_end, server_end
        client_end.bind(accept(client_end))
        server_end.bind(self._accept(server_end))
        self._connections = {end for end in self._connections if not end.is_closed} | {server_end}
        return client_end

    async def stop(self) -> None:
        self._accept = None
        for connection in list(self._connections):
            await connection.close("the JobManager has stopped")
        self._connections.clear()
