"""Which operators run in one task.

Flink's rules (StreamingJobGraphGenerator.isChainable): an edge is inside a chain when it is the only input of
its target, forwards between equal parallelisms in one slot sharing group, and neither end objects. A chain
is a tree: an operator may have several chained consumers.
"""

from __future__ import annotations

from dataclasses import dataclass

from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.stream_graph import StreamEdge, StreamGraph
from yarnflow.graph.transformations import ChainingStrategy


@dataclass(frozen=True)
class Chain:
    """One task's operators.

    Attributes:
        nodes: node ids, head first, every node after the one that feeds it.
        inner: edges inside, in the order of their targets in `nodes`.
        outgoing: edges that leave.
    """

    nodes: tuple[int, ...]
    inner: tuple[StreamEdge, ...]
    outgoing: tuple[StreamEdge, ...]


def is_chainable(edge: StreamEdge, graph: StreamGraph) -> bool:
    """Whether the two ends of an edge run in one task."""
    source, target = graph.nodes[edge.source], graph.nodes[edge.target]
    return (
        graph.settings.chaining
        and edge.partitioning is Partitioning.FORWARD
        and len(graph.inputs_of(edge.target)) == 1
        and source.chaining is not ChainingStrategy.NEVER
        and target.chaining is ChainingStrategy.ALWAYS
        and source.slot_sharing_group == target.slot_sharing_group
        and source.parallelism == target.parallelism
    )


def chains(graph: StreamGraph) -> list[Chain]:
    """All chains, in topological order of their heads."""
    chained = {edge.target for edge in graph.edges if is_chainable(edge, graph)}
    return [_chain(node, graph, chained) for node in graph.nodes if node not in chained]


def _chain(head: int, graph: StreamGraph, chained: set[int]) -> Chain:
    nodes = [head]
    inner: list[StreamEdge] = []
    outgoing: list[StreamEdge] = []
    waiting = [head]
    while waiting:
        followers = []
        for edge in graph.outputs_of(waiting.pop()):
            if edge.target in chained:
                followers.append(edge)
            else:
                outgoing.append(edge)
        inner += followers
        nodes += [edge.target for edge in followers]
        waiting += [edge.target for edge in reversed(followers)]
    return Chain(tuple(nodes), tuple(inner), tuple(outgoing))


def chain_name(chain: Chain, graph: StreamGraph) -> str:
    """The task as shown: "A -> B -> C", and "A -> (B -> C, D)" where it branches."""
    followers: dict[int, list[int]] = {}
    for edge in chain.inner:
        followers.setdefault(edge.source, []).append(edge.target)

    def name(node: int) -> str:
        parts = [name(follower) for follower in followers.get(node, ())]
        if not parts:
            return graph.nodes[node].name
        rest = parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
        return f"{graph.nodes[node].name} -> {rest}"

    return name(chain.nodes[0])
