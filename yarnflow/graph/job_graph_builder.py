"""From the stream graph to the JobGraph: a vertex per chain, an edge per exchange, code pickled, plan drawn."""

from __future__ import annotations

from collections.abc import Mapping

from yarnflow.graph.chaining import Chain, chain_name, chains
from yarnflow.graph.code import pickle_chain
from yarnflow.graph.job_graph import JobEdge, JobGraph, JobVertex, OperatorInfo
from yarnflow.graph.key_groups import default_max_parallelism
from yarnflow.graph.operator_ids import operator_ids
from yarnflow.graph.operators import ChainEdge, ChainOutput, Operator, OperatorChain
from yarnflow.graph.plan import job_plan
from yarnflow.graph.stream_graph import StreamEdge, StreamGraph


def build_job_graph(graph: StreamGraph, job_id: str, name: str, config: Mapping[str, str]) -> JobGraph:
    """Return the JobGraph. Raises SerializationError when an operator cannot be pickled.

    Args:
        job_id: 32 hex digits.
        name: shown to people.
        config: the program's configuration (raw strings).
    """
    ids = operator_ids(graph)
    all_chains = chains(graph)
    vertex_of = {node: ids[chain.nodes[0]] for chain in all_chains for node in chain.nodes}
    exchanges = [edge for chain in all_chains for edge in chain.outgoing]
    edge_ids = {id(edge): index for index, edge in enumerate(exchanges)}
    edges = tuple(
        JobEdge(
            edge_id=index,
            source=vertex_of[edge.source],
            target=vertex_of[edge.target],
            input_index=edge.input_index,
            partitioning=edge.partitioning,
            exchange=edge.exchange,
        )
        for index, edge in enumerate(exchanges)
    )
    vertices = tuple(_vertex(chain, graph, ids, edge_ids) for chain in all_chains)
    return JobGraph(
        job_id=job_id,
        name=name,
        vertices=vertices,
        edges=edges,
        config=dict(config),
        plan=job_plan(job_id, name, graph, all_chains, vertices, edges),
    )


def _vertex(chain: Chain, graph: StreamGraph, ids: dict[int, str], edge_ids: dict[int, int]) -> JobVertex:
    nodes = [graph.nodes[node] for node in chain.nodes]
    head = nodes[0]
    return JobVertex(
        vertex_id=ids[head.id],
        name=chain_name(chain, graph),
        parallelism=head.parallelism,
        max_parallelism=head.max_parallelism or default_max_parallelism(head.parallelism),
        slot_sharing_group=head.slot_sharing_group,
        operators=tuple(
            OperatorInfo(ids[node.id], node.name, node.uid, node.description or node.name) for node in nodes
        ),
        code=pickle_chain(_code(chain, graph, ids, edge_ids)),
        is_source=head.is_source,
    )


def _code(chain: Chain, graph: StreamGraph, ids: dict[int, str], edge_ids: dict[int, int]) -> OperatorChain:
    position = {node: index for index, node in enumerate(chain.nodes)}
    nodes = [graph.nodes[node] for node in chain.nodes]

    def output(edge: StreamEdge) -> ChainOutput:
        return ChainOutput(
            source=position[edge.source],
            edge_id=edge_ids[id(edge)],
            partitioning=edge.partitioning,
            tag=edge.tag,
            key=edge.key,
            partitioner=edge.partitioner,
            buffer_timeout_ms=graph.nodes[edge.source].buffer_timeout,
        )

    return OperatorChain(
        operators=tuple(Operator(ids[node.id], node.name, node.spec, node.output_type) for node in nodes),
        edges=tuple(ChainEdge(position[edge.source], position[edge.target], edge.tag) for edge in chain.inner),
        outputs=tuple(output(edge) for edge in chain.outgoing),
    )
