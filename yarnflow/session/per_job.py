"""execute() as an application of its own: the executor of per-job mode."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from yarnflow.config import Configuration
from yarnflow.graph.executor import SubmittedJob
from yarnflow.graph.job_graph import JobGraph
from yarnflow.session.artifacts import ShippedFiles
from yarnflow.session.deployment import YarnClusterDescriptor
from yarnflow.session.remote_job import RemoteJob
from yarnflow.session.running import YarnCluster


class PerJobExecutor:
    """Deploys an application for each job that the program executes.

    Args:
        descriptor: deploys; may still be preparing itself.
        detached: nobody waits for results.
        deployed: called with each application and its job's id.
        ended: called with the job-execution-result of each job that was seen to end.
    """

    def __init__(
        self,
        descriptor: YarnClusterDescriptor,
        detached: bool,
        deployed: Callable[[YarnCluster, str], None],
        ended: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._descriptor = descriptor
        self._detached = detached
        self._deployed = deployed
        self._ended = ended

    def submit(self, job: JobGraph, config: Configuration) -> SubmittedJob:
        """Deploy; returns when the JobManager runs and has begun with the job. Raises as deploy_job does."""
        with ShippedFiles(config) as shipped:
            job = dataclasses.replace(job, artifacts=(*job.artifacts, *shipped.artifacts))
            cluster = self._descriptor.deploy_job(job, shipped.files, self._detached)
        self._deployed(cluster, job.job_id)
        return RemoteJob(cluster.client, job.job_id, self._ended)
