"""`python -m yarnflow.am.entrypoint`: what skein's ApplicationMaster runs as its master script.

Runs the JobManager with the YARN driver, says where it is (skein's key-value store for the TaskManagers and the
client that deploys, a file in the staging directory for later clients, a page behind YARN's tracking URL for
people), gives it the job or program it was deployed for, and ends the application with the right final status.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from yarnflow import fs
from yarnflow.am import application, per_job
from yarnflow.am.yarn_driver import YarnDriver
from yarnflow.config import Configuration
from yarnflow.config.jobmanager import RestOptions
from yarnflow.config.yarn import YarnOptions
from yarnflow.errors import ClusterError, FileSystemError, YarnflowError
from yarnflow.runtime.jobmanager.api import DispatcherGateway
from yarnflow.runtime.jobmanager.dispatcher_machine import ClusterEnd
from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.jobmanager.main import JobManagerAddress, run_job_manager
from yarnflow.web.server import WebServer, start_web
from yarnflow.yarn.deployment import Deployment, Mode
from yarnflow.yarn.environment import ContainerEnvironment
from yarnflow.yarn.layout import ADDRESS_FILE, DEPLOYMENT, REST_ADDRESS_KEY, RPC_ADDRESS_KEY
from yarnflow.yarn.processes import log_to_stderr
from yarnflow.yarn.skein.application import SkeinApplication

logger = logging.getLogger("yarnflow.am")

_PAGE_ROUTE, _PAGE_TITLE = "jobmanager", "JobManager"


class Master:
    """One attempt of the ApplicationMaster.

    Args:
        environment: of the container.
        deployment: what the application is for.
        skein: the ApplicationMaster on the Java side.
    """

    def __init__(
        self, environment: ContainerEnvironment, deployment: Deployment, skein: SkeinApplication
    ) -> None:
        self._environment = environment
        self._deployment = deployment
        self._skein = skein
        self._closing = False
        self._program: asyncio.Task[None] | None = None

    async def run(self) -> FinalStatus:
        """Run the JobManager until the cluster ends; returns how it ended."""
        # So that a client can tell our JobManager from another one that got the same port later.
        config = self._environment.config
        config.set(YarnOptions.APPLICATION_ID, self._environment.application_id)
        task = asyncio.current_task()
        assert task is not None

        def stopped() -> None:
            # skein sends SIGTERM as well when we have told it that the application ends.
            if not self._closing:
                task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped)
        vcores = config[YarnOptions.CONTAINERS_VCORES]
        try:
            status, diagnostics = await run_job_manager(
                config,
                YarnDriver(self._skein, self._close),
                self._environment.secret,
                epoch=self._environment.attempt,
                end=self._end(),
                web=self._start_web,
                ready=self._ready,
                port=config[YarnOptions.APPLICATION_MASTER_PORT][0],
                host=self._environment.host,
                log_directory=self._environment.log_directory,
                worker_cores=None if vcores < 1 else vcores,
                prerequested_workers=self._deployment.initial_workers,
            )
            logger.info("the application ends %s %s", status.value, diagnostics)
            return status
        finally:
            if self._program is not None:
                self._program.cancel()
                await asyncio.gather(self._program, return_exceptions=True)

    def _end(self) -> ClusterEnd:
        if self._deployment.mode is not Mode.PER_JOB:
            return ClusterEnd.NEVER
        return ClusterEnd.AFTER_JOB if self._deployment.detached else ClusterEnd.AFTER_RESULT

    def _close(self) -> None:
        self._closing = True

    async def _start_web(self, dispatcher: DispatcherGateway) -> WebServer:
        config = self._environment.config
        ports = config[RestOptions.BIND_PORT]
        address = config[RestOptions.BIND_ADDRESS] or bind_address(self._environment.host)
        return await start_web(dispatcher, address, ",".join(map(str, ports)) if ports else "0")

    async def _ready(self, address: JobManagerAddress, dispatcher: DispatcherGateway) -> None:
        """Everything listens: say where, and begin with what the application is for."""
        url = f"http://{self._environment.host}:{address.web_port}"
        logger.info("JobManager Web Interface: %s", url)
        if self._deployment.mode is Mode.PER_JOB:
            # Before the client is told where to ask for it.
            job_id = await per_job.submit(self._environment.directory, dispatcher)
        await asyncio.get_running_loop().run_in_executor(None, self._announce, address.rpc, url)
        if self._deployment.mode is Mode.PER_JOB:
            if not self._deployment.detached:
                self._program = asyncio.create_task(
                    self._or_end(per_job.end_without_client(job_id, dispatcher), dispatcher)
                )
        elif self._deployment.mode is Mode.APPLICATION:
            program = application.run(self._deployment, self._environment, url, dispatcher)
            self._program = asyncio.create_task(self._or_end(program, dispatcher))

    async def _or_end(self, work: Coroutine[Any, Any, None], dispatcher: DispatcherGateway) -> None:
        """What runs beside the JobManager and ends the cluster in time; when it fails, nobody else would."""
        try:
            await work
        except Exception as error:
            logger.exception("the cluster ends, since what it was deployed for cannot be followed")
            await dispatcher.shutdown(FinalStatus.FAILED, f"{type(error).__name__}: {error}")

    def _announce(self, rpc_address: str, url: str) -> None:
        self._skein.publish(RPC_ADDRESS_KEY, rpc_address)
        self._skein.publish(REST_ADDRESS_KEY, url)
        try:
            self._skein.add_page(_PAGE_ROUTE, url, _PAGE_TITLE)
        except ClusterError as error:
            logger.warning("the JobManager has no page behind YARN's tracking URL: %s", error)
        try:
            write_address(self._environment.staging, self._environment.application_id, url)
        except FileSystemError as error:
            logger.warning("other machines cannot find the JobManager by the application's id: %s", error)


def bind_address(host: str) -> str:
    """The address to listen on so that others reach us as `host`.

    All interfaces when the name leads to the loopback interface on this machine only, as in Debian's /etc/hosts.
    """
    try:
        found = socket.gethostbyname(host)
    except OSError:
        return "0.0.0.0"  # noqa: S104 the name is not ours to look up
    return "0.0.0.0" if found.startswith("127.") and host != "localhost" else found  # noqa: S104


def write_address(staging: str, application_id: str, url: str) -> None:
    """Note where the JobManager is, for clients that have not deployed it. Raises FileSystemError."""
    if not staging:
        return
    files, folder = fs.get(f"{staging}/{application_id}")
    files.mkdirs(folder)
    with files.open_write(f"{folder}/{ADDRESS_FILE}", overwrite=True) as stream:
        stream.write(json.dumps({"url": url}).encode())


def remove_address(staging: str, application_id: str) -> None:
    """The application has ended: nobody shall look for it."""
    if not staging:
        return
    try:
        files, folder = fs.get(f"{staging}/{application_id}")
        files.delete(folder, recursive=True)
    except FileSystemError as error:
        logger.warning("the note of the JobManager's address stays behind: %s", error)


def _read_deployment(directory: Path) -> Deployment:
    try:
        return Deployment.read(directory / DEPLOYMENT)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ClusterError(f"the container's {DEPLOYMENT} cannot be read: {error}") from error


def main() -> int:
    """Run and return the exit code; skein takes 0 for SUCCEEDED if nobody said otherwise."""
    skein: SkeinApplication | None = None
    try:
        environment = ContainerEnvironment.read()
        log_to_stderr(environment.config)
        logger.info(
            "JobManager of %s, attempt %d, on %s",
            environment.application_id,
            environment.attempt,
            environment.host,
        )
        fs.initialize(Configuration(environment.config).to_dict())
        deployment = _read_deployment(environment.directory)
        skein = SkeinApplication.in_container()
        status = asyncio.run(Master(environment, deployment, skein).run())
        remove_address(environment.staging, environment.application_id)
        return 0 if status is FinalStatus.SUCCEEDED else 1
    except asyncio.CancelledError:
        logger.info("YARN has stopped this container")
        return 1
    except Exception as error:
        known = isinstance(error, YarnflowError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        logging.getLogger("yarnflow.am").error("%s", text, exc_info=not known)
        if skein is not None:
            _report(skein, text)
        return 1


def _report(skein: SkeinApplication, text: str) -> None:
    """Let YARN show why, not just that the process ended."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        skein.finish(FinalStatus.FAILED.value, f"the JobManager failed: {text}")
    except ClusterError as error:
        logger.warning("the ApplicationMaster does not take the final status: %s", error)


if __name__ == "__main__":
    sys.exit(main())
