"""`yarnflow savepoint`: take one, delete one, look into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yarnflow.cli._cluster import ClusterOptions, cluster_options
from yarnflow.cli._common import FlinkCommand, output_option, print_answer
from yarnflow.cli._program import absolute

if TYPE_CHECKING:
    from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint, OperatorCheckpoint


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
@cluster_options
@output_option
@click.argument("words", nargs=-1, metavar="JOB-ID [DIR] | inspect PATH")
def command(cluster: ClusterOptions, dispose: str | None, form: str, output: str, words: tuple[str, ...]) -> None:
    """Take a savepoint of a running job, in DIR or where the configuration says; or show what one holds."""
    if dispose is not None:
        if words:
            raise click.UsageError("-d deletes a savepoint and needs nothing else")
        _dispose(cluster, dispose)
    elif words[:1] == ("inspect",):
        if len(words) != 2:
            raise click.UsageError("name one savepoint: inspect PATH")
        _inspect(cluster, words[1], output)
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


def _inspect(cluster: ClusterOptions, path: str, output: str) -> None:
    from yarnflow.runtime.checkpoint.metadata import find_checkpoint  # as above

    cluster.configuration()  # file systems need it
    checkpoint, passed_over = find_checkpoint(path)
    for reason in passed_over:
        click.echo(f"passed over: {reason}", err=True)
    if output == "json":
        print_answer(_document(checkpoint), output, str)
    else:
        _show(checkpoint)


def _document(checkpoint: CompletedCheckpoint) -> dict[str, Any]:
    return {
        "path": checkpoint.directory,
        "kind": "savepoint" if checkpoint.savepoint else "checkpoint",
        "checkpoint-id": checkpoint.checkpoint_id,
        "job-id": checkpoint.job_id,
        "timestamp": checkpoint.timestamp,
        "size": checkpoint.size,
        "operators": [
            {
                "id": operator.operator_id,
                "uid": operator.uid,
                "name": operator.name,
                "parallelism": operator.parallelism,
                "max-parallelism": operator.max_parallelism,
                "size": operator.size,
                "states": _states(operator),
            }
            for operator in checkpoint.operators
        ],
    }


def _states(operator: OperatorCheckpoint) -> list[dict[str, Any]]:
    """The operator's states, summed over its subtasks."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for state in operator.subtasks.values():
        for block in state.blocks:
            entry = found.setdefault(
                (block.name, block.kind.value),
                {"name": block.name, "kind": block.kind.value, "details": block.details, "rows": 0, "size": 0},
            )
            entry["rows"] += block.rows
            entry["size"] += block.size
        if state.files:
            entry = found.setdefault(
                ("", "files"),
                {"name": "", "kind": "files", "details": {}, "rows": None, "size": 0},
            )
            entry["size"] += sum(file.size for file in state.files)
    return list(found.values())


def _show(checkpoint: CompletedCheckpoint) -> None:
    # rich takes 50 ms: JSON needs none of it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    document = _document(checkpoint)
    console = Console(highlight=False)
    console.print(
        Text(
            f"{document['kind']} {checkpoint.checkpoint_id} of job {checkpoint.job_id}, taken "
            f"{_local_time(checkpoint.timestamp)}, {_size(checkpoint.size)}\n{checkpoint.directory}"
        )
    )
    table = Table("operator", "uid", "parallelism", "state", "kind", "rows", "size")
    for operator in document["operators"]:
        head = [operator["name"], operator["uid"] or operator["id"], _parallelism(operator)]
        rows = operator["states"] or [{"name": "-", "kind": "", "rows": None, "size": 0}]
        for number, state in enumerate(rows):
            count = "" if state["rows"] is None else f"{state['rows']:,}"
            size = _size(state["size"]) if operator["states"] else ""
            cells = (*(head if number == 0 else ["", "", ""]), state["name"], state["kind"], count, size)
            table.add_row(*map(Text, cells))
        table.add_section()
    console.print(table)


def _parallelism(operator: dict[str, Any]) -> str:
    return f"{operator['parallelism']} of {operator['max-parallelism']}"


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def _local_time(millis: int) -> str:
    import time  # as above

    return time.strftime("%d.%m.%Y %H:%M:%S", time.localtime(millis / 1000))
