"""The JobGraph: what a client submits and a JobManager schedules.

Pure data without user objects. User code travels as one opaque pickle per vertex (`JobVertex.code`, an
`OperatorChain` made by cloudpickle) that only a slot worker opens, so the JobManager needs none of the
user's modules. `to_json`/`from_json` are the wire and storage form.

    vertices  chained operators, each with a parallelism; in topological order
    edges     from one operator of a vertex to the head of another, with a partitioner
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from yarnflow.errors import JobSubmissionError


class Partitioning(Enum):
    """How records of an edge choose the consumer subtask."""

    FORWARD = "FORWARD"
    HASH = "HASH"
    REBALANCE = "REBALANCE"
    RESCALE = "RESCALE"
    SHUFFLE = "SHUFFLE"
    BROADCAST = "BROADCAST"
    GLOBAL = "GLOBAL"
    CUSTOM = "CUSTOM"

    @property
    def pointwise(self) -> bool:
        """True when a producer subtask reaches only some of the consumers."""
        return self in (Partitioning.FORWARD, Partitioning.RESCALE)


class Exchange(Enum):
    """When consumers may start: with the producer, or after it has finished."""

    PIPELINED = "PIPELINED"
    BLOCKING = "BLOCKING"


class ArtifactKind(Enum):
    """What a shipped file is for. `-pyfs`, `-pyreq`, `-pyarch`, and plain shipped files."""

    PYTHON_FILE = "python-file"
    REQUIREMENTS = "requirements"
    ARCHIVE = "archive"
    FILE = "file"


#: Name of the archive that holds packages for an offline installation of the requirements.
REQUIREMENTS_PACKAGES = "requirements-packages"


@dataclass(frozen=True)
class Artifact:
    """A file that must be in place before a worker runs the job's code.

    Attributes:
        name: file name in the worker (for an archive `path#target`, the target folder's name).
        kind: how the worker uses it.
        sha256: content hash; the key in the blob store.
        size: bytes.
    """

    name: str
    kind: ArtifactKind
    sha256: str
    size: int


@dataclass(frozen=True)
class OperatorInfo:
    """What is shown of one operator: in the plan, in errors, in metrics."""

    operator_id: str
    name: str
    uid: str | None = None
    description: str = ""


@dataclass(frozen=True)
class JobVertex:
    """A chain of operators that runs as one task per subtask.

    Attributes:
        vertex_id: 32 hex digits, stable for an unchanged program.
        name: as shown ("Source: numbers -> Map -> Filter").
        parallelism: number of subtasks.
        max_parallelism: number of key groups.
        slot_sharing_group: subtasks of vertices in one group may share a slot.
        operators: shown facts of the chained operators, head first.
        code: cloudpickle of the `OperatorChain`.
        is_source: has no inputs.
    """

    vertex_id: str
    name: str
    parallelism: int
    max_parallelism: int
    slot_sharing_group: str
    operators: tuple[OperatorInfo, ...]
    code: bytes = field(repr=False)
    is_source: bool = False


@dataclass(frozen=True)
class JobEdge:
    """A stream of batches between two vertices.

    Attributes:
        edge_id: index in `JobGraph.edges`; `OperatorChain.outputs` refers to it.
        source: vertex_id of the producer.
        target: vertex_id of the consumer; data arrives at the head operator of its chain.
        input_index: 0, or 1 for the second input of a two-input operator. Several edges may
            share an index (union).
        partitioning: how records choose the consumer subtask.
        exchange: pipelined or blocking.
    """

    edge_id: int
    source: str
    target: str
    input_index: int
    partitioning: Partitioning
    exchange: Exchange = Exchange.PIPELINED


@dataclass(frozen=True)
class JobGraph:
    """A job, ready to be scheduled.

    Attributes:
        job_id: 32 hex digits.
        name: shown to people.
        vertices: in topological order.
        edges: position = edge_id.
        config: the program's configuration (raw strings), laid over the cluster's.
        artifacts: files to place before the code runs.
        plan: the JSON plan as Flink's REST API shows it.
    """

    job_id: str
    name: str
    vertices: tuple[JobVertex, ...]
    edges: tuple[JobEdge, ...]
    config: dict[str, str] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    plan: dict[str, Any] = field(default_factory=dict)

    def vertex(self, vertex_id: str) -> JobVertex:
        """Return the vertex of that id; raises KeyError."""
        for vertex in self.vertices:
            if vertex.vertex_id == vertex_id:
                return vertex
        raise KeyError(vertex_id)

    def slots_needed(self) -> int:
        """Slots for all subtasks at once: per sharing group, its largest parallelism."""
        widest: dict[str, int] = {}
        for vertex in self.vertices:
            group = vertex.slot_sharing_group
            widest[group] = max(widest.get(group, 0), vertex.parallelism)
        return sum(widest.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        document = asdict(self)
        for vertex in document["vertices"]:
            vertex["code"] = base64.b64encode(vertex["code"]).decode("ascii")
        for edge in document["edges"]:
            edge["partitioning"] = edge["partitioning"].value
            edge["exchange"] = edge["exchange"].value
        for artifact in document["artifacts"]:
            artifact["kind"] = artifact["kind"].value
        return document

    @staticmethod
    def from_json(document: dict[str, Any]) -> JobGraph:
        """Read what `to_json` wrote. Raises JobSubmissionError naming the first thing that is wrong."""
        try:
            return JobGraph(
                job_id=str(document["job_id"]),
                name=str(document["name"]),
                vertices=tuple(
                    JobVertex(
                        **{
                            **vertex,
                            "operators": tuple(OperatorInfo(**info) for info in vertex["operators"]),
                            "code": base64.b64decode(vertex["code"], validate=True),
                        }
                    )
                    for vertex in document["vertices"]
                ),
                edges=tuple(
                    JobEdge(
                        **{
                            **edge,
                            "partitioning": Partitioning(edge["partitioning"]),
                            "exchange": Exchange(edge["exchange"]),
                        }
                    )
                    for edge in document["edges"]
                ),
                config={str(key): str(value) for key, value in document.get("config", {}).items()},
                artifacts=tuple(
                    Artifact(**{**artifact, "kind": ArtifactKind(artifact["kind"])})
                    for artifact in document.get("artifacts", ())
                ),
                plan=dict(document.get("plan", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JobSubmissionError(
                f"not a job graph: {type(error).__name__}: {error}. Submit what the yarnflow client of the "
                "same version makes."
            ) from error
