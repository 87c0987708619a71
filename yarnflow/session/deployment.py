"""Deploying an application on YARN: a session, one job, or one program.

    with YarnClusterDescriptor(config, say) as descriptor:     begins in the background: Java, packing, checks
        cluster = descriptor.deploy_session()

What takes long happens at the same time: skein's JVM starts, the environment is packed and uploaded if it is new,
the ResourceManager is asked whether it would take what we want, and in per-job mode the program's main() runs.
Whatever goes wrong after the submission, nothing is left running.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from yarnflow.config import Configuration
from yarnflow.config.core import ClientOptions, CoreOptions
from yarnflow.config.yarn import YarnOptions
from yarnflow.errors import ClusterDeployError, ClusterError, ClusterUnreachableError, FileSystemError
from yarnflow.graph.job_graph import JobGraph
from yarnflow.session import library, python_environment, submission_checks, yarn_config
from yarnflow.session.application_spec import Parts, application_specification
from yarnflow.session.python_environment import PythonEnvironment
from yarnflow.session.running import YarnCluster, ended_message
from yarnflow.session.staging import Staging
from yarnflow.session.user_files import ApplicationFiles, forget_old_applications
from yarnflow.yarn import hadoop_conf, logs
from yarnflow.yarn.application import ApplicationReport, ApplicationState, ContainerFile
from yarnflow.yarn.deployment import JOB_BLOBS, JOB_GRAPH, Deployment, Mode
from yarnflow.yarn.layout import (
    CONFIGURATION,
    DEPLOYMENT,
    JOB,
    MASTER_SETTINGS,
    REST_ADDRESS_KEY,
    SECRET,
    USER_CODE,
)
from yarnflow.yarn.rm_rest import ResourceManagerClient
from yarnflow.yarn.skein import credentials as skein_credentials
from yarnflow.yarn.skein import master_settings
from yarnflow.yarn.skein.application import SkeinApplication
from yarnflow.yarn.skein.credentials import Credentials
from yarnflow.yarn.skein.submitter import Submitter

Say = Callable[[str], None]

_POLL_SECONDS = 0.1
#: A word about what we are waiting for, after so many seconds and then again.
_TELL_SECONDS = 60.0
#: Seconds to wait for aggregated logs of an application that failed.
_LOG_SECONDS = 15.0
_SECRET_BYTES = 32


@dataclass(frozen=True)
class _Prepared:
    """What every application of this configuration needs."""

    environment: PythonEnvironment
    library: ContainerFile
    staging: Staging = field(repr=False)


class YarnClusterDescriptor:
    """Deploys applications with one configuration.

    Args:
        config: of the cluster.
        say: is told the steps.

    Raises:
        ConfigurationError: no YARN cluster is configured, or there is no `yarn` command or Java to submit with.
    """

    def __init__(self, config: Configuration, say: Say) -> None:
        self._config = config
        self._say = say
        self._conf = hadoop_conf.load(config)
        self._yarn = ResourceManagerClient(self._conf)
        self._submitter = Submitter(self._conf, config[CoreOptions.JAVA_HOME] or "")
        self._checked = _begin(lambda: submission_checks.check(config, self._yarn, say))
        self._prepared = _begin(self._prepare)

    def close(self) -> None:
        """End the JVM and close connections. What was deployed runs on."""
        self._submitter.close()
        self._yarn.close()

    def __enter__(self) -> YarnClusterDescriptor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Raise what the checks found, before anything else is done.

        Raises ConfigurationError, ResourceError or ClusterUnreachableError.
        """
        self._checked.result()

    def _prepare(self) -> _Prepared:
        # Asked first: a ResourceManager that is not there says more than an upload that fails.
        self._checked.result()
        staging = Staging(self._config, self._conf)
        archive = staging.share("library", library.fingerprint(), library.NAME, library.build)
        environment = python_environment.prepare(
            self._config[YarnOptions.PYTHON_ENVIRONMENT], staging, self._say
        )
        return _Prepared(environment, ContainerFile(archive, archive=True, shared=True), staging)

    # -- the three modes ---------------------------------------------------------------------------------

    def deploy_session(self) -> YarnCluster:
        """Deploy a session; returns when its JobManager can be used. Raises as `_deploy`."""
        slots = submission_checks.minimum_slots(self._config)
        workers = yarn_config.workers_for(slots, self._config)
        return self._deploy(Deployment(Mode.SESSION, initial_workers=workers), "yarnflow session cluster", {})

    def deploy_job(self, job: JobGraph, files: dict[str, Path], detached: bool) -> YarnCluster:
        """Deploy an application for one job, which starts with the JobManager.

        Args:
            job: with its artifacts.
            files: local file of each artifact's sha256.
            detached: the application ends with the job, whether anybody asked for the result or not.

        Raises as `_deploy`.
        """
        workers = yarn_config.workers_for(job.slots_needed(), self._config)
        with tempfile.TemporaryDirectory(prefix="yarnflow-job-") as folder:
            archive = Path(folder, "job.zip")
            _write_job(archive, job, files)
            return self._deploy(
                Deployment(Mode.PER_JOB, detached, workers),
                job.name or "yarnflow per-job cluster",
                {JOB: ContainerFile(str(archive), archive=True)},
            )

    def deploy_application(self, deployment: Deployment, user_code: Path | None, name: str) -> YarnCluster:
        """Deploy an application that runs a program's main().

        Args:
            deployment: names the program.
            user_code: zip with the program's files, or None.
            name: of the application, unless the configuration has one.

        Raises as `_deploy`.
        """
        files = {} if user_code is None else {USER_CODE: ContainerFile(str(user_code), archive=True)}
        return self._deploy(deployment, name, files)

    # -- deployment --------------------------------------------------------------------------------------

    def _deploy(
        self, deployment: Deployment, name: str, master_files: dict[str, ContainerFile]
    ) -> YarnCluster:
        """Submit, and wait until the JobManager can be used.

        Raises:
            ConfigurationError: something that was asked for cannot be (a queue, an environment).
            ResourceError: containers of that size can never be had.
            ClusterUnreachableError: YARN or HDFS does not answer.
            ClusterDeployError: YARN refuses the application, or it ended before it ran.
        """
        prepared = self._prepared.result()
        with tempfile.TemporaryDirectory(prefix="yarnflow-deploy-") as folder:
            files = self._write_files(Path(folder), deployment)
            specification = application_specification(
                self._config,
                Parts(
                    name=name,
                    environment=prepared.environment,
                    library=prepared.library,
                    master_files={**files, **master_files},
                    worker_files={key: files[key] for key in (CONFIGURATION, SECRET)},
                    initial_workers=deployment.initial_workers,
                    staging=prepared.staging.root,
                    scratch=Path(folder),
                ),
            )
            application_id, credentials = self._submitter.submit(
                specification, self._config[ClientOptions.TIMEOUT].total_seconds(), self._kill
            )
        self._say(f"Submitted application {application_id}")
        try:
            forget_old_applications()
            skein_credentials.save(credentials, ApplicationFiles(application_id).directory)
            url = self._wait_until_usable(application_id, credentials)
            return YarnCluster(application_id, self._config, url)
        except BaseException:
            # Also on Ctrl-C: nothing that nobody knows of may stay behind.
            self._kill(application_id)
            ApplicationFiles(application_id).forget()
            with contextlib.suppress(FileSystemError):
                # Its JobManager may have noted its address, and cannot remove that any more.
                prepared.staging.forget(application_id)
            raise

    def _write_files(self, folder: Path, deployment: Deployment) -> dict[str, ContainerFile]:
        config = yarn_config.for_cluster(self._config).merge(deployment.program_options)
        (folder / CONFIGURATION).write_text(json.dumps(config.to_dict()), encoding="utf-8")
        (folder / SECRET).write_bytes(secrets.token_bytes(_SECRET_BYTES))
        deployment.write(folder / DEPLOYMENT)
        master_settings.write_jar(
            folder / MASTER_SETTINGS,
            self._conf.directory / "yarn-site.xml",
            self._config[YarnOptions.CONTAINER_REQUEST_INTERVAL],
        )
        names = (CONFIGURATION, SECRET, DEPLOYMENT, MASTER_SETTINGS)
        for name in names:
            (folder / name).chmod(0o600)
        return {name: ContainerFile(str(folder / name)) for name in names}

    def _wait_until_usable(self, application_id: str, credentials: Credentials) -> str:
        """Wait for the JobManager; returns its URL."""
        limit = self._config[YarnOptions.DEPLOYMENT_TIMEOUT].total_seconds()
        start = time.monotonic()
        tell_at = start + _TELL_SECONDS
        patience = self._config[ClientOptions.TIMEOUT].total_seconds()
        answered = start
        skein: SkeinApplication | None = None
        address = ""
        try:
            while True:
                try:
                    report = self._yarn.application(application_id)
                except ClusterUnreachableError:
                    # A ResourceManager that restarts or fails over is back after some seconds.
                    if time.monotonic() > answered + patience:
                        raise
                    time.sleep(_POLL_SECONDS)
                    continue
                answered = time.monotonic()
                if report.state.ended:
                    raise ClusterDeployError(self._why_ended(report))
                if report.state is ApplicationState.RUNNING and report.rpc_address not in ("", address):
                    # Another one than before is that of the next attempt.
                    if skein is not None:
                        skein.close()
                    address = report.rpc_address
                    skein = SkeinApplication.connect(address, application_id, credentials)
                url = _lookup(skein)
                if url:
                    return url
                now = time.monotonic()
                if now > start + limit:
                    raise ClusterDeployError(
                        f"{application_id} has no JobManager after {limit:.0f} s and was killed "
                        f"({YarnOptions.DEPLOYMENT_TIMEOUT.key}); {_waiting_for(report)}"
                    )
                if now > tell_at:
                    tell_at = now + _TELL_SECONDS
                    self._say(f"Still waiting after {now - start:.0f} s; {_waiting_for(report)}")
                time.sleep(_POLL_SECONDS)
        finally:
            if skein is not None:
                skein.close()

    def _why_ended(self, report: ApplicationReport) -> str:
        """What YARN says, and the end of the log that tells."""
        text = ended_message(report)
        tail = logs.master_log_tail(self._yarn, report, _LOG_SECONDS)
        if tail:
            return f"{text}\nThe end of the JobManager's log, {tail}"
        return f"{text}\nIts log: yarn logs -applicationId {report.application_id}"

    def _kill(self, application_id: str) -> None:
        try:
            self._yarn.kill(application_id)
        except ClusterError as error:
            self._say(f"{application_id} may still run, since it cannot be killed: {error}")


def _lookup(skein: SkeinApplication | None) -> str | None:
    if skein is None:
        return None
    try:
        return skein.lookup(REST_ADDRESS_KEY)
    except ClusterError:
        # It may be ending: the next report tells.
        return None


def _waiting_for(report: ApplicationReport) -> str:
    said = f": {report.diagnostics}" if report.diagnostics else ""
    return f"YARN says {report.state.value} in queue {report.queue!r}{said}"


def _write_job(archive: Path, job: JobGraph, files: dict[str, Path]) -> None:
    import zipfile  # not at the top: per-job mode only

    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        target.writestr(JOB_GRAPH, json.dumps(job.to_json()))
        for sha256, path in files.items():
            target.write(path, f"{JOB_BLOBS}/{sha256}")


def _begin(function: Callable[[], Any]) -> Future[Any]:
    """Run in a daemon thread, whose outcome is asked for later (or not at all)."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, name="yarnflow-deploy", daemon=True).start()
    return future
