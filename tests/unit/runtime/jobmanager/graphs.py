"""Job graphs for tests of the control plane; their code is never opened."""

from __future__ import annotations

from yarnflow.graph.job_graph import Exchange, JobEdge, JobGraph, JobVertex, OperatorInfo, Partitioning


def vertex(name: str, parallelism: int, group: str = "default") -> JobVertex:
    return JobVertex(
        vertex_id=name,
        name=name,
        parallelism=parallelism,
        max_parallelism=128,
        slot_sharing_group=group,
        operators=(OperatorInfo(f"{name}-op", name),),
        code=b"",
    )


def graph(
    vertices: list[JobVertex], edges: list[tuple[str, str, Partitioning, Exchange]], job_id: str = "job"
) -> JobGraph:
    return JobGraph(
        job_id,
        "test job",
        tuple(vertices),
        tuple(
            JobEdge(number, source, target, 0, partitioning, exchange)
            for number, (source, target, partitioning, exchange) in enumerate(edges)
        ),
    )


def pipeline(
    parallelism: int = 2, partitioning: Partitioning = Partitioning.HASH, job_id: str = "job"
) -> JobGraph:
    """source -> sink, pipelined: one region for HASH, one per subtask for FORWARD."""
    return graph(
        [vertex("source", parallelism), vertex("sink", parallelism)],
        [("source", "sink", partitioning, Exchange.PIPELINED)],
        job_id,
    )


def batch(parallelism: int = 2) -> JobGraph:
    """source => sink by a blocking edge: the sink's region starts after the source has finished."""
    return graph(
        [vertex("source", parallelism), vertex("sink", parallelism)],
        [("source", "sink", Partitioning.HASH, Exchange.BLOCKING)],
    )
