"""execute() on a cluster that runs: ships the job's files, submits over REST."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

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
        submitted: called with each job that the cluster has accepted.

    Attributes:
        jobs: ids of all jobs, in order.
    """

    def __init__(self, client: RestClient, submitted: Callable[[RemoteJob], None] | None = None) -> None:
        self._client = client
        self._submitted = submitted
        self.jobs: list[str] = []

    def submit(self, job: JobGraph, config: Configuration) -> SubmittedJob:
        """Submit; returns when the cluster has accepted the job.

        Raises JobSubmissionError, ClusterUnreachableError, ProgramMissingError (a file to ship is not there).
        """
        with ShippedFiles(config) as shipped:
            job = dataclasses.replace(job, artifacts=(*job.artifacts, *shipped.artifacts))
            job_id = self._client.submit(job, shipped.files)
        self.jobs.append(job_id)
        remote = RemoteJob(self._client, job_id)
        if self._submitted is not None:
            self._submitted(remote)
        return remote
