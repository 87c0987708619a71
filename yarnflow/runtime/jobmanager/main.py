"""A process that is a JobManager: the coroutine that am/ and `yarnflow jobmanager` run.

It binds the RPC server, tells the caller where (`ready`), serves REST through the `web` hook, so that this
package knows no HTTP, and returns when the cluster has ended.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from yarnflow.config.configuration import Configuration
from yarnflow.config.jobmanager import JobManagerOptions
from yarnflow.runtime.jobmanager.api import DispatcherGateway
from yarnflow.runtime.jobmanager.dispatcher_machine import ClusterEnd
from yarnflow.runtime.jobmanager.driver import FinalStatus, ResourceDriver
from yarnflow.runtime.jobmanager.job_manager import JobManager, JobManagerServices

logger = logging.getLogger(__name__)


class WebServer(Protocol):
    """What the `web` hook returns."""

    @property
    def port(self) -> int:
        """The bound port."""

    async def close(self) -> None:
        """Stop listening."""


@dataclass(frozen=True)
class JobManagerAddress:
    """Where a JobManager can be reached.

    Attributes:
        rpc: "host:port" for TaskManagers.
        web_port: of the REST server, None without one.
    """

    rpc: str
    web_port: int | None


async def run_job_manager(
    config: Configuration,
    driver: ResourceDriver | None,
    secret: bytes,
    *,
    epoch: int = 1,
    end: ClusterEnd = ClusterEnd.NEVER,
    web: Callable[[DispatcherGateway], Awaitable[WebServer]] | None = None,
    ready: Callable[[JobManagerAddress, DispatcherGateway], Awaitable[None]] | None = None,
    port: int | None = None,
    host: str | None = None,
    log_directory: Path | None = None,
    worker_cores: int | None = None,
    prerequested_workers: int = 0,
    credentials: Any = None,
) -> tuple[FinalStatus, str]:
    """Run a JobManager until its cluster ends; returns how it ended and what to say about it.

    Args:
        config: the cluster's configuration.
        driver: starts workers; None for a standalone cluster.
        secret: of the cluster; TaskManagers must know it.
        epoch: of this leader: greater than that of any leader before.
        end: when the cluster ends by itself.
        web: starts the REST server for the dispatcher.
        ready: called once everything listens, for instance to publish the addresses or to run a program
            that submits jobs; what it raises ends the cluster as FAILED.
        port: RPC port to bind; None: as jobmanager.rpc.bind-port or jobmanager.rpc.port say.
        host: under which TaskManagers reach this process; None: jobmanager.rpc.address or this host's name.
        log_directory: of this process.
        worker_cores: virtual cores of workers that the driver starts.
        prerequested_workers: workers that were requested at submission.
        credentials: grpc.ServerCredentials for TLS.

    Raises:
        ClusterError: the port is taken.
    """
    # gRPC costs 100 ms to import; a MiniCluster imports this package and never calls this.
    from yarnflow.runtime.rpc.grpc_server import GrpcServer

    options = JobManagerOptions
    if port is None:
        bind_port = config[options.RPC_BIND_PORT]
        port = config[options.RPC_PORT] if bind_port is None else bind_port
    server = GrpcServer(
        secret,
        epoch,
        config[options.BIND_HOST] or "",
        port,
        host or config[options.RPC_ADDRESS] or socket.getfqdn(),
        credentials,
    )
    with tempfile.TemporaryDirectory(prefix="yarnflow-blobs-") as blob_directory:
        services = JobManagerServices(
            server,
            driver,
            Path(blob_directory) / "blobs",
            log_directory,
            end,
            worker_cores,
            prerequested_workers,
        )
        job_manager = JobManager(config, services)
        status, diagnostics = FinalStatus.FAILED, "the JobManager did not start"
        web_server: WebServer | None = None
        try:
            await job_manager.start()
            web_server = await web(job_manager.dispatcher) if web is not None else None
            logger.info("TaskManagers can connect to %s", server.address)
            if ready is not None:
                web_port = None if web_server is None else web_server.port
                await ready(JobManagerAddress(server.address, web_port), job_manager.dispatcher)
            status, diagnostics = await job_manager.run()
        except asyncio.CancelledError:
            status, diagnostics = FinalStatus.KILLED, "the JobManager was stopped"
            raise
        except BaseException as error:
            diagnostics = f"{type(error).__name__}: {error}"
            raise
        finally:
            logger.info("the cluster ends: %s %s", status.value, diagnostics)
            if web_server is not None:
                await web_server.close()
            await job_manager.stop(status, diagnostics)
    return status, diagnostics
