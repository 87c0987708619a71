"""Savepoints of jobs on a cluster that is reached by REST: begin one, wait for its outcome."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from yarnflow.errors import CheckpointError
from yarnflow.session.rest_client import RestClient

#: Seconds between two looks; grows to the second.
_FIRST_LOOK, _LOOK = 0.05, 0.5


def take_savepoint(
    client: RestClient,
    job_id: str,
    directory: str | None,
    *,
    stop: bool = False,
    drain: bool = False,
    cancel: bool = False,
) -> str:
    """Take a savepoint and wait for it; see graph.executor.SubmittedJob.savepoint. Returns its path.

    Raises CheckpointError with the reason when there is none, JobNotFoundError.
    """
    if stop:
        body: dict[str, Any] = {"targetDirectory": directory, "drain": drain, "triggerId": _new_id()}
        request = client.post(f"/jobs/{job_id}/stop", body, job_id)["request-id"]
    else:
        body = {"target-directory": directory, "cancel-job": cancel, "triggerId": _new_id()}
        request = client.post(f"/jobs/{job_id}/savepoints", body, job_id)["request-id"]
    return wait_for(lambda: client.get(f"/jobs/{job_id}/savepoints/{request}", job_id), f"job {job_id}")


def take_checkpoint(client: RestClient, job_id: str) -> int:
    """Take a checkpoint now and wait for it; returns its id. Raises as `take_savepoint`."""
    body = {"triggerId": _new_id()}
    request = client.post(f"/jobs/{job_id}/checkpoints", body, job_id)["request-id"]
    operation = _wait(lambda: client.get(f"/jobs/{job_id}/checkpoints/{request}", job_id), f"job {job_id}")
    return int(operation["checkpointId"])


def dispose_savepoint(client: RestClient, path: str) -> None:
    """Delete a savepoint, with the cluster's means. Raises CheckpointError with the reason when it cannot."""
    request = client.post("/savepoint-disposal", {"savepoint-path": path})["request-id"]
    _wait(lambda: client.get(f"/savepoint-disposal/{request}"), f"savepoint {path}")


def wait_for(look: Callable[[], dict[str, Any]], subject: str) -> str:
    """Wait until an asynchronous operation of the REST API is COMPLETED and return its location ("" if it has
    none). Raises CheckpointError with the reason when it failed."""
    return str(_wait(look, subject).get("location") or "")


def _new_id() -> str:
    """Names a request, so that one that is repeated because its answer was lost is still one."""
    return os.urandom(16).hex()


def _wait(look: Callable[[], dict[str, Any]], subject: str) -> dict[str, Any]:
    """The result of the operation."""
    pause = _FIRST_LOOK
    while (answer := look())["status"]["id"] != "COMPLETED":
        time.sleep(pause)
        pause = min(2 * pause, _LOOK)
    operation: dict[str, Any] = answer["operation"]
    cause = operation.get("failure-cause")
    if cause is not None:
        reason = cause.get("stack-trace") or cause.get("class") or "no reason is known"
        raise CheckpointError(f"{subject}: {reason}")
    return operation
