"""A checkpoint that is being taken, and what somebody asked for by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from yarnflow.graph.job_graph import JobVertex
from yarnflow.runtime.checkpoint.coordinator_events import SnapshotRequested
from yarnflow.runtime.checkpoint.handles import OperatorState, SubtaskState
from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint, OperatorCheckpoint
from yarnflow.runtime.checkpoint.paths import resolve
from yarnflow.runtime.checkpoint.statistics import TaskKey
from yarnflow.runtime.rpc.checkpoint_messages import StopMode, TriggerCheckpoint


class Phase(Enum):
    """Where a pending checkpoint stands."""

    #: Its directory is being made.
    PREPARING = "preparing"
    #: Tasks store their parts.
    RUNNING = "running"
    #: All have; the metadata is being written.
    PUBLISHING = "publishing"


@dataclass(eq=False)
class PendingCheckpoint:
    """One checkpoint under way.

    Attributes:
        waiting: subtasks that have not acknowledged -> their attempts.
        states: of those that have; of finished ones what they stored last.
        request: who asked for it, None for a periodic one.
        directory: URI, "" when state travels inline.
        deadline: when it is given up, seconds.
        triggered: attempts that were told to begin.
    """

    checkpoint_id: int
    timestamp: int
    deadline: float
    directory: str
    request: SnapshotRequested | None
    waiting: dict[TaskKey, str]
    states: dict[TaskKey, SubtaskState]
    phase: Phase = Phase.PREPARING
    executions: list[str] = field(init=False)
    triggered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.executions = list(self.waiting.values())

    @property
    def savepoint(self) -> bool:
        """Whether it belongs to the user."""
        return self.request is not None and self.request.savepoint

    @property
    def stop(self) -> StopMode:
        """Whether the job ends with it."""
        return StopMode.NO if self.request is None else self.request.stop

    @property
    def commits(self) -> bool:
        """Whether its completion counts for the job: sinks commit, and it is what a failed job goes back to.

        As in Flink (FLIP-203), a savepoint that does not end the job has no effect on it."""
        return not self.savepoint or self.stop is not StopMode.NO

    def trigger(self, execution_id: str, unaligned: bool) -> TriggerCheckpoint:
        """What tells a task to begin; savepoints are never unaligned."""
        self.triggered.add(execution_id)
        return TriggerCheckpoint(
            execution_id,
            self.checkpoint_id,
            self.timestamp,
            self.directory,
            savepoint=self.savepoint,
            unaligned=unaligned and not self.savepoint,
            stop=self.stop,
        )

    def complete(self, job_id: str, vertices: Sequence[JobVertex]) -> CompletedCheckpoint:
        """The checkpoint as it will be published."""
        return CompletedCheckpoint(
            self.checkpoint_id,
            job_id,
            self.timestamp,
            self.savepoint,
            tuple(self._operators(vertices)),
            self.directory,
        )

    def _operators(self, vertices: Sequence[JobVertex]) -> Iterator[OperatorCheckpoint]:
        for vertex in vertices:
            states = [self.states[vertex.vertex_id, index] for index in range(vertex.parallelism)]
            ended = tuple(index for index, state in enumerate(states) if state.ended)
            stored: dict[str, dict[int, OperatorState]] = {}
            for index, state in enumerate(states):
                for operator in state.operators:
                    if operator.blocks or operator.files:
                        stored.setdefault(operator.operator_id, {})[index] = operator
            for info in vertex.operators:
                yield OperatorCheckpoint(
                    info.operator_id,
                    info.uid,
                    info.name,
                    vertex.vertex_id,
                    vertex.parallelism,
                    vertex.max_parallelism,
                    stored.get(info.operator_id, {}),
                    ended,
                )


def with_full_paths(state: SubtaskState, directory: str) -> SubtaskState:
    """What a subtask stored, named so that a checkpoint in another directory can refer to it."""
    if not directory:
        return state
    operators = tuple(
        OperatorState(
            operator.operator_id,
            tuple(
                replace(block, path=resolve(directory, block.path)) if block.path else block
                for block in operator.blocks
            ),
            tuple(replace(file, path=resolve(directory, file.path)) for file in operator.files),
        )
        for operator in state.operators
    )
    return replace(state, operators=operators)


@dataclass(frozen=True)
class RequestOutcome:
    """What became of a request.

    Attributes:
        done: False while it is under way.
        location: of the savepoint, or of the checkpoint; "" for a checkpoint without directory.
        checkpoint_id: 0 until it was begun.
        failure: why there is none, "" when there is.
    """

    done: bool = False
    location: str = ""
    checkpoint_id: int = 0
    failure: str = ""
