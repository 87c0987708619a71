"""Per-job mode: the job came with the application."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

from yarnflow.errors import ClusterError
from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.jobmanager.api import DispatcherGateway
from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.states import JobStatus
from yarnflow.yarn.deployment import JOB_BLOBS, JOB_GRAPH
from yarnflow.yarn.layout import JOB

logger = logging.getLogger(__name__)

#: Seconds for which the ended job's result waits for the client that deployed it.
CLIENT_SECONDS = 60.0
_POLL_SECONDS = 1.0

#: How an application ends whose job ended so.
FINAL_STATUS = {
    JobStatus.FINISHED: FinalStatus.SUCCEEDED,
    JobStatus.CANCELED: FinalStatus.KILLED,
    JobStatus.FAILED: FinalStatus.FAILED,
}


async def submit(directory: Path, dispatcher: DispatcherGateway) -> str:
    """Submit the job in the container's folder; returns its id.

    Raises ClusterError when it is not there, JobSubmissionError when it is refused.
    """
    try:
        document = json.loads((directory / JOB / JOB_GRAPH).read_text(encoding="utf-8"))
        blobs = {}
        if (directory / JOB / JOB_BLOBS).is_dir():
            blobs = {path.name: path.read_bytes() for path in (directory / JOB / JOB_BLOBS).iterdir()}
    except (OSError, ValueError) as error:
        raise ClusterError(f"the job that came with the application cannot be read: {error}") from error
    return await dispatcher.submit(JobGraph.from_json(document), blobs)


async def end_without_client(job_id: str, dispatcher: DispatcherGateway) -> None:
    """End the cluster some time after the job, if the client that waited for its result has gone away."""
    while True:
        detail = await dispatcher.job(job_id)
        status = detail.overview.status
        if status.terminal:
            break
        await asyncio.sleep(_POLL_SECONDS)
    await asyncio.sleep(CLIENT_SECONDS)
    logger.info("nobody has asked for the result of job %s for %.0f s", job_id, CLIENT_SECONDS)
    await dispatcher.shutdown(FINAL_STATUS[status], f"job {job_id} ended {status.value}; its client went away")
