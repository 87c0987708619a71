"""Logs of containers, to say why something failed: from the node that has them, without a JVM.

A NodeManager serves the logs of containers that run or ended a moment ago. Later they are aggregated, and where
reading them needs a JVM or a log server, so they are left to `yarn logs`, which the message names.
"""

from __future__ import annotations

from yarnflow.yarn.application import ApplicationReport
from yarnflow.yarn.rm_rest import ResourceManagerClient

#: What the JobManager's container writes, most telling first (yarn/processes.py; the others are skein's).
MASTER_LOGS = ("program.log", "jobmanager.log", "application.driver.log", "application.master.log", "stderr")
#: Characters of a log that are shown with an error.
TAIL = 3000


def master_log_tail(client: ResourceManagerClient, report: ApplicationReport, limit: int = TAIL) -> str:
    """The end of the ApplicationMaster's log, "" when no node has it (any more).

    Args:
        client: for authenticated requests.
        report: names node and container.
        limit: characters.
    """
    if not report.master_node or not report.master_container:
        return ""
    base = f"http://{report.master_node}/ws/v1/node/containerlogs/{report.master_container}"
    for name in MASTER_LOGS:
        answer = client.fetch(f"{base}/{name}", {"size": str(-limit)})
        if answer is not None and answer.status_code == 200:
            text = _without_frame(answer.text).strip()
            if text:
                return f"{name}:\n{text[-limit:]}"
    return ""


def master_log_in(logs: dict[str, str], report: ApplicationReport, limit: int = TAIL) -> str:
    """The end of the ApplicationMaster's log among aggregated logs by container id; "" without one."""
    text = logs.get(report.master_container) or next(iter(sorted(logs.items())), ("", ""))[1]
    return text.strip()[-limit:]


def _without_frame(text: str) -> str:
    """NodeManagers put a heading and a footer around the content."""
    lines = text.splitlines()
    if lines and lines[0].startswith("Container: "):
        start = next((i for i, line in enumerate(lines) if line.startswith("LogContents:")), -1)
        end = next((i for i, line in enumerate(lines) if line.startswith("End of LogType:")), len(lines))
        lines = lines[start + 1 : end]
    return "\n".join(lines)
