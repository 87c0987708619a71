"""Plans as JSON: of a program (`get_execution_plan`) and of a job (REST /jobs/:id/plan), in Flink's fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yarnflow.graph.chaining import Chain
from yarnflow.graph.job_graph import Exchange, JobEdge, JobVertex
from yarnflow.graph.stream_graph import StreamGraph, StreamNode


def execution_plan(graph: StreamGraph) -> dict[str, Any]:
    """The program's operators and how they are connected (Flink's JSONGenerator)."""
    nodes = []
    for node in graph.nodes.values():
        entry: dict[str, Any] = {
            "id": node.id,
            "type": node.name,
            "pact": _pact(node),
            "contents": node.description or node.name,
            "parallelism": node.parallelism,
        }
        predecessors = [
            {"id": edge.source, "ship_strategy": edge.partitioning.value, "side": "second"}
            for edge in graph.inputs_of(node.id)
        ]
        if predecessors:
            entry["predecessors"] = predecessors
        nodes.append(entry)
    return {"nodes": nodes}


def _pact(node: StreamNode) -> str:
    return "Data Source" if node.is_source else "Data Sink" if node.is_sink else "Operator"


def job_plan(
    job_id: str,
    name: str,
    graph: StreamGraph,
    chains: Sequence[Chain],
    vertices: Sequence[JobVertex],
    edges: Sequence[JobEdge],
) -> dict[str, Any]:
    """The job's tasks and exchanges (Flink's JsonPlanGenerator)."""
    return {
        "jid": job_id,
        "name": name,
        "type": "BATCH" if graph.batch else "STREAMING",
        "nodes": [
            {
                "id": vertex.vertex_id,
                "parallelism": vertex.parallelism,
                "operator": "",
                "operator_strategy": "",
                "description": _description(chain, graph),
                "inputs": [
                    {
                        "num": number,
                        "id": edge.source,
                        "ship_strategy": edge.partitioning.value,
                        "exchange": "blocking" if edge.exchange is Exchange.BLOCKING else "pipelined_bounded",
                    }
                    for number, edge in enumerate(edge for edge in edges if edge.target == vertex.vertex_id)
                ],
                "optimizer_properties": {},
            }
            for chain, vertex in zip(chains, vertices, strict=False)
        ],
    }


def _description(chain: Chain, graph: StreamGraph) -> str:
    """The chain as a tree in HTML, as Flink's dashboard shows it."""
    followers: dict[int, list[int]] = {}
    for edge in chain.inner:
        followers.setdefault(edge.source, []).append(edge.target)

    def lines(node_id: int, prefix: str, indent: str) -> list[str]:
        node = graph.nodes[node_id]
        text = [f"{prefix}{node.description or node.name}<br/>"]
        below = followers.get(node_id, [])
        for position, follower in enumerate(below):
            more = position < len(below) - 1
            text += lines(follower, f"{indent}{':' if more else '+'}- ", indent + (":  " if more else "   "))
        return text

    return "".join(lines(chain.nodes[0], "", ""))
