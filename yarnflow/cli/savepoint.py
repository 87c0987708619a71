"""`yarnflow savepoint`: take one, delete one, look into one."""

from __future__ import annotations

import click

from yarnflow.cli._cluster import ClusterOptions, cluster_options
from yarnflow.cli._common import FlinkCommand, output_option
from yarnflow.cli._program import absolute


@click.command(cls=FlinkCommand)
@click.option("-d", "--dispose", "dispose", metavar="PATH", help="Delete this savepoint.")
@click.option(
    "-type",
    "--type",
    "form",
    type=click.Choice(["canonical", "native"]),
    default="canonical",
    show_default=True,
    help="Accepted as in Flink; savepoints have one form, which every backend reads.",
)
@click.option("--rows", type=click.IntRange(0), default=20, show_default=True, help="Of a state to show.")
@cluster_options
@output_option
@click.argument("words", nargs=-1, metavar="JOB-ID [DIR] | inspect PATH [OPERATOR STATE]")
def command(
    cluster: ClusterOptions, dispose: str | None, form: str, rows: int, output: str, words: tuple[str, ...]
) -> None:
    """Take a savepoint of a running job, in DIR or where the configuration says; or show what one holds: its
    operators and states, or the first rows of one state."""
    if dispose is not None:
        if words:
            raise click.UsageError("-d deletes a savepoint and needs nothing else")
        _dispose(cluster, dispose)
    elif words[:1] == ("inspect",):
        if len(words) not in (2, 4):
            raise click.UsageError("name one savepoint, and perhaps a state: inspect PATH [OPERATOR STATE]")
        _inspect(cluster, words[1], words[2:], rows, output)
    elif len(words) in (1, 2):
        _take(cluster, *words)
    else:
        raise click.UsageError("name the job, and at most one directory")


def _take(cluster: ClusterOptions, job_id: str, directory: str | None = None) -> None:
    from yarnflow.session.savepoints import take_savepoint  # not at the top: --help needs none of it

    client = cluster.client()
    click.echo(f"Triggering savepoint for job {job_id}.\nWaiting for response...")
    path = take_savepoint(client, job_id, absolute(directory))
    click.echo(f"Savepoint completed. Path: {path}")
    click.echo("You can resume your program from this savepoint with the run command.")


def _dispose(cluster: ClusterOptions, path: str) -> None:
    from yarnflow.session.savepoints import dispose_savepoint  # as above

    client = cluster.client()
    path = absolute(path) or path
    click.echo(f"Disposing savepoint '{path}'.\nWaiting for response...")
    dispose_savepoint(client, path)
    click.echo(f"Savepoint '{path}' disposed.")


# -- inspect ---------------------------------------------------------------------------------------------


def _inspect(cluster: ClusterOptions, path: str, state: tuple[str, ...], rows: int, output: str) -> None:
    from yarnflow.cli._inspect import show_contents, show_rows  # as above
    from yarnflow.runtime.checkpoint.metadata import find_checkpoint  # as above

    cluster.configuration()  # file systems need it
    checkpoint, passed_over = find_checkpoint(path)
    for reason in passed_over:
        click.echo(f"passed over: {reason}", err=True)
    if state:
        show_rows(checkpoint, state[0], state[1], rows, output)
    else:
        show_contents(checkpoint, output)
