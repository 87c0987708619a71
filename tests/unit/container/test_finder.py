"""How a TaskManager's container finds the JobManager."""

from __future__ import annotations

import asyncio

import pytest

from yarnflow.container import entrypoint
from yarnflow.container.entrypoint import JobManagerFinder
from yarnflow.errors import ClusterUnreachableError


def test_it_waits_for_a_jobmanager_that_has_not_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrypoint, "_POLL_SECONDS", 0.0)
    answers = ["", "", "node:4242"]
    finder = JobManagerFinder()
    monkeypatch.setattr(finder, "_lookup", lambda: answers.pop(0))
    assert asyncio.run(finder.find()) == "node:4242"


def test_and_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrypoint, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(entrypoint, "_LOOK_SECONDS", 0.01)
    finder = JobManagerFinder()
    monkeypatch.setattr(finder, "_lookup", lambda: "")
    with pytest.raises(ClusterUnreachableError, match="has not said yet where it is"):
        asyncio.run(finder.find())


def test_outside_of_a_container_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("CONTAINER_ID", raising=False)
    assert entrypoint.main() == 1
    assert "the variable CONTAINER_ID is not set" in caplog.text
