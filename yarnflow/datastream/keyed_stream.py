"""`KeyedStream`: records of one key in one subtask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from yarnflow.common.typeinfo import RowTypeInfo, TupleTypeInfo, TypeInformation, Types
from yarnflow.datastream.arguments import Key, checked, count_windows, declared
from yarnflow.datastream.stream import DataStream
from yarnflow.errors import ProgramError
from yarnflow.functions.expressions import Expression
from yarnflow.functions.keyed_adapters import KeyedFilter, KeyedFlatMap, KeyedMap, opens_itself
from yarnflow.functions.process_functions import KeyedProcessFunction, ProcessFunction
from yarnflow.functions.user_functions import FilterFunction, FlatMapFunction, MapFunction, ReduceFunction
from yarnflow.graph import operators as specs
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.transformations import PartitionTransformation

if TYPE_CHECKING:
    from yarnflow.datastream.interval_join import IntervalJoin
    from yarnflow.datastream.windowed_stream import WindowedStream
    from yarnflow.functions.windows.assigner import WindowAssigner

__all__ = ["KeyedStream"]


class KeyedStream(DataStream):
    """Got from `key_by`. Its records can be combined per key; everything a DataStream does it does too,
    except what would move records away from the subtask of their key or is about an operator of its own."""

    def __init__(self, origin: DataStream, key: Key, key_type: TypeInformation | None) -> None:
        environment, transformation = origin._environment, origin._transformation
        partition = PartitionTransformation(
            environment.next_id(), transformation.output_type, transformation, Partitioning.HASH, key
        )
        super().__init__(environment, partition)
        self._origin = origin
        self._key = key
        self._key_type = declared(key_type)

    def get_key_type(self) -> TypeInformation:
        """The declared type of the keys, Types.PICKLED_BYTE_ARRAY() if none was."""
        return self._key_type or Types.PICKLED_BYTE_ARRAY()

    # -- combining records of a key -------------------------------------------------------------------------

    def reduce(self, func: Callable[[Any, Any], Any] | ReduceFunction) -> DataStream:
        """Combine the records of each key to one: `func(so far, record)`. Emits the combination after each
        record; in BATCH mode once per key, at the end."""
        checked(func, ReduceFunction, "reduce")
        return self._transform("Reduce", specs.ReduceSpec(func, self._key), self._transformation.output_type)

    def sum(self, position_to_sum: int | str = 0) -> DataStream:
        """The first record of each key, with this field summed up."""
        return self._aggregate("sum", "Sum", position_to_sum)

    def min(self, position_to_min: int | str = 0) -> DataStream:
        """The first record of each key, with the least value of this field."""
        return self._aggregate("min", "Min", position_to_min)

    def max(self, position_to_max: int | str = 0) -> DataStream:
        """The first record of each key, with the greatest value of this field."""
        return self._aggregate("max", "Max", position_to_max)

    def min_by(self, position_to_min_by: int | str = 0) -> DataStream:
        """The record of each key that has the least value in this field, the first of several."""
        return self._aggregate("min_by", "MinBy", position_to_min_by)

    def max_by(self, position_to_max_by: int | str = 0) -> DataStream:
        """The record of each key that has the greatest value in this field, the first of several."""
        return self._aggregate("max_by", "MaxBy", position_to_max_by)

    def count(self) -> DataStream:
        """(key, number of records so far). Yarnflow's own."""
        counts = Types.TUPLE([self._key_type, Types.LONG()]) if self._key_type is not None else None
        return self._transform("Count", specs.AggregateSpec("count", 0, self._key), counts)

    def _aggregate(self, kind: str, name: str, field: int | str) -> DataStream:
        if isinstance(field, bool) or not isinstance(field, (int, str)):
            raise TypeError(f"{kind}() needs the position or the name of a field, not {field!r}")
        self._check_field(kind, field)
        spec = specs.AggregateSpec(kind, field, self._key)
        return self._transform(name, spec, self._transformation.output_type)

    def _check_field(self, kind: str, field: int | str) -> None:
        record_type = self._transformation.output_type
        if isinstance(field, str):
            if isinstance(record_type, RowTypeInfo) and field not in record_type.get_field_names():
                raise ProgramError(f"{kind}({field!r}): there is no such field in {record_type!r}")
        elif isinstance(record_type, (RowTypeInfo, TupleTypeInfo)):
            width = len(record_type.get_field_types())
            if not -width <= field < width:
                raise ProgramError(f"{kind}({field}): {record_type!r} has the fields 0 to {width - 1}")

    # -- windows --------------------------------------------------------------------------------------------

    def window(self, window_assigner: WindowAssigner[Any, Any]) -> WindowedStream:
        """Cut the records of each key into windows."""
        from yarnflow.datastream.windowed_stream import WindowedStream

        return WindowedStream(self, window_assigner)

    def count_window(self, size: int, slide: int = 0) -> WindowedStream:
        """Windows of `size` records of a key; one starts every `slide` records, 0: when the one before is full."""
        return self.window(count_windows(size, slide))

    # -- several streams ------------------------------------------------------------------------------------

    def interval_join(self, other_stream: KeyedStream) -> IntervalJoin:
        """Join with records of another keyed stream that have the same key and are near in event time. As in
        Flink's Java API: `left.interval_join(right).between(lower, upper).process(function)`."""
        from yarnflow.datastream.interval_join import IntervalJoin

        if not isinstance(other_stream, KeyedStream):
            raise TypeError(f"interval_join() needs a keyed stream (of key_by()), not {other_stream!r}")
        self._check_same_program("interval_join", other_stream)
        return IntervalJoin(self, other_stream)

    # -- as a stream ----------------------------------------------------------------------------------------

    def key_by(self, key_selector: Key, key_type: TypeInformation | None = None) -> KeyedStream:
        """Key the stream anew, in place of this key."""
        return self._origin.key_by(key_selector, key_type)

    def process(
        self, func: KeyedProcessFunction | ProcessFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """Call `func.process_element(record, context)` with state and timers of the record's key. A plain
        ProcessFunction runs in the subtask of the key, without them."""
        if isinstance(func, KeyedProcessFunction):
            return self._keyed_process("KEYED PROCESS", func, output_type)
        if not isinstance(func, ProcessFunction):
            raise TypeError(f"process() of a keyed stream needs a KeyedProcessFunction, not {func!r}")
        return super().process(func, output_type).name("KEYED PROCESS")

    def map(
        self, func: Callable[[Any], Any] | MapFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """As DataStream.map; a MapFunction may use state of the record's key."""
        if isinstance(func, MapFunction) and opens_itself(func):
            return self._keyed_process("Map", KeyedMap(func), output_type)
        return super().map(func, output_type)

    def flat_map(
        self, func: Callable[[Any], Any] | FlatMapFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """As DataStream.flat_map; a FlatMapFunction may use state of the record's key."""
        if isinstance(func, FlatMapFunction) and opens_itself(func):
            return self._keyed_process("FlatMap", KeyedFlatMap(func), output_type)
        return super().flat_map(func, output_type)

    def filter(self, func: Callable[[Any], Any] | FilterFunction | Expression) -> DataStream:
        """As DataStream.filter; a FilterFunction may use state of the record's key."""
        if isinstance(func, FilterFunction) and opens_itself(func):
            return self._keyed_process("Filter", KeyedFilter(func), self._transformation.output_type)
        return super().filter(func)

    def _keyed_process(
        self, name: str, function: KeyedProcessFunction, output_type: TypeInformation | None
    ) -> DataStream:
        return self._transform(name, specs.KeyedProcessSpec(function, self._key), output_type)

    def shuffle(self) -> NoReturn:
        self._refuse_partitioning("shuffle")

    def rebalance(self) -> NoReturn:
        self._refuse_partitioning("rebalance")

    def rescale(self) -> NoReturn:
        self._refuse_partitioning("rescale")

    def forward(self) -> NoReturn:
        self._refuse_partitioning("forward")

    def broadcast(self, *descriptors: Any) -> NoReturn:
        self._refuse_partitioning("broadcast")

    def global_(self) -> NoReturn:
        self._refuse_partitioning("global_")

    def partition_custom(self, partitioner: Any, key_selector: Any) -> NoReturn:
        self._refuse_partitioning("partition_custom")

    def _refuse_partitioning(self, method: str) -> NoReturn:
        raise ProgramError(
            f"{method}() after key_by(): the partitioning of a keyed stream is by its key. Call {method}() on the "
            "stream before key_by(), or on the result of the keyed operation"
        )

    def _operator(self, method: str) -> NoReturn:
        raise ProgramError(
            f"{method}() after key_by(): a keyed stream has no operator of its own. Call {method}() on the stream "
            "before key_by(), or on the result of the keyed operation (reduce, sum, map, ...)"
        )
