"""`yarnflow session`, which bin/yarn-session.sh runs: start a session on YARN, or attach to one."""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yarnflow.cli._cluster import detached_hint, tell, yarn_options
from yarnflow.cli._common import (
    FlinkCommand,
    config_dir_option,
    dynamic_properties,
    load_configuration,
    output_option,
    print_answer,
)
from yarnflow.config import Configuration
from yarnflow.config.core import ClientOptions
from yarnflow.config.yarn import YarnOptions
from yarnflow.errors import ClusterUnreachableError

if TYPE_CHECKING:
    from yarnflow.session.running import YarnCluster

#: Seconds between two looks at the application while attached.
_LOOK_SECONDS = 3.0

_HELP = """Available commands:
help - show these commands
stop - stop the YARN session"""


@click.command(cls=FlinkCommand)
@yarn_options()
@click.option("-d", "--detached", is_flag=True, help="Return when the session can be used.")
@click.option("-q", "--query", is_flag=True, help="Show what the cluster offers, and start nothing.")
@dynamic_properties()
@config_dir_option
@output_option
def command(
    detached: bool,
    query: bool,
    yarn: dict[str, str],
    properties: dict[str, str],
    config_dir: Path | None,
    output: str,
) -> None:
    """Start a session: a JobManager on YARN that runs any number of jobs.

    The next `yarnflow run` finds it. Without -d this command stays attached: it takes `help` and `stop`, and ends
    the session on Ctrl-C. With -id it attaches to a session that runs: `echo stop | yarn-session.sh -id ID` ends
    it.
    """
    config = load_configuration(config_dir, {**properties, **yarn})
    if query:
        _show_resources(config, output)
    elif config[YarnOptions.APPLICATION_ID]:
        _attach(config, detached)
    else:
        _start(config, detached, properties)


def _start(config: Configuration, detached: bool, properties: dict[str, str]) -> None:
    # Not at the top: --help needs none of it.
    from yarnflow.session import properties_file
    from yarnflow.session.deployment import YarnClusterDescriptor

    with YarnClusterDescriptor(config, tell) as descriptor:
        cluster = descriptor.deploy_session()
    note = properties_file.SessionNote(cluster.application_id, properties)
    try:
        properties_file.write(config, note)
    except OSError as error:
        tell(f"`yarnflow run` will need -yid {cluster.application_id}: the session cannot be noted: {error}")
    click.echo(f"JobManager Web Interface: {cluster.url}")
    if detached:
        click.echo(detached_hint(cluster.application_id))
    else:
        _stay(cluster, config, owner=True)


def _attach(config: Configuration, detached: bool) -> None:
    from yarnflow.session.running import YarnCluster  # not at the top: --help needs none of it

    application_id = config[YarnOptions.APPLICATION_ID]
    assert application_id is not None
    cluster = YarnCluster(application_id, config)
    click.echo(f"JobManager Web Interface: {cluster.url}")
    if detached:
        click.echo(detached_hint(application_id))
    else:
        _stay(cluster, config, owner=False)


def _stay(cluster: YarnCluster, config: Configuration, owner: bool) -> None:
    """Take commands until the session ends.

    Args:
        owner: we started it, so Ctrl-C ends it; a session we attached to runs on.
    """
    try:
        tell(f"Attached to {cluster.application_id}. {_HELP}")
        typed, answered = _Typed(), time.monotonic()
        while True:
            for command in typed.wait(_LOOK_SECONDS):
                if command in ("stop", "quit"):
                    _stop(cluster, config)
                    return
                if command != "help":
                    tell(f"Unknown command {command!r}.")
                tell(_HELP)
            try:
                if _ended(cluster, config):
                    return
                answered = time.monotonic()
            except ClusterUnreachableError:
                # A ResourceManager that restarts or fails over: the session runs on meanwhile.
                if time.monotonic() > answered + config[ClientOptions.TIMEOUT].total_seconds():
                    raise
    except KeyboardInterrupt:
        if not owner:
            tell(f"Detached; {cluster.application_id} runs on.")
            return
        _stop(cluster, config)


class _Typed:
    """Lines from standard input, without waiting for them.

    Read from the file descriptor: what Python's own buffer holds, select does not see.
    """

    def __init__(self) -> None:
        # There is none when it was closed (`<&-`).
        self._descriptor: int | None = None if sys.stdin is None else sys.stdin.fileno()
        self._rest = b""

    def wait(self, seconds: float) -> list[str]:
        """Return the lines that came within the time, as soon as there are some. At the end of the input nobody
        will type any more, but the session runs: as in Flink, go on until it ends."""
        if self._descriptor is None:
            time.sleep(seconds)
            return []
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return []
        chunk = os.read(self._descriptor, 4096)
        if not chunk:
            self._descriptor = None
            chunk = b"\n"
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [text for line in lines if (text := line.decode(errors="replace").strip())]


def _ended(cluster: YarnCluster, config: Configuration) -> bool:
    from yarnflow.errors import ClusterError
    from yarnflow.session import properties_file
    from yarnflow.session.running import ended_message

    report = cluster.report()
    if not report.state.ended:
        return False
    properties_file.remove(config, cluster.application_id)
    if report.final_status != "SUCCEEDED":
        raise ClusterError(ended_message(report))
    tell(f"{cluster.application_id} has ended.")
    return True


def _stop(cluster: YarnCluster, config: Configuration) -> None:
    from yarnflow.session import properties_file

    tell(f"Stopping {cluster.application_id}.")
    report = cluster.stop()
    properties_file.remove(config, cluster.application_id)
    click.echo(f"The YARN session {cluster.application_id} has ended: {report.final_status}")


def _show_resources(config: Configuration, output: str) -> None:
    """What the cluster offers: nodes, the largest container, queues."""
    from yarnflow.session.cluster_resources import cluster_resources

    resources = cluster_resources(config)

    def text() -> str:
        largest = resources["maximumAllocation"]
        lines = [f"NodeManagers in the cluster: {len(resources['nodes'])}"]
        lines += [
            f"  {node['id']}: {node['memoryMB']} MB ({node['usedMemoryMB']} used), {node['vcores']} vcores "
            f"({node['usedVcores']} used)"
            for node in resources["nodes"]
        ]
        if largest:
            lines.append(f"Largest container: {largest['memoryMB']} MB, {largest['vcores']} vcores")
        lines += ["Queues:", *(f"  {queue['path']}: {queue['state']}" for queue in resources["queues"])]
        return "\n".join(lines)

    print_answer(resources, output, text)
