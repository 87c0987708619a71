"""The Dispatcher: accepts jobs, gives each a job master, answers questions, ends the cluster.

The shell of dispatcher_machine and the implementation of api.DispatcherGateway. All methods run on the
JobManager's event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections import Counter
from collections.abc import AsyncIterable, Mapping
from pathlib import Path

import yarnflow
from yarnflow.config.checkpointing import CheckpointingOptions
from yarnflow.config.configuration import Configuration
from yarnflow.config.jobmanager import JobManagerOptions
from yarnflow.errors import (
    CheckpointError,
    ConfigurationError,
    JobNotFoundError,
    JobSubmissionError,
    YarnflowError,
)
from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.checkpoint.coordinator_machine import CoordinatorMachine
from yarnflow.runtime.checkpoint.pending import RequestOutcome
from yarnflow.runtime.checkpoint.settings import CheckpointSettings
from yarnflow.runtime.checkpoint.statistics import CheckpointsView
from yarnflow.runtime.clock import Clock
from yarnflow.runtime.jobmanager import restart_strategy
from yarnflow.runtime.jobmanager.blob_store import BlobStore
from yarnflow.runtime.jobmanager.checkpoint_coordinator import Disposals, checkpoints_of_job
from yarnflow.runtime.jobmanager.dispatcher_machine import (
    CancelJob,
    DispatcherEffect,
    DispatcherEvent,
    DispatcherMachine,
    EndCluster,
    ForgetJob,
    JobSubmitted,
    JobTerminated,
    RefuseJob,
    ResultDelivered,
    ShutdownRequested,
    StartJob,
    Tick,
)
from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.jobmanager.job_master import JobMaster
from yarnflow.runtime.jobmanager.job_master_events import (
    CancelRequested,
    JobStarted,
)
from yarnflow.runtime.jobmanager.job_master_machine import JobMasterMachine
from yarnflow.runtime.jobmanager.job_master_settings import JobMasterSettings
from yarnflow.runtime.jobmanager.resource_manager import ResourceManager
from yarnflow.runtime.jobmanager.views import (
    ClusterOverview,
    CollectedPage,
    JobDetail,
    JobOverview,
    JobResult,
    LogFile,
    TaskManagerView,
)
from yarnflow.runtime.log_files import list_log_files, read_log_file
from yarnflow.runtime.rpc.checkpoint_messages import StopMode

logger = logging.getLogger(__name__)

#: Seconds for which a cluster that is about to end waits for clients to ask for the outcome of their savepoints.
_ANSWER_SECONDS = 10.0
_ANSWER_POLL = 0.05


class Dispatcher:
    """Implements DispatcherGateway.

    Args:
        machine: decides.
        config: the cluster's configuration; a job's own is laid over it.
        resource_manager: has the slots.
        blobs: shipped files.
        log_directory: of this process, or None when it has none.
        clock: the time.
    """

    def __init__(
        self,
        machine: DispatcherMachine,
        config: Configuration,
        resource_manager: ResourceManager,
        blobs: BlobStore,
        log_directory: Path | None,
        clock: Clock,
    ) -> None:
        self._machine = machine
        self._config = config
        self._resource_manager = resource_manager
        self._blobs = blobs
        self._log_directory = log_directory
        self._clock = clock
        self._started = clock()
        self._jobs: dict[str, JobMaster] = {}
        self._closing: set[asyncio.Future[None]] = set()
        self._disposals = Disposals()
        #: Savepoints whose outcome no client has been told.
        self._unanswered: set[str] = set()
        #: Resolves when the cluster shall end: how, and what to say about it.
        self.end: asyncio.Future[tuple[FinalStatus, str]] = asyncio.get_running_loop().create_future()

    # -- jobs --------------------------------------------------------------------------------------------

    async def submit(self, job_graph: JobGraph, blobs: Mapping[str, bytes] | None = None) -> str:
        """See DispatcherGateway."""
        for sha256, content in (blobs or {}).items():
            if hashlib.sha256(content).hexdigest() != sha256:
                raise JobSubmissionError(f"blob {sha256} of job {job_graph.job_id} has other content")
            await self._blobs.put(content)
        for artifact in job_graph.artifacts:
            if self._blobs.find(artifact.sha256) is None:
                raise JobSubmissionError(
                    f"job {job_graph.job_id} needs {artifact.name} ({artifact.sha256}), which was not uploaded"
                )
        job_graph, checkpoints = await self._checkpoints_of(job_graph)
        machine = self._job_machine(job_graph)
        # From here to the end there is no await: nobody else can submit the same id in between.
        effects = self._machine.handle(JobSubmitted(job_graph.job_id), self._clock())
        for effect in effects:
            if isinstance(effect, RefuseJob):
                raise JobSubmissionError(effect.reason)
            if isinstance(effect, StartJob):
                job_master = JobMaster(
                    machine, checkpoints, self._resource_manager, self._clock, self._job_ended
                )
                self._jobs[job_graph.job_id] = job_master
                logger.info("job %s (%s) was submitted", job_graph.job_id, job_graph.name)
                job_master.post(JobStarted())
            else:
                self._perform(effect)
        return job_graph.job_id

    async def _checkpoints_of(self, job_graph: JobGraph) -> tuple[JobGraph, CoordinatorMachine]:
        """The coordinator of a job, and the job fitted to what it starts from."""
        config = self._config.merge(job_graph.config)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(None, checkpoints_of_job, job_graph, config)
        except YarnflowError as error:
            raise JobSubmissionError(f"job {job_graph.job_id} ({job_graph.name}): {error}") from error

    def _job_machine(self, job_graph: JobGraph) -> JobMasterMachine:
        config = self._config.merge(job_graph.config)
        try:
            settings = JobMasterSettings(
                strategy=restart_strategy.from_config(
                    config,
                    checkpointing=config[CheckpointingOptions.INTERVAL] is not None,
                    random=random.random,
                ),
                config=config.to_dict(),
                attempts_history=config[JobManagerOptions.ATTEMPTS_HISTORY_SIZE],
                exception_history=config[JobManagerOptions.EXCEPTION_HISTORY_SIZE],
                failover_full=config[JobManagerOptions.FAILOVER_STRATEGY] == "full",
            )
        except ConfigurationError as error:
            raise JobSubmissionError(f"job {job_graph.job_id} ({job_graph.name}): {error}") from error
        return JobMasterMachine(job_graph, settings, self._clock())

    async def cancel(self, job_id: str) -> None:
        """See DispatcherGateway."""
        self._job(job_id).post(CancelRequested())

    async def jobs(self) -> tuple[JobOverview, ...]:
        """See DispatcherGateway."""
        overviews = [job.overview() for job in self._jobs.values()]
        return tuple(sorted(overviews, key=lambda view: (view.status.terminal, -view.start_time, view.job_id)))

    async def job(self, job_id: str) -> JobDetail:
        """See DispatcherGateway."""
        return self._job(job_id).detail()

    async def result(self, job_id: str, timeout: float | None = None) -> JobResult | None:
        """See DispatcherGateway."""
        result = await self._job(job_id).result(timeout)
        if result is not None:
            self._handle(ResultDelivered(job_id))
        return result

    async def collect(
        self, job_id: str, collect_id: str, token: int = 0, timeout: float | None = None
    ) -> CollectedPage:
        """See DispatcherGateway."""
        return await self._job(job_id).collect(collect_id, token, timeout)

    # -- checkpoints and savepoints ----------------------------------------------------------------------

    async def trigger_savepoint(
        self,
        job_id: str,
        directory: str | None = None,
        stop: StopMode = StopMode.NO,
        cancel: bool = False,
        request_id: str | None = None,
    ) -> str:
        """See DispatcherGateway."""
        checkpoints = self._running_job(job_id, request_id).checkpoints
        begun = await checkpoints.request(True, directory, stop, cancel, request_id)
        self._unanswered.add(begun)
        return begun

    async def trigger_checkpoint(self, job_id: str, request_id: str | None = None) -> str:
        """See DispatcherGateway."""
        checkpoints = self._running_job(job_id, request_id).checkpoints
        return await checkpoints.request(False, None, request_id=request_id)

    async def snapshot_outcome(self, job_id: str, request_id: str) -> RequestOutcome | None:
        """See DispatcherGateway."""
        outcome = self._job(job_id).checkpoints.machine.requests.get(request_id)
        if outcome is not None and outcome.done:
            self._unanswered.discard(request_id)
        return outcome

    async def checkpoints(self, job_id: str) -> CheckpointsView:
        """See DispatcherGateway."""
        return self._job(job_id).checkpoints.machine.statistics.view()

    async def checkpoint_settings(self, job_id: str) -> CheckpointSettings:
        """See DispatcherGateway."""
        return self._job(job_id).checkpoints.machine.settings

    async def dispose_savepoint(self, path: str) -> str:
        """See DispatcherGateway."""
        return self._disposals.begin(path)

    async def disposal_outcome(self, request_id: str) -> RequestOutcome | None:
        """See DispatcherGateway."""
        return self._disposals.outcomes.get(request_id)

    def _running_job(self, job_id: str, request_id: str | None) -> JobMaster:
        job_master = self._job(job_id)
        status = job_master.machine.status
        if status.terminal and request_id not in job_master.checkpoints.machine.requests:
            raise CheckpointError(f"job {job_id} is {status.value}: only a running job has checkpoints to take")
        return job_master

    def _job(self, job_id: str) -> JobMaster:
        self._handle(Tick())
        try:
            return self._jobs[job_id]
        except KeyError:
            raise JobNotFoundError(
                f"there is no job {job_id} here: it was never submitted, or it ended and was forgotten "
                "(jobstore.expiration-time, jobstore.max-capacity)"
            ) from None

    # -- blobs -------------------------------------------------------------------------------------------

    async def put_blob(self, content: bytes | AsyncIterable[bytes]) -> str:
        """See DispatcherGateway."""
        return await self._blobs.put(content)

    async def has_blob(self, sha256: str) -> bool:
        """See DispatcherGateway."""
        return self._blobs.find(sha256) is not None

    async def get_blob(self, sha256: str) -> Path | None:
        """See DispatcherGateway."""
        return self._blobs.find(sha256)

    # -- the cluster -------------------------------------------------------------------------------------

    async def overview(self) -> ClusterOverview:
        """See DispatcherGateway."""
        total, free = self._resource_manager.slot_counts()
        return ClusterOverview(
            taskmanagers=len(self._resource_manager.machine.taskmanagers),
            slots_total=total,
            slots_available=free,
            workers_pending=self._resource_manager.machine.pending_workers,
            jobs=dict(Counter(job.machine.status for job in self._jobs.values())),
            version=yarnflow.__version__,
            start_time=self._started,
        )

    async def config(self) -> dict[str, str]:
        """See DispatcherGateway."""
        return self._config.to_masked_dict()

    async def taskmanagers(self) -> tuple[TaskManagerView, ...]:
        """See DispatcherGateway."""
        return self._resource_manager.views()

    async def taskmanager(self, taskmanager_id: str) -> TaskManagerView | None:
        """See DispatcherGateway."""
        views = self._resource_manager.views()
        return next((view for view in views if view.taskmanager_id == taskmanager_id), None)

    async def taskmanager_logs(self, taskmanager_id: str) -> tuple[LogFile, ...] | None:
        """See DispatcherGateway."""
        return await self._resource_manager.list_logs(taskmanager_id)

    async def taskmanager_log(
        self, taskmanager_id: str, name: str, offset: int = 0, length: int = 1 << 20
    ) -> bytes | None:
        """See DispatcherGateway."""
        return await self._resource_manager.fetch_log(taskmanager_id, name, offset, length)

    async def jobmanager_logs(self) -> tuple[LogFile, ...]:
        """See DispatcherGateway."""
        return () if self._log_directory is None else list_log_files(self._log_directory)

    async def jobmanager_log(self, name: str, offset: int = 0, length: int = 1 << 20) -> bytes | None:
        """See DispatcherGateway."""
        if self._log_directory is None:
            return None
        return read_log_file(self._log_directory, name, offset, length)

    async def shutdown(self, status: FinalStatus = FinalStatus.SUCCEEDED, diagnostics: str = "") -> None:
        """See DispatcherGateway."""
        self._handle(ShutdownRequested(status, diagnostics))

    async def close(self) -> None:
        """Stop all job masters; only after `end`."""
        for job_master in self._jobs.values():
            await job_master.close()
        if self._closing:
            await asyncio.wait(self._closing)
        await self._disposals.close()

    # -- events and effects ------------------------------------------------------------------------------

    def _job_ended(self, job_master: JobMaster) -> None:
        machine = job_master.machine
        self._resource_manager.forget_job(job_master.job_id)
        cause = machine.exceptions[0].failure.message if machine.exceptions else ""
        diagnostics = f"job {job_master.job_id} ({machine.job.name}) {machine.status.value}"
        logger.info("%s", diagnostics)
        if cause and machine.status.value == "FAILED":
            diagnostics += f": {cause}"
        self._handle(JobTerminated(job_master.job_id, machine.status, diagnostics))

    def _handle(self, event: DispatcherEvent) -> None:
        for effect in self._machine.handle(event, self._clock()):
            self._perform(effect)

    def _perform(self, effect: DispatcherEffect) -> None:
        if isinstance(effect, CancelJob):
            self._jobs[effect.job_id].post(CancelRequested())
        elif isinstance(effect, ForgetJob):
            closing = asyncio.ensure_future(self._jobs.pop(effect.job_id).close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        elif isinstance(effect, EndCluster):
            closing = asyncio.ensure_future(self._end_cluster(effect))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _end_cluster(self, effect: EndCluster) -> None:
        """End it when clients know where their savepoints are, which may have ended the job."""
        deadline = self._clock() + _ANSWER_SECONDS
        while self._unanswered and self._clock() < deadline:  # noqa: ASYNC110 - ends with a client's question
            await asyncio.sleep(_ANSWER_POLL)
        if not self.end.done():
            self.end.set_result((effect.status, effect.diagnostics))
