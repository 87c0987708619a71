"""The JobGraph unfolded: vertices into subtasks, subtasks into attempts; regions; what is deployed.

Pure data and geometry: which subtasks are connected, which must run together, which channels an attempt has.
What happens when is decided in job_master_machine.py.

A *region* is a set of subtasks connected by pipelined edges: they run and fail together. Regions that are
connected by blocking edges run one after the other. A blocking result is handed over once and is not kept for
a second reader, so regions that are connected in any way also fail over together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from yarnflow.errors import JobSubmissionError
from yarnflow.graph.distribution import consumers_of, producers_of
from yarnflow.graph.job_graph import Exchange, JobEdge, JobGraph, JobVertex
from yarnflow.runtime.rpc.messages import (
    Channel,
    DataAddress,
    InputGate,
    ResultPartition,
    TaskDeployment,
    TaskFailure,
    TaskMetrics,
)
from yarnflow.runtime.states import ExecutionState

#: Which state may follow which. A report that would leave this table is stale and ignored.
ALLOWED: dict[ExecutionState, frozenset[ExecutionState]] = {
    ExecutionState.CREATED: frozenset(
        {ExecutionState.SCHEDULED, ExecutionState.DEPLOYING, ExecutionState.CANCELED, ExecutionState.FAILED}
    ),
    ExecutionState.SCHEDULED: frozenset(
        {ExecutionState.DEPLOYING, ExecutionState.CANCELED, ExecutionState.FAILED}
    ),
    ExecutionState.DEPLOYING: frozenset(
        {
            ExecutionState.INITIALIZING,
            ExecutionState.RUNNING,
            ExecutionState.FINISHED,
            ExecutionState.CANCELING,
            ExecutionState.CANCELED,
            ExecutionState.FAILED,
        }
    ),
    ExecutionState.INITIALIZING: frozenset(
        {
            ExecutionState.RUNNING,
            ExecutionState.FINISHED,
            ExecutionState.CANCELING,
            ExecutionState.CANCELED,
            ExecutionState.FAILED,
        }
    ),
    ExecutionState.RUNNING: frozenset(
        {
            ExecutionState.FINISHED,
            ExecutionState.CANCELING,
            ExecutionState.CANCELED,
            ExecutionState.FAILED,
        }
    ),
    ExecutionState.CANCELING: frozenset({ExecutionState.CANCELED, ExecutionState.FAILED}),
    ExecutionState.FINISHED: frozenset(),
    ExecutionState.CANCELED: frozenset(),
    ExecutionState.FAILED: frozenset(),
}

#: States in which a worker process knows the execution.
DEPLOYED = (
    ExecutionState.DEPLOYING,
    ExecutionState.INITIALIZING,
    ExecutionState.RUNNING,
    ExecutionState.CANCELING,
)


@dataclass(frozen=True)
class GrantedSlot:
    """A slot whose worker process is ready for this job."""

    allocation_id: str
    taskmanager_id: str
    host: str
    slot_index: int
    address: DataAddress


@dataclass
class Execution:
    """One attempt of one subtask. Mutable; changed by the job master machine only."""

    execution_id: str
    attempt: int
    state: ExecutionState = ExecutionState.CREATED
    timestamps: dict[ExecutionState, float] = field(default_factory=dict)
    slot: GrantedSlot | None = None
    failure: TaskFailure | None = None
    metrics: TaskMetrics = field(default_factory=TaskMetrics)
    accumulators: bytes = b""


@dataclass(eq=False)
class Subtask:
    """One subtask with its current and earlier attempts."""

    vertex: JobVertex
    index: int
    slot_key: tuple[str, int]
    current: Execution
    earlier: deque[Execution]
    region: int = 0

    @property
    def name(self) -> str:
        """As shown: "Map (2/4)"."""
        return f"{self.vertex.name} ({self.index + 1}/{self.vertex.parallelism})"


class ExecutionGraph:
    """All subtasks of a job, their connections and regions.

    Args:
        job: the graph. Raises JobSubmissionError when it contradicts itself.
        history: earlier attempts remembered per subtask.
        now: creation time of the first attempts.
    """

    def __init__(self, job: JobGraph, history: int, now: float) -> None:
        _check_graph(job)
        self.job = job
        self.subtasks: dict[str, list[Subtask]] = {
            vertex.vertex_id: [
                Subtask(
                    vertex,
                    index,
                    (vertex.slot_sharing_group, index),
                    self._attempt(vertex, index, 0, now),
                    deque(maxlen=history),
                )
                for index in range(vertex.parallelism)
            ]
            for vertex in job.vertices
        }
        self.all: list[Subtask] = [subtask for group in self.subtasks.values() for subtask in group]
        self.by_execution: dict[str, Subtask] = {item.current.execution_id: item for item in self.all}
        self._inputs: dict[str, list[JobEdge]] = {vertex.vertex_id: [] for vertex in job.vertices}
        self._outputs: dict[str, list[JobEdge]] = {vertex.vertex_id: [] for vertex in job.vertices}
        for edge in job.edges:
            self._outputs[edge.source].append(edge)
            self._inputs[edge.target].append(edge)
        pipelined = [edge for edge in job.edges if edge.exchange is Exchange.PIPELINED]
        self.regions: list[list[Subtask]] = self._components(pipelined)
        for number, region in enumerate(self.regions):
            for subtask in region:
                subtask.region = number
        self._failover_group: dict[int, list[Subtask]] = {}
        for group in self._components(list(job.edges)):
            for subtask in group:
                self._failover_group[subtask.region] = group
        #: Slots by which subtasks are grouped: one per sharing group and subtask index.
        self.slot_keys: list[tuple[str, int]] = sorted({subtask.slot_key for subtask in self.all})

    # -- geometry ----------------------------------------------------------------------------------------

    def consumers(self, edge: JobEdge, producer: int) -> list[Subtask]:
        """Consumer subtasks of one producer subtask, by index."""
        targets = self.subtasks[edge.target]
        reached = consumers_of(edge.partitioning, producer, len(self.subtasks[edge.source]), len(targets))
        return [targets[index] for index in reached]

    def producers(self, edge: JobEdge, consumer: int) -> list[Subtask]:
        """Producer subtasks of one consumer subtask, by index."""
        sources = self.subtasks[edge.source]
        reached = producers_of(edge.partitioning, consumer, len(sources), len(self.subtasks[edge.target]))
        return [sources[index] for index in reached]

    def failover_set(self, subtask: Subtask) -> list[Subtask]:
        """Everything that restarts when `subtask` fails."""
        return self._failover_group[subtask.region]

    def blocking_producers(self, region: int) -> Iterable[Subtask]:
        """Subtasks that must have finished before the region may start."""
        for subtask in self.regions[region]:
            for edge in self._inputs[subtask.vertex.vertex_id]:
                if edge.exchange is Exchange.BLOCKING:
                    yield from self.producers(edge, subtask.index)

    def blocking_consumers(self, subtask: Subtask) -> Iterable[Subtask]:
        """Subtasks that read what `subtask` writes after it has finished."""
        for edge in self._outputs[subtask.vertex.vertex_id]:
            if edge.exchange is Exchange.BLOCKING:
                yield from self.consumers(edge, subtask.index)

    def slot_keys_to_deploy(self, region: int) -> set[tuple[str, int]]:
        """Slots that must be there before the region deploys: its own, and those of its blocking
        consumers, whose addresses the producers are told."""
        keys = set()
        for subtask in self.regions[region]:
            keys.add(subtask.slot_key)
            keys.update(consumer.slot_key for consumer in self.blocking_consumers(subtask))
        return keys

    def _components(self, edges: list[JobEdge]) -> list[list[Subtask]]:
        """Connected sets of subtasks, in topological order of their first vertex."""
        parent: dict[int, int] = {id(subtask): id(subtask) for subtask in self.all}

        def root(node: int) -> int:
            while parent[node] != node:
                parent[node] = parent[parent[node]]
                node = parent[node]
            return node

        for edge in edges:
            producers = self.subtasks[edge.source]
            if edge.partitioning.pointwise:
                pairs = [(p, c) for p in producers for c in self.consumers(edge, p.index)]
            else:
                # All-to-all connects everything: a star is enough and keeps this linear.
                consumers = self.subtasks[edge.target]
                pairs = [(p, consumers[0]) for p in producers] + [(producers[0], c) for c in consumers]
            for producer, consumer in pairs:
                parent[root(id(producer))] = root(id(consumer))
        found: dict[int, list[Subtask]] = {}
        for subtask in self.all:
            found.setdefault(root(id(subtask)), []).append(subtask)
        return list(found.values())

    # -- attempts ----------------------------------------------------------------------------------------

    def new_attempt(self, subtask: Subtask, now: float) -> None:
        """Put the current attempt into the history and begin the next."""
        subtask.earlier.appendleft(subtask.current)
        del self.by_execution[subtask.current.execution_id]
        subtask.current = self._attempt(subtask.vertex, subtask.index, subtask.current.attempt + 1, now)
        self.by_execution[subtask.current.execution_id] = subtask

    def _attempt(self, vertex: JobVertex, index: int, attempt: int, now: float) -> Execution:
        return Execution(
            f"{self.job.job_id}_{vertex.vertex_id}_{index}_{attempt}",
            attempt,
            timestamps={ExecutionState.CREATED: now},
        )

    # -- deployment --------------------------------------------------------------------------------------

    def deployment(
        self, subtask: Subtask, addresses: dict[tuple[str, int], DataAddress], config: dict[str, str]
    ) -> TaskDeployment:
        """What the current attempt of `subtask` is told; `addresses` by slot key."""
        vertex = subtask.vertex

        def channel(edge: JobEdge, producer: Subtask, consumer: Subtask, peer: Subtask) -> Channel:
            return Channel(
                f"{edge.edge_id}:{producer.current.execution_id}:{consumer.current.execution_id}",
                addresses[peer.slot_key],
                peer.index,
            )

        return TaskDeployment(
            job_id=self.job.job_id,
            job_name=self.job.name,
            vertex_id=vertex.vertex_id,
            vertex_name=vertex.name,
            execution_id=subtask.current.execution_id,
            subtask_index=subtask.index,
            parallelism=vertex.parallelism,
            max_parallelism=vertex.max_parallelism,
            attempt=subtask.current.attempt,
            code=vertex.code,
            inputs=tuple(
                InputGate(
                    edge.edge_id,
                    edge.input_index,
                    edge.partitioning,
                    edge.exchange,
                    tuple(
                        channel(edge, producer, subtask, producer)
                        for producer in self.producers(edge, subtask.index)
                    ),
                )
                for edge in self._inputs[vertex.vertex_id]
            ),
            outputs=tuple(
                ResultPartition(
                    edge.edge_id,
                    edge.partitioning,
                    edge.exchange,
                    tuple(
                        channel(edge, subtask, consumer, consumer)
                        for consumer in self.consumers(edge, subtask.index)
                    ),
                    self.subtasks[edge.target][0].vertex.max_parallelism,
                )
                for edge in self._outputs[vertex.vertex_id]
            ),
            config=config,
        )


def _check_graph(job: JobGraph) -> None:
    if not job.vertices:
        raise JobSubmissionError(f"job {job.job_id} ({job.name}) has no operators: nothing to run")
    position = {vertex.vertex_id: number for number, vertex in enumerate(job.vertices)}
    if len(position) != len(job.vertices):
        raise JobSubmissionError(f"job {job.job_id} ({job.name}) has two vertices of the same id")
    for vertex in job.vertices:
        if not 1 <= vertex.parallelism <= vertex.max_parallelism:
            raise JobSubmissionError(
                f"{vertex.name}: parallelism {vertex.parallelism} is not between 1 and its maximum "
                f"parallelism {vertex.max_parallelism}"
            )
    for number, edge in enumerate(job.edges):
        if edge.edge_id != number:
            raise JobSubmissionError(f"edge {number} of job {job.job_id} calls itself {edge.edge_id}")
        if edge.source not in position or edge.target not in position:
            raise JobSubmissionError(f"edge {number} of job {job.job_id} has an end that is not a vertex")
        if position[edge.source] >= position[edge.target]:
            raise JobSubmissionError(f"edge {number} of job {job.job_id} goes backwards: not a dataflow")
