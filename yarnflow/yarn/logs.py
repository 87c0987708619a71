"""Logs of an ApplicationMaster that ended, to say why.

While its container is known there, the NodeManager serves them. Soon after, logs are aggregated on HDFS in a
format of Hadoop's own (skein 0.8.2 looks where Hadoop 2 put them), and `yarn logs` reads them: a JVM, but only
where a deployment has failed.
"""

from __future__ import annotations

import subprocess
import time

from yarnflow.yarn.application import ApplicationReport
from yarnflow.yarn.rm_rest import ResourceManagerClient

#: What the JobManager's container writes, most telling first (yarn/processes.py; the others are skein's).
MASTER_LOGS = ("program.log", "jobmanager.log", "application.driver.log", "application.master.log", "stderr")
#: Characters of a log that are shown with an error.
TAIL = 3000
_PAUSE_SECONDS = 1.0
_COMMAND_SECONDS = 30.0

def master_log_tail(client: ResourceManagerClient, report: ApplicationReport, seconds: float) -> str:
    """The end of the ApplicationMaster's most telling log; "" when it cannot be had.

    Args:
        client: for authenticated requests.
        report: names node and container.
        seconds: for the logs to be aggregated.
    """
    found = _from_node(client, report)
    deadline = time.monotonic() + seconds
    while not found and time.monotonic() < deadline:
        found = most_telling(_aggregated(report.application_id))
        if not found:
            time.sleep(_PAUSE_SECONDS)
    return found


def most_telling(logs: dict[str, str]) -> str:
    """Of logs by name, the end of the one that says why; "" when there is none."""
    for name in MASTER_LOGS:
        text = logs.get(name, "").strip()
        if text:
            return f"{name}:\n{text[-TAIL:]}"
    return ""


def sections(text: str) -> dict[str, str]:
    """Take the output of `yarn logs`, or a NodeManager's page, apart: content by name of the log."""
    found: dict[str, list[str]] = {}
    name, content = "", None
    for line in text.splitlines():
        if content is None:
            if line.startswith("LogType:"):
                name = line.partition(":")[2].strip()
            elif line.startswith("LogContents:") and name:
                content = found.setdefault(name, [])
        elif line.startswith(f"End of LogType:{name}"):
            name, content = "", None
        else:
            content.append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


def _from_node(client: ResourceManagerClient, report: ApplicationReport) -> str:
    if not report.master_node or not report.master_container:
        return ""
    base = f"http://{report.master_node}/ws/v1/node/containerlogs/{report.master_container}"
    logs = {}
    for name in MASTER_LOGS:
        answer = client.fetch(f"{base}/{name}", {"size": str(-TAIL)})
        if answer is None or answer.status_code != 200:
            continue
        logs[name] = sections(answer.text).get(name, answer.text)
    return most_telling(logs)


def _aggregated(application_id: str) -> dict[str, str]:
    command = ["yarn", "logs", "-applicationId", application_id, "-am", "ALL", "-size", str(-TAIL)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        # It only helps to explain another error.
        return {}
    return sections(done.stdout)
