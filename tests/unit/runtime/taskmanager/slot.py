"""A slot without a process: tasks on one data exchange, stepped until they end."""

from __future__ import annotations

import pickle
import select
import selectors
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cloudpickle

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.sink import Sink, SinkWriter, WriterContext
from yarnflow.functions.source import Availability, Source, Split, SplitReader
from yarnflow.graph.job_graph import Exchange, Partitioning
from yarnflow.graph.operators import ChainEdge, ChainOutput, Operator, OperatorChain, OperatorSpec
from yarnflow.runtime.checkpoint.handles import CheckpointPlan, TaskRestore
from yarnflow.runtime.network.exchange import DataExchange
from yarnflow.runtime.rpc.messages import (
    Channel,
    InputGate,
    Message,
    ResultPartition,
    TaskDeployment,
    TaskFailure,
    TaskStateChanged,
)
from yarnflow.runtime.states import ExecutionState
from yarnflow.runtime.taskmanager.task import Task
from yarnflow.runtime.taskmanager.task_wiring import TaskServices

JOB = "0" * 32


class ListSource(Source):
    """Gives batches of rows, with times when `times`."""

    def __init__(self, *batches: list[Any], times: bool = False) -> None:
        self.batches = batches
        self.times = times

    def splits(self, parallelism: int) -> Sequence[Split]:
        return [Split(str(index)) for index in range(parallelism)]

    def open(self, split: Split) -> SplitReader:
        return _ListReader(self, split)


class _ListReader(SplitReader):
    def __init__(self, source: ListSource, split: Split) -> None:
        self._left = list(source.batches) if split.split_id == "0" else []
        self._times = source.times
        self._split = split

    def poll(self) -> Batch | Availability:
        if not self._left:
            return Availability.END_OF_SPLIT
        rows = list(self._left.pop(0))
        return RowBatch(rows, [1000 + row for row in rows] if self._times else None)

    def split(self) -> Split:
        return self._split


#: What sinks wrote and functions did, in this process; cleared by `Slot`.
EVENTS: list[Any] = []


class ListSink(Sink):
    """Notes what it is told under its name."""

    def __init__(self, name: str = "sink") -> None:
        self.name = name

    def writer(self, context: WriterContext) -> SinkWriter:
        return _ListWriter(self.name)


class _ListWriter(SinkWriter):
    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, RowBatch)
        note(self.name, batch.rows, batch.timestamps)

    def finish(self) -> None:
        note(self.name, "finish")

    def close(self) -> None:
        note(self.name, "close")


def note(*event: Any) -> None:
    """Remember an event; importable, so that pickled functions reach this process's list."""
    EVENTS.append(event)


def written(name: str = "sink") -> list[Any]:
    """The rows that a ListSink got."""
    return [row for event in EVENTS if event[0] == name and len(event) == 3 for row in event[1]]


def chain(
    *specs: OperatorSpec,
    edges: Sequence[ChainEdge] | None = None,
    outputs: Sequence[ChainOutput] = (),
    names: Sequence[str] = (),
) -> OperatorChain:
    """A chain, linear unless `edges` are given."""
    operators = tuple(
        Operator(f"{index:032x}", names[index] if names else type(spec).__name__, spec)
        for index, spec in enumerate(specs)
    )
    if edges is None:
        edges = [ChainEdge(index, index + 1) for index in range(len(specs) - 1)]
    return OperatorChain(operators, tuple(edges), tuple(outputs))


class Clock:
    """Seconds that only move when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def milliseconds(self) -> int:
        """The same time as the wall clock shows it."""
        return round(self.now * 1000)


class Slot:
    """Runs tasks in this process."""

    def __init__(self, directory: Path) -> None:
        EVENTS.clear()
        self.clock = Clock()
        self.selector = selectors.DefaultSelector()
        self.exchange = DataExchange(
            self.selector, b"secret", lambda *loss: None, lambda: str(directory), self.clock
        )
        self.address = self.exchange.listen("127.0.0.1", range(1), "", "")
        self.messages: list[Message] = []
        self.wakes = 0
        self.services = TaskServices(
            self.exchange, self.messages.append, lambda: "the log", self.clock, self.clock.milliseconds,
            self._wake, self._when_readable,
        )  # fmt: skip
        self.tasks: list[Task] = []

    def deploy(
        self,
        code: OperatorChain | bytes,
        name: str = "task",
        inputs: Sequence[tuple[int, int, Sequence[str]]] = (),
        outputs: Sequence[tuple[int, Partitioning, Sequence[str]]] = (),
        exchange: Exchange = Exchange.PIPELINED,
        checkpoints: CheckpointPlan | None = None,
        restore: TaskRestore | None = None,
        config: dict[str, str] | None = None,
    ) -> Task:
        """Start one task.

        Args:
            code: a chain, or bytes as they are.
            name: of the vertex; also the execution id.
            inputs: (edge, input index, names of the producers).
            outputs: (edge, rule, names of the consumers).
            exchange: of all of its edges.
            checkpoints: how they are taken.
            restore: what it starts from.
            config: of the job.
        """
        deployment = TaskDeployment(
            JOB, "job", JOB, name, name, 0, 1, 128, 0,
            code if isinstance(code, bytes) else cloudpickle.dumps(code),
            tuple(
                InputGate(edge, index, Partitioning.FORWARD, exchange,
                          tuple(Channel(f"{edge}:{other}:{name}", self.address, 0) for other in others))
                for edge, index, others in inputs
            ),
            tuple(
                ResultPartition(edge, rule, exchange,
                                tuple(Channel(f"{edge}:{name}:{other}", self.address, 0) for other in others))
                for edge, rule, others in outputs
            ),
            config=config or {}, checkpoints=checkpoints, restore=restore,
        )  # fmt: skip
        task = Task(deployment, self.services, {"who": "me"})
        task.start()
        self.tasks.append(task)
        return task

    def run(self) -> None:
        """Step all tasks until they have ended."""
        deadline = time.monotonic() + 20
        while any(not task.state.terminal for task in self.tasks):
            assert time.monotonic() < deadline, [task.state for task in self.tasks]
            for task in self.tasks:
                if not task.state.terminal:
                    task.step() or task.flush()

    def _wake(self) -> None:
        self.wakes += 1

    def _when_readable(self, descriptor: int | None, function: Callable[[], None]) -> None:
        if descriptor is not None:
            while not select.select([descriptor], [], [], 20)[0]:
                raise AssertionError("nothing became readable")
        function()

    def states(self, task: Task) -> list[str]:
        """The states that a task reported."""
        return [
            message.state.value
            for message in self.messages
            if isinstance(message, TaskStateChanged) and message.execution_id == task.deployment.execution_id
        ]

    def last(self, task: Task) -> TaskStateChanged:
        """The last state message of a task."""
        return [
            message
            for message in self.messages
            if isinstance(message, TaskStateChanged) and message.execution_id == task.deployment.execution_id
        ][-1]

    def failure(self, code: OperatorChain | bytes) -> TaskFailure:
        """Run a chain that fails; what it reports."""
        task = self.deploy(code)
        self.run()
        assert task.state is ExecutionState.FAILED
        failure = self.last(task).failure
        assert failure is not None
        return failure

    def accumulators(self, task: Task) -> dict[str, Any]:
        """The accumulators of an ended task."""
        return pickle.loads(self.last(task).accumulators)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Cancel what runs and close the sockets."""
        for task in self.tasks:
            task.cancel()
        self.exchange.close()
        self.selector.close()
