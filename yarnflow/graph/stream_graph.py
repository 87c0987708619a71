"""The stream graph: one node per operator, with everything that lies between operators turned into edges.

    transformations  --stream_graph-->  nodes and edges  --chaining-->  chains  --job_graph_builder-->  JobGraph

Here defaults are applied (parallelism, slot sharing group, partitioning of an edge that names none) and the
rules that concern the whole program are checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from yarnflow.errors import ProgramError
from yarnflow.functions.output_tag import OutputTag
from yarnflow.graph.job_graph import Exchange, Partitioning
from yarnflow.graph.key_groups import UPPER_BOUND
from yarnflow.graph.operators import (
    AggregateSpec,
    OperatorSpec,
    ReduceSpec,
    SinkSpec,
    SourceSpec,
    TimestampsSpec,
    WindowSpec,
)
from yarnflow.graph.transformations import (
    ChainingStrategy,
    OperatorTransformation,
    PartitionTransformation,
    SideOutputTransformation,
    Transformation,
    UnionTransformation,
)

DEFAULT_SLOT_SHARING_GROUP = "default"


@dataclass(frozen=True)
class StreamEdge:
    """Records of `source` (those for `tag`, or the main output) reach input `input_index` of `target`."""

    source: int
    target: int
    input_index: int
    partitioning: Partitioning
    exchange: Exchange
    tag: OutputTag | None = None
    key: Any = None
    partitioner: Any = None


@dataclass(frozen=True)
class StreamNode:
    """An operator. `id` is its transformation's; `name` as shown, with "Source: " or "Sink: "."""

    id: int
    name: str
    spec: OperatorSpec
    output_type: Any
    parallelism: int
    max_parallelism: int | None
    slot_sharing_group: str
    chaining: ChainingStrategy
    uid: str | None
    uid_hash: str | None
    buffer_timeout: int | None
    description: str

    @property
    def is_source(self) -> bool:
        """Reads from outside."""
        return isinstance(self.spec, SourceSpec)

    @property
    def is_sink(self) -> bool:
        """Writes to the outside."""
        return isinstance(self.spec, SinkSpec)


@dataclass(frozen=True)
class GraphSettings:
    """What the environment says about the whole graph.

    Attributes:
        batch: True in batch mode, False in streaming mode, None to decide by the sources.
        blocking: whether exchanges of batch mode wait for their producer.
        chaining: whether operators may be chained at all.
        max_parallelism: of operators that set none; None to derive it.
        require_uids: refuse operators without uid.
    """

    batch: bool | None = False
    blocking: bool = True
    chaining: bool = True
    max_parallelism: int | None = None
    require_uids: bool = False


@dataclass(frozen=True)
class StreamGraph:
    """Nodes by id, in the order they were built (which is topological), and edges."""

    nodes: dict[int, StreamNode]
    edges: tuple[StreamEdge, ...]
    batch: bool
    settings: GraphSettings

    def outputs_of(self, node: int) -> list[StreamEdge]:
        """Edges that leave a node."""
        return [edge for edge in self.edges if edge.source == node]

    def inputs_of(self, node: int) -> list[StreamEdge]:
        """Edges that reach a node."""
        return [edge for edge in self.edges if edge.target == node]


@dataclass(frozen=True)
class _Feed:
    """An operator's output on its way to a consumer, as collected over partitions, unions, side outputs."""

    operator: OperatorTransformation
    tag: OutputTag | None = None
    partition: PartitionTransformation | None = None


def build_stream_graph(sinks: Iterable[Transformation], settings: GraphSettings) -> StreamGraph:
    """Build the graph of everything that the given transformations need.

    Raises ProgramError naming the operator at fault.
    """
    operators = _reachable(sinks)
    batch = _is_batch(operators, settings)
    nodes: dict[int, StreamNode] = {}
    edges: list[StreamEdge] = []
    exchange = Exchange.BLOCKING if batch and settings.blocking else Exchange.PIPELINED
    for operator in operators:
        feeds = [list(_feeds(transformation)) for transformation in operator.inputs]
        groups = {nodes[feed.operator.id].slot_sharing_group for inputs in feeds for feed in inputs}
        node = _node(operator, groups, batch, settings)
        nodes[operator.id] = node
        edges += [
            _edge(feed, nodes[feed.operator.id], node, input_index, exchange)
            for input_index, inputs in enumerate(feeds)
            for feed in inputs
        ]
    _check_uids(list(nodes.values()), settings)
    return StreamGraph(nodes, tuple(edges), batch, settings)


def _reachable(sinks: Iterable[Transformation]) -> list[OperatorTransformation]:
    found: dict[int, OperatorTransformation] = {}
    seen: set[int] = set()
    waiting = list(sinks)
    while waiting:
        transformation = waiting.pop()
        if transformation.id in seen:
            continue
        seen.add(transformation.id)
        if isinstance(transformation, OperatorTransformation):
            found[transformation.id] = transformation
        waiting.extend(_inputs(transformation))
    return [found[key] for key in sorted(found)]


def _inputs(transformation: Transformation) -> Sequence[Transformation]:
    if isinstance(transformation, (OperatorTransformation, UnionTransformation)):
        return transformation.inputs
    assert isinstance(transformation, (PartitionTransformation, SideOutputTransformation))
    return (transformation.input,)


def _feeds(transformation: Transformation) -> Iterator[_Feed]:
    """The operators behind a transformation. Of several partitionings in a row the last one counts."""
    if isinstance(transformation, OperatorTransformation):
        yield _Feed(transformation)
    elif isinstance(transformation, UnionTransformation):
        for input_ in transformation.inputs:
            yield from _feeds(input_)
    elif isinstance(transformation, PartitionTransformation):
        for feed in _feeds(transformation.input):
            yield replace(feed, partition=transformation)
    else:
        assert isinstance(transformation, SideOutputTransformation)
        for feed in _feeds(transformation.input):
            yield replace(feed, tag=transformation.tag)


def _is_batch(operators: list[OperatorTransformation], settings: GraphSettings) -> bool:
    unbounded = [
        operator.name
        for operator in operators
        if isinstance(operator.spec, SourceSpec) and not operator.spec.source.bounded
    ]
    if settings.batch and unbounded:
        raise ProgramError(
            f"source '{unbounded[0]}' never ends, so the program cannot run in BATCH mode: set the runtime mode "
            "to STREAMING or AUTOMATIC, or bound the source"
        )
    return not unbounded if settings.batch is None else settings.batch


def _node(
    operator: OperatorTransformation, input_groups: set[str], batch: bool, settings: GraphSettings
) -> StreamNode:
    spec, name = operator.spec, operator.name
    if isinstance(spec, SourceSpec):
        name = f"Source: {name}"
    elif isinstance(spec, SinkSpec):
        name = f"Sink: {name}"
    if batch and isinstance(spec, (SourceSpec, TimestampsSpec, ReduceSpec, AggregateSpec, WindowSpec)):
        spec = replace(spec, final_only=True)
    max_parallelism = operator.max_parallelism or settings.max_parallelism
    if max_parallelism is not None and not 1 <= max_parallelism <= UPPER_BOUND:
        raise ProgramError(
            f"operator '{name}': the maximum parallelism must be from 1 to {UPPER_BOUND}, not {max_parallelism}"
        )
    if max_parallelism is not None and operator.parallelism > max_parallelism:
        raise ProgramError(
            f"operator '{name}' has parallelism {operator.parallelism}, above its maximum parallelism "
            f"{max_parallelism}: raise set_max_parallelism() or lower set_parallelism()"
        )
    if operator.slot_sharing_group is not None:
        group = operator.slot_sharing_group
    elif len(input_groups) == 1:
        group = next(iter(input_groups))
    else:
        group = DEFAULT_SLOT_SHARING_GROUP
    return StreamNode(
        id=operator.id,
        name=name,
        spec=spec,
        output_type=operator.output_type,
        parallelism=operator.parallelism,
        max_parallelism=max_parallelism,
        slot_sharing_group=group,
        chaining=operator.chaining,
        uid=operator.uid,
        uid_hash=operator.uid_hash,
        buffer_timeout=operator.buffer_timeout,
        description=operator.description,
    )


def _edge(feed: _Feed, source: StreamNode, target: StreamNode, input_index: int, exchange: Exchange) -> StreamEdge:
    partition = feed.partition
    if partition is None:
        same = source.parallelism == target.parallelism
        partitioning = Partitioning.FORWARD if same else Partitioning.REBALANCE
    else:
        partitioning = partition.partitioning
    if partitioning is Partitioning.FORWARD and source.parallelism != target.parallelism:
        raise ProgramError(
            f"forward() from '{source.name}' (parallelism {source.parallelism}) to '{target.name}' (parallelism "
            f"{target.parallelism}): forward needs the same parallelism on both sides; set it, or use rebalance() "
            "or rescale()"
        )
    return StreamEdge(
        source=source.id,
        target=target.id,
        input_index=input_index,
        partitioning=partitioning,
        exchange=exchange,
        tag=feed.tag,
        key=partition.key if partition else None,
        partitioner=partition.partitioner if partition else None,
    )


def _check_uids(nodes: list[StreamNode], settings: GraphSettings) -> None:
    owners: dict[str, str] = {}
    for node in nodes:
        if node.uid is None:
            if settings.require_uids and node.uid_hash is None:
                raise ProgramError(
                    f"operator '{node.name}' has no uid, and pipeline.auto-generate-uids is off: set uid()"
                )
            continue
        if node.uid in owners:
            raise ProgramError(
                f"operators '{owners[node.uid]}' and '{node.name}' have the same uid {node.uid!r}: "
                "a uid names one operator of a program"
            )
        owners[node.uid] = node.name
