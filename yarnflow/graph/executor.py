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
_launch_config = Configuration()


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

    def savepoint(
        self, directory: str | None, *, stop: bool = False, drain: bool = False, cancel: bool = False
    ) -> str:
        """Take a savepoint, wait for it and return its path.

        Args:
            directory: where it gets a directory of its own; None: as configured.
            stop: end the job with it, so that nothing is written after it.
            drain: with `stop`: let all timers and windows fire first.
            cancel: cancel the job when it is there.

        Raises CheckpointError when there is none, with the reason.
        """

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


def install(executor: Executor | None, config: Configuration | None = None) -> None:
    """Make `executor` the one that execute() uses; None goes back to the local default.

    `config` is what the launcher was told (flags, configuration files): programs see it below their own
    settings. A launcher sets parallelism.default and execution.attached there.
    """
    global _installed, _launch_config
    _installed = executor
    _launch_config = Configuration(config)


def installed() -> bool:
    """Whether a launcher decided where jobs run."""
    return _installed is not None


def launch_config() -> Configuration:
    """A copy of what the launcher was told; empty without one."""
    return Configuration(_launch_config)


def current() -> Executor:
    """The installed executor, or the local MiniCluster's."""
    if _installed is not None:
        return _installed
    module, name = _LOCAL
    return cast("Executor", getattr(importlib.import_module(module), name)())
