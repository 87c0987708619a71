"""`yarnflow taskmanager`: a standalone TaskManager; what bin/taskmanager.sh runs."""

from __future__ import annotations

from pathlib import Path

import click

from yarnflow.cli._common import FlinkCommand, config_dir_option, dynamic_properties, load_configuration
from yarnflow.cli._standalone import FOREGROUND, action_argument, arguments_for, manage, report_option


@click.command(cls=FlinkCommand)
@action_argument
@config_dir_option
@dynamic_properties()
@report_option
def command(action: str, config_dir: Path | None, properties: dict[str, str], report: int | None) -> None:
    """Run a standalone TaskManager, start one in the background, or stop it.

    It looks for the JobManager at jobmanager.rpc.address and jobmanager.rpc.port. `stop` ends the one that was
    started last, `stop-all` all of this user on this host.
    """
    config = load_configuration(config_dir, properties)
    if action != FOREGROUND:
        manage("taskmanager", action, config, arguments_for(config_dir, properties))
        return
    # Not at the top: the other actions need no runtime.
    from yarnflow.standalone import taskmanager
    from yarnflow.standalone.process import run_process
    from yarnflow.standalone.secret import existing_secret

    run_process("taskmanager", config, config_dir, report, existing_secret, taskmanager.serve)
