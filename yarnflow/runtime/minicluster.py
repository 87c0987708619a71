"""JobManager and TaskManager in the user's own process: what `python my_job.py` runs on.

Both live on the event loop of one background thread and speak through the in-process channel; only the slot
workers are processes. The interface is synchronous and may be used from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from yarnflow.config.configuration import Configuration
from yarnflow.config.rocksdb import RocksDBOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.errors import ClusterError
from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.jobmanager.api import DispatcherGateway
from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.jobmanager.job_manager import JobManager, JobManagerServices
from yarnflow.runtime.rpc.in_process import InProcessHub
from yarnflow.runtime.taskmanager.supervisor import (
    EmbeddedProgram,
    Supervisor,
    TaskManagerIdentity,
    TaskManagerServices,
)
from yarnflow.runtime.taskmanager.worker_spawn import SpawnedWorker

T = TypeVar("T")


class MiniCluster:
    """A whole cluster in this process.

    Args:
        config: of the cluster.
        slots: of the first TaskManager; a job that needs more brings another one.
        spawned: workers that were started already, at most `slots`.
        root: private folder for files, sockets and logs, which the cluster removes at its end; None makes one.
        taskmanagers: how many TaskManagers with `slots` slots each to start with.
    """

    def __init__(
        self,
        config: Configuration | None = None,
        slots: int = 1,
        *,
        spawned: Sequence[SpawnedWorker] = (),
        root: Path | None = None,
        taskmanagers: int = 1,
    ) -> None:
        self._config = Configuration(config)
        self._root = root or Path(tempfile.mkdtemp(prefix="yarnflow-"))
        if RocksDBOptions.LOCAL_DIR not in self._config:
            # Elsewhere it is the worker's own folder; here workers share the program's.
            self._config.set(RocksDBOptions.LOCAL_DIR, str(self._root / "rocksdb"))
        self._secret = secrets.token_bytes(32)
        self._supervisors: list[Supervisor] = []
        self._serving: list[asyncio.Task[str]] = []
        self._slots = 0
        self._closed = False
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        # Of its own: asyncio's would have to be shut down by a thread, which cannot be had at exit.
        self._executor = ThreadPoolExecutor(4, "yarnflow-io")
        self._loop.set_default_executor(self._executor)
        self._thread = threading.Thread(target=self._loop.run_forever, name="yarnflow-minicluster", daemon=True)
        self._thread.start()
        try:
            self._job_manager = self.call(self._start())
            self._add(slots, tuple(spawned))
            for _ in range(taskmanagers - 1):
                self._add(slots, ())
        except BaseException:
            self.close()
            raise

    # -- jobs --------------------------------------------------------------------------------------------

    @property
    def dispatcher(self) -> DispatcherGateway:
        """For coroutines given to `call`."""
        return self._job_manager.dispatcher

    def submit(self, job: JobGraph, blobs: Mapping[str, bytes] | None = None) -> str:
        """Submit a job, after adding slots if it needs more than there are; returns its id."""
        with self._lock:
            missing = job.slots_needed() - self._slots
            if missing > 0:
                self._add(missing, ())
        return self.call(self.dispatcher.submit(job, blobs))

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the cluster's event loop and wait for its result.

        Raises TimeoutError after `timeout` seconds, ClusterError when the cluster is closed."""
        if self._loop.is_closed() or not self._thread.is_alive():
            work.close()
            raise ClusterError("the MiniCluster is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    # -- inspection, for tests ---------------------------------------------------------------------------

    @property
    def log_directory(self) -> Path:
        """Logs of the workers."""
        return self._root / "log"

    def worker_pids(self) -> list[int]:
        """Process ids of all slot workers."""

        async def pids() -> list[int]:
            return [pid for supervisor in self._supervisors for pid in supervisor.worker_pids()]

        return self.call(pids())

    # -- life --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Cancel what runs, end every process, remove the files. Can be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._executor.shutdown(wait=False)
            shutil.rmtree(self._root, ignore_errors=True)

    def __enter__(self) -> MiniCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _start(self) -> JobManager:
        self._hub = InProcessHub()
        job_manager = JobManager(
            self._config, JobManagerServices(self._hub, None, self._root / "blobs", self.log_directory)
        )
        await job_manager.start()
        return job_manager

    def _add(self, slots: int, spawned: tuple[SpawnedWorker, ...]) -> None:
        self._slots += slots
        self.call(self._add_taskmanager(slots, spawned))

    async def _add_taskmanager(self, slots: int, spawned: tuple[SpawnedWorker, ...]) -> None:
        number = len(self._supervisors)
        suffix = f"-{number}" if number else ""
        root = self._root / f"tm{suffix}"
        await self._loop.run_in_executor(None, lambda: root.mkdir(mode=0o700, exist_ok=True))
        supervisor = Supervisor(
            self._config,
            TaskManagerIdentity(
                f"local{suffix}",
                "localhost",
                slots,
                self._config[TaskManagerOptions.PROCESS_MEMORY].bytes,
            ),
            TaskManagerServices(
                self._hub,
                self._secret,
                root,
                self.log_directory if not suffix else self.log_directory / f"tm{suffix}",
                EmbeddedProgram(_python_path(), os.getcwd(), spawned),
            ),
        )
        supervisor.start()
        self._supervisors.append(supervisor)
        self._serving.append(self._loop.create_task(supervisor.run()))

    async def _stop(self) -> None:
        for supervisor in self._supervisors:
            # First, or they would look for the next JobManager.
            supervisor.exit("the program ends")
        if hasattr(self, "_job_manager"):
            # Workers are processes of this cluster alone: ending them ends every job.
            await self._job_manager.stop(FinalStatus.SUCCEEDED, "the program ends")
        for supervisor in self._supervisors:
            await supervisor.close()
        for serving in self._serving:
            with contextlib.suppress(Exception):
                await serving


def _python_path() -> tuple[str, ...]:
    """This process's sys.path, usable from another folder; "" stands for the current one."""
    return tuple(path or os.getcwd() for path in sys.path)
