"""yarn-session.sh while it is attached: what is typed, Ctrl-C, a session that ends, YARN away for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from yarnflow.cli import session
from yarnflow.config import Configuration
from yarnflow.errors import ClusterError, ClusterUnreachableError
from yarnflow.session import properties_file
from yarnflow.session.properties_file import SessionNote
from yarnflow.yarn.application import ApplicationReport, ApplicationState

APP = "application_1_0001"


def report(state: ApplicationState, final: str) -> ApplicationReport:
    return ApplicationReport(APP, "session", "u", "default", state, final, "", "", frozenset())


RUNNING = report(ApplicationState.RUNNING, "UNDEFINED")
FINISHED = report(ApplicationState.FINISHED, "SUCCEEDED")


class Cluster:
    """A session that goes through reports, or errors."""

    application_id = APP

    def __init__(self, *reports: ApplicationReport | BaseException) -> None:
        self.reports = list(reports)
        self.stopped = False

    def report(self) -> ApplicationReport:
        found = self.reports.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    def stop(self) -> ApplicationReport:
        self.stopped = True
        return FINISHED


@pytest.fixture
def config(tmp_path: Path) -> Configuration:
    made = Configuration({"yarn.properties-file.location": str(tmp_path)})
    properties_file.write(made, SessionNote(APP))
    return made


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where to type."""
    monkeypatch.setattr(session, "_LOOK_SECONDS", 0.0)
    read, write = os.pipe()
    with os.fdopen(read) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield write
    os.close(write)


def stay(cluster: Any, config: Configuration, owner: bool = True) -> None:
    session._stay(cluster, config, owner)


def test_commands_that_come_together(
    typed: int, config: Configuration, capsys: pytest.CaptureFixture[str]
) -> None:
    os.write(typed, b"help\nnonsense\n\nst")
    os.write(typed, b"op\n")
    cluster = Cluster(RUNNING, RUNNING)
    stay(cluster, config)
    assert cluster.stopped
    assert "Unknown command 'nonsense'." in capsys.readouterr().err
    assert properties_file.read(config) is None, "the next `run` shall not look for it"


def test_the_end_of_the_input_is_not_the_end_of_the_session(typed: int, config: Configuration) -> None:
    os.write(typed, b"help")
    cluster = Cluster(RUNNING, RUNNING, FINISHED)
    stay(cluster, config)
    assert not cluster.stopped
    assert properties_file.read(config) is None


def test_a_last_line_needs_no_newline(
    config: Configuration, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "in").write_text("stop")
    with (tmp_path / "in").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        cluster = Cluster(RUNNING, RUNNING)
        stay(cluster, config)
    assert cluster.stopped


def test_without_any_input(config: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr("sys.stdin", None)
    stay(Cluster(RUNNING, FINISHED), config)


@pytest.mark.usefixtures("typed")
def test_a_session_that_fails_is_an_error(config: Configuration) -> None:
    failed = report(ApplicationState.KILLED, "KILLED")
    with pytest.raises(ClusterError, match="has ended: KILLED"):
        stay(Cluster(failed), config)
    assert properties_file.read(config) is None


@pytest.mark.usefixtures("typed")
@pytest.mark.parametrize("owner", [True, False])
def test_interrupting_ends_only_what_we_started(config: Configuration, owner: bool) -> None:
    cluster = Cluster(KeyboardInterrupt())
    stay(cluster, config, owner)
    assert cluster.stopped is owner


@pytest.mark.usefixtures("typed")
def test_yarn_may_be_away_for_a_while_but_not_for_ever(config: Configuration) -> None:
    away = ClusterUnreachableError("no ResourceManager answers")
    stay(Cluster(RUNNING, away, away, FINISHED), config)
    impatient = config.merge({"client.timeout": "0 s"})
    with pytest.raises(ClusterUnreachableError):
        stay(Cluster(*[away] * 1000), impatient)
