"""`yarnflow stop`: end a job with a savepoint from which it can go on."""

from __future__ import annotations

import click

from yarnflow.cli._cluster import ClusterOptions, cluster_options
from yarnflow.cli._common import FlinkCommand
from yarnflow.cli._program import absolute


@click.command(cls=FlinkCommand)
@click.option(
    "-p",
    "--savepointPath",
    "directory",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    help="Where the savepoint gets a directory of its own; without it where the configuration says.",
)
@click.option(
    "-d",
    "--drain",
    is_flag=True,
    help="Let all timers and windows fire first: for a job that will not go on from the savepoint.",
)
@cluster_options
@click.argument("job_id", metavar="JOB-ID", default="")
def command(cluster: ClusterOptions, directory: str | None, drain: bool, job_id: str) -> None:
    """Stop a running job with a savepoint.

    Sources stop, everything in flight is processed, sinks commit, and the job ends as FINISHED.
    """
    from yarnflow.session.savepoints import take_savepoint  # not at the top: --help needs none of it

    if directory and not job_id:
        directory, job_id = "", directory  # -p without a directory, right before the job
    if not job_id:
        raise click.UsageError("name the job: its id, as `yarnflow list` shows it")
    client = cluster.client()
    click.echo(f"{'Draining' if drain else 'Suspending'} job \"{job_id}\" with a CANONICAL savepoint.")
    path = take_savepoint(client, job_id, absolute(directory) if directory else None, stop=True, drain=drain)
    click.echo(f"Savepoint completed. Path: {path}")
