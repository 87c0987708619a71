"""Drives a coordinator machine by hand: tasks and a storage that do what the effects say, when told to."""

from __future__ import annotations

from dataclasses import replace

from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.checkpoint.coordinator_events import (
    CancelJob,
    CheckpointDone,
    CoordinatorEffect,
    Delete,
    DirectoryMade,
    FailJob,
    JobMoved,
    MakeDirectory,
    Note,
    Publish,
    Published,
    SendToTask,
    SnapshotRequested,
    StorageFailed,
    TaskMoved,
    TimePassed,
    WakeAt,
)
from yarnflow.runtime.checkpoint.coordinator_machine import CoordinatorMachine, Incoming
from yarnflow.runtime.checkpoint.handles import OperatorState, StateBlock, StateFile, StateKind, SubtaskState
from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint
from yarnflow.runtime.checkpoint.pending import RequestOutcome
from yarnflow.runtime.checkpoint.settings import CheckpointSettings
from yarnflow.runtime.rpc.checkpoint_messages import (
    CheckpointAborted,
    CheckpointAcknowledged,
    CheckpointCompleted,
    CheckpointDeclined,
    CheckpointTimes,
    InputEnded,
    StopMode,
    TriggerCheckpoint,
)
from yarnflow.runtime.states import ExecutionState, JobStatus

DIRECTORY = "file:///c"


def settings(**changes) -> CheckpointSettings:
    base = CheckpointSettings(interval=10.0, timeout=60.0, directory=DIRECTORY)
    return replace(base, **changes)


class CoordinatorHarness:
    """A machine, its time, and what it asked for. Subtasks are named "source/0"."""

    def __init__(
        self,
        job: JobGraph,
        checkpoint_settings: CheckpointSettings | None = None,
        restored: CompletedCheckpoint | None = None,
    ) -> None:
        self.now = 1000.0
        self.job = job
        self.machine = CoordinatorMachine(job, checkpoint_settings or settings(), restored)
        self.names = [f"{v.vertex_id}/{i}" for v in job.vertices for i in range(v.parallelism)]
        self.attempts = dict.fromkeys(self.names, 0)
        self.to_make: list[int] = []
        self.to_publish: list[CompletedCheckpoint] = []
        self.triggered: list[tuple[str, TriggerCheckpoint]] = []
        self.completed: list[tuple[str, int]] = []
        self.aborted: list[tuple[str, int]] = []
        self.deleted: list[str] = []
        self.done: list[int] = []
        self.failures: list[FailJob] = []
        self.notes: list[Note] = []
        self.cancelled = 0
        self.wakes: list[float] = []

    def send(self, event: Incoming) -> list[CoordinatorEffect]:
        effects = self.machine.handle(event, self.now)
        self.machine.check()
        for effect in effects:
            if isinstance(effect, MakeDirectory):
                self.to_make.append(effect.checkpoint_id)
            elif isinstance(effect, Publish):
                self.to_publish.append(effect.checkpoint)
            elif isinstance(effect, SendToTask):
                name = self.name_of(effect.execution_id)
                message = effect.message
                assert message.execution_id == effect.execution_id
                if isinstance(message, TriggerCheckpoint):
                    self.triggered.append((name, message))
                elif isinstance(message, CheckpointCompleted):
                    self.completed.append((name, message.checkpoint_id))
                elif isinstance(message, CheckpointAborted):
                    self.aborted.append((name, message.checkpoint_id))
            elif isinstance(effect, Delete):
                self.deleted.extend((*effect.directories, *effect.files))
            elif isinstance(effect, CheckpointDone):
                self.done.append(effect.checkpoint_id)
            elif isinstance(effect, FailJob):
                self.failures.append(effect)
            elif isinstance(effect, Note):
                self.notes.append(effect)
            elif isinstance(effect, CancelJob):
                self.cancelled += 1
            elif isinstance(effect, WakeAt):
                assert effect.time > self.now, "a wake-up that is over"
                self.wakes.append(effect.time)
        return effects

    # -- names -------------------------------------------------------------------------------------------

    def execution(self, name: str) -> str:
        return f"{name}#{self.attempts[name]}"

    def name_of(self, execution_id: str) -> str:
        name, _, attempt = execution_id.partition("#")
        assert self.attempts[name] == int(attempt), "a message to a former attempt"
        return name

    # -- what job and tasks do ---------------------------------------------------------------------------

    def job_moves(self, status: JobStatus) -> None:
        self.send(JobMoved(status))

    def task_moves(self, name: str, state: ExecutionState) -> None:
        vertex, _, index = name.partition("/")
        self.send(TaskMoved(vertex, int(index), self.execution(name), state))

    def run(self) -> CoordinatorHarness:
        """Everything runs."""
        self.job_moves(JobStatus.RUNNING)
        for name in self.names:
            self.task_moves(name, ExecutionState.DEPLOYING)
            vertex, _, index = name.partition("/")
            self.machine.restore(vertex, int(index))
            self.task_moves(name, ExecutionState.RUNNING)
        return self

    def fail_over(self, name: str = "source/0") -> None:
        """One task fails, all are restarted."""
        self.task_moves(name, ExecutionState.FAILED)
        self.job_moves(JobStatus.RESTARTING)
        for other in self.names:
            if other != name:
                self.task_moves(other, ExecutionState.CANCELED)
        for each in self.names:
            self.attempts[each] += 1
        self.run()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.send(TimePassed())

    def end_input(self, *names: str) -> None:
        for name in names or self.names:
            self.send(InputEnded(self.execution(name)))

    def state(self, name: str, number: int, ended: bool = False, shared: tuple[str, ...] = ()) -> SubtaskState:
        vertex = name.partition("/")[0]
        path = f"{vertex}-{name.partition('/')[2]}"
        block = StateBlock("s", StateKind.SPLIT, 1, 10, 0, None, path)
        files = tuple(StateFile(each, f"{DIRECTORY}/job/shared/{each}", 5, 0, True, (0, 127)) for each in shared)
        return SubtaskState((OperatorState(f"{vertex}-op", (block,), files),), ended, 10)

    def acknowledge(self, number: int, *names: str, ended: bool = False, shared: tuple[str, ...] = ()) -> None:
        for name in names or self.names:
            state = self.state(name, number, ended, shared)
            self.send(
                CheckpointAcknowledged(
                    self.execution(name), number, state, CheckpointTimes(size=10, uploaded=10)
                )
            )

    def decline(self, number: int, name: str = "sink/0", reason: str = "No space left on device") -> None:
        self.send(CheckpointDeclined(self.execution(name), number, reason))

    # -- what the storage does ---------------------------------------------------------------------------

    def make_directories(self) -> None:
        made, self.to_make = self.to_make, []
        for number in made:
            self.send(DirectoryMade(number))

    def publish(self) -> None:
        written, self.to_publish = self.to_publish, []
        for checkpoint in written:
            self.send(Published(checkpoint))

    def fail_storage(self, number: int, reason: str = "disk full") -> None:
        self.send(StorageFailed(number, reason))

    def take(self, number: int, **kwargs) -> None:
        """A checkpoint that was begun goes through."""
        self.make_directories()
        unfinished = [
            name
            for name in self.names
            if self.machine.tasks.all[self.key(name)].state is ExecutionState.RUNNING
        ]
        self.acknowledge(number, *unfinished, **kwargs)
        self.publish()

    @staticmethod
    def key(name: str) -> tuple[str, int]:
        vertex, _, index = name.partition("/")
        return vertex, int(index)

    # -- requests ----------------------------------------------------------------------------------------

    def savepoint(self, stop: StopMode = StopMode.NO, cancel: bool = False, request: str = "r") -> None:
        self.send(SnapshotRequested(request, True, f"file:///s/savepoint-{request}", stop, cancel))

    def outcome(self, request: str = "r") -> RequestOutcome:
        return self.machine.requests[request]

    @property
    def retained(self) -> list[int]:
        return [checkpoint.checkpoint_id for checkpoint in self.machine.store.retained]
