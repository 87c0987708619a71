"""`yarnflow cancel`: cancel a job."""

from __future__ import annotations

from pathlib import Path

import click

from yarnflow.cli._cluster import cluster_configuration, target_options
from yarnflow.cli._common import FlinkCommand, config_dir_option, dynamic_properties


@click.command(cls=FlinkCommand)
@target_options
@click.option("-yid", "--yarnapplicationId", "application_id", metavar="ID", help="The application on YARN.")
@dynamic_properties("-D", "-yD")
@config_dir_option
@click.argument("job_id", metavar="JOB-ID")
def command(
    target: str | None,
    jobmanager: str,
    application_id: str | None,
    properties: dict[str, str],
    config_dir: Path | None,
    job_id: str,
) -> None:
    """Cancel a running job."""
    from yarnflow.session.targets import attach  # not at the top: --help needs none of it

    config = cluster_configuration(config_dir, properties, target, application_id)
    click.echo(f"Cancelling job {job_id}.")
    attach(config, jobmanager).client.cancel(job_id)
    click.echo(f"Cancelled job {job_id}.")
