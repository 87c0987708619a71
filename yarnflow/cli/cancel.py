"""`yarnflow cancel`: cancel a job."""

from __future__ import annotations

import click

from yarnflow.cli._cluster import ClusterOptions, cluster_options
from yarnflow.cli._common import FlinkCommand
from yarnflow.cli._program import absolute


@click.command(cls=FlinkCommand)
@click.option(
    "-s",
    "--withSavepoint",
    "directory",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    help="Take a savepoint first, in DIR or where the configuration says. `stop` does it without a gap.",
)
@cluster_options
@click.argument("job_id", metavar="JOB-ID", default="")
def command(cluster: ClusterOptions, directory: str | None, job_id: str) -> None:
    """Cancel a running job."""
    if directory and not job_id:
        directory, job_id = "", directory  # -s without a directory, right before the job
    if not job_id:
        raise click.UsageError("name the job: its id, as `yarnflow list` shows it")
    client = cluster.client()
    if directory is None:
        click.echo(f"Cancelling job {job_id}.")
        client.cancel(job_id)
        click.echo(f"Cancelled job {job_id}.")
        return
    from yarnflow.session.savepoints import take_savepoint  # not at the top: --help needs none of it

    where = directory or "the default savepoint directory"
    click.echo(f"Cancelling job {job_id} with savepoint to {where}.")
    path = take_savepoint(client, job_id, absolute(directory) if directory else None, cancel=True)
    click.echo(f"Cancelled job {job_id}. Savepoint stored in {path}.")
