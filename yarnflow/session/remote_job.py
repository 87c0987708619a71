"""A job on a cluster that is reached by REST: `graph.executor.SubmittedJob`."""

from __future__ import annotations

import base64
import logging
import pickle
import time
from collections.abc import Callable, Iterator
from typing import Any

from yarnflow.errors import JobCancelledError, JobFailedError
from yarnflow.session.rest_client import RestClient
from yarnflow.session.savepoints import take_savepoint

logger = logging.getLogger(__name__)

#: Seconds between two looks for restarts that the user who waits should hear of.
_LOOK_SECONDS = 3.0


class RemoteJob:
    """A submitted job.

    Args:
        client: of its cluster.
        job_id: 32 hex digits.
        ended: called once when the job was seen to end, with its job-execution-result of the REST API.
    """

    def __init__(
        self, client: RestClient, job_id: str, ended: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self._client = client
        self._job_id = job_id
        self._ended = ended
        self._result: dict[str, Any] | None = None
        self._told = 0
        self._look_at = 0.0

    @property
    def job_id(self) -> str:
        """32 hex digits."""
        return self._job_id

    def status(self) -> str:
        """Name of its state. Raises JobNotFoundError or ClusterUnreachableError."""
        if self._result is not None:
            return str(self._result["job-status"])
        return self._client.status(self._job_id)

    def cancel(self) -> None:
        """Ask the cluster to cancel; returns when it has accepted."""
        if self._result is None:
            self._client.cancel(self._job_id)

    def savepoint(
        self, directory: str | None, *, stop: bool = False, drain: bool = False, cancel: bool = False
    ) -> str:
        """Take a savepoint and wait for it; see SubmittedJob."""
        return take_savepoint(self._client, self._job_id, directory, stop=stop, drain=drain, cancel=cancel)

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the end.

        Returns {"net_runtime_ms": int, "accumulators": {name: value}}.

        Raises:
            JobFailedError: with the operator, the user's traceback and the end of the failing log.
            JobCancelledError: it was cancelled.
            TimeoutError: it has not ended within `timeout` seconds.
            ClusterUnreachableError: the cluster is gone.
        """
        result = self._wait(timeout)
        status = result["job-status"]
        if status == "CANCELED":
            raise JobCancelledError(f"the job {result['name']!r} ({self._job_id}) was cancelled")
        if status != "FINISHED":
            raise JobFailedError(failure_message(self._job_id, result))
        return {"net_runtime_ms": int(result["net-runtime"]), "accumulators": _accumulators(result)}

    def _wait(self, timeout: float | None) -> dict[str, Any]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._result is None:
            self._tell_restarts()
            left = _LOOK_SECONDS if deadline is None else min(_LOOK_SECONDS, deadline - time.monotonic())
            found = self._client.execution_result(self._job_id, max(0.0, left))
            if found is not None:
                self._result = found
                if self._ended is not None:
                    self._ended(found)
            elif deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"job {self._job_id} has not ended within {timeout} s")
        return self._result

    def _tell_restarts(self) -> None:
        """Warn of the restarts since the last look; the first look is not at once, since most jobs are short."""
        now = time.monotonic()
        if now < self._look_at:
            return
        first, self._look_at = not self._look_at, now + _LOOK_SECONDS
        if first:
            return
        for number, notice in self._client.restarts(self._job_id):
            if number > self._told:
                self._told = number
                logger.warning("%s", notice)

    def collect(self, collect_id: str) -> Iterator[list[Any]]:
        """Yield lists of records until the job ends; raises as `result` does."""
        token, ended = 0, False
        while not ended:
            self._tell_restarts()
            batches, token, ended = self._client.collect(self._job_id, collect_id, token, _LOOK_SECONDS)
            for batch in batches:
                yield pickle.loads(batch)
        self.result()


def _accumulators(result: dict[str, Any]) -> dict[str, Any]:
    pickled = [base64.b64decode(each) for each in result.get("serialized-accumulators") or ()]
    if not any(pickled):
        return {}
    # Not at the top: only jobs that have accumulators need it.
    from yarnflow.runtime.accumulators import merge_accumulators

    return dict(merge_accumulators(pickled))


def failure_message(job_id: str, result: dict[str, Any]) -> str:
    """Say why a job failed: the operator, the user's own traceback, the end of the worker's log.

    Args:
        result: "job-execution-result" of the REST API.
    """
    cause = result.get("failure-cause") or {}
    lines = [f"the job {result.get('name', '')!r} ({job_id}) failed"]
    task, operator, where = (cause.get(key) or "" for key in ("taskName", "operatorName", "where"))
    if operator:
        subtask = cause.get("subtask", -1)
        lines[0] += f" in {operator}" + (f" (subtask {subtask + 1})" if subtask >= 0 else "")
    elif task:
        lines[0] += f" in {task}"
    if where:
        lines[0] += f" on {where}"
    lines[0] += ":"
    lines.append((cause.get("stack-trace") or cause.get("message") or "no reason is known").rstrip())
    tail = (cause.get("logTail") or "").strip()
    if tail:
        lines += ["The end of its log:", tail]
    return "\n".join(lines)
