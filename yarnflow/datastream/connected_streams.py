"""Two streams that one operator reads together."""

from __future__ import annotations

from yarnflow.common.typeinfo import TypeInformation
from yarnflow.datastream.arguments import Key, declared
from yarnflow.datastream.keyed_stream import KeyedStream
from yarnflow.datastream.stream import DataStream
from yarnflow.errors import ProgramError
from yarnflow.functions.keyed_adapters import KeyedCoFlatMap, KeyedCoMap, opens_itself
from yarnflow.functions.process_functions import CoProcessFunction, KeyedCoProcessFunction
from yarnflow.functions.user_functions import CoFlatMapFunction, CoMapFunction
from yarnflow.graph.operators import CoFlatMapSpec, CoMapSpec, CoProcessSpec, OperatorSpec

__all__ = ["ConnectedStreams"]


class ConnectedStreams:
    """Got from `DataStream.connect`."""

    def __init__(self, stream1: DataStream, stream2: DataStream) -> None:
        self.stream1 = stream1
        self.stream2 = stream2

    def key_by(
        self, key_selector1: Key, key_selector2: Key, key_type: TypeInformation | None = None
    ) -> ConnectedStreams:
        """Bring records of both streams with equal keys to one subtask."""
        first, second = (
            stream._origin if isinstance(stream, KeyedStream) else stream
            for stream in (self.stream1, self.stream2)
        )
        return ConnectedStreams(first.key_by(key_selector1, key_type), second.key_by(key_selector2, key_type))

    def map(self, func: CoMapFunction, output_type: TypeInformation | None = None) -> DataStream:
        """Map records of the first stream by `func.map1`, of the second by `func.map2`; None is dropped."""
        if not isinstance(func, CoMapFunction):
            raise TypeError(f"map() of connected streams needs a CoMapFunction, not {func!r}")
        if self._keys() and opens_itself(func):
            return self._transform("Co-Map", CoProcessSpec(KeyedCoMap(func), self._keys()), output_type)
        return self._transform("Co-Map", CoMapSpec(func), output_type)

    def flat_map(self, func: CoFlatMapFunction, output_type: TypeInformation | None = None) -> DataStream:
        """As `map`, with any number of results per record."""
        if not isinstance(func, CoFlatMapFunction):
            raise TypeError(f"flat_map() of connected streams needs a CoFlatMapFunction, not {func!r}")
        if self._keys() and opens_itself(func):
            return self._transform("Co-Flat Map", CoProcessSpec(KeyedCoFlatMap(func), self._keys()), output_type)
        return self._transform("Co-Flat Map", CoFlatMapSpec(func), output_type)

    def process(
        self,
        func: CoProcessFunction | KeyedCoProcessFunction,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Call `func.process_element1` or `process_element2` with each record and a context. When both streams are
        keyed, both methods share state and timers per key."""
        if not isinstance(func, (CoProcessFunction, KeyedCoProcessFunction)):
            raise TypeError(
                "process() of connected streams needs a CoProcessFunction or a KeyedCoProcessFunction, not "
                f"{func!r}"
            )
        keys = self._keys()
        if keys is None and isinstance(func, KeyedCoProcessFunction):
            raise ProgramError(
                f"process(): {type(func).__name__} is a KeyedCoProcessFunction and needs keyed streams: key both, "
                "for instance by connect(...).key_by(selector1, selector2)"
            )
        name = "Co-Process" if keys is None else "Keyed Co-Process"
        return self._transform(name, CoProcessSpec(func, keys), output_type)

    def _keys(self) -> tuple[Key, Key] | None:
        """The key selectors of both streams; None unless both are keyed."""
        first, second = self.stream1, self.stream2
        if isinstance(first, KeyedStream) and isinstance(second, KeyedStream):
            return first._key, second._key
        return None

    def _transform(self, name: str, spec: OperatorSpec, output_type: TypeInformation | None) -> DataStream:
        environment = self.stream1._environment
        inputs = (self.stream1._transformation, self.stream2._transformation)
        return DataStream(environment, environment.add_operator(name, spec, inputs, declared(output_type)))
