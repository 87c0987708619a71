"""`yarnflow standalone start|stop`: all of conf/masters and conf/workers; what bin/start-cluster.sh runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from yarnflow.cli._common import FlinkCommand, config_dir_option, dynamic_properties, load_configuration
from yarnflow.cli._standalone import arguments_for, manage


@click.command(cls=FlinkCommand)
@click.argument("action", type=click.Choice(["start", "stop"]))
@config_dir_option
@dynamic_properties()
def command(action: str, config_dir: Path | None, properties: dict[str, str]) -> None:
    """Start or stop a standalone cluster.

    One JobManager on the host that the file `masters` beside the configuration names, and a TaskManager for
    every line of `workers`: on this host for localhost, on others by ssh.
    """
    from yarnflow.standalone import cluster  # not at the top: --help does not need it

    config = load_configuration(config_dir, properties)

    def here(kind: str, words: Sequence[str]) -> None:
        manage(kind, words[0], config, words[1:])

    work = cluster.start_cluster if action == "start" else cluster.stop_cluster
    work(config, config_dir, arguments_for(config_dir, properties), here)
