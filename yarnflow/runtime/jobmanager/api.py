"""The Dispatcher's public interface: what REST, MiniCluster and the entry points in am/ call.

All methods are coroutines of the JobManager's event loop. From another thread use
`asyncio.run_coroutine_threadsafe`. The implementation is `dispatcher.Dispatcher`; tests of callers can
use a small fake of this Protocol.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from pathlib import Path
from typing import Protocol

from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.checkpoint.pending import RequestOutcome
from yarnflow.runtime.checkpoint.settings import CheckpointSettings
from yarnflow.runtime.checkpoint.statistics import CheckpointsView
from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.jobmanager.views import (
    ClusterOverview,
    CollectedPage,
    JobDetail,
    JobOverview,
    JobResult,
    LogFile,
    TaskManagerView,
)
from yarnflow.runtime.rpc.checkpoint_messages import StopMode


class DispatcherGateway(Protocol):
    """Accepts jobs and answers questions about them and the cluster."""

    # -- jobs --------------------------------------------------------------------------------------------

    async def submit(self, job_graph: JobGraph, blobs: Mapping[str, bytes] | None = None) -> str:
        """Accept a job and start it; returns its id.

        `blobs` (sha256 -> content) are stored first; artifacts may also have been put before.
        Raises JobSubmissionError: the id is known already, an artifact is missing from the blob store,
        the graph is empty or contradicts itself, or the cluster is shutting down.
        """

    async def cancel(self, job_id: str) -> None:
        """Begin to cancel; returns when accepted. A no-op for a job that has ended.
        Raises JobNotFoundError."""

    async def jobs(self) -> tuple[JobOverview, ...]:
        """All jobs: running ones first, then ended ones (bounded by jobstore.max-capacity), newest first."""

    async def job(self, job_id: str) -> JobDetail:
        """Everything about one job. Raises JobNotFoundError."""

    async def result(self, job_id: str, timeout: float | None = None) -> JobResult | None:
        """Wait until the job has ended; None after `timeout` seconds. Raises JobNotFoundError.

        A per-job cluster ends after an attached client got this answer."""

    async def collect(
        self, job_id: str, collect_id: str, token: int = 0, timeout: float | None = None
    ) -> CollectedPage:
        """Fetch records of a CollectSpec, waiting up to `timeout` seconds for the first.

        Start with token 0, then pass each page's `token`: that acknowledges the page before, so its
        memory is freed and the workers may send more. The same token again repeats the same page (a lost
        answer loses nothing). Raises JobNotFoundError; ProtocolError for a token that was never handed
        out or was acknowledged already."""

    # -- checkpoints and savepoints ----------------------------------------------------------------------

    async def trigger_savepoint(
        self,
        job_id: str,
        directory: str | None = None,
        stop: StopMode = StopMode.NO,
        cancel: bool = False,
        request_id: str | None = None,
    ) -> str:
        """Begin a savepoint; returns the id to ask for its outcome.

        Args:
            directory: the savepoint gets a directory of its own in it; None: as configured.
            stop: whether the job ends with it.
            cancel: cancel the job when the savepoint is there.
            request_id: to ask for one savepoint twice when an answer was lost; None makes one.

        Raises JobNotFoundError; CheckpointError: the job has ended, or no directory is known."""

    async def trigger_checkpoint(self, job_id: str, request_id: str | None = None) -> str:
        """Begin a checkpoint; returns the id to ask for its outcome. Raises as `trigger_savepoint`."""

    async def snapshot_outcome(self, job_id: str, request_id: str) -> RequestOutcome | None:
        """What became of a savepoint or checkpoint; None for an unknown id. Raises JobNotFoundError."""

    async def checkpoints(self, job_id: str) -> CheckpointsView:
        """A job's checkpoints. Raises JobNotFoundError."""

    async def checkpoint_settings(self, job_id: str) -> CheckpointSettings:
        """How a job's checkpoints are taken. Raises JobNotFoundError."""

    async def dispose_savepoint(self, path: str) -> str:
        """Begin to delete a savepoint; returns the id to ask for the outcome."""

    async def disposal_outcome(self, request_id: str) -> RequestOutcome | None:
        """What became of it; None for an unknown id."""

    # -- blobs -------------------------------------------------------------------------------------------

    async def put_blob(self, content: bytes | AsyncIterable[bytes]) -> str:
        """Store content under its sha256 (hex), which is returned. Idempotent."""

    async def has_blob(self, sha256: str) -> bool:
        """Is this content stored?"""

    async def get_blob(self, sha256: str) -> Path | None:
        """The file that holds the content (do not change it), or None."""

    # -- cluster -----------------------------------------------------------------------------------------

    async def overview(self) -> ClusterOverview:
        """Totals over TaskManagers, slots and jobs."""

    async def config(self) -> dict[str, str]:
        """The JobManager's effective configuration with secrets masked."""

    async def taskmanagers(self) -> tuple[TaskManagerView, ...]:
        """All registered TaskManagers, by id."""

    async def taskmanager(self, taskmanager_id: str) -> TaskManagerView | None:
        """One TaskManager, or None."""

    async def taskmanager_logs(self, taskmanager_id: str) -> tuple[LogFile, ...] | None:
        """Its log files; None when it is not registered (any more)."""

    async def taskmanager_log(
        self, taskmanager_id: str, name: str, offset: int = 0, length: int = 1 << 20
    ) -> bytes | None:
        """Up to `length` bytes of a log file from `offset` (negative: from the end); b"" at its end.
        None when the TaskManager or file is not there, or the name leaves the log folder."""

    async def jobmanager_logs(self) -> tuple[LogFile, ...]:
        """The JobManager's own log files."""

    async def jobmanager_log(self, name: str, offset: int = 0, length: int = 1 << 20) -> bytes | None:
        """Like `taskmanager_log`."""

    async def shutdown(self, status: FinalStatus = FinalStatus.SUCCEEDED, diagnostics: str = "") -> None:
        """End the cluster: running jobs are cancelled, TaskManagers told to exit, the driver closed with
        `status`. Returns at once; the process's main coroutine returns when all is done."""
