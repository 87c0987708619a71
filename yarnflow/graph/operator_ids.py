"""Ids of operators: the same for an unchanged program in every run and every process.

With a uid the id is derived from the uid alone. Otherwise it is derived from what the operator is and what
feeds it, recursively to the sources; of operators that are alike in this, the first built gets the plain id
and each further one its number mixed in. Names, parallelism and chaining do not count, nor does what comes
after an operator. As in Flink, an operator with state deserves a uid: then its id survives any change upstream.
"""

from __future__ import annotations

import hashlib

from yarnflow.errors import ProgramError
from yarnflow.graph.stream_graph import StreamGraph


def operator_ids(graph: StreamGraph) -> dict[int, str]:
    """Return 32 hex digits for each node. Raises ProgramError when a given hash is taken twice."""
    ids: dict[int, str] = {}
    owners: dict[str, str] = {}
    for node in graph.nodes.values():
        if node.uid_hash is not None:
            operator_id = node.uid_hash
        elif node.uid is not None:
            operator_id = _digest("uid", node.uid)
        else:
            inputs = [
                f"{edge.input_index}:{edge.partitioning.value}:{edge.tag and edge.tag.tag_id}:{ids[edge.source]}"
                for edge in graph.inputs_of(node.id)
            ]
            number = 0
            operator_id = _digest(type(node.spec).__name__, *inputs)
            while operator_id in owners:
                number += 1
                operator_id = _digest(type(node.spec).__name__, *inputs, str(number))
        if operator_id in owners:
            raise ProgramError(
                f"operators '{owners[operator_id]}' and '{node.name}' have the same uid hash {operator_id}"
            )
        owners[operator_id] = node.name
        ids[node.id] = operator_id
    return ids


def _digest(*parts: str) -> str:
    text = "\x00".join(parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
