"""Which operators end up in one task: Flink's rules, by the names of the vertices."""

from __future__ import annotations

from typing import Any

import pytest

from yarnflow.datastream import CoMapFunction, DataStream, OutputTag, ProcessFunction, StreamExecutionEnvironment
from yarnflow.functions.source import Source, Split, SplitReader


class Numbers(Source):
    """A parallel source that no test opens."""

    def splits(self, parallelism: int) -> list[Split]:
        return []

    def open(self, split: Split) -> SplitReader:
        raise NotImplementedError


@pytest.fixture
def env() -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment().set_parallelism(2)


def numbers(env: StreamExecutionEnvironment) -> DataStream:
    return env.from_source(Numbers(), None, "n")


def same(value: Any) -> Any:
    return value


def vertices(env: StreamExecutionEnvironment) -> list[str]:
    return [vertex.name for vertex in env.get_job_graph().vertices]


def exchanges(env: StreamExecutionEnvironment) -> list[tuple[str, str, str, int]]:
    graph = env.get_job_graph()
    return [
        (graph.vertex(edge.source).name, edge.partitioning.value, graph.vertex(edge.target).name, edge.input_index)
        for edge in graph.edges
    ]


SINK = "Sink: Print to Std. Out"


def test_operators_of_one_parallelism_are_chained_from_source_to_sink(env: StreamExecutionEnvironment) -> None:
    numbers(env).map(same).filter(same).flat_map(same).print()
    assert vertices(env) == [f"Source: n -> Map -> Filter -> FlatMap -> {SINK}"]
    assert exchanges(env) == []


def test_a_change_of_parallelism_ends_a_chain(env: StreamExecutionEnvironment) -> None:
    numbers(env).map(same).set_parallelism(3).print()
    assert exchanges(env) == [("Source: n", "REBALANCE", "Map", 0), ("Map", "REBALANCE", SINK, 0)]


def test_a_key_ends_a_chain(env: StreamExecutionEnvironment) -> None:
    numbers(env).map(same).key_by(same).reduce(max).print()
    assert exchanges(env) == [("Source: n -> Map", "HASH", f"Reduce -> {SINK}", 0)]


@pytest.mark.parametrize("method", ["rebalance", "rescale", "shuffle", "broadcast", "global_"])
def test_a_partitioning_ends_a_chain_also_between_equal_parallelisms(
    env: StreamExecutionEnvironment, method: str
) -> None:
    getattr(numbers(env), method)().print()
    assert exchanges(env) == [("Source: n", method.rstrip("_").upper(), SINK, 0)]


def test_forward_keeps_a_chain(env: StreamExecutionEnvironment) -> None:
    numbers(env).forward().print()
    assert vertices(env) == [f"Source: n -> {SINK}"]


def test_of_several_partitionings_the_last_one_counts(env: StreamExecutionEnvironment) -> None:
    numbers(env).shuffle().broadcast().rebalance().print()
    assert exchanges(env) == [("Source: n", "REBALANCE", SINK, 0)]


def test_a_new_chain_begins_where_asked(env: StreamExecutionEnvironment) -> None:
    numbers(env).map(same).start_new_chain().filter(same).print()
    assert vertices(env) == ["Source: n", f"Map -> Filter -> {SINK}"]
    assert exchanges(env) == [("Source: n", "FORWARD", f"Map -> Filter -> {SINK}", 0)]


def test_an_operator_can_stand_alone(env: StreamExecutionEnvironment) -> None:
    numbers(env).map(same).disable_chaining().print()
    assert vertices(env) == ["Source: n", "Map", SINK]
    numbers(env).print().disable_chaining()
    assert vertices(env)[-2:] == ["Source: n", SINK]


def test_chaining_can_be_switched_off_for_all(env: StreamExecutionEnvironment) -> None:
    env.disable_operator_chaining()
    numbers(env).map(same).print()
    assert vertices(env) == ["Source: n", "Map", SINK]


def test_slot_sharing_groups_are_inherited_and_end_chains(env: StreamExecutionEnvironment) -> None:
    numbers(env).map(same).slot_sharing_group("heavy").filter(same).print()
    graph = env.get_job_graph()
    assert [(vertex.name, vertex.slot_sharing_group) for vertex in graph.vertices] == [
        ("Source: n", "default"),
        (f"Map -> Filter -> {SINK}", "heavy"),
    ]
    assert graph.slots_needed() == 4


def test_the_group_of_differing_inputs_is_the_default_one(env: StreamExecutionEnvironment) -> None:
    one = numbers(env).slot_sharing_group("a")
    two = numbers(env).slot_sharing_group("b")
    one.union(two).print()
    assert [vertex.slot_sharing_group for vertex in env.get_job_graph().vertices] == ["a", "b", "default"]


def test_branches_share_a_task(env: StreamExecutionEnvironment) -> None:
    mapped = numbers(env).map(same)
    mapped.filter(same).print()
    mapped.print()
    assert vertices(env) == [f"Source: n -> Map -> (Filter -> {SINK}, {SINK})"]


def test_a_union_is_not_chained(env: StreamExecutionEnvironment) -> None:
    numbers(env).union(numbers(env), numbers(env).key_by(same)).map(same).print()
    assert exchanges(env) == [
        ("Source: n", "FORWARD", f"Map -> {SINK}", 0),
        ("Source: n", "FORWARD", f"Map -> {SINK}", 0),
        ("Source: n", "HASH", f"Map -> {SINK}", 0),
    ]


def test_a_union_of_one_is_chained(env: StreamExecutionEnvironment) -> None:
    numbers(env).union().print()
    assert vertices(env) == [f"Source: n -> {SINK}"]


class Both(CoMapFunction):
    def map1(self, value: Any) -> Any:
        return value

    def map2(self, value: Any) -> Any:
        return value


def test_two_inputs_are_not_chained_and_keep_their_order(env: StreamExecutionEnvironment) -> None:
    first, second = numbers(env).name("a"), numbers(env).name("b")
    first.connect(second).key_by(same, 0).map(Both()).print()
    assert exchanges(env) == [
        ("Source: a", "HASH", f"Co-Map -> {SINK}", 0),
        ("Source: b", "HASH", f"Co-Map -> {SINK}", 1),
    ]


class Split2(ProcessFunction):
    def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Any:
        yield value


def test_side_outputs_are_chained_and_exchanged_like_the_main_one(env: StreamExecutionEnvironment) -> None:
    odd, late = OutputTag("odd"), OutputTag("late")
    processed = numbers(env).process(Split2())
    processed.print()
    processed.get_side_output(odd).map(same)
    processed.get_side_output(late).key_by(0).count()
    stream_graph = env.get_stream_graph()
    tags = {stream_graph.nodes[edge.target].name: edge.tag for edge in stream_graph.edges}
    assert tags == {"PROCESS": None, SINK: None, "Map": odd, "Count": late}
    assert vertices(env) == [f"Source: n -> PROCESS -> ({SINK}, Map)", "Count"]
