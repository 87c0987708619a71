"""Gets TaskManager containers from YARN through skein: the ResourceDriver of clusters on YARN.

The shell of containers_machine: one thread speaks to skein's ApplicationMaster, which is on this machine; the
machine is only touched on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from yarnflow.am.containers_machine import (
    ContainerEffect,
    ContainersMachine,
    Ended,
    Kill,
    RequestFailed,
    Started,
)
from yarnflow.errors import ClusterError
from yarnflow.runtime.jobmanager.driver import DriverListener, FinalStatus, WorkerSpec
from yarnflow.yarn.skein.application import SkeinApplication, WorkerContainer

logger = logging.getLogger(__name__)

#: Seconds between two looks at the containers, while some are to come and while none are.
PENDING_INTERVAL, IDLE_INTERVAL = 0.2, 0.5
#: Looks that may fail in a row before the driver gives up.
_FAILURES = 60
#: YARN keeps 64 KB of diagnostics of an attempt (yarn.app.attempt.diagnostics.limit.kc).
_MAX_DIAGNOSTICS = 16_000

T = TypeVar("T")


class YarnDriver:
    """Requests, watches and releases containers.

    Args:
        application: the one we are in.
        closing: called as the application is about to end; YARN's SIGTERM follows.
    """

    def __init__(self, application: SkeinApplication, closing: Callable[[], None]) -> None:
        self._application = application
        self._closing = closing
        self._machine = ContainersMachine()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="skein")
        self._tasks: set[asyncio.Task[None]] = set()
        #: Requests that skein has not answered, and those of them that are not needed any more.
        self._asking: set[str] = set()
        self._cancelled: set[str] = set()
        self._wake = asyncio.Event()
        self._listener: DriverListener | None = None

    async def start(self, listener: DriverListener) -> None:
        """Begin to watch containers."""
        self._listener = listener
        self._spawn(self._watch())

    def request_worker(self, request_id: str, spec: WorkerSpec) -> None:
        """Ask for one more container. All have the size that was fixed at submission, which is `spec`'s."""
        self._asking.add(request_id)
        self._spawn(self._request(request_id))

    def cancel_request(self, request_id: str) -> None:
        """Take a request back, if its container has not started."""
        if request_id in self._asking:
            self._cancelled.add(request_id)
        self._perform(self._machine.cancelled(request_id))

    def release_worker(self, worker_id: str) -> None:
        """Stop a container; `worker_ended` follows."""
        self._perform(self._machine.released(worker_id))

    async def close(self, status: FinalStatus, diagnostics: str) -> None:
        """End the application: YARN stops all its containers."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._closing()
        try:
            await self._call(lambda: self._application.finish(status.value, diagnostics[-_MAX_DIAGNOSTICS:]))
        except ClusterError as error:
            # It ends anyway when this process does, with this process's exit code for a status.
            logger.warning("the ApplicationMaster does not take the final status: %s", error)
        self._thread.shutdown(wait=False)

    # -- inside ------------------------------------------------------------------------------------------

    async def _request(self, request_id: str) -> None:
        try:
            name = await self._call(self._application.add_worker)
        except ClusterError as error:
            self._cancelled.discard(request_id)
            if self._listener is not None:
                self._listener.request_failed(request_id, str(error))
            return
        finally:
            self._asking.discard(request_id)
        logger.info("requested container %s for %s", name, request_id)
        self._machine.requested(request_id, name)
        if request_id in self._cancelled:
            self._cancelled.discard(request_id)
            self._perform(self._machine.cancelled(request_id))
        self._wake.set()

    async def _watch(self) -> None:
        failures = 0
        while True:
            try:
                active = await self._call(self._application.active_workers)
                ended: list[WorkerContainer] = []
                if self._machine.missing(active):
                    ended = await self._call(self._application.ended_workers)
                failures = 0
            except ClusterError as error:
                failures += 1
                if failures >= _FAILURES and self._listener is not None:
                    self._listener.fatal(f"the ApplicationMaster does not answer any more: {error}")
                    return
            else:
                self._perform(self._machine.seen(active, ended))
            self._wake.clear()
            interval = PENDING_INTERVAL if self._machine.pending else IDLE_INTERVAL
            try:
                await asyncio.wait_for(self._wake.wait(), interval)
                await asyncio.sleep(PENDING_INTERVAL)
            except asyncio.TimeoutError:
                pass

    def _perform(self, effects: list[ContainerEffect]) -> None:
        listener = self._listener
        assert listener is not None, "start() comes first"
        for effect in effects:
            logger.info("%s", effect)
            if isinstance(effect, Started):
                listener.worker_started(effect.request_id, effect.worker_id)
            elif isinstance(effect, Ended):
                listener.worker_ended(effect.worker_id, effect.diagnostics)
            elif isinstance(effect, RequestFailed):
                listener.request_failed(effect.request_id, effect.diagnostics)
            elif isinstance(effect, Kill):
                self._spawn(self._kill(effect.name))

    async def _kill(self, name: str) -> None:
        try:
            await self._call(lambda: self._application.kill_worker(name))
        except ClusterError as error:
            logger.warning("container %s cannot be stopped: %s", name, error)

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # Without it nobody watches containers, or a request stays open for ever.
            logger.error("the YARN driver fails", exc_info=error)
            if self._listener is not None:
                self._listener.fatal(f"the YARN driver failed: {type(error).__name__}: {error}")
