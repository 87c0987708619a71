"""`yarnflow run`: run a program here, in a running cluster, or as an application of its own on YARN."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from yarnflow.cli._cluster import detached_hint, target_options, tell, yarn_options
from yarnflow.cli._common import FlinkCommand, config_dir_option, dynamic_properties, load_configuration
from yarnflow.cli._program import PROGRAM_OPTIONS, program_of, program_options
from yarnflow.config import Configuration
from yarnflow.config.core import PythonOptions
from yarnflow.config.execution import ExecutionOptions
from yarnflow.errors import YarnflowError

if TYPE_CHECKING:
    from yarnflow.session.program import Program
    from yarnflow.session.running import StandaloneCluster, YarnCluster
    from yarnflow.session.targets import Destination

#: Set for the process that -pyclientexec starts, so that it starts no further one.
_REEXECUTED = "YARNFLOW_CLIENT_REEXECUTED"


@click.command(cls=FlinkCommand, takes_program=True, program_options=PROGRAM_OPTIONS)
@target_options
@click.option("-d", "--detached", is_flag=True, help="Return when the job was submitted.")
@click.option("-yd", "--yarndetached", is_flag=True, help="The same as -d.")
@click.option(
    "-sae",
    "--shutdownOnAttachedExit",
    "shutdown_on_exit",
    is_flag=True,
    help="Cancel the job, or end its application, when this command is interrupted.",
)
@program_options
@yarn_options("y")
@dynamic_properties("-D", "-yD")
@config_dir_option
def command(
    target: str | None,
    jobmanager: str,
    detached: bool,
    yarndetached: bool,
    shutdown_on_exit: bool,
    file: str | None,
    module: str | None,
    words: tuple[str, ...],
    python: dict[str, str],
    yarn: dict[str, str],
    properties: dict[str, str],
    config_dir: Path | None,
) -> None:
    """Run a program.

    Where it runs: -t says so; -m yarn-cluster starts an application on YARN for this one job; -m HOST:PORT is a
    standalone cluster; -yid an application that runs on YARN. Without any of them it is the session that
    yarn-session.sh started, and this machine if there is none.

    Everything behind the program is for the program.
    """
    given = {**properties, **python, **yarn}
    if target:
        given[ExecutionOptions.TARGET.key] = target
    config = load_configuration(config_dir, given)
    program = program_of(file, module, words)
    config.set(ExecutionOptions.ATTACHED, not (detached or yarndetached))
    if shutdown_on_exit:
        config.set(ExecutionOptions.SHUTDOWN_ON_ATTACHED_EXIT, True)
    _with_client_python(config)
    execute(program, config, jobmanager)


def execute(program: Program, config: Configuration, jobmanager: str) -> None:
    """Run a program where the configuration and -m say."""
    # Not at the top: --help needs none of it.
    from yarnflow.session.targets import Target, resolve

    destination = resolve(config, jobmanager)
    if destination.target is Target.LOCAL:
        _run_here(program, destination)
    elif destination.target is Target.YARN_PER_JOB:
        _run_per_job(program, destination)
    elif destination.target is Target.YARN_APPLICATION:
        from yarnflow.cli.run_application import deploy

        deploy(program, destination.config)
    else:
        _run_in_cluster(program, destination, jobmanager)


def _run_here(program: Program, destination: Destination) -> None:
    from yarnflow.session import program as runner
    from yarnflow.session.local import LocalExecutor

    # The cluster lives in this process: leaving it is no way to detach.
    runner.run(program, destination.config.set(ExecutionOptions.ATTACHED, True), LocalExecutor())


def _run_in_cluster(program: Program, destination: Destination, jobmanager: str) -> None:
    from yarnflow.session import program as runner
    from yarnflow.session.executor import RestExecutor
    from yarnflow.session.targets import attach

    cluster = attach(destination.config, jobmanager)
    watch = _Watch(destination.config)

    def submitted(job_id: str) -> None:
        watch.submitted(cluster, job_id)

    with watch:
        runner.run(program, destination.config, RestExecutor(cluster.client, submitted, watch.ended))


def _run_per_job(program: Program, destination: Destination) -> None:
    from yarnflow.session import program as runner
    from yarnflow.session.deployment import YarnClusterDescriptor
    from yarnflow.session.per_job import PerJobExecutor

    config = destination.config
    watch = _Watch(config)

    def deployed(cluster: YarnCluster, job_id: str) -> None:
        click.echo(f"JobManager Web Interface: {cluster.url}")
        watch.submitted(cluster, job_id)
        if not config[ExecutionOptions.ATTACHED]:
            click.echo(detached_hint(cluster.application_id))

    with YarnClusterDescriptor(config, tell) as descriptor, watch:
        executor = PerJobExecutor(descriptor, not config[ExecutionOptions.ATTACHED], deployed, watch.ended)
        runner.run(program, config, executor)


class _Watch:
    """Tells what becomes of jobs, and ends them when we are interrupted and -sae says so."""

    def __init__(self, config: Configuration) -> None:
        self._shut_down = config[ExecutionOptions.SHUTDOWN_ON_ATTACHED_EXIT]
        self._attached = config[ExecutionOptions.ATTACHED]
        self._running: dict[str, StandaloneCluster | YarnCluster] = {}

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt) and self._shut_down:
            for job_id, cluster in self._running.items():
                tell(f"Cancelling job {job_id}.")
                try:
                    cluster.client.cancel(job_id)
                except YarnflowError as error:
                    # The others shall be cancelled too.
                    tell(f"It may still run: {error}")

    def submitted(self, cluster: StandaloneCluster | YarnCluster, job_id: str) -> None:
        """A cluster has accepted a job."""
        click.echo(f"Job has been submitted with JobID {job_id}")
        if self._attached:
            self._running[job_id] = cluster

    def ended(self, result: dict[str, Any]) -> None:
        """A job was seen to end; failures are told by the error."""
        self._running.pop(result["id"], None)
        if result["job-status"] != "FINISHED":
            return
        click.echo(f"Program execution finished\nJob with JobID {result['id']} has finished.")
        click.echo(f"Job Runtime: {result['net-runtime']} ms")
        accumulators = result.get("accumulator-results") or {}
        if accumulators:
            click.echo("Accumulator Results:")
            for name, value in accumulators.items():
                click.echo(f"- {name}: {value}")


def _with_client_python(config: Configuration) -> None:
    """Start over with another interpreter if -pyclientexec names one."""
    wanted = config[PythonOptions.CLIENT_EXECUTABLE]
    if not wanted or os.environ.get(_REEXECUTED):
        return
    import shutil  # not at the top: hardly anybody asks for it

    from yarnflow.errors import ConfigurationError

    executable = shutil.which(wanted)
    if executable is None:
        raise ConfigurationError(f"{PythonOptions.CLIENT_EXECUTABLE.key}: there is no interpreter {wanted!r}")
    if os.path.abspath(executable) == os.path.abspath(sys.executable):
        return
    environment = {**os.environ, _REEXECUTED: "1"}
    os.execve(executable, [executable, "-m", "yarnflow.cli.main", *sys.argv[1:]], environment)  # noqa: S606
