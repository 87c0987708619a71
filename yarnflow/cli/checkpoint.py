"""`yarnflow checkpoint`: take a checkpoint of a job now."""

from __future__ import annotations

import click

from yarnflow.cli._cluster import ClusterOptions, cluster_options
from yarnflow.cli._common import FlinkCommand


@click.command(cls=FlinkCommand)
@click.option(
    "-full", "--full", "full", is_flag=True, help="Accepted; whether it is incremental says the configuration."
)
@cluster_options
@click.argument("job_id", metavar="JOB-ID")
def command(cluster: ClusterOptions, full: bool, job_id: str) -> None:
    """Take a checkpoint of a running job, beside those it takes by itself."""
    from yarnflow.session.savepoints import take_checkpoint  # not at the top: --help needs none of it

    client = cluster.client()
    click.echo(f"Triggering checkpoint for job {job_id}.\nWaiting for response...")
    click.echo(f"Checkpoint {take_checkpoint(client, job_id)} completed.")
