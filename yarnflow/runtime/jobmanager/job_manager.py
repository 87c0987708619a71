"""The JobManager put together: resource manager, dispatcher, RPC server; the same in every kind of cluster.

Entry points: `JobManager` for a process that has an event loop of its own (MiniCluster), `main.py` for a
process that is nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yarnflow.config.cluster import HeartbeatOptions, ResourceManagerOptions
from yarnflow.config.configuration import Configuration
from yarnflow.config.jobmanager import JobManagerOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.runtime.clock import Clock, system_clock
from yarnflow.runtime.jobmanager.blob_store import BlobStore
from yarnflow.runtime.jobmanager.dispatcher import Dispatcher
from yarnflow.runtime.jobmanager.dispatcher_machine import ClusterEnd, DispatcherMachine
from yarnflow.runtime.jobmanager.driver import FinalStatus, ResourceDriver, WorkerSpec
from yarnflow.runtime.jobmanager.resource_manager import HeartbeatSettings, ResourceManager
from yarnflow.runtime.jobmanager.slot_manager_machine import (
    SlotManagerMachine,
    SlotManagerSettings,
)
from yarnflow.runtime.rpc.channel import RpcServer


@dataclass(frozen=True)
class JobManagerServices:
    """What a JobManager is made from.

    Attributes:
        server: where TaskManagers connect.
        driver: starts workers, or None when they come by themselves.
        blob_directory: for shipped files; removed at the end.
        log_directory: this process's log files, or None.
        end: when the cluster ends by itself.
        worker_cores: virtual cores of a worker that the driver starts; None: one per slot.
        prerequested_workers: workers that were requested at submission and come by themselves.
        clock: the time.
    """

    server: RpcServer
    driver: ResourceDriver | None
    blob_directory: Path
    log_directory: Path | None = None
    end: ClusterEnd = ClusterEnd.NEVER
    worker_cores: int | None = None
    prerequested_workers: int = 0
    clock: Clock = system_clock


class JobManager:
    """Create it on the event loop, `await start()`, use `dispatcher`, `await run()`.

    Attributes:
        dispatcher: the DispatcherGateway.
        resource_manager: slots and TaskManagers.
    """

    def __init__(self, config: Configuration, services: JobManagerServices) -> None:
        self._services = services
        self._blobs = BlobStore(services.blob_directory)
        slots = config[TaskManagerOptions.NUM_TASK_SLOTS]
        options = ResourceManagerOptions
        request_timeout = config[options.SLOT_REQUEST_TIMEOUT]
        if services.driver is None:
            request_timeout = config[options.STANDALONE_START_UP_TIME] or request_timeout
        self.resource_manager = ResourceManager(
            SlotManagerMachine(
                SlotManagerSettings(
                    has_driver=services.driver is not None,
                    slots_per_worker=slots,
                    max_slots=config[options.MAX_SLOT_NUM],
                    min_slots=config[options.MIN_SLOT_NUM],
                    redundant_workers=config[options.REDUNDANT_TASK_MANAGER_NUM],
                    prerequested_workers=services.prerequested_workers,
                    request_timeout=request_timeout.total_seconds(),
                    idle_timeout=config[options.TASK_MANAGER_TIMEOUT].total_seconds(),
                    registration_timeout=config[options.TASK_MANAGER_REGISTRATION_TIMEOUT].total_seconds(),
                    max_start_failures=config[options.START_WORKER_MAX_FAILURE_RATE],
                    retry_interval=config[options.START_WORKER_RETRY_INTERVAL].total_seconds(),
                )
            ),
            services.driver,
            WorkerSpec(config[TaskManagerOptions.PROCESS_MEMORY].bytes, services.worker_cores or slots, slots),
            HeartbeatSettings(
                config[HeartbeatOptions.INTERVAL].total_seconds(),
                config[HeartbeatOptions.TIMEOUT].total_seconds(),
            ),
            services.clock,
            self._fatal,
        )
        self.dispatcher = Dispatcher(
            DispatcherMachine(
                services.end,
                config[JobManagerOptions.JOB_STORE_CAPACITY],
                config[JobManagerOptions.JOB_STORE_EXPIRATION_SECONDS],
            ),
            config,
            self.resource_manager,
            self._blobs,
            services.log_directory,
            services.clock,
        )

    async def start(self) -> None:
        """Accept TaskManagers and start the driver."""
        await self._services.server.start(self.resource_manager.accept, self._blobs.find)
        await self.resource_manager.start()

    async def run(self) -> tuple[FinalStatus, str]:
        """Wait until the cluster shall end; returns how, and what to say about it."""
        return await self.dispatcher.end

    async def stop(self, status: FinalStatus, diagnostics: str) -> None:
        """End everything; running jobs are lost (use Dispatcher.shutdown to cancel them first)."""
        await self.dispatcher.close()
        await self.resource_manager.close(status, diagnostics)
        await self._services.server.stop()
        self._blobs.delete()

    def _fatal(self, diagnostics: str) -> None:
        if not self.dispatcher.end.done():
            self.dispatcher.end.set_result((FinalStatus.FAILED, diagnostics))
