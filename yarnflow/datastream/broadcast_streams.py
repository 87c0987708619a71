"""Streams that every subtask gets whole, connected with others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from yarnflow.common.typeinfo import TypeInformation
from yarnflow.datastream.arguments import declared
from yarnflow.datastream.keyed_stream import KeyedStream
from yarnflow.datastream.stream import DataStream
from yarnflow.functions.process_functions import BroadcastProcessFunction, KeyedBroadcastProcessFunction
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.operators import BroadcastProcessSpec

if TYPE_CHECKING:
    from yarnflow.functions.state import MapStateDescriptor

__all__ = ["BroadcastConnectedStream", "BroadcastStream"]


class BroadcastStream:
    """Got from `DataStream.broadcast(descriptor, ...)`; connect it with another stream."""

    def __init__(
        self, input_stream: DataStream, broadcast_state_descriptors: Sequence[MapStateDescriptor]
    ) -> None:
        self.input_stream = input_stream
        self.broadcast_state_descriptors = list(broadcast_state_descriptors)


class BroadcastConnectedStream:
    """Got from `DataStream.connect(broadcast_stream)`."""

    def __init__(
        self,
        non_broadcast_stream: DataStream,
        broadcast_stream: BroadcastStream,
        broadcast_state_descriptors: Sequence[MapStateDescriptor],
    ) -> None:
        self.non_broadcast_stream = non_broadcast_stream
        self.broadcast_stream = broadcast_stream
        self.broadcast_state_descriptors = list(broadcast_state_descriptors)

    def process(
        self,
        func: BroadcastProcessFunction | KeyedBroadcastProcessFunction,  # type: ignore[type-arg]
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Call the function with records of both streams; on a keyed stream a KeyedBroadcastProcessFunction."""
        stream = self.non_broadcast_stream
        keyed = isinstance(stream, KeyedStream)
        wanted = KeyedBroadcastProcessFunction if keyed else BroadcastProcessFunction
        if not isinstance(func, wanted):
            kind = "keyed" if keyed else "non-keyed"
            raise TypeError(f"process() of a {kind} stream needs a {wanted.__name__}, not {func!r}")
        spec = BroadcastProcessSpec(
            func, tuple(self.broadcast_state_descriptors), stream._key if isinstance(stream, KeyedStream) else None
        )
        broadcast = self.broadcast_stream.input_stream._partitioned(Partitioning.BROADCAST)
        inputs = (stream._transformation, broadcast._transformation)
        name = "Keyed-Co-Process-Broadcast" if keyed else "Co-Process-Broadcast"
        environment = stream._environment
        return DataStream(environment, environment.add_operator(name, spec, inputs, declared(output_type)))
