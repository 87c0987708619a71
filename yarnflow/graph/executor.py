"""How `env.execute()` reaches a cluster.

The launcher (`yarnflow run`, the application-mode entrypoint, a test) installs an `Executor`; a program
started with plain `python job.py` has none, and the local MiniCluster is used. The program itself is
the same in every mode. This module names no cluster: the local default is found by name so that
building graphs needs no runtime code.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, Protocol, cast

from yarnflow.config.configuration import Configuration
from yarnflow.graph.job_graph import JobGraph

_LOCAL = ("yarnflow.session.local", "LocalExecutor")
_installed: Executor | None = None


class SubmittedJob(Protocol):
    """A job on a cluster, as the program that submitted it sees it."""

    @property
    def job_id(self) -> str:
        """32 hex digits."""

    def status(self) -> str:
        """Flink's JobStatus name: CREATED, RUNNING, FAILING, FAILED, CANCELLING, CANCELED, FINISHED,
        RESTARTING."""

    def cancel(self) -> None:
        """Ask the cluster to cancel; returns when it has accepted."""

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the end. Returns {"net_runtime_ms": int, "accumulators": {name: value}}.

        Raises JobFailedError, JobCancelledError, or TimeoutError after `timeout` seconds.
        """

    def collect(self, collect_id: str) -> Iterator[list[Any]]:
        """Yield lists of records of a CollectSpec until the job ends; raises as `result` does."""


class Executor(Protocol):
    """Runs jobs somewhere."""

    def submit(self, job: JobGraph, config: Configuration) -> SubmittedJob:
        """Submit and return at once (when the cluster has accepted the job)."""


def install(executor: Executor | None) -> None:
    """Make `executor` the one that execute() uses; None goes back to the local default."""
    global _installed
    _installed = executor


def current() -> Executor:
    """The installed executor, or the local MiniCluster's."""
    if _installed is not None:
        return _installed
    module, name = _LOCAL
    return cast("Executor", getattr(importlib.import_module(module), name)())
