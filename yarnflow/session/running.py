"""Clusters that run already: on YARN by application id, standalone by address."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from yarnflow.config import Configuration
from yarnflow.config.core import ClientOptions
from yarnflow.config.jobmanager import RestOptions
from yarnflow.errors import (
    ApplicationNotFoundError,
    ClusterError,
    ClusterUnreachableError,
    FileSystemError,
)
from yarnflow.session import properties_file
from yarnflow.session.rest_client import RestClient
from yarnflow.session.staging import Staging
from yarnflow.session.user_files import ApplicationFiles
from yarnflow.yarn import hadoop_conf
from yarnflow.yarn.application import ApplicationReport, ApplicationState

_POLL_SECONDS = 0.2
#: Seconds for a cluster to end by itself before YARN is asked to kill it.
_STOP_SECONDS = 30.0


def connect(url: str, config: Configuration, find_address: Callable[[], str] | None = None) -> RestClient:
    """A client with the configured patience."""
    return RestClient(
        url,
        find_address,
        patience=config[ClientOptions.TIMEOUT].total_seconds(),
        connect_timeout=config[RestOptions.CONNECTION_TIMEOUT].total_seconds(),
    )


class StandaloneCluster:
    """A cluster at a known address.

    Args:
        config: rest.address and rest.port say where, unless `address` does.
        address: "host:port", or "host" for the configured port.
    """

    def __init__(self, config: Configuration, address: str = "") -> None:
        host, colon, port = address.removeprefix("http://").rstrip("/").rpartition(":")
        if not colon or port.endswith("]"):
            # No port: what stands before the last colon is the host, or a part of an IPv6 address.
            host, port = host + colon + port, ""
        host = host or config[RestOptions.ADDRESS] or "localhost"
        self.url = f"http://{host}:{port or config[RestOptions.PORT]}"
        self.client = connect(self.url, config)
        self.name = f"the cluster at {self.url}"


class YarnCluster:
    """A running application of ours.

    Args:
        application_id: of YARN.
        config: where YARN is, and how patient we are.
        url: of the JobManager, when it is known already.

    Raises:
        ApplicationNotFoundError: there is no such application, or it has ended.
        ClusterUnreachableError: neither JobManager nor ResourceManager answers.
    """

    def __init__(self, application_id: str, config: Configuration, url: str | None = None) -> None:
        self.application_id = application_id
        self.name = f"the application {application_id}"
        self._config = config
        try:
            self._files = ApplicationFiles(application_id)
        except ValueError as error:
            raise ApplicationNotFoundError(str(error)) from None
        if url is None:
            url = self._remembered() or self._locate()
        else:
            self._files.remember_address(url)
        self.client = connect(url, config, self._locate)

    @property
    def url(self) -> str:
        """Where the JobManager is."""
        return self.client.url

    # -- finding it --------------------------------------------------------------------------------------

    def _remembered(self) -> str | None:
        """The address of the last command, if our JobManager still is there: milliseconds, and no YARN needed."""
        url = self._files.address()
        return url if url is not None and self._is_ours(url) else None

    def _is_ours(self, url: str) -> bool:
        client = RestClient(url, patience=0.0, connect_timeout=2.0)
        try:
            return client.application_id() == self.application_id
        except ClusterError:
            return False
        finally:
            client.close()

    def _locate(self) -> str:
        """Ask YARN whether it runs, and the staging directory where.

        Waits for a JobManager that is starting, `client.timeout` at most.
        """
        conf = hadoop_conf.load(self._config)
        staging = Staging(self._config, conf)
        deadline = time.monotonic() + self._config[ClientOptions.TIMEOUT].total_seconds()
        while True:
            try:
                report = self.report()
            except ApplicationNotFoundError as error:
                raise ApplicationNotFoundError(f"{error}{self._origin()}") from error
            if report.state.ended:
                self._forget()
                raise ApplicationNotFoundError(f"{ended_message(report)}{self._origin()}")
            if report.state is ApplicationState.RUNNING:
                try:
                    url = staging.jobmanager_url(self.application_id)
                except FileSystemError as error:
                    raise ClusterUnreachableError(
                        f"where the JobManager of {self.application_id} is cannot be looked up: {error}"
                    ) from error
                if url is not None and self._is_ours(url):
                    self._files.remember_address(url)
                    return url
            if time.monotonic() > deadline:
                raise ClusterUnreachableError(
                    f"the JobManager of {self.application_id} does not answer, and YARN says it is "
                    f"{report.state.value} (queue {report.queue!r}). {report.diagnostics}".rstrip()
                )
            time.sleep(_POLL_SECONDS)

    def _origin(self) -> str:
        """Where the id comes from, if not from the command line; and the next step."""
        note = properties_file.read(self._config)
        if note is None or note.application_id != self.application_id:
            return ""
        return (
            f"\nIt is the session noted in {properties_file.path(self._config)}: start a new one with "
            "yarn-session.sh, or delete that file"
        )

    def report(self) -> ApplicationReport:
        """What YARN says about it. Raises ApplicationNotFoundError or ClusterUnreachableError."""
        # Not at the top: requests takes 80 ms to import, and most commands need no ResourceManager.
        from yarnflow.yarn.rm_rest import ResourceManagerClient

        with ResourceManagerClient(hadoop_conf.load(self._config)) as yarn:
            return yarn.application(self.application_id)

    # -- ending it ---------------------------------------------------------------------------------------

    def stop(self) -> ApplicationReport:
        """End the application; returns what YARN says when it has.

        The JobManager is asked first, and YARN when it does not answer or takes too long.

        Raises ClusterUnreachableError or ClusterError when neither can be done.
        """
        try:
            self.client.shutdown()
        except ClusterError:
            self.kill()
        deadline = time.monotonic() + _STOP_SECONDS
        killed = False
        while not (report := self.report()).state.ended:
            if time.monotonic() > deadline:
                if killed:
                    raise ClusterError(f"{self.application_id} does not end: YARN says {report.state.value}")
                self.kill()
                killed, deadline = True, time.monotonic() + _STOP_SECONDS
            time.sleep(_POLL_SECONDS)
        self._forget()
        return report

    def _forget(self) -> None:
        """It has ended: drop what we remember, and its note if it was killed before it could."""
        self._files.forget()
        # An old note misleads nobody, since YARN is asked first: it is only untidy.
        with contextlib.suppress(FileSystemError):
            Staging(self._config, hadoop_conf.load(self._config)).forget(self.application_id)

    def kill(self) -> None:
        """Let YARN kill it."""
        from yarnflow.yarn.rm_rest import ResourceManagerClient  # not at the top: see `report`

        with ResourceManagerClient(hadoop_conf.load(self._config)) as yarn:
            yarn.kill(self.application_id)


def ended_message(report: ApplicationReport) -> str:
    """Say how an application has ended."""
    text = (
        f"the application {report.application_id} ({report.name!r}) has ended: {report.state.value}, final status "
        f"{report.final_status}"
    )
    return f"{text}. YARN says: {report.diagnostics}" if report.diagnostics else text
