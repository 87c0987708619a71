"""A standalone JobManager: TaskManagers come by themselves, its cluster ends when somebody ends it."""

from __future__ import annotations

import time

from yarnflow.config import Configuration
from yarnflow.config.jobmanager import RestOptions
from yarnflow.errors import ClusterError
from yarnflow.runtime.jobmanager.api import DispatcherGateway
from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.jobmanager.main import JobManagerAddress, WebServer, run_job_manager
from yarnflow.standalone.process import ProcessSetup


async def serve(setup: ProcessSetup) -> None:
    """Run it. Raises ClusterError when it cannot listen or must give up."""
    # Not at the top: aiohttp takes long to import, and `stop` and `--help` need none of it.
    from yarnflow.web.server import start_web

    config = setup.config

    async def web(dispatcher: DispatcherGateway) -> WebServer:
        # As in Flink: without an address, all interfaces.
        address = config[RestOptions.BIND_ADDRESS] or "0.0.0.0"  # noqa: S104
        return await start_web(dispatcher, address, _rest_ports(config))

    async def ready(address: JobManagerAddress, dispatcher: DispatcherGateway) -> None:
        host = config[RestOptions.ADDRESS] or address.rpc.rpartition(":")[0]
        setup.started(
            f"dashboard and REST at http://{host}:{address.web_port}, TaskManagers connect to {address.rpc}"
        )

    status, diagnostics = await run_job_manager(
        config,
        None,
        setup.secret,
        # Greater than that of the JobManager before, which TaskManagers may remember.
        epoch=int(time.time()),
        web=web,
        ready=ready,
        log_directory=setup.log_directory,
    )
    if status is FinalStatus.FAILED:
        raise ClusterError(f"the JobManager gave up: {diagnostics}")


def _rest_ports(config: Configuration) -> str:
    ports = config[RestOptions.BIND_PORT]
    return str(config[RestOptions.PORT]) if ports is None else RestOptions.BIND_PORT.format(ports)
