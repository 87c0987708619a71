"""Submitting through skein's driver, played by the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from yarnflow.errors import ClusterDeployError, ClusterUnreachableError, ConfigurationError
from yarnflow.yarn.application import ApplicationSpecification, ProcessSpecification
from yarnflow.yarn.hadoop_conf import HadoopConf
from yarnflow.yarn.skein import submitter as module
from yarnflow.yarn.skein.credentials import Credentials
from yarnflow.yarn.skein.submitter import Submitter

PROCESS = ProcessSpecification(1024, 1, "exec x", {})
SPECIFICATION = ApplicationSpecification("n", "", PROCESS, PROCESS)


class Driver:
    """A skein.Client whose submit waits until it may answer."""

    def __init__(self) -> None:
        self.answer: str | Exception = "application_1_0001"
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.closed = threading.Event()

    def submit(self, request: object) -> str:
        self.may_answer.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Driver]:
    made = Driver()
    for name in ("yarn", "java"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    monkeypatch.setattr(module, "mint", lambda: Credentials(b"c", b"k"))

    class Skein:
        Client = staticmethod(lambda **_: made)

    monkeypatch.setattr(module, "skein", lambda: Skein)
    monkeypatch.setattr(Credentials, "to_skein", lambda self: None)
    monkeypatch.setattr(module, "to_skein", lambda specification, credentials: specification)
    yield made
    made.may_answer.set()


def submitter() -> Submitter:
    return Submitter(HadoopConf(Path("/conf"), {}))


def test_a_submission(driver: Driver) -> None:
    with submitter() as made:
        log = made._log
        assert log.stat().st_mode & 0o777 == 0o600
        assert made.submit(SPECIFICATION, 5.0, pytest.fail) == ("application_1_0001", Credentials(b"c", b"k"))
    assert driver.closed.wait(10)
    assert not log.exists()


def test_a_refusal_has_the_reason_without_javas_stack_and_the_logs_end(driver: Driver) -> None:
    driver.answer = ValueError("Failed to submit, exception:\nno such queue\n  at org.apache.X(X.java)\n")
    with submitter() as made:
        made._log.write_text("what skein logged")
        with pytest.raises(ClusterDeployError) as caught:
            made.submit(SPECIFICATION, 5.0, pytest.fail)
    assert "exception: no such queue\nThe end of skein's log:\nwhat skein logged" in str(caught.value)
    assert "at org" not in str(caught.value)


def test_an_application_that_yarn_takes_too_late_is_handed_over(driver: Driver) -> None:
    driver.may_answer.clear()
    late: list[str] = []

    def answer() -> None:
        driver.may_answer.set()

    with submitter() as made:
        # It answers when we have given up: that is, while its log is read for the message.
        made._log_tail = lambda: answer() or ""  # type: ignore[method-assign, func-returns-value]
        with pytest.raises(ClusterUnreachableError, match="YARN or HDFS does not answer"):
            made.submit(SPECIFICATION, 0.01, late.append)
    assert late == ["application_1_0001"]


def test_a_driver_that_never_answers_is_not_waited_for(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE_SECONDS", 0.01)
    driver.may_answer.clear()
    with submitter() as made, pytest.raises(ClusterUnreachableError):
        made.submit(SPECIFICATION, 0.01, pytest.fail)


def test_what_is_missing_is_named(driver: Driver, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no Java in /nowhere"):
        Submitter(HadoopConf(Path("/conf"), {}), "/nowhere")
    (tmp_path / "java").unlink()
    with pytest.raises(ConfigurationError, match="there is no Java on the PATH"):
        submitter()
    (tmp_path / "yarn").unlink()
    with pytest.raises(ConfigurationError, match="the command `yarn` is not on the PATH"):
        submitter()
