"""`DataStream`: records on their way, and what can be done to them. Building one runs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, overload

from yarnflow.common.typeinfo import PickledBytesTypeInfo, TupleTypeInfo, TypeInformation, Types
from yarnflow.common.watermark_strategy import WatermarkStrategy
from yarnflow.datastream import operator_settings as settings
from yarnflow.datastream.arguments import Key, check_key, check_strategy, checked, count_windows, declared, shown
from yarnflow.datastream.closeable_iterator import CloseableIterator
from yarnflow.datastream.slot_sharing_group import SlotSharingGroup
from yarnflow.datastream.stream_sink import DataStreamSink
from yarnflow.errors import ProgramError
from yarnflow.functions.expressions import Expression
from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.print_sink import PrintSink
from yarnflow.functions.process_functions import KeyedProcessFunction, ProcessFunction
from yarnflow.functions.projection import Projection
from yarnflow.functions.sink import Sink
from yarnflow.functions.user_functions import (
    FilterFunction,
    FlatMapFunction,
    MapFunction,
    Partitioner,
)
from yarnflow.graph import operators as specs
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.transformations import (
    OperatorTransformation,
    PartitionTransformation,
    SideOutputTransformation,
    Transformation,
    UnionTransformation,
)

if TYPE_CHECKING:
    from yarnflow.common.execution_config import ExecutionConfig
    from yarnflow.datastream.broadcast_streams import BroadcastConnectedStream, BroadcastStream
    from yarnflow.datastream.connected_streams import ConnectedStreams
    from yarnflow.datastream.joined_streams import CoGroupedStreams, JoinedStreams
    from yarnflow.datastream.keyed_stream import KeyedStream
    from yarnflow.datastream.stream_execution_environment import StreamExecutionEnvironment
    from yarnflow.datastream.windowed_stream import AllWindowedStream
    from yarnflow.functions.state import MapStateDescriptor
    from yarnflow.functions.windows.assigner import WindowAssigner

__all__ = ["DataStream"]


class DataStream:
    """Got from the environment (`from_collection`, `from_source`, ...) and from other streams.

    Methods that set a property (`name`, `uid`, `set_parallelism`, ...) concern the operator that made the
    stream and return the stream itself; they raise ProgramError on a stream that no operator made (a union,
    a repartitioned stream).
    """

    def __init__(self, environment: StreamExecutionEnvironment, transformation: Transformation) -> None:
        self._environment = environment
        self._transformation = transformation

    # -- properties of the operator -------------------------------------------------------------------------

    def get_name(self) -> str:
        """The operator's name."""
        return self._operator("get_name").name

    def name(self, name: str) -> DataStream:
        """Set the name that is shown."""
        self._operator("name").name = name
        return self

    def uid(self, uid: str) -> DataStream:
        """Set the id that state and metrics are found by across versions of the program."""
        settings.set_uid(self._operator("uid"), uid)
        return self

    def set_uid_hash(self, uid_hash: str) -> DataStream:
        """Set the operator's id itself: 32 hex digits."""
        settings.set_uid_hash(self._operator("set_uid_hash"), uid_hash)
        return self

    def set_parallelism(self, parallelism: int) -> DataStream:
        """Set the number of subtasks."""
        settings.set_parallelism(self._operator("set_parallelism"), parallelism)
        return self

    def set_max_parallelism(self, max_parallelism: int) -> DataStream:
        """Set the number of key groups, which bounds every later parallelism."""
        settings.set_max_parallelism(self._operator("set_max_parallelism"), max_parallelism)
        return self

    def force_non_parallel(self) -> DataStream:
        """Set parallelism and maximum parallelism to 1, for good."""
        operator = self._operator("force_non_parallel")
        operator.parallelism = operator.max_parallelism = 1
        operator.non_parallel = True
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> DataStream:
        """Set how long a record waits at most for its batch to fill; -1: until it is full, 0: not at all."""
        operator = self._operator("set_buffer_timeout")
        if timeout_millis < -1:
            raise ProgramError(f"operator '{operator.name}': the buffer timeout is -1, 0 or more milliseconds")
        operator.buffer_timeout = timeout_millis
        return self

    def start_new_chain(self) -> DataStream:
        """Begin a new task with this operator."""
        settings.start_new_chain(self._operator("start_new_chain"))
        return self

    def disable_chaining(self) -> DataStream:
        """Run this operator as a task of its own."""
        settings.disable_chaining(self._operator("disable_chaining"))
        return self

    def slot_sharing_group(self, slot_sharing_group: str | SlotSharingGroup) -> DataStream:
        """Share slots only with operators of that group. Operators after this one inherit it."""
        settings.set_slot_sharing_group(self._operator("slot_sharing_group"), slot_sharing_group)
        return self

    def set_description(self, description: str) -> DataStream:
        """Set the text that plans show."""
        self._operator("set_description").description = description
        return self

    def get_type(self) -> TypeInformation:
        """The type of the records: Types.PICKLED_BYTE_ARRAY() if none was declared."""
        return self._transformation.output_type or Types.PICKLED_BYTE_ARRAY()

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment that the stream belongs to."""
        return self._environment

    def get_execution_config(self) -> ExecutionConfig:
        """The environment's ExecutionConfig."""
        return self._environment.get_config()

    # -- record by record -----------------------------------------------------------------------------------

    def map(
        self, func: Callable[[Any], Any] | MapFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """Replace each record by `func(record)`, whatever that is (also None)."""
        checked(func, MapFunction, "map")
        return self._transform("Map", specs.MapSpec(func), output_type)

    def flat_map(
        self, func: Callable[[Any], Any] | FlatMapFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """Replace each record by the records that `func(record)` returns or yields; None stands for none."""
        checked(func, FlatMapFunction, "flat_map")
        return self._transform("FlatMap", specs.FlatMapSpec(func), output_type)

    def filter(self, func: Callable[[Any], Any] | FilterFunction | Expression) -> DataStream:
        """Keep the records for which `func(record)` is true.

        `func` may be a column expression (`col("delay") > 60`), which is evaluated on whole columns.
        """
        if isinstance(func, Expression):
            return self._transform("Filter", specs.FilterExpressionSpec(func), self._transformation.output_type)
        checked(func, FilterFunction, "filter")
        return self._transform("Filter", specs.FilterSpec(func), self._transformation.output_type)

    def process(self, func: ProcessFunction, output_type: TypeInformation | None = None) -> DataStream:
        """Call `func.process_element(record, context)`, which yields records and (OutputTag, record)."""
        given: Any = func
        if isinstance(given, KeyedProcessFunction):
            raise TypeError(
                f"process(): {type(given).__name__} is a KeyedProcessFunction and needs a keyed stream: call "
                "key_by() first"
            )
        if not isinstance(given, ProcessFunction):
            raise TypeError(f"process() needs a ProcessFunction, not {shown(given)}")
        return self._transform("PROCESS", specs.ProcessSpec(func), output_type)

    def project(self, *field_indexes: int) -> DataStream:
        """Keep these fields of each tuple, in this order. The stream must be declared as Types.TUPLE.

        Raises ProgramError when it is not, or has no such field.
        """
        declared = self._transformation.output_type
        if not isinstance(declared, TupleTypeInfo):
            raise ProgramError(
                f"project() needs a stream of tuples, and this one is {self.get_type()!r}: declare "
                "output_type=Types.TUPLE([...]) where the tuples are made"
            )
        types = declared.get_field_types()
        wrong = [index for index in field_indexes if not 0 <= index < len(types)]
        if wrong or not field_indexes:
            raise ProgramError(f"project(): no fields {wrong or 'given'}; {declared!r} has 0 to {len(types) - 1}")
        projected = Types.TUPLE([types[index] for index in field_indexes])
        return self._transform("Projection", specs.MapSpec(Projection(field_indexes)), projected)

    def assign_timestamps_and_watermarks(self, watermark_strategy: WatermarkStrategy) -> DataStream:
        """Give records their event time as the strategy says."""
        check_strategy(watermark_strategy, "assign_timestamps_and_watermarks")
        spec = specs.TimestampsSpec(watermark_strategy)
        return self._transform("Timestamps/Watermarks", spec, self._transformation.output_type)

    # -- column by column (yarnflow's own) ------------------------------------------------------------------

    def map_batches(
        self, func: Callable[[Any], Any], output_type: TypeInformation | None = None, *, scalar: bool = False
    ) -> DataStream:
        """Replace whole batches: `func` gets a pyarrow.RecordBatch and returns one, or None for nothing.

        A stream of plain values has the one column "value". With `scalar` the only column of the result
        holds the records themselves; otherwise a record is a Row with the columns as fields.
        """
        checked(func, None, "map_batches")
        return self._transform("Map Batches", specs.MapBatchesSpec(func, scalar), output_type)

    def select(self, *value: Expression, **columns: Expression) -> DataStream:
        """Compute columns: `select(carrier=col("carrier"), late=col("delay") > 60)` makes rows of these fields,
        `select(col("delay"))` makes the value itself the record."""
        if bool(value) == bool(columns) or len(value) > 1:
            raise ProgramError(
                "select() takes either one expression, or named ones: select(total=col('a') + col('b'))"
            )
        named = tuple(columns.items()) or (("value", value[0]),)
        for name, expression in named:
            if not isinstance(expression, Expression):
                raise TypeError(
                    f"select(): {name} must be an expression such as col('delay'), not {shown(expression)}"
                )
        return self._transform("Select", specs.SelectSpec(named, scalar=bool(value)), None)

    # -- windows --------------------------------------------------------------------------------------------

    def window_all(self, window_assigner: WindowAssigner[Any, Any]) -> AllWindowedStream:
        """Cut all records into windows, in one subtask."""
        from yarnflow.datastream.windowed_stream import AllWindowedStream

        return AllWindowedStream(self, window_assigner)

    def count_window_all(self, size: int, slide: int = 0) -> AllWindowedStream:
        """Windows of `size` records; one starts every `slide` records, 0: when the one before is full. Flink's;
        PyFlink has no such method."""
        return self.window_all(count_windows(size, slide))

    def window(self, window_assigner: WindowAssigner[Any, Any]) -> Any:
        """Only for a keyed stream."""
        raise ProgramError("window() needs a keyed stream: call key_by() before it, or window_all() instead")

    def count_window(self, size: int, slide: int = 0) -> Any:
        """Only for a keyed stream."""
        raise ProgramError(
            "count_window() needs a keyed stream: call key_by() before it, or count_window_all() instead"
        )

    # -- several streams ------------------------------------------------------------------------------------

    def union(self, *streams: DataStream) -> DataStream:
        """The records of this stream and of all others. Declared types must be the same."""
        for stream in streams:
            self._check_same_program("union", stream)
            declared, other = self._transformation.output_type, stream._transformation.output_type
            if declared is not None and other is not None and declared != other:
                raise ProgramError(
                    f"union(): the streams have different types, {declared!r} and {other!r}: map them to one type "
                    "first"
                )
        inputs = tuple(stream._transformation for stream in (self, *streams))
        return DataStream(
            self._environment,
            UnionTransformation(
                self._environment.next_id(),
                next((known.output_type for known in inputs if known.output_type is not None), None),
                inputs,
            ),
        )

    @overload
    def connect(self, ds: DataStream) -> ConnectedStreams: ...

    @overload
    def connect(self, ds: BroadcastStream) -> BroadcastConnectedStream: ...

    def connect(self, ds: DataStream | BroadcastStream) -> ConnectedStreams | BroadcastConnectedStream:
        """Hand this stream and another, possibly of another type, to one operator with two inputs."""
        from yarnflow.datastream.broadcast_streams import BroadcastConnectedStream, BroadcastStream
        from yarnflow.datastream.connected_streams import ConnectedStreams

        if isinstance(ds, BroadcastStream):
            self._check_same_program("connect", ds.input_stream)
            return BroadcastConnectedStream(self, ds, ds.broadcast_state_descriptors)
        self._check_same_program("connect", ds)
        return ConnectedStreams(self, ds)

    def join(self, other_stream: DataStream) -> JoinedStreams:
        """Join with another stream by key and window. As in Flink's Java API:
        `a.join(b).where(key_a).equal_to(key_b).window(assigner).apply(function)`."""
        from yarnflow.datastream.joined_streams import JoinedStreams

        self._check_same_program("join", other_stream)
        return JoinedStreams(self, other_stream)

    def co_group(self, other_stream: DataStream) -> CoGroupedStreams:
        """As `join`, for a function that sees all records of a key and window at once."""
        from yarnflow.datastream.joined_streams import CoGroupedStreams

        self._check_same_program("co_group", other_stream)
        return CoGroupedStreams(self, other_stream)

    def get_side_output(self, output_tag: OutputTag) -> DataStream:
        """The records that the operator of this stream emits for the tag."""
        operator = self._operator("get_side_output")
        tag_type = output_tag.type_info
        declared = None if isinstance(tag_type, PickledBytesTypeInfo) else tag_type
        side = SideOutputTransformation(self._environment.next_id(), declared, operator, output_tag)
        return DataStream(self._environment, side)

    # -- how records are distributed ------------------------------------------------------------------------

    def key_by(self, key_selector: Key, key_type: TypeInformation | None = None) -> KeyedStream:
        """Bring records of one key to one subtask.

        `key_selector`: a function of the record, a KeySelector, or (yarnflow's own, and faster) the name or
        position of a field. Keys must be hashable; graph/key_groups.py says which values can be keys.
        """
        from yarnflow.datastream.keyed_stream import KeyedStream

        check_key(key_selector, "key_by")
        return KeyedStream(self, key_selector, key_type)

    def partition_custom(
        self,
        partitioner: Callable[[Any, int], int] | Partitioner,
        key_selector: Key,
    ) -> DataStream:
        """Send each record to the subtask `partitioner(key, number of subtasks)`."""
        checked(partitioner, Partitioner, "partition_custom")
        check_key(key_selector, "partition_custom")
        return self._partitioned(Partitioning.CUSTOM, key_selector, partitioner)

    def rebalance(self) -> DataStream:
        """Send records to all subtasks in turn."""
        return self._partitioned(Partitioning.REBALANCE)

    def rescale(self) -> DataStream:
        """Send records in turn to a few near subtasks: each producer has its own share of the consumers."""
        return self._partitioned(Partitioning.RESCALE)

    def shuffle(self) -> DataStream:
        """Send each record to a subtask chosen at random."""
        return self._partitioned(Partitioning.SHUFFLE)

    def forward(self) -> DataStream:
        """Send records to the subtask of the same index; both sides must have the same parallelism."""
        return self._partitioned(Partitioning.FORWARD)

    @overload
    def broadcast(self) -> DataStream: ...

    @overload
    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> BroadcastStream: ...

    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor | None = None,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> DataStream | BroadcastStream:
        """Send every record to every subtask. With descriptors of broadcast state: to be connected with another
        stream, whose function can read what this stream's records put into the state."""
        if broadcast_state_descriptor is None:
            return self._partitioned(Partitioning.BROADCAST)
        from yarnflow.datastream.broadcast_streams import BroadcastStream
        from yarnflow.functions.state import MapStateDescriptor

        descriptors = (broadcast_state_descriptor, *other_broadcast_state_descriptors)
        for descriptor in descriptors:
            if not isinstance(descriptor, MapStateDescriptor):
                raise TypeError(f"broadcast() needs a MapStateDescriptor, not {shown(descriptor)}")
        return BroadcastStream(self, descriptors)

    def global_(self) -> DataStream:
        """Send every record to the first subtask. (`global` is a word of Python's; PyFlink has no name for it.)"""
        return self._partitioned(Partitioning.GLOBAL)

    # -- where records end up -------------------------------------------------------------------------------

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        """Write each record as a line to the TaskManagers' standard output, after the identifier if given."""
        sink = PrintSink(sink_identifier or "", self._transformation.output_type)
        return self._sink("Print to Std. Out", sink)

    def sink_to(self, sink: Sink) -> DataStreamSink:
        """Write the stream to a sink."""
        if not isinstance(sink, Sink):
            raise TypeError(f"sink_to() needs a sink (a yarnflow.functions.sink.Sink), not {shown(sink)}")
        return self._sink("Writer", sink)

    def add_sink(self, sink_func: Sink) -> DataStreamSink:
        """The same as `sink_to`, under PyFlink's older name."""
        return self.sink_to(sink_func)

    @overload
    def execute_and_collect(
        self, job_execution_name: str | None = None, limit: None = None
    ) -> CloseableIterator: ...

    @overload
    def execute_and_collect(self, job_execution_name: str | None, limit: int) -> list[Any]: ...

    @overload
    def execute_and_collect(self, job_execution_name: str | None = None, *, limit: int) -> list[Any]: ...

    def execute_and_collect(
        self, job_execution_name: str | None = None, limit: int | None = None
    ) -> CloseableIterator | list[Any]:
        """Run the program and bring this stream's records here.

        Without `limit` returns an iterator over the records as they come; with it, waits and returns at most
        so many as a list.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"execute_and_collect(): the limit must be 1 or more, not {limit}")
        operator = self._add("Collect Stream Sink", specs.CollectSpec(self._environment.new_job_id()), None)
        assert isinstance(operator.spec, specs.CollectSpec)
        try:
            job = self._environment.submit(job_execution_name)
        finally:
            self._environment.forget(operator)
        records = CloseableIterator(job, operator.spec.collect_id)
        if limit is None:
            return records
        with records:
            return [record for _, record in zip(range(limit), records, strict=False)]

    # -- building -------------------------------------------------------------------------------------------

    def _operator(self, method: str) -> OperatorTransformation:
        if not isinstance(self._transformation, OperatorTransformation):
            kind = type(self._transformation).__name__.removesuffix("Transformation").lower()
            raise ProgramError(
                f"{method}() is about an operator, and this stream is a {kind}: call it on the stream before or "
                "after"
            )
        return self._transformation

    def _add(
        self, name: str, spec: specs.OperatorSpec, output_type: TypeInformation | None
    ) -> OperatorTransformation:
        return self._environment.add_operator(name, spec, (self._transformation,), declared(output_type))

    def _transform(self, name: str, spec: specs.OperatorSpec, output_type: TypeInformation | None) -> DataStream:
        return DataStream(self._environment, self._add(name, spec, output_type))

    def _sink(self, name: str, sink: Sink) -> DataStreamSink:
        return DataStreamSink(self._add(name, specs.SinkSpec(sink), None))

    def _partitioned(self, partitioning: Partitioning, key: Any = None, partitioner: Any = None) -> DataStream:
        return DataStream(
            self._environment,
            PartitionTransformation(
                self._environment.next_id(),
                self._transformation.output_type,
                self._transformation,
                partitioning,
                key,
                partitioner,
            ),
        )

    def _check_same_program(self, method: str, stream: Any) -> None:
        if not isinstance(stream, DataStream):
            raise TypeError(f"{method}() needs streams, not {shown(stream)}")
        if stream._environment is not self._environment:
            raise ProgramError(f"{method}(): the streams belong to different environments")

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a stream cannot be used inside a function: functions run on workers, where there are records and no "
            "streams"
        )
