"""The TaskManager: keeps a worker process per slot, speaks to the JobManager for all of them.

The shell of supervisor_machine. `run` connects and registers, again and again for as long as
taskmanager.registration.timeout allows, and returns why the TaskManager ends. While no JobManager is there,
nothing runs; workers stay warm.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yarnflow.config.cluster import HeartbeatOptions
from yarnflow.config.configuration import Configuration
from yarnflow.config.core import PythonOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.errors import ClusterError, ClusterUnreachableError, ProtocolError, YarnflowError
from yarnflow.graph.job_graph import ArtifactKind
from yarnflow.runtime.clock import Clock, system_clock
from yarnflow.runtime.log_files import list_log_files, read_log_file
from yarnflow.runtime.mailbox import Mailbox
from yarnflow.runtime.rpc.channel import Connection, Connector, Receiver
from yarnflow.runtime.rpc.messages import (
    Disconnect,
    FetchLog,
    Heartbeat,
    ListLogs,
    LogChunk,
    LogList,
    Message,
    Registered,
    RegisterTaskManager,
    RegistrationRefused,
    ReserveSlot,
    TaskFailure,
    WorkerSetup,
)
from yarnflow.runtime.taskmanager.artifacts import ArtifactCache
from yarnflow.runtime.taskmanager.spare_workers import SpareWorkers, wanted
from yarnflow.runtime.taskmanager.supervisor_events import (
    Begin,
    FilesFailed,
    FilesReady,
    JobLayout,
    JobManagerLost,
    JobManagerSaid,
    PrepareFiles,
    ReleaseFiles,
    StartWorker,
    StopWorker,
    SupervisorEffect,
    SupervisorEvent,
    Tick,
    ToJobManager,
    ToWorker,
    WakeAt,
    WorkerEnded,
    WorkerSaid,
)
from yarnflow.runtime.taskmanager.supervisor_machine import SupervisorMachine, SupervisorSettings
from yarnflow.runtime.taskmanager.worker_process import WorkerProcess
from yarnflow.runtime.taskmanager.worker_spawn import SpawnedWorker, spawn_worker

logger = logging.getLogger(__name__)

#: Pauses between two attempts to reach the JobManager, seconds: first and longest.
RETRY_FIRST, RETRY_MAX = 0.1, 5.0

#: Longest folder name in which a worker's Unix socket still fits into sockaddr_un.
_SOCKET_FOLDER_MAX = 70


@dataclass(frozen=True)
class TaskManagerIdentity:
    """Who this TaskManager is.

    Attributes:
        taskmanager_id: unique; the driver's worker id where a driver started it.
        host: under which workers of other machines reach its workers, and shown to people.
        slots: number of slots.
        memory_bytes: of the whole TaskManager.
    """

    taskmanager_id: str
    host: str
    slots: int
    memory_bytes: int


@dataclass(frozen=True)
class EmbeddedProgram:
    """The TaskManager lives in the user's own process (MiniCluster): workers write to its standard output
    and find the modules and relative paths that it finds.

    Attributes:
        python_path: its sys.path.
        working_directory: its current folder.
        spawned: workers that were started already, for slots 0, 1, ...
    """

    python_path: tuple[str, ...]
    working_directory: str
    spawned: tuple[SpawnedWorker, ...] = ()


@dataclass(frozen=True)
class TaskManagerServices:
    """What a supervisor is made from.

    Attributes:
        connector: reaches the leading JobManager.
        secret: of the cluster; workers prove it to each other.
        root: private folder for files and sockets; the caller removes it.
        log_directory: for the workers' logs, and shown by REST.
        embedded: in a MiniCluster.
        clock: the time.
    """

    connector: Connector
    secret: bytes = field(repr=False)
    root: Path
    log_directory: Path
    embedded: EmbeddedProgram | None = None
    clock: Clock = system_clock


class _Session(Receiver):
    """One connection to a JobManager."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.ended = asyncio.Event()
        self.reason = ""
        self.registered: Registered | None = None
        self.last_heard = time.monotonic()
        self.refused = ""

    def accept(self, connection: Connection) -> Receiver:
        """What the connector wants: the receiver of the connection."""
        return self

    def received(self, message: Message) -> None:
        self.last_heard = time.monotonic()
        if isinstance(message, Registered):
            self.registered = message
        elif isinstance(message, RegistrationRefused):
            self.refused = message.reason
        else:
            self._supervisor.take(message)

    def closed(self, reason: str) -> None:
        self.reason = reason
        self.ended.set()


class Supervisor:
    """One TaskManager. Create it on the event loop, `start`, `run`, `close`."""

    def __init__(
        self, config: Configuration, identity: TaskManagerIdentity, services: TaskManagerServices
    ) -> None:
        self._config = config
        self._identity = identity
        self._services = services
        self._loop = asyncio.get_running_loop()
        self._machine = SupervisorMachine(
            SupervisorSettings(
                slots=identity.slots,
                place=f"TaskManager {identity.taskmanager_id} @ {identity.host}",
                cancellation_timeout=config[TaskManagerOptions.CANCELLATION_TIMEOUT].total_seconds(),
            )
        )
        self._machine_id = machine_id()
        self._artifacts = ArtifactCache(services.root)
        self._workers: dict[int, WorkerProcess] = {}
        self._leaving: set[WorkerProcess] = set()
        started = services.embedded.spawned if services.embedded else ()
        self._spares = SpareWorkers(
            lambda index: self._spawn_worker(index, "", warm=True), dict(enumerate(started))
        )
        self._connection: Connection | None = None
        self._epoch = 0
        self._exit = asyncio.Event()
        self._exit_reason = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._closed = False
        self._mailbox: Mailbox[SupervisorEvent] = Mailbox(
            f"taskmanager-{identity.taskmanager_id}", self._handle, self._broken
        )

    # -- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the workers. They come up while the JobManager is being reached."""
        self._services.log_directory.mkdir(parents=True, exist_ok=True)
        self._mailbox.post(Begin())

    async def run(self) -> str:
        """Serve until told to exit; returns the reason.

        Raises ClusterUnreachableError when no JobManager was found for taskmanager.registration.timeout,
        ProtocolError when it refuses this TaskManager."""
        while not self._exit.is_set():
            session = await self._connect()
            if session is None:
                break
            await self._serve(session)
            if session.refused:
                raise ProtocolError(f"the JobManager refused this TaskManager: {session.refused}")
            if not self._exit.is_set():
                logger.warning("lost the JobManager: %s", session.reason)
        return self._exit_reason

    async def close(self) -> None:
        """End workers and connection; nothing of this TaskManager is left."""
        self._closed = True
        self._exit.set()
        if self._connection is not None:
            self._connection.send(Disconnect(self._exit_reason or "the TaskManager ends"))
            await self._connection.close("the TaskManager ends")
        await self._mailbox.close()
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        workers = [*self._workers.values(), *self._leaving]
        for worker in workers:
            worker.stop(at_once=True)
        await asyncio.gather(*(worker.gone.wait() for worker in workers))
        self._spares.close()

    def exit(self, reason: str) -> None:
        """Make `run` return."""
        self._exit_reason = self._exit_reason or reason
        self._exit.set()

    def worker_pids(self) -> list[int]:
        """Process ids of the workers, by slot."""
        return [worker.pid for _, worker in sorted(self._workers.items())]

    # -- the JobManager ----------------------------------------------------------------------------------

    async def _connect(self) -> _Session | None:
        """Reach and tell the leader who we are; None when told to exit meanwhile."""
        limit = self._config[TaskManagerOptions.REGISTRATION_TIMEOUT].total_seconds()
        deadline = time.monotonic() + limit
        pause = RETRY_FIRST
        while not self._exit.is_set():
            session = _Session(self)
            try:
                connection = await self._services.connector.connect(session.accept, self._epoch)
            except ClusterUnreachableError as error:
                if time.monotonic() + pause > deadline:
                    raise ClusterUnreachableError(
                        f"no JobManager for {limit:g} s (taskmanager.registration.timeout): {error}"
                    ) from error
                logger.info("%s; trying again in %.1f s", error, pause)
                await self._sleep(pause)
                pause = min(pause * 2, RETRY_MAX)
                continue
            self._epoch = connection.epoch
            self._connection = connection
            connection.send(
                RegisterTaskManager(
                    taskmanager_id=self._identity.taskmanager_id,
                    host=self._identity.host,
                    pid=os.getpid(),
                    slots=self._identity.slots,
                    memory_bytes=self._identity.memory_bytes,
                    cores=os.cpu_count() or 1,
                    log_directory=str(self._services.log_directory),
                )
            )
            return session
        return None

    async def _serve(self, session: _Session) -> None:
        """Until the connection ends or we are told to exit."""
        assert self._connection is not None
        waiters = [
            asyncio.ensure_future(session.ended.wait()),
            asyncio.ensure_future(self._exit.wait()),
        ]
        try:
            while not session.ended.is_set() and not self._exit.is_set():
                # Until it answers with its own interval, a JobManager has the time of a registration.
                timeout = session.registered.heartbeat_timeout if session.registered else 30.0
                silent = time.monotonic() - session.last_heard
                if silent > timeout:
                    session.reason = f"no sign of life for {silent:.0f} s (heartbeat.timeout)"
                    break
                await asyncio.wait(waiters, timeout=timeout - silent + 0.01, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
        if not self._exit.is_set():
            await self._connection.close(session.reason)
            self._connection = None
            self._mailbox.post(JobManagerLost(session.reason))

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._exit.wait(), seconds)
        except asyncio.TimeoutError:
            return

    def take(self, message: Message) -> None:
        """A message of the JobManager."""
        if isinstance(message, Heartbeat):
            self._send(self._machine.heartbeat(self._memory_used()))
        elif isinstance(message, Disconnect):
            if message.exit:
                self.exit(message.reason)
        elif isinstance(message, ListLogs | FetchLog):
            self._spawn(self._answer_log_question(message))
        else:
            self._mailbox.post(JobManagerSaid(message))

    def _send(self, message: Message) -> None:
        if self._connection is not None:
            self._connection.send(message)

    async def _answer_log_question(self, message: ListLogs | FetchLog) -> None:
        folder = self._services.log_directory
        if isinstance(message, ListLogs):
            files = await self._loop.run_in_executor(None, list_log_files, folder)
            self._send(LogList(message.request_id, tuple((file.name, file.size) for file in files)))
            return
        data = await self._loop.run_in_executor(
            None, read_log_file, folder, message.name, message.offset, message.length
        )
        error = "" if data is not None else f"there is no log file {message.name!r}"
        self._send(LogChunk(message.request_id, data or b"", error))

    def _memory_used(self) -> int:
        pids = [os.getpid(), *self.worker_pids(), *self._spares.pids()]
        return sum(_resident_bytes(pid) for pid in pids)

    # -- events and effects ------------------------------------------------------------------------------

    def _handle(self, event: SupervisorEvent) -> None:
        for effect in self._machine.handle(event, self._services.clock()):
            self._perform(effect)

    def _perform(self, effect: SupervisorEffect) -> None:
        if isinstance(effect, ToWorker):
            worker = self._workers.get(effect.slot_index)
            if worker is not None:
                worker.send(effect.message)
        elif isinstance(effect, ToJobManager):
            self._send(effect.message)
        elif isinstance(effect, StartWorker):
            if not self._closed:
                self._start_worker(effect)
        elif isinstance(effect, StopWorker):
            worker = self._workers.get(effect.slot_index)
            if worker is not None:
                worker.stop(effect.at_once)
        elif isinstance(effect, PrepareFiles):
            self._spawn(self._prepare(effect.reservation))
            if wanted(Configuration(effect.reservation.config)):
                self._spares.plan(effect.reservation.slot_index)
        elif isinstance(effect, ReleaseFiles):
            if self._artifacts.knows(effect.job_id):
                self._spawn(self._artifacts.release(effect.job_id))
        elif isinstance(effect, WakeAt):
            self._wake_at(effect.time)

    def _start_worker(self, effect: StartWorker) -> None:
        index, generation = effect.slot_index, effect.generation
        previous = self._workers.pop(index, None)
        if previous is not None and not previous.gone.is_set():
            self._leaving.add(previous)
        try:
            spare = None if effect.executable else self._spares.take(index)
            spawned = spare or self._spawn_worker(index, effect.executable)
        except OSError as error:
            self._mailbox.post(WorkerEnded(index, generation, f"could not be started: {error}", ""))
            return

        def ended(how: str, log_tail: str) -> None:
            self._leaving.discard(worker)
            if self._workers.get(index) is worker:
                del self._workers[index]
            if not self._closed:
                logger.info("the worker process of slot %d (pid %d) %s", index, worker.pid, how)
            self._mailbox.post(WorkerEnded(index, generation, how, log_tail))

        worker = WorkerProcess(
            spawned,
            lambda message: self._mailbox.post(WorkerSaid(index, generation, message)),
            ended,
            self._config[HeartbeatOptions.TIMEOUT].total_seconds(),
        )
        self._workers[index] = worker
        worker.send(self._setup(index))

    def _spawn_worker(self, index: int, executable: str, warm: bool = False) -> SpawnedWorker:
        embedded = self._services.embedded is not None
        logs = self._services.log_directory
        return spawn_worker(
            executable,
            None if embedded else logs / f"taskmanager-slot{index}.out",
            logs / f"taskmanager-slot{index}.log",
            die_with_parent=not embedded,
            warm=warm,
        )

    def _setup(self, index: int) -> WorkerSetup:
        port = self._config[TaskManagerOptions.DATA_PORT]
        sockets = str(self._services.root)
        return WorkerSetup(
            secret=self._services.secret,
            host=self._identity.host,
            # Replaced workers may hold their ports for a moment, so there are more ports than slots.
            data_port_range=f"{port}-{port + 4 * self._identity.slots}" if port else "0",
            socket_directory=sockets if len(sockets) <= _SOCKET_FOLDER_MAX else "",
            machine_id=self._machine_id,
            taskmanager_id=self._identity.taskmanager_id,
            slot_index=index,
            config=self._config.to_dict(),
        )

    async def _prepare(self, reservation: ReserveSlot) -> None:
        index, allocation = reservation.slot_index, reservation.allocation_id
        embedded = self._services.embedded
        config = Configuration(reservation.config)
        if embedded is not None and not reservation.artifacts and PythonOptions.EXECUTABLE not in config:
            # The usual local program ships nothing: its slots are ready as soon as their processes are.
            layout = JobLayout((), embedded.working_directory)
        else:
            try:
                layout = await self._artifacts.prepare(
                    reservation.job_id, reservation.artifacts, config, self._fetch
                )
            except YarnflowError as error:
                self._mailbox.post(FilesFailed(index, allocation, TaskFailure(str(error), str(error))))
                return
        if embedded is not None:
            kinds = {artifact.kind for artifact in reservation.artifacts}
            ships = bool(kinds & {ArtifactKind.ARCHIVE, ArtifactKind.FILE})
            layout = JobLayout(
                (*layout.python_path, *embedded.python_path),
                layout.working_directory if ships else embedded.working_directory,
                layout.executable,
            )
        self._mailbox.post(FilesReady(index, allocation, layout))

    async def _fetch(self, sha256: str, target: Path) -> None:
        if self._connection is None:
            raise ClusterError(f"blob {sha256} cannot be fetched: the JobManager is gone")
        await self._connection.fetch_blob(sha256, target)

    def _wake_at(self, at: float) -> None:
        def wake() -> None:
            self._timers.discard(timer)
            self._mailbox.post(Tick())

        timer = self._loop.call_later(max(0.0, at - self._services.clock()) + 0.001, wake)
        self._timers.add(timer)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _broken(self, error: BaseException) -> None:
        logger.critical("the supervisor met an internal error", exc_info=error)
        self.exit(f"internal error of the supervisor: {error!r}")


def machine_id() -> str:
    """Equal for processes that see the same Unix sockets: same boot, same mounts, same user."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        mounts = os.readlink("/proc/self/ns/mnt")
    except OSError:
        # No /proc: only workers of this TaskManager share sockets.
        return secrets.token_hex(8)
    return f"{boot}/{mounts}/{os.getuid()}"


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        # It has just ended, or there is no /proc here.
        return 0
