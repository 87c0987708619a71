"""How event time gets from operator to operator inside a chain, and into the partitions that leave it.

It goes along the same edges as the data, side outputs included, by plain calls. Before an operator that several
edges feed stands a valve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from yarnflow.runtime.network.elements import Watermark, WatermarkStatus
from yarnflow.runtime.network.partition import Partition
from yarnflow.runtime.network.watermark_valve import WatermarkValve
from yarnflow.runtime.operators.base import StreamOperator

#: Who reads an operator: other operators by their index, and partitions.
Readers = Sequence[int | Partition]


def connect_time(running: Mapping[int, StreamOperator], readers: Mapping[int, Readers]) -> None:
    """Set `emit_watermark` and `emit_status` of all operators.

    Args:
        running: by index.
        readers: by index, one entry per edge.
    """
    feeding = Counter(reader for edges in readers.values() for reader in edges if isinstance(reader, int))
    merges = {index: _Merge(running[index], edges) for index, edges in feeding.items() if edges > 1}
    for index, operator in running.items():
        watermark: list[Callable[[int], None]] = []
        status: list[Callable[[bool], None]] = []
        for reader in readers[index]:
            target: _Merge.Edge | _Leaving | StreamOperator
            if isinstance(reader, Partition):
                target = _Leaving(reader)
            elif reader in merges:
                target = merges[reader].next_edge()
            else:
                target = running[reader]
            watermark.append(target.process_watermark)
            status.append(target.process_status)
        operator.emit_watermark = _call_all(watermark)
        operator.emit_status = _call_all(status)


class _Leaving:
    """The end of a chain: event time as elements."""

    def __init__(self, partition: Partition) -> None:
        self._send = partition.send

    def process_watermark(self, timestamp: int) -> None:
        self._send(Watermark(timestamp))

    def process_status(self, idle: bool) -> None:
        self._send(WatermarkStatus(idle))


class _Merge:
    """What several edges feed sees their minimum."""

    class Edge:
        """One of these edges."""

        def __init__(self, merge: _Merge, index: int) -> None:
            self._merge = merge
            self._index = index

        def process_watermark(self, timestamp: int) -> None:
            deliver(self._merge.valve.watermark(self._index, timestamp), self._merge.operator)

        def process_status(self, idle: bool) -> None:
            deliver(self._merge.valve.status(self._index, idle), self._merge.operator)

    def __init__(self, operator: StreamOperator, edges: int) -> None:
        self.operator = operator
        self.valve = WatermarkValve(edges)
        self._edges = 0

    def next_edge(self) -> Edge:
        """The edges are numbered as they are connected."""
        self._edges += 1
        return self.Edge(self, self._edges - 1)


def deliver(elements: Sequence[Any], operator: StreamOperator) -> None:
    """Give an operator what a valve has let through."""
    for element in elements:
        if isinstance(element, Watermark):
            operator.process_watermark(element.timestamp)
        else:
            operator.process_status(element.idle)


def _call_all(targets: Sequence[Callable[[Any], None]]) -> Callable[[Any], None]:
    if len(targets) == 1:
        return targets[0]

    def call(argument: Any) -> None:
        for target in targets:
            target(argument)

    return call
