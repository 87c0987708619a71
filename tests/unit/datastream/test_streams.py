"""What the methods of streams build, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from yarnflow.common import Duration, Row, TimestampAssigner, Types, WatermarkStrategy
from yarnflow.datastream import (
    CoFlatMapFunction,
    CoMapFunction,
    DataStream,
    FilterFunction,
    FlatMapFunction,
    KeySelector,
    MapFunction,
    MemorySize,
    OutputTag,
    Partitioner,
    ProcessFunction,
    ReduceFunction,
    SlotSharingGroup,
    StreamExecutionEnvironment,
    col,
)
from yarnflow.errors import ProgramError
from yarnflow.functions.collection_source import CollectionSource
from yarnflow.graph import operators as specs
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.stream_graph import StreamEdge, StreamNode

PAIR = Types.TUPLE([Types.STRING(), Types.INT()])
PERSON = Types.ROW_NAMED(["name", "age"], [Types.STRING(), Types.INT()])


@pytest.fixture
def env() -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment().set_parallelism(2)


@pytest.fixture
def pairs(env: StreamExecutionEnvironment) -> DataStream:
    return env.from_collection([("a", 1), ("b", 2)], PAIR)


def last(env: StreamExecutionEnvironment) -> StreamNode:
    return list(env.get_stream_graph().nodes.values())[-1]


def inputs(env: StreamExecutionEnvironment) -> list[StreamEdge]:
    return env.get_stream_graph().inputs_of(last(env).id)


class Function(
    MapFunction, FlatMapFunction, FilterFunction, ReduceFunction, KeySelector, Partitioner, ProcessFunction,
    CoMapFunction, CoFlatMapFunction,
):  # fmt: skip
    """Every kind of function at once."""

    map = flat_map = filter = get_key = map1 = map2 = flat_map1 = flat_map2 = lambda self, value: value  # type: ignore[assignment]
    reduce = partition = process_element = lambda self, first, second: first  # type: ignore[assignment]


FUNCTION = Function()


@pytest.mark.parametrize("func", [FUNCTION, lambda value: value])
def test_functions_are_carried_as_given(env: StreamExecutionEnvironment, pairs: DataStream, func: Any) -> None:
    for build, name, spec, type_info in [
        (lambda: pairs.map(func, PAIR), "Map", specs.MapSpec(func), PAIR),
        (lambda: pairs.map(func), "Map", specs.MapSpec(func), None),
        (lambda: pairs.map(func, Types.PICKLED_BYTE_ARRAY()), "Map", specs.MapSpec(func), None),
        (lambda: pairs.flat_map(func), "FlatMap", specs.FlatMapSpec(func), None),
        (lambda: pairs.filter(func), "Filter", specs.FilterSpec(func), PAIR),
        (lambda: pairs.key_by(func).reduce(func), "Reduce", specs.ReduceSpec(func, func), PAIR),
    ]:
        stream = build()
        node = last(env)
        assert (node.name, node.spec, node.output_type) == (name, spec, type_info)
        assert stream.get_type() == (type_info or Types.PICKLED_BYTE_ARRAY())


def test_process_and_two_input_functions(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    pairs.process(FUNCTION, PAIR)
    assert (last(env).name, last(env).spec) == ("PROCESS", specs.ProcessSpec(FUNCTION))
    pairs.key_by(0).process(FUNCTION)
    assert last(env).name == "KEYED PROCESS"
    pairs.connect(pairs).map(FUNCTION)
    assert (last(env).name, last(env).spec) == ("Co-Map", specs.CoMapSpec(FUNCTION))
    pairs.connect(pairs).flat_map(FUNCTION, PAIR)
    assert (last(env).spec, last(env).output_type) == (specs.CoFlatMapSpec(FUNCTION), PAIR)


@pytest.mark.parametrize("kind", ["sum", "min", "max", "min_by", "max_by"])
def test_aggregates_take_a_position_or_a_name(env: StreamExecutionEnvironment, kind: str) -> None:
    people = env.from_collection([("a", 1)], PERSON)
    getattr(people.key_by("name"), kind)("age")
    assert last(env).spec == specs.AggregateSpec(kind, "age", "name")
    getattr(people.key_by("name"), kind)()
    assert last(env).spec == specs.AggregateSpec(kind, 0, "name")
    with pytest.raises(ProgramError, match=rf"{kind}\('height'\): there is no such field"):
        getattr(people.key_by("name"), kind)("height")
    with pytest.raises(ProgramError, match=rf"{kind}\(2\): .* has the fields 0 to 1"):
        getattr(people.key_by("name"), kind)(2)
    with pytest.raises(TypeError, match="position or the name"):
        getattr(people.key_by("name"), kind)(1.5)


def test_count_makes_pairs(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    assert pairs.key_by(0, Types.STRING()).count().get_type() == Types.TUPLE([Types.STRING(), Types.LONG()])
    assert last(env).spec == specs.AggregateSpec("count", 0, 0)
    assert pairs.key_by(0).count().get_type() == Types.PICKLED_BYTE_ARRAY()


def test_columns_are_given_as_expressions(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    late = col("delay") > 60
    pairs.filter(late)
    assert last(env).spec == specs.FilterExpressionSpec(late)
    carrier = col("carrier")
    pairs.select(carrier=carrier, late=late)
    assert last(env).spec == specs.SelectSpec((("carrier", carrier), ("late", late)))
    pairs.select(late)
    assert last(env).spec == specs.SelectSpec((("value", late),), scalar=True)
    pairs.map_batches(len, scalar=True)
    assert last(env).spec == specs.MapBatchesSpec(len, scalar=True)
    for wrong in ((), (late, late)):
        with pytest.raises(ProgramError, match="either one expression, or named ones"):
            pairs.select(*wrong)
    with pytest.raises(TypeError, match="must be an expression"):
        pairs.select(late="delay > 60")  # type: ignore[arg-type]


def test_project_picks_fields_of_tuples(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    assert pairs.project(1, 0).get_type() == Types.TUPLE([Types.INT(), Types.STRING()])
    spec = last(env).spec
    assert isinstance(spec, specs.MapSpec)
    assert spec.function(("a", 1)) == (1, "a")
    with pytest.raises(ProgramError, match=r"no fields \[2\]"):
        pairs.project(0, 2)
    with pytest.raises(ProgramError, match="needs a stream of tuples"):
        pairs.map(lambda pair: pair).project(0)


def test_keys_and_partitioners_travel_on_the_edge(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    key = lambda pair: pair[0]  # noqa: E731
    pairs.key_by(key).map(FUNCTION)
    (edge,) = inputs(env)
    assert (edge.partitioning, edge.key) == (Partitioning.HASH, key)
    pairs.key_by(0).key_by("name").print()
    (edge,) = inputs(env)
    assert (edge.partitioning, edge.key) == (Partitioning.HASH, "name")
    pairs.partition_custom(FUNCTION, key).print()
    (edge,) = inputs(env)
    assert (edge.partitioning, edge.key, edge.partitioner) == (Partitioning.CUSTOM, key, FUNCTION)


class Clock(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int | None) -> int:
        return 0


def test_timestamp_assigners_travel_in_the_graph(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1)).with_timestamp_assigner(
        Clock()
    )
    assert pairs.assign_timestamps_and_watermarks(strategy).get_type() == PAIR
    assert last(env).spec == specs.TimestampsSpec(strategy)
    source = CollectionSource([1])
    env.from_source(source, strategy, "numbers").print()
    nodes = env.get_stream_graph().nodes.values()
    assert specs.SourceSpec(source, strategy) in [node.spec for node in nodes]


def test_properties_are_set_on_the_operator(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    stream = pairs.map(FUNCTION).name("m").uid("u").set_parallelism(3).set_max_parallelism(64)
    stream.set_description("d").set_buffer_timeout(-1).slot_sharing_group(SlotSharingGroup("g"))
    node = last(env)
    assert (node.name, node.uid, node.parallelism, node.max_parallelism) == ("m", "u", 3, 64)
    assert (node.description, node.buffer_timeout, node.slot_sharing_group) == ("d", -1, "g")
    assert stream.get_name() == "m"
    assert stream.get_execution_environment() is env
    stream.print("id").name("out").uid("o").set_parallelism(1).set_max_parallelism(8).set_description("x")
    node = last(env)
    assert (node.name, node.uid, node.parallelism, node.max_parallelism) == ("Sink: out", "o", 1, 8)


def test_resources_of_a_group_are_kept_and_warned_about(
    env: StreamExecutionEnvironment, pairs: DataStream
) -> None:
    group = (
        SlotSharingGroup.builder("gpu")
        .set_cpu_cores(2.0)
        .set_task_heap_memory_mb(1024)
        .set_managed_memory(MemorySize.of_mebi_bytes(1))
        .set_external_resource("gpu", 1.0)
        .build()
    )
    assert (group.get_cpu_cores(), group.get_external_resources()) == (2.0, {"gpu": 1.0})
    assert group.get_task_heap_memory() == MemorySize.of_mebi_bytes(1024)
    assert group.get_managed_memory() == MemorySize(1 << 20)
    with pytest.warns(UserWarning, match="resources of slot sharing group 'gpu' have no effect"):
        pairs.map(FUNCTION).slot_sharing_group(group)
    assert last(env).slot_sharing_group == "gpu"
    with pytest.warns(UserWarning, match="'gpu' have no effect"):
        env.register_slot_sharing_group(group)
    env.register_slot_sharing_group(SlotSharingGroup("plain"))


def test_force_non_parallel_is_for_good(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    stream = pairs.map(FUNCTION).force_non_parallel()
    assert (last(env).parallelism, last(env).max_parallelism) == (1, 1)
    with pytest.raises(ProgramError, match="operator 'Map' cannot run in parallel"):
        stream.set_parallelism(2)
    with pytest.raises(ProgramError, match="operator 'Collection Source' cannot run in parallel"):
        pairs.set_parallelism(2)


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("parallelism", [0, -1, 1.5, "2", True, None])
def test_a_bad_parallelism_names_the_operator(pairs: DataStream, parallelism: Any) -> None:
    with pytest.raises(ProgramError, match=r"operator 'Map': the parallelism must be a whole number from 1 up"):
        pairs.map(FUNCTION).set_parallelism(parallelism)


@pytest.mark.parametrize("max_parallelism", [0, 32769])
def test_a_bad_maximum_parallelism_names_the_operator(pairs: DataStream, max_parallelism: int) -> None:
    with pytest.raises(ProgramError, match=r"operator 'Map': the maximum parallelism must be from 1 to 32768"):
        pairs.map(FUNCTION).set_max_parallelism(max_parallelism)


def test_forward_needs_equal_parallelisms(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    pairs.forward().map(FUNCTION)
    with pytest.raises(
        ProgramError, match=r"forward\(\) from 'Source: Collection Source' \(parallelism 1\) to 'Map'"
    ):
        env.get_stream_graph()


def test_a_union_needs_one_type(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    with pytest.raises(ProgramError, match="different types, TupleTypeInfo"):
        pairs.union(env.from_collection(["x"], Types.STRING()))
    assert pairs.map(FUNCTION).union(pairs).get_type() == PAIR
    with pytest.raises(TypeError, match="needs streams"):
        pairs.union([1])  # type: ignore[arg-type]
    other = StreamExecutionEnvironment.get_execution_environment()
    with pytest.raises(ProgramError, match="different environments"):
        pairs.union(other.from_collection([1]))


@pytest.mark.parametrize("method", ["set_parallelism", "name", "uid", "set_max_parallelism", "slot_sharing_group"])
def test_a_keyed_stream_has_no_operator_to_set_things_on(pairs: DataStream, method: str) -> None:
    with pytest.raises(ProgramError, match=rf"{method}\(\) after key_by\(\).*on the result"):
        getattr(pairs.key_by(0), method)("x")
    with pytest.raises(ProgramError, match=rf"{method}\(\) is about an operator, and this stream is a partition"):
        getattr(pairs.rebalance(), method)("x")
    with pytest.raises(ProgramError, match="this stream is a union"):
        getattr(pairs.union(pairs), method)("x")


@pytest.mark.parametrize("method", ["rebalance", "shuffle", "rescale", "forward", "broadcast", "global_"])
def test_a_keyed_stream_stays_partitioned_by_its_key(pairs: DataStream, method: str) -> None:
    with pytest.raises(ProgramError, match=rf"{method}\(\) after key_by\(\): the partitioning"):
        getattr(pairs.key_by(0), method)()


def test_side_outputs_come_from_operators(pairs: DataStream) -> None:
    tag = OutputTag("t", Types.STRING())
    assert pairs.process(FUNCTION).get_side_output(tag).get_type() == Types.STRING()
    with pytest.raises(ProgramError, match="get_side_output"):
        pairs.rebalance().get_side_output(tag)


def test_duplicate_uids_name_both_operators(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    pairs.map(FUNCTION).uid("same").filter(FUNCTION).uid("same")
    with pytest.raises(ProgramError, match="operators 'Map' and 'Filter' have the same uid 'same'"):
        env.get_stream_graph()
    with pytest.raises(ProgramError, match="a uid is a text"):
        pairs.uid("")


def test_uids_can_be_demanded(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    env.get_config().disable_auto_generated_uids()
    pairs.uid("source").map(FUNCTION)
    with pytest.raises(ProgramError, match="operator 'Map' has no uid"):
        env.get_stream_graph()


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("map", (5,), r"map\(\) needs a function or a MapFunction, not 5 \(int\)"),
        ("map", (Function,), r"not the class Function: give Function\(\)"),
        ("flat_map", (None,), "FlatMapFunction"),
        ("filter", ("x > 1",), "FilterFunction"),
        ("key_by", (1.5,), "KeySelector"),
        ("key_by", (True,), "KeySelector"),
        ("partition_custom", (5, 0), "Partitioner"),
        ("process", (len,), "needs a ProcessFunction"),
        ("sink_to", (print,), "needs a sink"),
        ("map", (len, int), "a type is made by Types"),
        ("map_batches", (3,), "needs a function"),
        ("assign_timestamps_and_watermarks", (len,), "needs a WatermarkStrategy"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    pairs: DataStream, method: str, arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        getattr(pairs, method)(*arguments)


def test_from_collection_gives_records_their_declared_shape(env: StreamExecutionEnvironment) -> None:
    env.from_collection([("a", 1), {"age": 2, "name": "b"}], PERSON).print()
    spec = next(iter(env.get_stream_graph().nodes.values())).spec
    assert isinstance(spec, specs.SourceSpec)
    source = spec.source
    batch: Any = source.open(source.splits(1)[0]).poll()
    assert batch.rows == [Row(name="a", age=1), Row(name="b", age=2)]
    with pytest.raises(TypeError, match="has 3 fields"):
        env.from_collection([("a", 1, 2)], PERSON)
