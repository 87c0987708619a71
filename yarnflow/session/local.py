"""execute() without any cluster: a MiniCluster in this process, started by the first job and kept for the next.

Importing this module loads little; `LocalExecutor.submit` starts the worker processes first and loads the
rest while they come up.
"""

from __future__ import annotations

import atexit
import pickle
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yarnflow.config.configuration import Configuration
from yarnflow.config.core import PythonOptions
from yarnflow.errors import JobCancelledError, JobFailedError
from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.taskmanager.worker_spawn import spawn_worker

if TYPE_CHECKING:
    from yarnflow.runtime.jobmanager.views import ExceptionView, JobResult
    from yarnflow.runtime.minicluster import MiniCluster

#: Keys of options that name files for the workers.
_SHIPPING = (PythonOptions.FILES.key, PythonOptions.ARCHIVES.key, PythonOptions.REQUIREMENTS.key)

_lock = threading.Lock()
_cluster: MiniCluster | None = None


class LocalExecutor:
    """Executor on a MiniCluster.

    Args:
        cluster: to use; None for this process's own, which the first job starts.
    """

    def __init__(self, cluster: MiniCluster | None = None) -> None:
        self._cluster = cluster

    def submit(self, job: JobGraph, config: Configuration) -> LocalJob:
        """Submit a job. Raises ProgramMissingError when a file that it ships is not there."""
        cluster = self._cluster or local_cluster(config, job.slots_needed())
        if any(key in config for key in _SHIPPING):
            job = _ship(cluster, job, config)
        return LocalJob(cluster, job, cluster.submit(job))


def _ship(cluster: MiniCluster, job: JobGraph, config: Configuration) -> JobGraph:
    """Put the files that the job ships where its workers fetch them."""
    # Few local programs ship anything, and this loads the file systems.
    from yarnflow.session.artifacts import ShippedFiles

    async def pieces(path: Path) -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece

    with ShippedFiles(config) as shipped:
        for path in shipped.files.values():
            cluster.call(cluster.dispatcher.put_blob(pieces(path)))
        return replace(job, artifacts=(*job.artifacts, *shipped.artifacts))


def _keep_quiet() -> None:
    """Show no INFO of the cluster in the program's own log, as Flink shows none; its text may go to stdout.

    A program that wants it, and --verbose, set a level for the logger `yarnflow`.
    """
    import logging  # not at the top: see local_cluster()

    logger = logging.getLogger("yarnflow")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


def local_cluster(config: Configuration, slots: int) -> MiniCluster:
    """This process's MiniCluster; made with `config` and `slots` if there is none yet."""
    global _cluster
    with _lock:
        if _cluster is None:
            root = Path(tempfile.mkdtemp(prefix="yarnflow-"))
            logs = root / "log"
            logs.mkdir()
            spawned = [spawn_worker("", None, logs / f"taskmanager-slot{index}.log") for index in range(slots)]
            # After the workers have begun to start: loading asyncio and the runtime takes as long as they do.
            from yarnflow.runtime.minicluster import MiniCluster

            _keep_quiet()
            _cluster = MiniCluster(config, slots, spawned=spawned, root=root)
            atexit.register(close_local_cluster)
        return _cluster


def close_local_cluster() -> None:
    """End this process's MiniCluster, if there is one; the next job starts a new one."""
    global _cluster
    with _lock:
        cluster, _cluster = _cluster, None
    if cluster is not None:
        atexit.unregister(close_local_cluster)
        cluster.close()


class LocalJob:
    """SubmittedJob on a MiniCluster."""

    def __init__(self, cluster: MiniCluster, job: JobGraph, job_id: str) -> None:
        self._cluster = cluster
        self._name = job.name
        self._job_id = job_id
        self._result: JobResult | None = None

    @property
    def job_id(self) -> str:
        """32 hex digits."""
        return self._job_id

    def status(self) -> str:
        """Flink's name of the job's state."""
        if self._result is not None:
            return self._result.status.value
        return self._cluster.call(self._cluster.dispatcher.job(self._job_id)).overview.status.value

    def cancel(self) -> None:
        """Ask the cluster to cancel; returns when it has accepted. Does nothing for an ended job."""
        if self._result is None:
            self._cluster.call(self._cluster.dispatcher.cancel(self._job_id))

    def savepoint(
        self, directory: str | None, *, stop: bool = False, drain: bool = False, cancel: bool = False
    ) -> str:
        """Take a savepoint and wait for it; see SubmittedJob."""
        # Few programs come here.
        import time

        from yarnflow.errors import CheckpointError
        from yarnflow.runtime.rpc.checkpoint_messages import StopMode

        mode = (StopMode.DRAIN if drain else StopMode.SUSPEND) if stop else StopMode.NO
        call, dispatcher = self._cluster.call, self._cluster.dispatcher
        request = call(dispatcher.trigger_savepoint(self._job_id, directory, mode, cancel))
        while True:
            outcome = call(dispatcher.snapshot_outcome(self._job_id, request))
            if outcome is None or outcome.failure:
                reason = outcome.failure if outcome else "the cluster has forgotten it"
                raise CheckpointError(f"no savepoint of job {self._job_id}: {reason}")
            if outcome.done:
                return outcome.location
            time.sleep(0.02)

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the end; see SubmittedJob. Ctrl-C while waiting cancels the job."""
        try:
            result = self._wait(timeout)
        except KeyboardInterrupt:
            self.cancel()
            raise
        if result.status.value == "CANCELED":
            raise JobCancelledError(f"the job {self._name!r} ({self._job_id}) was cancelled")
        if result.status.value == "FAILED":
            raise JobFailedError(describe_failure(self._name, self._job_id, result.root_cause))
        from yarnflow.runtime.accumulators import merge_accumulators  # only finished jobs come here

        return {
            "net_runtime_ms": int(result.net_runtime * 1000),
            "accumulators": merge_accumulators(result.accumulators),
        }

    def collect(self, collect_id: str) -> Iterator[list[Any]]:
        """Yield lists of records until the job ends; raises as `result` does."""
        token, ended = 0, False
        try:
            while not ended:
                page = self._cluster.call(self._cluster.dispatcher.collect(self._job_id, collect_id, token))
                token, ended = page.token, page.ended
                for batch in page.batches:
                    yield pickle.loads(batch)
        except KeyboardInterrupt:
            self.cancel()
            raise
        self.result()

    def _wait(self, timeout: float | None) -> JobResult:
        if self._result is None:
            result = self._cluster.call(self._cluster.dispatcher.result(self._job_id, timeout))
            if result is None:
                raise TimeoutError(f"job {self._job_id} has not ended within {timeout:g} s")
            self._result = result
        return self._result


def describe_failure(name: str, job_id: str, cause: ExceptionView | None) -> str:
    """Why a job failed: the operator, the user's own traceback, the end of the worker's log."""
    text = f"the job {name!r} ({job_id}) failed"
    if cause is None:
        return text
    failure = cause.failure
    place = failure.operator_name or cause.vertex_name
    if place and cause.subtask_index >= 0:
        place += f" (subtask {cause.subtask_index + 1})"
    text += f" in {place}" if place else ""
    text += f" on {failure.where}" if failure.where else ""
    lines = [text + ":", (failure.traceback or failure.message).rstrip()]
    if failure.log_tail.strip():
        lines += ["The end of its log:", failure.log_tail.strip()]
    return "\n".join(lines)
