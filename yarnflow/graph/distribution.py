"""Which subtasks of an edge's producer and consumer are connected.

Pointwise partitionings connect neighbours, so that data can stay where it is; all others connect every
producer with every consumer. The ranges are Flink's (VertexInputInfoComputationUtils).
"""

from __future__ import annotations

from yarnflow.graph.job_graph import Partitioning


def consumers_of(partitioning: Partitioning, producer: int, producers: int, consumers: int) -> range:
    """The consumer subtasks that producer subtask `producer` of `producers` sends to."""
    if not partitioning.pointwise:
        return range(consumers)
    if producers >= consumers:
        # Consumer i reads producers [i*p//c, (i+1)*p//c): invert that range.
        consumer = ((producer + 1) * consumers - 1) // producers
        return range(consumer, consumer + 1)
    return range(
        (producer * consumers + producers - 1) // producers,
        ((producer + 1) * consumers + producers - 1) // producers,
    )


def producers_of(partitioning: Partitioning, consumer: int, producers: int, consumers: int) -> range:
    """The producer subtasks that consumer subtask `consumer` of `consumers` reads from."""
    if not partitioning.pointwise:
        return range(producers)
    if producers >= consumers:
        return range(consumer * producers // consumers, (consumer + 1) * producers // consumers)
    producer = consumer * producers // consumers
    return range(producer, producer + 1)
