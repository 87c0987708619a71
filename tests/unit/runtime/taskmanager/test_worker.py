"""Real worker processes, with this test in the supervisor's place."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from tests.unit.runtime.taskmanager.slot import JOB, ListSource, chain
from yarnflow.functions.source import Availability, Source, Split, SplitReader
from yarnflow.graph.job_graph import Exchange, Partitioning
from yarnflow.graph.operators import (
    ChainOutput,
    CollectSpec,
    MapSpec,
    OperatorChain,
    ReduceSpec,
    SourceSpec,
)
from yarnflow.runtime.rpc.messages import (
    CancelTask,
    Channel,
    CollectAcknowledged,
    CollectedRows,
    DeployTask,
    InputGate,
    Message,
    PrepareJob,
    ResultPartition,
    TaskDeployment,
    TasksReport,
    TaskStateChanged,
    WorkerExit,
    WorkerReady,
    WorkerSetup,
)
from yarnflow.runtime.states import ExecutionState

REPOSITORY = Path(__file__).parents[4]


class WorkerProcess:
    """A worker and this end of its pipe."""

    def __init__(self, directory: Path, index: int, secret: bytes = b"secret") -> None:
        mine, its = socket.socketpair()
        self.directory = directory
        self.log_path = directory / f"worker-{index}.log"
        with open(self.log_path, "wb") as log_file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "yarnflow.runtime.taskmanager.worker", "--fd", str(its.fileno())],
                pass_fds=[its.fileno()],
                stderr=log_file,
                stdout=log_file,
                cwd=REPOSITORY,
            )
        its.close()
        self.pipe = Connection(mine.detach())
        self.seen: list[Message] = []
        self.send(WorkerSetup(secret, "127.0.0.1", "0", str(directory), "here", "tm", index, {}))
        self.until(lambda: bool(self.of(WorkerReady)))
        self.address = self.of(WorkerReady)[0].address
        self.send(PrepareJob(JOB, (str(REPOSITORY),), str(directory), {}))

    def send(self, message: Message) -> None:
        self.pipe.send(message)

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.seen if isinstance(message, kind)]

    def receive(self) -> None:
        while self.pipe.poll(0.01):
            message = self.pipe.recv()
            self.seen.append(message)
            if isinstance(message, CollectedRows):
                self.send(CollectAcknowledged(message.execution_id, message.sequence))

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, self.log_path.read_text()
            assert self.process.poll() is None, self.log_path.read_text()
            self.receive()

    def state(self, execution: str) -> ExecutionState | None:
        states = [m.state for m in self.of(TaskStateChanged) if m.execution_id == execution]
        return states[-1] if states else None

    def deploy(
        self,
        name: str,
        code: OperatorChain,
        inputs: tuple[InputGate, ...] = (),
        outputs: tuple[ResultPartition, ...] = (),
    ) -> None:
        self.send(
            DeployTask(
                "a",
                TaskDeployment(
                    JOB, "job", JOB, name, name, 0, 1, 128, 0, cloudpickle.dumps(code), inputs, outputs
                ),
            )
        )

    def close(self) -> None:
        self.pipe.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    workers: list[WorkerProcess] = []

    def begin(**options: Any) -> WorkerProcess:
        workers.append(WorkerProcess(tmp_path, len(workers), **options))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.close()


class Endless(Source):
    """Never has anything, never ends."""

    bounded = False

    def splits(self, parallelism: int) -> list[Split]:
        return [Split("0")]

    def open(self, split: Split) -> SplitReader:
        return _Nothing()


class _Nothing(SplitReader):
    def poll(self) -> Availability:
        return Availability.NOTHING_YET

    def split(self) -> Split:
        return Split("0")


def test_two_workers_run_a_job_together(start: Callable[..., WorkerProcess]) -> None:
    workers = [start(), start()]
    consumers = [Channel("", worker.address, index) for index, worker in enumerate(workers)]

    def channels(producer: int | None, consumer: int | None) -> tuple[Channel, ...]:
        return tuple(
            Channel(
                f"0:p{index if producer is None else producer}:c{index if consumer is None else consumer}",
                end.peer,
                index,
            )
            for index, end in enumerate(consumers)
        )

    for index, worker in enumerate(workers):
        worker.deploy(
            f"c{index}",
            chain(ReduceSpec(lambda a, b: (a[0], a[1] + b[1]), lambda pair: pair[0], True), CollectSpec("c")),
            inputs=(InputGate(0, 0, Partitioning.HASH, Exchange.PIPELINED, channels(None, index)),),
        )
        worker.deploy(
            f"p{index}",
            chain(
                SourceSpec(ListSource(*(list(range(1000)) for _ in range(20)))),
                MapSpec(lambda value: (value % 100, 1)),
                outputs=[ChainOutput(1, 0, Partitioning.HASH, key=lambda pair: pair[0])],
            ),
            outputs=(ResultPartition(0, Partitioning.HASH, Exchange.PIPELINED, channels(index, None)),),
        )
    for index, worker in enumerate(workers):
        for execution in (f"c{index}", f"p{index}"):
            while worker.state(execution) is not ExecutionState.FINISHED:
                for other in workers:
                    other.receive()
                assert worker.state(execution) is not ExecutionState.FAILED, worker.of(TaskStateChanged)
    rows = [
        row for worker in workers for message in worker.of(CollectedRows) for row in pickle.loads(message.rows)
    ]
    assert sorted(rows) == [(key, 400) for key in range(100)]
    assert all(worker.of(CollectedRows) for worker in workers)
    for worker in workers:
        worker.send(WorkerExit())
        assert worker.process.wait(20) == 0


def test_an_idle_worker_sleeps_reports_and_cancels(start: Callable[..., WorkerProcess]) -> None:
    worker = start()
    worker.deploy("endless", chain(SourceSpec(Endless())))
    worker.until(lambda: bool(worker.of(TasksReport)))
    assert worker.of(TasksReport)[0].metrics["endless"].idle_ms > 0
    worker.send(CancelTask("endless"))
    worker.until(lambda: worker.state("endless") is ExecutionState.CANCELED)


class Mourned:
    """Makes a file when it is forgotten."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __del__(self) -> None:
        Path(self.path).touch()

    def map(self, value: Any) -> Any:
        return value


def test_a_worker_forgets_the_attempts_that_have_ended(start: Callable[..., WorkerProcess]) -> None:
    worker = start()
    paths = [worker.directory / f"forgotten-{attempt}" for attempt in range(4)]
    for attempt, path in enumerate(paths):
        worker.deploy(f"t{attempt}", chain(SourceSpec(Endless()), MapSpec(Mourned(str(path)))))
        path.unlink(missing_ok=True)  # the one that was made here
        worker.until(lambda name=f"t{attempt}": worker.state(name) is ExecutionState.RUNNING)  # type: ignore[misc]
        worker.send(CancelTask(f"t{attempt}"))
        worker.until(lambda name=f"t{attempt}": worker.state(name) is ExecutionState.CANCELED)  # type: ignore[misc]
    worker.until(lambda: all(path.exists() for path in paths[:2]))


def test_a_worker_ends_when_its_supervisor_is_gone(start: Callable[..., WorkerProcess]) -> None:
    worker = start()
    worker.deploy("endless", chain(SourceSpec(Endless())))
    worker.until(lambda: worker.state("endless") is ExecutionState.RUNNING)
    worker.pipe.close()
    assert worker.process.wait(20) == 0


def test_the_log_names_time_level_and_task(start: Callable[..., WorkerProcess]) -> None:
    worker = start()
    worker.deploy("broken", chain(SourceSpec(ListSource([1])), MapSpec(lambda value: value / 0)))
    worker.until(lambda: worker.state("broken") is ExecutionState.FAILED)
    failure = worker.of(TaskStateChanged)[-1].failure
    assert "ZeroDivisionError" in failure.message
    assert "INFO  [broken (1/1)] yarnflow.runtime.taskmanager.task" in failure.log_tail
    assert "ERROR [broken (1/1)]" in worker.log_path.read_text()
    assert "secret" not in worker.log_path.read_text()


def test_a_row_job_loads_no_heavy_library(start: Callable[..., WorkerProcess]) -> None:
    worker = start()

    def loaded(value: Any) -> Any:
        import sys

        heavy = ("pyarrow", "numpy", "aiohttp", "grpc", "asyncio", "cloudpickle", "skein", "requests", "yaml")
        return sorted(name for name in heavy if name in sys.modules)

    worker.deploy("job", chain(SourceSpec(ListSource([1])), MapSpec(loaded), CollectSpec("c")))
    worker.until(lambda: worker.state("job") is ExecutionState.FINISHED)
    (names,) = pickle.loads(worker.of(CollectedRows)[0].rows)
    assert names in ([], ["cloudpickle"])  # what cloudpickle pickled by value needs it to load


def test_functions_may_use_grpc_though_workers_fork(
    start: Callable[..., WorkerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRPC_ENABLE_FORK_SUPPORT", raising=False)
    worker = start()

    def found(value: Any) -> Any:
        import os

        return os.environ.get("GRPC_ENABLE_FORK_SUPPORT")

    worker.deploy("job", chain(SourceSpec(ListSource([1])), MapSpec(found), CollectSpec("c")))
    worker.until(lambda: worker.state("job") is ExecutionState.FINISHED)
    assert pickle.loads(worker.of(CollectedRows)[0].rows) == ["0"]
