"""`yarnflow jobmanager`: a standalone JobManager; what bin/jobmanager.sh runs."""

from __future__ import annotations

from pathlib import Path

import click

from yarnflow.cli._common import FlinkCommand, config_dir_option, dynamic_properties, load_configuration
from yarnflow.cli._standalone import FOREGROUND, action_argument, arguments_for, manage, report_option


@click.command(cls=FlinkCommand)
@action_argument
@click.argument("host", required=False)
@click.argument("webui_port", metavar="[WEBUI-PORT]", required=False)
@config_dir_option
@dynamic_properties()
@report_option
def command(
    action: str,
    host: str | None,
    webui_port: str | None,
    config_dir: Path | None,
    properties: dict[str, str],
    report: int | None,
) -> None:
    """Run a standalone JobManager, start one in the background, or stop it.

    HOST is the name under which others reach it (jobmanager.rpc.address), WEBUI-PORT the port of its dashboard
    and REST API (rest.port); without them the configuration counts. `stop` ends the one that was started last,
    `stop-all` all of this user on this host.
    """
    given = {"jobmanager.rpc.address": host, "rest.port": webui_port}
    properties = {**properties, **{key: value for key, value in given.items() if value}}
    config = load_configuration(config_dir, properties)
    if action != FOREGROUND:
        manage("jobmanager", action, config, arguments_for(config_dir, properties))
        return
    # Not at the top: the other actions need no runtime.
    from yarnflow.standalone import jobmanager
    from yarnflow.standalone.process import run_process
    from yarnflow.standalone.secret import existing_or_new_secret

    run_process("jobmanager", config, config_dir, report, existing_or_new_secret, jobmanager.serve)
