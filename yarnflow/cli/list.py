"""`yarnflow list`: the jobs of a cluster."""

from __future__ import annotations

import time
from typing import Any

import click

from yarnflow.cli._cluster import ClusterOptions, cluster_options
from yarnflow.cli._common import FlinkCommand, output_option, print_answer

_SCHEDULED = ("CREATED", "INITIALIZING")
_ENDED = ("FINISHED", "CANCELED", "FAILED")


@click.command(cls=FlinkCommand)
@click.option("-r", "--running", is_flag=True, help="Only running jobs.")
@click.option("-s", "--scheduled", is_flag=True, help="Only scheduled jobs.")
@click.option("-a", "--all", "everything", is_flag=True, help="Also jobs that have ended.")
@cluster_options
@output_option
def command(running: bool, scheduled: bool, everything: bool, cluster: ClusterOptions, output: str) -> None:
    """List running and scheduled jobs, all with -a."""
    jobs = cluster.client().jobs()
    groups = {
        "Running/Restarting": [job for job in jobs if job["state"] not in (*_SCHEDULED, *_ENDED)],
        "Scheduled": [job for job in jobs if job["state"] in _SCHEDULED],
        "Terminated": [job for job in jobs if job["state"] in _ENDED],
    }
    shown = ["Running/Restarting"] * (everything or running or not scheduled)
    shown += ["Scheduled"] * (everything or scheduled or not running)
    shown += ["Terminated"] * everything
    answer = [job for group in shown for job in groups[group]]
    print_answer(answer, output, lambda: "\n".join(_section(group, groups[group]) for group in shown))


def _section(name: str, jobs: list[dict[str, Any]]) -> str:
    if not jobs:
        return f"No {name.partition('/')[0].lower()} jobs."
    lines = [f"{f' {name} Jobs ':-^60}"]
    lines += [
        f"{_local_time(job['start-time'])} : {job['jid']} : {job['name']} ({job['state']})"
        for job in sorted(jobs, key=lambda job: job["start-time"])
    ]
    return "\n".join([*lines, "-" * 60])


def _local_time(millis: int) -> str:
    return time.strftime("%d.%m.%Y %H:%M:%S", time.localtime(millis / 1000))
