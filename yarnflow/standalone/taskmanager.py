"""A standalone TaskManager: finds the JobManager at jobmanager.rpc.address and offers its slots."""

from __future__ import annotations

from yarnflow.config import Configuration
from yarnflow.config.jobmanager import JobManagerOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.errors import ConfigurationError
from yarnflow.runtime.taskmanager.main import run_task_manager
from yarnflow.standalone.process import ProcessSetup


async def serve(setup: ProcessSetup) -> None:
    """Run it until the JobManager tells it to end.

    Raises:
        ConfigurationError: jobmanager.rpc.address is not set.
        ClusterUnreachableError: no JobManager within taskmanager.registration.timeout.
        ProtocolError: the JobManager refuses it, for instance because the secrets differ.
    """
    config = setup.config
    address = jobmanager_address(config)
    slots = config[TaskManagerOptions.NUM_TASK_SLOTS]
    what = f"{slots} slot{'' if slots == 1 else 's'}"

    async def find_leader() -> str:
        return address

    def contacted(problem: str) -> None:
        if problem:
            # Whoever started this process need not wait for a JobManager that comes later.
            patience = config[TaskManagerOptions.REGISTRATION_TIMEOUT].total_seconds()
            setup.started(f"{what}; {problem}; it keeps trying for {patience:g} s")
        else:
            setup.started(f"{what} for the JobManager at {address}")

    await run_task_manager(
        config, find_leader, setup.secret, log_directory=setup.log_directory, contacted=contacted
    )


def jobmanager_address(config: Configuration) -> str:
    """The JobManager's "host:port". Raises ConfigurationError when the host is not set."""
    host, port = config[JobManagerOptions.RPC_ADDRESS], config[JobManagerOptions.RPC_PORT]
    if not host:
        raise ConfigurationError(
            f"where is the JobManager? Set {JobManagerOptions.RPC_ADDRESS.key} (and "
            f"{JobManagerOptions.RPC_PORT.key}, which is {port})"
        )
    return f"{host}:{port}"
