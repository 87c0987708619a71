"""A standalone TaskManager: finds the JobManager at jobmanager.rpc.address and offers its slots."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from pathlib import Path

from yarnflow.config import Configuration
from yarnflow.config.core import CoreOptions
from yarnflow.config.jobmanager import JobManagerOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.errors import ClusterUnreachableError, ConfigurationError
from yarnflow.runtime.rpc.channel import Accept, Connection, Connector
from yarnflow.runtime.taskmanager.supervisor import Supervisor, TaskManagerIdentity, TaskManagerServices
from yarnflow.standalone.process import ProcessSetup


class _FirstContact(Connector):
    """A connector that tells how the first try went, so that whoever started this TaskManager need not wait for
    a JobManager that comes later."""

    def __init__(self, connector: Connector, setup: ProcessSetup, what: str) -> None:
        self._connector = connector
        self._setup = setup
        self._what = what
        self._told = False

    async def connect(self, accept: Accept, minimum_epoch: int = 0) -> Connection:
        try:
            connection = await self._connector.connect(accept, minimum_epoch)
        except ClusterUnreachableError as error:
            timeout = self._setup.config[TaskManagerOptions.REGISTRATION_TIMEOUT].total_seconds()
            self._tell(f"{self._what}; {error}: it keeps trying for {timeout:g} s")
            raise
        self._tell(f"{self._what}, connected to the JobManager at {connection.peer}")
        return connection

    def _tell(self, line: str) -> None:
        if not self._told:
            self._told = True
            self._setup.started(line)


async def serve(setup: ProcessSetup) -> None:
    """Run it until the JobManager tells it to end.

    Raises:
        ConfigurationError: jobmanager.rpc.address is not set.
        ClusterUnreachableError: no JobManager within taskmanager.registration.timeout.
        ProtocolError: the JobManager refuses it, for instance because the secrets differ.
    """
    # Not at the top: gRPC takes long to import, and `stop` and `--help` need none of it.
    from yarnflow.runtime.rpc.grpc_client import GrpcConnector

    config = setup.config
    address = jobmanager_address(config)
    host = own_host(config, address)
    slots = config[TaskManagerOptions.NUM_TASK_SLOTS]
    identity = TaskManagerIdentity(
        config[TaskManagerOptions.RESOURCE_ID] or f"{host}:{os.getpid()}-{secrets.token_hex(3)}",
        host,
        slots,
        config[TaskManagerOptions.PROCESS_MEMORY].bytes,
    )
    connector = _FirstContact(
        GrpcConnector("{}:{}".format(*address), setup.secret),
        setup,
        f"{identity.taskmanager_id} with {slots} slot{'' if slots == 1 else 's'}",
    )
    directories = config[CoreOptions.TMP_DIRS]
    with tempfile.TemporaryDirectory(prefix="yarnflow-tm-", dir=directories[0] if directories else None) as root:
        supervisor = Supervisor(
            config, identity, TaskManagerServices(connector, setup.secret, Path(root), setup.log_directory)
        )
        supervisor.start()
        try:
            await supervisor.run()
        finally:
            await supervisor.close()


def jobmanager_address(config: Configuration) -> tuple[str, int]:
    """Host and port of the JobManager. Raises ConfigurationError when the host is not set."""
    host = config[JobManagerOptions.RPC_ADDRESS]
    if not host:
        raise ConfigurationError(
            f"where is the JobManager? Set {JobManagerOptions.RPC_ADDRESS.key} (and "
            f"{JobManagerOptions.RPC_PORT.key}, which is {config[JobManagerOptions.RPC_PORT]})"
        )
    return host, config[JobManagerOptions.RPC_PORT]


def own_host(config: Configuration, jobmanager: tuple[str, int]) -> str:
    """The name or address under which other TaskManagers reach this one."""
    named = config[TaskManagerOptions.HOST]
    if named:
        return named
    try:
        family, kind, _, _, address = socket.getaddrinfo(*jobmanager, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            # Sends nothing: it makes the kernel choose the interface that leads there.
            probe.connect(address)
            own = str(probe.getsockname()[0])
    except OSError as error:
        raise ConfigurationError(
            f"no way leads to the JobManager's host {jobmanager[0]}: {error}. Check "
            f"{JobManagerOptions.RPC_ADDRESS.key}, or set {TaskManagerOptions.HOST.key}"
        ) from error
    return socket.getfqdn(own) if config[TaskManagerOptions.HOST_BIND_POLICY] == "name" else own
