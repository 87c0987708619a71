"""A process that is a TaskManager: the coroutine that container/ and `yarnflow taskmanager` run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from yarnflow.config.configuration import Configuration
from yarnflow.config.core import CoreOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.errors import ClusterUnreachableError
from yarnflow.runtime.rpc.channel import Accept, Connection
from yarnflow.runtime.taskmanager.supervisor import Supervisor, TaskManagerIdentity, TaskManagerServices

logger = logging.getLogger(__name__)

#: Finds the leading JobManager's "host:port", or raises ClusterUnreachableError when there is none now.
FindLeader = Callable[[], Awaitable[str]]
#: Hears once how the first attempt to reach the JobManager went: "" for well, else why not.
Contacted = Callable[[str], None]


class _LeaderConnector:
    """Connects to whoever leads now."""

    def __init__(
        self, find_leader: FindLeader, secret: bytes, credentials: Any, contacted: Contacted | None
    ) -> None:
        self._find_leader = find_leader
        self._secret = secret
        self._credentials = credentials
        self._contacted = contacted

    async def connect(self, accept: Accept, minimum_epoch: int = 0) -> Connection:
        # gRPC takes 100 ms to import; the workers have been started by now and use the time.
        from yarnflow.runtime.rpc.grpc_client import GrpcConnector

        try:
            address = await self._find_leader()
            connector = GrpcConnector(address, self._secret, self._credentials)
            connection = await connector.connect(accept, minimum_epoch)
        except ClusterUnreachableError as error:
            self._tell(str(error))
            raise
        self._tell("")
        return connection

    def _tell(self, problem: str) -> None:
        contacted, self._contacted = self._contacted, None
        if contacted is not None:
            contacted(problem)


async def run_task_manager(
    config: Configuration,
    find_leader: FindLeader,
    secret: bytes,
    *,
    taskmanager_id: str | None = None,
    host: str | None = None,
    slots: int | None = None,
    root: Path | None = None,
    log_directory: Path | None = None,
    credentials: Any = None,
    contacted: Contacted | None = None,
) -> str:
    """Run a TaskManager until the JobManager or a SIGTERM ends it; returns the reason.

    Args:
        config: the cluster's configuration.
        find_leader: finds the JobManager; called again after each lost connection.
        secret: of the cluster.
        taskmanager_id: the driver's worker id; None: taskmanager.resource-id, or a generated one.
        host: under which other machines reach this one; None: taskmanager.host, or found out by the route
            to the JobManager.
        slots: None: taskmanager.numberOfTaskSlots.
        root: private folder for files and sockets, kept by the caller; None makes one below io.tmp.dirs
            and removes it at the end.
        log_directory: where the workers' logs go; None: below `root`.
        credentials: grpc.ChannelCredentials for TLS.
        contacted: called once, after the first attempt to reach the JobManager.

    Raises:
        ClusterUnreachableError: no JobManager for taskmanager.registration.timeout.
        ProtocolError: the JobManager does not know the secret or refuses this TaskManager.
    """
    host = host or config[TaskManagerOptions.HOST] or await _own_host(config, find_leader)
    taskmanager_id = (
        taskmanager_id or config[TaskManagerOptions.RESOURCE_ID] or f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
    )
    with contextlib.ExitStack() as opened:
        if root is None:
            folders = config[CoreOptions.TMP_DIRS]
            root = Path(
                opened.enter_context(
                    tempfile.TemporaryDirectory(prefix="yarnflow-tm-", dir=folders[0] if folders else None)
                )
            )
        supervisor = Supervisor(
            config,
            TaskManagerIdentity(
                taskmanager_id,
                host,
                slots or config[TaskManagerOptions.NUM_TASK_SLOTS],
                config[TaskManagerOptions.PROCESS_MEMORY].bytes,
            ),
            TaskManagerServices(
                _LeaderConnector(find_leader, secret, credentials, contacted),
                secret,
                root,
                log_directory or root / "log",
            ),
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.exit, f"got signal {number.name}")
        supervisor.start()
        try:
            reason = await supervisor.run()
            logger.info("TaskManager %s ends: %s", taskmanager_id, reason)
            return reason
        finally:
            await supervisor.close()


async def _own_host(config: Configuration, find_leader: FindLeader) -> str:
    """The name or address of the interface that leads to the JobManager."""
    if config[TaskManagerOptions.HOST_BIND_POLICY] == "name":
        return socket.getfqdn()
    try:
        address = await find_leader()
    except ClusterUnreachableError:
        return socket.getfqdn()
    leader, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(leader, int(port), type=socket.SOCK_DGRAM)
        family, _, _, _, target = found[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # Connecting a datagram socket sends nothing; it only chooses the route.
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError:
        return socket.getfqdn()
