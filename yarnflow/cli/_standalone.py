"""What `yarnflow jobmanager`, `yarnflow taskmanager` and `yarnflow standalone` share: their actions."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from yarnflow.config import Configuration

F = TypeVar("F", bound=Callable[..., Any])

FOREGROUND = "start-foreground"

action_argument = click.argument(
    "action", type=click.Choice(["start", FOREGROUND, "stop", "stop-all"]), default=FOREGROUND
)


def report_option(command: F) -> F:
    """--report, which is no option for people: the pipe to the `start` that waits."""
    return click.option("--report", type=int, hidden=True)(command)


def arguments_for(config_dir: Path | None, properties: Mapping[str, str]) -> list[str]:
    """--configDir and -D as they were given, for another process."""
    directory = [] if config_dir is None else ["--configDir", str(config_dir.absolute())]
    return [*directory, *(f"-D{key}={value}" for key, value in properties.items())]


def manage(kind: str, action: str, config: Configuration, arguments: Sequence[str]) -> None:
    """Carry out start, stop or stop-all on this host and say what was done.

    Args:
        kind: "jobmanager" or "taskmanager".
        action: one of them.
        config: what the process reads.
        arguments: of its command.
    """
    from yarnflow.standalone import instances, process  # not at the top: --help needs none of it

    title = process.TITLES[kind]
    if action == "start":
        for line in process.describe_running(kind, config):
            click.echo(line)
        click.echo(f"Started the {process.start_in_background(kind, arguments)}")
        return
    found = instances.running(kind, instances.pid_directory(config))
    if not found:
        click.echo(f"No {title} runs on {socket.gethostname()}.")
    # As Flink does: `stop` ends the one that was started last.
    for instance in reversed(found if action == "stop-all" else found[-1:]):
        gracefully = instances.stop(instance)
        killed = "" if gracefully else f", which did not end within {instances.GRACE:g} s and was killed"
        click.echo(f"Stopped the {title} with pid {instance.pid}{killed}.")
