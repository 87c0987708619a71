"""Which log says why an ApplicationMaster ended, and what is shown of it."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from yarnflow.yarn import logs
from yarnflow.yarn.application import ApplicationReport, ApplicationState

PAGE = """\
Container: container_1_0001_01_000001 on node_1
LogAggregationType: AGGREGATED
===============
LogType:jobmanager.log
LogLastModifiedTime:now
LogLength:20
LogContents:
first
LogType:not a header inside of the contents
last

End of LogType:jobmanager.log
*****
LogType:stderr
LogContents:

End of LogType:stderr
"""


def report(node: str = "node:8042", container: str = "container_1") -> ApplicationReport:
    return ApplicationReport(
        "application_1_0001", "n", "u", "q", ApplicationState.FAILED, "FAILED", "", "", frozenset(),
        master_node=node, master_container=container,
    )  # fmt: skip


class Node:
    """Answers for a NodeManager: pages by the log's name."""

    def __init__(self, pages: dict[str, str]) -> None:
        self.pages = pages

    def fetch(self, url: str, params: dict[str, str]) -> Any:
        name = url.rpartition("/")[2]
        assert url == f"http://node:8042/ws/v1/node/containerlogs/container_1/{name}"
        assert params == {"size": "-3000"}
        if name not in self.pages:
            return SimpleNamespace(status_code=404, text="")
        return SimpleNamespace(status_code=200, text=self.pages[name])


def test_logs_are_taken_apart() -> None:
    found = logs.sections(PAGE)
    assert found["jobmanager.log"] == "first\nLogType:not a header inside of the contents\nlast\n"
    assert found["stderr"] == ""
    assert logs.sections("no logs here") == {}


def test_the_most_telling_log_is_shown_at_its_end() -> None:
    assert logs.most_telling({"stderr": "x", "jobmanager.log": " \n"}) == "stderr:\nx"
    assert logs.most_telling({"stderr": "x", "jobmanager.log": "y", "program.log": "z"}) == "program.log:\nz"
    assert logs.most_telling({"stderr": "x" * 5000}) == "stderr:\n" + "x" * 3000
    assert logs.most_telling({"other": "x"}) == ""


def test_the_node_is_asked_first() -> None:
    node: Any = Node({"jobmanager.log": PAGE, "stderr": "plain"})
    assert logs.master_log_tail(node, report(), 0.0).startswith("jobmanager.log:\nfirst")


def test_then_aggregated_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **more: Any) -> Any:
        assert more["timeout"], "never without a limit"
        commands.append(command)
        return SimpleNamespace(stdout=PAGE)

    monkeypatch.setattr(subprocess, "run", run)
    nobody: Any = SimpleNamespace(fetch=lambda url, params: None)
    assert "last" in logs.master_log_tail(nobody, report(), 5.0)
    assert commands[0][:4] == ["yarn", "logs", "-applicationId", "application_1_0001"]
    assert logs.master_log_tail(nobody, report(node=""), 0.0) == "", "no time left"


@pytest.mark.parametrize("error", [FileNotFoundError("yarn"), subprocess.TimeoutExpired("yarn", 1)])
def test_logs_that_cannot_be_had_hide_no_error(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def run(command: list[str], **more: Any) -> Any:
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(logs, "_PAUSE_SECONDS", 0.001)
    nobody: Any = SimpleNamespace(fetch=lambda url, params: None)
    assert logs.master_log_tail(nobody, report(), 0.01) == ""
