"""The slot worker: one process, one thread, one loop that runs all tasks of a slot.

    python -m yarnflow.runtime.taskmanager.worker --fd N

N is the worker's end of a socket pair with its supervisor; messages (runtime/rpc/messages.py) go over it
pickled. The loop runs every task that can go on, serves sockets and messages without waiting while there
is work, and sleeps in the selector when there is none. A user function that never returns is the
supervisor's business: it kills the process.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib
import logging
import os
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from yarnflow import compat, fs
from yarnflow.config.configuration import Configuration
from yarnflow.config.core import CoreOptions
from yarnflow.config.execution import ExecutionOptions
from yarnflow.config.program import ProgramOptions
from yarnflow.runtime.network.exchange import DataExchange
from yarnflow.runtime.operators.base import wall_clock
from yarnflow.runtime.rpc.messages import (
    CancelTask,
    DeployTask,
    Message,
    PrepareJob,
    TasksReport,
    WorkerExit,
    WorkerReady,
    WorkerSetup,
)
from yarnflow.runtime.taskmanager.parent_death import die_with_parent
from yarnflow.runtime.taskmanager.supervisor_events import FOR_TASKS
from yarnflow.runtime.taskmanager.task import Task
from yarnflow.runtime.taskmanager.task_wiring import TaskServices
from yarnflow.runtime.taskmanager.waker import Waker
from yarnflow.runtime.taskmanager.worker_log import WorkerLog

log = logging.getLogger(__name__)

#: Seconds between two polls of a source that cannot say when it has something.
SOURCE_POLL = 0.003

#: Seconds between two reports of counters.
REPORT = 1.0

#: Objects allocated between two collections of the youngest generation. CPython's 700 makes it look at each
#: batch of tuples again and again; cyclic garbage is rare here.
GC_THRESHOLD = 50_000


class Worker:
    """The loop of a slot worker.

    Args:
        pipe: to the supervisor.
        setup: the supervisor's first message.
        worker_log: of this process.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        pipe: Connection,
        setup: WorkerSetup,
        worker_log: WorkerLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipe = pipe
        self._log = worker_log
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._selector.register(pipe.fileno(), selectors.EVENT_READ, self._on_pipe)
        self._working_directory = os.getcwd()
        self._exchange = DataExchange(
            self._selector, setup.secret, self._channel_lost, lambda: self._working_directory, clock
        )
        name = f"slot-{setup.slot_index}-{os.getpid()}.sock"
        socket_path = os.path.join(setup.socket_directory, name) if setup.socket_directory else ""
        address = self._exchange.listen(setup.host, _ports(setup.data_port_range), socket_path, setup.machine_id)
        self._waker = Waker(self._selector)
        self._services = TaskServices(
            self._exchange, self.send, worker_log.tail, clock, wall_clock, self._waker.wake, self._when_readable
        )
        self._tasks: dict[str, Task] = {}
        #: Tasks have ended since the last collection of all garbage.
        self._garbage = False
        self._running: list[Task] = []
        self._job_config = Configuration(setup.config)
        self._buffer_timeout: float | None = None
        self._next_report = clock() + REPORT
        self._exiting = False
        self._read_config()
        self.send(WorkerReady(address, os.getpid()))

    def send(self, message: Message) -> None:
        """Pass a message to the supervisor."""
        try:
            self._pipe.send(message)
        except OSError:
            # The supervisor is gone, and with it the reason to run.
            self._exiting = True

    def run(self) -> None:
        """Work until told to exit or the supervisor is gone."""
        while not self._exiting:
            progressed = False
            for task in self._running:
                self._log.task = task.name
                if task.step():
                    progressed = True
            self._log.task = "worker"
            now = self._clock()
            if progressed:
                self._flush_due(now)
                self._serve(0)
            else:
                for task in self._running:
                    task.flush()
                self._serve(0 if self._has_local_input() else self._idle_time(now))
            self._tick(now)
        for task in list(self._tasks.values()):
            task.cancel()
        self._exchange.close()

    # -- the loop's parts ------------------------------------------------------------------------------------

    def _serve(self, timeout: float) -> None:
        """Handle what sockets and the supervisor have, waiting up to `timeout` seconds for the first."""
        wakers = self._source_wakers() if timeout > 0 else []
        for descriptor in wakers:
            self._selector.register(descriptor, selectors.EVENT_READ, _nothing)
        try:
            ready = self._selector.select(timeout)
        finally:
            for descriptor in wakers:
                self._selector.unregister(descriptor)
        for key, mask in ready:
            key.data(mask)

    def _when_readable(self, descriptor: int | None, function: Callable[[], None]) -> None:
        if descriptor is None:
            function()
            return

        def call(mask: int) -> None:
            self._selector.unregister(descriptor)
            function()

        self._selector.register(descriptor, selectors.EVENT_READ, call)

    def _source_wakers(self) -> list[int]:
        descriptors: set[int] = set()
        for task in self._running:
            descriptors.update(task.source_filenos() or ())
        return list(descriptors)

    def _idle_time(self, now: float) -> float:
        """How long nothing needs to be done unless something arrives."""
        if any(task.source_filenos() is None for task in self._running):
            return SOURCE_POLL
        wakeups = [self._next_report, *(task.next_wakeup() for task in self._running)]
        return max(0.0, min(wakeups) - now)

    def _has_local_input(self) -> bool:
        return any(task.can_go_on() for task in self._running)

    def _flush_due(self, now: float) -> None:
        for task in self._running:
            timeout = task.buffer_timeout(self._buffer_timeout)
            if timeout is not None and now - task.last_flush >= timeout:
                task.flush()

    def _tick(self, now: float) -> None:
        for task in self._running:
            task.tick(now)
        if any(task.state.terminal for task in self._running):
            self._running = [task for task in self._running if not task.state.terminal]
            self._tasks = {task.deployment.execution_id: task for task in self._running}
            self._garbage = True
        if now >= self._next_report:
            self._next_report = now + REPORT
            self._exchange.tick(now)
            if self._running:
                self.send(TasksReport({task.deployment.execution_id: task.metrics() for task in self._running}))
            sys.stdout.flush()

    # -- messages --------------------------------------------------------------------------------------------

    def _on_pipe(self, mask: int) -> None:
        try:
            while self._pipe.poll(0):
                self._handle(self._pipe.recv())
        except (EOFError, OSError):
            log.warning("the supervisor is gone")
            self._exiting = True

    def _handle(self, message: Message) -> None:
        if isinstance(message, DeployTask):
            self._deploy(message)
        elif isinstance(message, CancelTask):
            task = self._tasks.get(message.execution_id)
            if task is not None:
                task.cancel()
        elif isinstance(message, FOR_TASKS):
            task = self._tasks.get(message.execution_id)
            if task is not None:
                task.receive(message)
        elif isinstance(message, PrepareJob):
            self._prepare(message)
        elif isinstance(message, WorkerExit):
            self._exiting = True
        else:
            log.warning("ignored a message of type %s", type(message).__name__)

    def _prepare(self, job: PrepareJob) -> None:
        sys.path[:0] = job.python_path
        importlib.invalidate_caches()
        os.makedirs(job.working_directory, exist_ok=True)
        os.chdir(job.working_directory)
        self._working_directory = job.working_directory
        self._job_config = self._job_config.merge(job.config)
        fs.initialize(self._job_config.to_dict())
        # Modules that were shipped with a program may say `import pyflink`, as the program itself may.
        compat.install()
        self._read_config()

    def _read_config(self) -> None:
        config = self._job_config
        enabled = config[ExecutionOptions.BUFFER_TIMEOUT_ENABLED]
        self._buffer_timeout = config[ExecutionOptions.BUFFER_TIMEOUT].total_seconds() if enabled else None

    def _deploy(self, message: DeployTask) -> None:
        if self._garbage:
            # An attempt that was here before has been frozen, too, and is not small: its timers, for example.
            self._garbage = False
            gc.unfreeze()
            gc.collect()
        config = Configuration(message.deployment.config)
        task = Task(message.deployment, self._services, config[ProgramOptions.GLOBAL_JOB_PARAMETERS])
        self._tasks[message.deployment.execution_id] = task
        plan = message.deployment.checkpoints
        if plan is not None and plan.periodic:
            _prepare_for_checkpoints()
        self._log.task = task.name
        task.start()
        self._log.task = "worker"
        self._running.append(task)
        # What is loaded by now lives as long as the process: collections need not look at it again.
        gc.freeze()

    def _channel_lost(self, channel_id: str, reason: str) -> None:
        for task in self._running:
            if task.uses(channel_id):
                task.connection_lost(reason)


@functools.cache
def _prepare_for_checkpoints() -> None:
    """Load what writes snapshots (pyarrow) in the background: the first barrier shall not wait for it."""
    threading.Thread(
        target=importlib.import_module, args=["yarnflow.runtime.state.background"], daemon=True
    ).start()


def _nothing(mask: int) -> None:
    """A source's descriptor is readable: the next round of the loop polls the source."""


def _ports(text: str) -> range:
    """ "0", "50100" or "50100-50200" as a range."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> None:
    """Run a worker on the socket given by --fd; see parent_death.py for --die-with-parent, spare_workers.py for
    --warm."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--die-with-parent", action="store_true")
    parser.add_argument("--warm", action="store_true")
    arguments = parser.parse_args()
    if arguments.die_with_parent:
        die_with_parent()
    pipe = Connection(arguments.fd)
    # Nothing here uses gRPC, but a function of the program may load it. In the child that writes a checkpoint
    # (state/forked_writer.py) its fork handlers would start its threads again, and these abort the child.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    # Ctrl-C in a terminal reaches all processes of a local cluster; the client alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(GC_THRESHOLD, 20, 20)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if arguments.warm:
        importlib.import_module("yarnflow.runtime.state.background")
    setup = pipe.recv()
    worker_log = WorkerLog()
    worker_log.install(setup.config.get(CoreOptions.LOG_LEVEL.key, "INFO"))
    Worker(pipe, setup, worker_log).run()


if __name__ == "__main__":
    main()
