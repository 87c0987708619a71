"""`python -m yarnflow.container.entrypoint`: what a TaskManager container runs.

The address of the JobManager is in skein's key-value store, since this container may be up before the
JobManager is.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from yarnflow.errors import ClusterUnreachableError, YarnflowError
from yarnflow.yarn.environment import ContainerEnvironment
from yarnflow.yarn.layout import RPC_ADDRESS_KEY
from yarnflow.yarn.processes import log_to_stderr

logger = logging.getLogger("yarnflow.container")

#: Seconds between two looks for the JobManager's address, and for which one call looks.
_POLL_SECONDS, _LOOK_SECONDS = 0.1, 10.0


class JobManagerFinder:
    """Asks skein's ApplicationMaster where the JobManager is."""

    def __init__(self) -> None:
        # Not at the top: gRPC takes a while to import, and the TaskManager's workers start meanwhile.
        self._application: object | None = None

    def _lookup(self) -> str:
        from yarnflow.yarn.skein.application import SkeinApplication

        if not isinstance(self._application, SkeinApplication):
            self._application = SkeinApplication.in_container()
        return self._application.lookup(RPC_ADDRESS_KEY) or ""

    async def find(self) -> str:
        """Return "host:port", waiting some seconds for a JobManager that has not said yet.

        Raises ClusterUnreachableError or ApplicationNotFoundError.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LOOK_SECONDS
        while loop.time() < deadline:
            address = await loop.run_in_executor(None, self._lookup)
            if address:
                return address
            await asyncio.sleep(_POLL_SECONDS)
        raise ClusterUnreachableError("the JobManager has not said yet where it is")


async def run(environment: ContainerEnvironment) -> None:
    """Run the TaskManager until the JobManager or YARN ends it. Raises YarnflowError when it cannot go on."""
    # Not at the top: logging is set up first.
    from yarnflow.runtime.taskmanager.main import run_task_manager

    root = environment.directory / "taskmanager"
    root.mkdir(mode=0o700, exist_ok=True)
    await run_task_manager(
        environment.config,
        JobManagerFinder().find,
        environment.secret,
        taskmanager_id=environment.container_id,
        host=environment.host,
        root=root,
        log_directory=environment.log_directory,
    )


def main() -> int:
    """Run and return the exit code."""
    try:
        environment = ContainerEnvironment.read()
        log_to_stderr(environment.config)
        logger.info("TaskManager in %s on %s", environment.container_id, environment.host)
        asyncio.run(run(environment))
    except YarnflowError as error:
        logging.basicConfig(stream=sys.stderr)
        logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
