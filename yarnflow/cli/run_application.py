"""`yarnflow run-application`: the program's main() runs on the cluster, beside the JobManager."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from yarnflow.cli._cluster import detached_hint, tell, yarn_options
from yarnflow.cli._common import FlinkCommand, config_dir_option, dynamic_properties, load_configuration
from yarnflow.cli._program import PROGRAM_OPTIONS, program_of, program_options
from yarnflow.config import Configuration
from yarnflow.config.execution import ExecutionOptions
from yarnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from yarnflow.session.program import Program

_TARGET = "yarn-application"


@click.command(cls=FlinkCommand, takes_program=True, program_options=PROGRAM_OPTIONS)
@click.option("-t", "--target", "target", metavar="TARGET", help=f"Where: {_TARGET}.")
@program_options
@yarn_options("y")
@dynamic_properties("-D", "-yD")
@config_dir_option
def command(
    target: str | None,
    file: str | None,
    module: str | None,
    words: tuple[str, ...],
    python: dict[str, str],
    yarn: dict[str, str],
    properties: dict[str, str],
    config_dir: Path | None,
) -> None:
    """Ship a program and run its main() in an application of its own.

    Returns when the JobManager runs. The application ends with the program; what the program prints is in the
    JobManager's logs.
    """
    config = load_configuration(config_dir, {**properties, **python, **yarn})
    program = program_of(file, module, words)
    chosen = target or config[ExecutionOptions.TARGET]
    if chosen != _TARGET:
        raise ConfigurationError(
            f"run-application needs -t {_TARGET}, the only target that runs main() on the cluster"
            + (f": {chosen!r} does not" if chosen else "")
        )
    deploy(program, config.set(ExecutionOptions.TARGET, _TARGET))


def deploy(program: Program, config: Configuration) -> None:
    """Deploy the application and say where it is."""
    # Not at the top: --help needs none of it.
    from yarnflow.session import application_mode
    from yarnflow.session.deployment import YarnClusterDescriptor

    with YarnClusterDescriptor(config, tell) as descriptor:
        cluster = application_mode.deploy(descriptor, program, config)
    click.echo(f"JobManager Web Interface: {cluster.url}")
    click.echo(detached_hint(cluster.application_id))
