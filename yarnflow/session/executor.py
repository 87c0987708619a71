"""execute() on a cluster that runs: ships the job's files, submits over REST."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from yarnflow.config import Configuration
from yarnflow.graph.executor import SubmittedJob
from yarnflow.graph.job_graph import JobGraph
from yarnflow.session.artifacts import ShippedFiles
from yarnflow.session.remote_job import RemoteJob
from yarnflow.session.rest_client import RestClient


class RestExecutor:
    """Submits every job to one cluster.

    Args:
        client: of the cluster.
        submitted: called with the id of each job that the cluster has accepted.
        ended: called with the job-execution-result of each job that was seen to end.
    """

    def __init__(
        self,
        client: RestClient,
        submitted: Callable[[str], None] | None = None,
        ended: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._client = client
        self._submitted = submitted
        self._ended = ended

    def submit(self, job: JobGraph, config: Configuration) -> SubmittedJob:
        """Submit; returns when the cluster has accepted the job.

        Raises JobSubmissionError, ClusterUnreachableError, ProgramMissingError (a file to ship is not there).
        """
        with ShippedFiles(config) as shipped:
            job = dataclasses.replace(job, artifacts=(*job.artifacts, *shipped.artifacts))
            job_id = self._client.submit(job, shipped.files)
        if self._submitted is not None:
            self._submitted(job_id)
        return RemoteJob(self._client, job_id, self._ended)
