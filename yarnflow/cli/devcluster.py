"""`yarnflow devcluster start|stop|status|env`: a real single-node YARN and HDFS on this machine.

Exit codes: 0 done (status: everything works), 1 error, 3 (status only) stopped or degraded, as init scripts do.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from yarnflow.cli._common import output_option, print_answer, verbose_option
from yarnflow.devcluster.cluster import START_SECONDS, DevCluster
from yarnflow.devcluster.settings import Settings
from yarnflow.devcluster.state import DIRECTORY_VARIABLE
from yarnflow.devcluster.status import ClusterStatus

F = TypeVar("F", bound=Callable[..., Any])

_NOT_RUNNING = 3


def _directory_option(function: F) -> F:
    option = click.option(
        "--dir",
        "directory",
        type=click.Path(path_type=Path, file_okay=False),
        envvar=DIRECTORY_VARIABLE,
        show_envvar=True,
        help="The state folder; one devcluster each. Default: yarnflow/devcluster in the user's cache.",
    )
    return option(function)


@click.group(name="devcluster", context_settings={"help_option_names": ["-h", "--help"]})
@verbose_option
def command() -> None:
    """A real single-node YARN and HDFS (and ZooKeeper) on this machine."""


@command.command()
@_directory_option
@click.option(
    "--nodes", type=click.IntRange(min=1), default=1, show_default=True, help="NodeManagers, at least."
)
@click.option("--zookeeper", is_flag=True, help="Run a ZooKeeper server too.")
@click.option(
    "--node-memory",
    type=click.IntRange(min=128),
    default=Settings.node_memory_mb,
    show_default=True,
    metavar="MB",
    help="Memory each NodeManager offers to containers.",
)
@click.option(
    "--node-vcores",
    type=click.IntRange(min=1),
    default=Settings.node_vcores,
    show_default=True,
    help="Virtual cores each NodeManager offers.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=START_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the daemons to work.",
)
@output_option
def start(
    directory: Path | None,
    nodes: int,
    zookeeper: bool,
    node_memory: int,
    node_vcores: int,
    timeout: float,
    output: str,
) -> None:
    """Start what does not run yet, and return when the whole cluster works."""
    cluster = DevCluster(
        directory,
        nodes,
        zookeeper,
        node_memory_mb=node_memory,
        node_vcores=node_vcores,
        start_seconds=timeout,
    )
    with _progress("Starting the devcluster") as progress:
        cluster.start(progress)
    status = cluster.status()
    print_answer(as_json(status), output, lambda: _summary(status))


@command.command()
@_directory_option
@click.option("--remove", is_flag=True, help="Delete the state folder too, with all files in HDFS.")
@output_option
def stop(directory: Path | None, remove: bool, output: str) -> None:
    """Stop every daemon, and whatever they left running."""
    cluster = DevCluster(directory)
    with _progress("Stopping the devcluster") as progress:
        cluster.stop(progress)
    if remove:
        cluster.remove()
    done = f"The devcluster in {cluster.directory} is stopped{' and removed' if remove else ''}."
    print_answer({"directory": str(cluster.directory), "state": "stopped"}, output, lambda: done)


@command.command()
@_directory_option
@output_option
@click.pass_context
def status(ctx: click.Context, directory: Path | None, output: str) -> None:
    """Show what runs, where it listens, and where the logs are. Exit code 3 unless everything works."""
    found = DevCluster(directory).status()
    if output == "json":
        print_answer(as_json(found), output, str)
    else:
        _print_table(found)
    ctx.exit(0 if found.state == "running" else _NOT_RUNNING)


@command.command()
@_directory_option
@output_option
def env(directory: Path | None, output: str) -> None:
    """Print shell commands that point this shell at the cluster: eval "$(yarnflow devcluster env)"."""
    variables = DevCluster(directory).env()
    print_answer(
        variables,
        output,
        lambda: "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
    )


def as_json(status: ClusterStatus) -> dict[str, Any]:
    """Return the status as what --output json prints: the fields of `ClusterStatus`, paths as strings."""
    plain = asdict(status)
    plain["directory"] = str(status.directory)
    for daemon in plain["daemons"]:
        daemon["log"] = str(daemon["log"])
    return plain


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str], None]]:
    """Messages on stderr, below a spinner where there is a terminal."""
    from rich.console import Console  # not at the top: `env` and JSON output need no rich

    console = Console(stderr=True, highlight=False)
    with console.status(title):
        yield lambda message: console.print(f"  {message}", markup=False, style="dim", soft_wrap=True)


def _summary(status: ClusterStatus) -> str:
    lines = [f"HDFS       {status.hdfs_uri}", f"YARN       {status.rm_web_address}"]
    if status.zookeeper_quorum:
        lines.append(f"ZooKeeper  {status.zookeeper_quorum}")
    lines.append(f"State      {status.directory}")
    return "\n".join([*lines, 'To use it: eval "$(yarnflow devcluster env)"'])


def _print_table(status: ClusterStatus) -> None:
    from rich.console import Console  # as above
    from rich.table import Table

    # Wide enough for every row, so that a pipe gets whole rows and a narrow terminal wraps them.
    console = Console(highlight=False, soft_wrap=True, width=1000)
    console.print(f"The devcluster in {status.directory} is {status.state}.")
    for problem in status.problems:
        console.print(f"  {problem}", markup=False)
    if status.hdfs_uri is None:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("daemon", "pid", "memory", "web", "ports", "log"):
        table.add_column(column, no_wrap=True, justify="right" if column in ("pid", "memory") else "left")
    for daemon in status.daemons:
        table.add_row(
            daemon.role,
            str(daemon.pid) if daemon.running else "-",
            f"{daemon.memory // 2**20} MB" if daemon.running else "-",
            daemon.web or "",
            " ".join(f"{use}:{port}" for use, port in daemon.ports.items() if use != "web"),
            str(daemon.log),
        )
    console.print(table)
    console.print(f"HDFS {status.hdfs_uri}  YARN {status.rm_web_address}", end="")
    console.print(f"  ZooKeeper {status.zookeeper_quorum}" if status.zookeeper_quorum else "")
    if status.containers:
        console.print(f"Container processes: {', '.join(map(str, status.containers))}")
