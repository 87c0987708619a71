"""What operators do: pure data that a program builds and a slot worker executes.

An `OperatorChain` is the code of one vertex: operators, the edges between them, and the edges that
leave the vertex. It is pickled by the client and opened only by a slot worker, which turns each
`OperatorSpec` into a running operator (runtime/operators) or fuses it (runtime/taskmanager).

User callables appear as the user gave them: a plain callable or an instance of the matching function
class (MapFunction, KeySelector, ...); the runtime opens and binds instances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yarnflow.functions.sink import Sink
from yarnflow.functions.source import Source
from yarnflow.graph.job_graph import Partitioning


@dataclass(frozen=True)
class OperatorSpec:
    """Base of all operator descriptions."""


@dataclass(frozen=True)
class SourceSpec(OperatorSpec):
    """Read `source`; `watermarks` is a common.WatermarkStrategy or None. `final_only`: the only watermark is the
    last one (BATCH mode)."""

    source: Source
    watermarks: Any = None
    final_only: bool = False


@dataclass(frozen=True)
class TimestampsSpec(OperatorSpec):
    """Give each record the time that `watermarks.timestamp_assigner` reads (none: keep its own), and make
    watermarks from these. `watermarks`: a common.WatermarkStrategy. `final_only`: as for a source."""

    watermarks: Any
    final_only: bool = False


@dataclass(frozen=True)
class MapSpec(OperatorSpec):
    """One record in, one out. `function`: callable or MapFunction."""

    function: Any


@dataclass(frozen=True)
class FlatMapSpec(OperatorSpec):
    """One record in, an iterable (or None) out. `function`: callable or FlatMapFunction."""

    function: Any


@dataclass(frozen=True)
class FilterSpec(OperatorSpec):
    """Keep records for which the function is true. `function`: callable or FilterFunction."""

    function: Any


@dataclass(frozen=True)
class ProcessSpec(OperatorSpec):
    """A ProcessFunction: yields records, or (OutputTag, record) for side outputs."""

    function: Any


@dataclass(frozen=True)
class MapBatchesSpec(OperatorSpec):
    """A vectorised user function: pyarrow.RecordBatch in, pyarrow.RecordBatch (or None) out.

    `scalar` says whether the result's only column is the record itself.
    """

    function: Callable[[Any], Any]
    scalar: bool = False


@dataclass(frozen=True)
class FilterExpressionSpec(OperatorSpec):
    """Keep records for which a functions.expressions.Expression is true."""

    predicate: Any


@dataclass(frozen=True)
class SelectSpec(OperatorSpec):
    """Compute columns: pairs of output name and functions.expressions.Expression.

    `scalar`: the only column is the record itself.
    """

    columns: tuple[tuple[str, Any], ...]
    scalar: bool = False


@dataclass(frozen=True)
class ReduceSpec(OperatorSpec):
    """Keyed reduce. `final_only`: emit once per key at the end of input (BATCH mode), else every update."""

    function: Any
    key: Any
    final_only: bool = False


@dataclass(frozen=True)
class AggregateSpec(OperatorSpec):
    """Keyed built-in: kind is sum, min, max, min_by, max_by or count; `field` a position or name.

    Semantics of sum/min/max/min_by/max_by are PyFlink's: the emitted record is the first one of the key
    with the field replaced (sum, min, max), or the whole extremal record (min_by, max_by). `count` is
    yarnflow's own and emits (key, count).
    """

    kind: str
    field: int | str
    key: Any
    final_only: bool = False


@dataclass(frozen=True)
class CoMapSpec(OperatorSpec):
    """Two inputs, one record out. `function`: CoMapFunction."""

    function: Any


@dataclass(frozen=True)
class CoFlatMapSpec(OperatorSpec):
    """Two inputs, an iterable (or None) out. `function`: CoFlatMapFunction."""

    function: Any


@dataclass(frozen=True)
class KeyedProcessSpec(OperatorSpec):
    """A KeyedProcessFunction on a keyed stream. `key`: the key selector."""

    function: Any
    key: Any


@dataclass(frozen=True)
class CoProcessSpec(OperatorSpec):
    """Two inputs: a CoProcessFunction, or a KeyedCoProcessFunction when both streams are keyed.

    `keys`: the key selectors of both inputs, or None.
    """

    function: Any
    keys: tuple[Any, Any] | None = None


@dataclass(frozen=True)
class BroadcastProcessSpec(OperatorSpec):
    """Input 0 any or keyed stream, input 1 a broadcast stream; a (Keyed)BroadcastProcessFunction.

    `key`: the key selector of input 0, or None; `descriptors`: MapStateDescriptors of the broadcast states.
    """

    function: Any
    descriptors: tuple[Any, ...]
    key: Any = None


@dataclass(frozen=True)
class WindowSpec(OperatorSpec):
    """Windows over one input.

    Attributes:
        key: key selector; None for window_all (then the operator runs with parallelism 1).
        assigner: a functions.window.WindowAssigner.
        trigger: a Trigger, or None for the assigner's own.
        evictor: an Evictor or None.
        allowed_lateness: ms.
        late_tag: OutputTag of the side output of late records, or None to drop them.
        reduce: ReduceFunction or callable; an AggregateSpec for a built-in aggregate of a field; or None.
        aggregate: AggregateFunction, or None.
        window_function: what makes results of a window's contents: a (Process)(All)WindowFunction, or None when
            `reduce` or `aggregate` gives the result.
        aggregates: for windows on columns: pairs of output name and functions.expressions aggregate; else ().
        final_only: BATCH mode: windows by the clock give their results at the end of input.
    """

    key: Any
    assigner: Any
    trigger: Any = None
    evictor: Any = None
    allowed_lateness: int = 0
    late_tag: Any = None
    reduce: Any = None
    aggregate: Any = None
    window_function: Any = None
    aggregates: tuple[Any, ...] = ()
    final_only: bool = False


@dataclass(frozen=True)
class IntervalJoinSpec(OperatorSpec):
    """Joins records of two keyed inputs by their times: left + lower <= right <= left + upper.

    `function`: a ProcessJoinFunction. Bounds in ms, inclusive (the API has moved exclusive ones by 1 ms).
    `late_tags`: side outputs of late left and right records, or None.
    """

    function: Any
    keys: tuple[Any, Any]
    lower: int
    upper: int
    late_tags: tuple[Any, Any] = (None, None)


@dataclass(frozen=True)
class AsyncSpec(OperatorSpec):
    """Calls an AsyncFunction per record and emits its results when they come, in input order if `ordered`.

    Attributes:
        timeout: ms per record.
        capacity: records in flight.
        retry: an AsyncRetryStrategy or None.
    """

    function: Any
    timeout: int
    capacity: int
    ordered: bool
    retry: Any = None


@dataclass(frozen=True)
class SinkSpec(OperatorSpec):
    """Write to `sink`."""

    sink: Sink


@dataclass(frozen=True)
class CollectSpec(OperatorSpec):
    """Send records back to the client that called execute_and_collect(); `collect_id` tells results of
    one job apart."""

    collect_id: str


@dataclass(frozen=True)
class Operator:
    """One operator of a chain.

    Attributes:
        operator_id: 32 hex digits, derived from the uid if there is one.
        name: as shown.
        spec: what it does.
        output_type: common.TypeInformation of what it emits, or None when not declared.
    """

    operator_id: str
    name: str
    spec: OperatorSpec
    output_type: Any = None


@dataclass(frozen=True)
class ChainEdge:
    """An edge inside a chain: operator index to operator index; `tag` an OutputTag or None (main output)."""

    source: int
    target: int
    tag: Any = None


@dataclass(frozen=True)
class ChainOutput:
    """An edge that leaves the chain.

    Attributes:
        source: index of the emitting operator.
        edge_id: the JobEdge.
        partitioning: as in the JobEdge.
        tag: an OutputTag, or None for the main output.
        key: key selector (callable, KeySelector, or a field name/position) for HASH and CUSTOM.
        partitioner: callable or Partitioner (key, number of partitions) -> index, for CUSTOM.
        buffer_timeout_ms: records wait at most so long for their batch to fill; None: as the job's
            execution.buffer-timeout.interval says, -1: until it is full.
    """

    source: int
    edge_id: int
    partitioning: Partitioning
    tag: Any = None
    key: Any = None
    partitioner: Any = None
    buffer_timeout_ms: int | None = None


@dataclass(frozen=True)
class OperatorChain:
    """The code of one vertex. Operator 0 is the head: it reads the source or the vertex's inputs."""

    operators: tuple[Operator, ...]
    edges: tuple[ChainEdge, ...]
    outputs: tuple[ChainOutput, ...]
