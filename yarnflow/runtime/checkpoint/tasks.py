"""What a coordinator knows of the tasks: their current attempts, and which of them begin a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from yarnflow.graph.distribution import producers_of
from yarnflow.graph.job_graph import JobGraph, JobVertex
from yarnflow.runtime.checkpoint.statistics import TaskKey
from yarnflow.runtime.states import ExecutionState


@dataclass
class Task:
    """The current attempt of a subtask.

    Attributes:
        input_ended: it has read all of its input and waits for a checkpoint.
        covered: a complete checkpoint has seen its end.
        restored_from: the checkpoint it was deployed with, 0 for none.
    """

    execution_id: str = ""
    state: ExecutionState = ExecutionState.CREATED
    input_ended: bool = False
    covered: bool = False
    restored_from: int = 0


class TaskBook:
    """All subtasks of a job."""

    def __init__(self, job: JobGraph) -> None:
        self._job = job
        self._vertices = {vertex.vertex_id: vertex for vertex in job.vertices}
        self._keys: dict[str, TaskKey] = {}
        self.all: dict[TaskKey, Task] = {
            (vertex.vertex_id, index): Task() for vertex in job.vertices for index in range(vertex.parallelism)
        }

    def vertex(self, key: TaskKey) -> JobVertex:
        """The vertex of a subtask."""
        return self._vertices[key[0]]

    def name(self, key: TaskKey) -> str:
        """As shown: "Map (2/4)"."""
        vertex = self._vertices[key[0]]
        return f"{vertex.name} ({key[1] + 1}/{vertex.parallelism})"

    def key_of(self, execution_id: str) -> TaskKey | None:
        """Whose current attempt this is; None for a former one."""
        return self._keys.get(execution_id)

    def move(self, key: TaskKey, execution_id: str, state: ExecutionState) -> None:
        """An attempt, perhaps a new one, has entered a state."""
        task = self.all[key]
        if task.execution_id != execution_id:
            self._keys.pop(task.execution_id, None)
            self._keys[execution_id] = key
            task = self.all[key] = Task(execution_id)
        task.state = state

    def running(self) -> Iterator[tuple[TaskKey, Task]]:
        """Those that are RUNNING."""
        return ((key, task) for key, task in self.all.items() if task.state is ExecutionState.RUNNING)

    def states(self) -> set[ExecutionState]:
        """Which states occur."""
        return {task.state for task in self.all.values()}

    @property
    def all_run(self) -> bool:
        """Whether every task is RUNNING or FINISHED, and one is RUNNING."""
        states = self.states()
        return ExecutionState.RUNNING in states and states <= {ExecutionState.RUNNING, ExecutionState.FINISHED}

    def is_first(self, key: TaskKey) -> bool:
        """Whether nothing runs any more that could hand a barrier to this task."""
        for edge in self._job.edges:
            if edge.target != key[0]:
                continue
            sources = self._vertices[edge.source].parallelism
            reached = producers_of(edge.partitioning, key[1], sources, self._vertices[edge.target].parallelism)
            if any(self.all[edge.source, index].state is not ExecutionState.FINISHED for index in reached):
                return False
        return True
