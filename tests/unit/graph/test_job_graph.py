from __future__ import annotations

import json
import pickle
import threading
from typing import Any

import pytest

from yarnflow.common import Types, WatermarkStrategy
from yarnflow.config.configuration import Configuration
from yarnflow.datastream import KeySelector, MapFunction, RuntimeExecutionMode, StreamExecutionEnvironment
from yarnflow.errors import ProgramError, SerializationError
from yarnflow.functions.source import Source, Split, SplitReader
from yarnflow.graph.job_graph import Exchange, JobGraph, Partitioning
from yarnflow.graph.operators import (
    AggregateSpec,
    ChainEdge,
    MapSpec,
    OperatorChain,
    ReduceSpec,
    SinkSpec,
    SourceSpec,
    TimestampsSpec,
)


@pytest.fixture
def env() -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment().set_parallelism(2)


def chain_of(graph: JobGraph, index: int) -> OperatorChain:
    chain = pickle.loads(graph.vertices[index].code)
    assert isinstance(chain, OperatorChain)
    return chain


def double(value: int) -> int:
    return value * 2


def word_count(env: StreamExecutionEnvironment) -> None:
    words = env.from_collection(["a b", "b"], Types.STRING()).flat_map(str.split, Types.STRING())
    pairs = words.map(lambda word: (word, 1), Types.TUPLE([Types.STRING(), Types.INT()])).set_buffer_timeout(5)
    pairs.key_by(0).sum(1).uid("total").print("out")


def test_a_job_graph_has_a_vertex_per_chain(env: StreamExecutionEnvironment) -> None:
    word_count(env)
    graph = env.get_job_graph("count words")
    assert graph.name == "count words"
    assert [(vertex.name, vertex.parallelism, vertex.is_source) for vertex in graph.vertices] == [
        ("Source: Collection Source", 1, True),
        ("FlatMap -> Map", 2, False),
        ("Sum -> Sink: Print to Std. Out", 2, False),
    ]
    assert [(edge.edge_id, edge.partitioning, edge.exchange) for edge in graph.edges] == [
        (0, Partitioning.REBALANCE, Exchange.PIPELINED),
        (1, Partitioning.HASH, Exchange.PIPELINED),
    ]
    total = graph.vertices[2].operators[0]
    assert (total.uid, total.operator_id) == ("total", graph.vertices[2].vertex_id)


def test_the_code_of_a_vertex_is_its_chain(env: StreamExecutionEnvironment) -> None:
    word_count(env)
    graph = env.get_job_graph()
    source, middle, last = (chain_of(graph, index) for index in range(3))
    assert isinstance(source.operators[0].spec, SourceSpec)
    assert [type(operator.spec).__name__ for operator in middle.operators] == ["FlatMapSpec", "MapSpec"]
    assert middle.edges == (ChainEdge(0, 1),)
    assert middle.operators[1].output_type == Types.TUPLE([Types.STRING(), Types.INT()])
    (output,) = middle.outputs
    assert (output.source, output.edge_id, output.key, output.buffer_timeout_ms) == (1, 1, 0, 5)
    assert isinstance(middle.operators[1].spec, MapSpec)
    assert middle.operators[1].spec.function("x") == ("x", 1)
    assert last.operators[0].spec == AggregateSpec("sum", 1, 0)
    assert isinstance(last.operators[1].spec, SinkSpec)
    assert [operator.operator_id for operator in last.operators] == [
        info.operator_id for info in graph.vertices[2].operators
    ]


def test_a_job_graph_survives_json(env: StreamExecutionEnvironment) -> None:
    word_count(env)
    graph = env.get_job_graph()
    assert JobGraph.from_json(json.loads(json.dumps(graph.to_json()))) == graph


def test_the_maximum_parallelism_is_derived_or_set(env: StreamExecutionEnvironment) -> None:
    stream = env.from_collection([1])
    stream.map(double).set_parallelism(100).key_by(0).sum().set_max_parallelism(300)
    assert [vertex.max_parallelism for vertex in env.get_job_graph().vertices] == [1, 256, 300]
    env.set_max_parallelism(500)
    assert [vertex.max_parallelism for vertex in env.get_job_graph().vertices] == [1, 500, 300]
    env.set_max_parallelism(50)
    with pytest.raises(ProgramError, match="operator 'Map' has parallelism 100, above its maximum parallelism 50"):
        env.get_job_graph()


def test_batch_mode_gives_final_results_over_blocking_exchanges(env: StreamExecutionEnvironment) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    word_count(env)
    timed = env.from_collection([1]).assign_timestamps_and_watermarks(WatermarkStrategy.no_watermarks())
    timed.key_by(double).reduce(max)
    graph = env.get_job_graph()
    assert {edge.exchange for edge in graph.edges} == {Exchange.BLOCKING}
    chains = [chain_of(graph, index) for index in range(len(graph.vertices))]
    specs = [operator.spec for chain in chains for operator in chain.operators]
    final = (SourceSpec, TimestampsSpec, ReduceSpec, AggregateSpec)
    assert [spec.final_only for spec in specs if isinstance(spec, final)] == [True] * 5
    assert graph.plan["type"] == "BATCH"
    env.configure(Configuration({"execution.batch-shuffle-mode": "ALL_EXCHANGES_PIPELINED"}))
    assert {edge.exchange for edge in env.get_job_graph().edges} == {Exchange.PIPELINED}


class Endless(Source):
    bounded = False

    def splits(self, parallelism: int) -> list[Split]:
        return []

    def open(self, split: Split) -> SplitReader:
        raise NotImplementedError


def test_the_sources_decide_in_automatic_mode(env: StreamExecutionEnvironment) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.AUTOMATIC)
    env.from_collection([1]).print()
    assert env.get_job_graph().plan["type"] == "BATCH"
    env.from_source(Endless(), None, "ticks").print()
    assert env.get_job_graph().plan["type"] == "STREAMING"
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    with pytest.raises(ProgramError, match="source 'ticks' never ends"):
        env.get_job_graph()


def test_the_job_plan_has_flinks_fields(env: StreamExecutionEnvironment) -> None:
    word_count(env)
    graph = env.get_job_graph("words")
    source, middle, last = (vertex.vertex_id for vertex in graph.vertices)
    nodes = graph.plan["nodes"]
    assert (graph.plan["jid"], graph.plan["name"], graph.plan["type"]) == (graph.job_id, "words", "STREAMING")
    assert [node["id"] for node in nodes] == [source, middle, last]
    assert nodes[1] == {
        "id": middle,
        "parallelism": 2,
        "operator": "",
        "operator_strategy": "",
        "description": "FlatMap<br/>+- Map<br/>",
        "inputs": [{"num": 0, "id": source, "ship_strategy": "REBALANCE", "exchange": "pipelined_bounded"}],
        "optimizer_properties": {},
    }


def test_the_execution_plan_lists_operators(env: StreamExecutionEnvironment) -> None:
    env.from_collection([1]).map(double).set_description("doubles").key_by(0).sum().print()
    nodes = json.loads(env.get_execution_plan())["nodes"]
    assert [(node["type"], node["pact"], node["contents"], node["parallelism"]) for node in nodes] == [
        ("Source: Collection Source", "Data Source", "Source: Collection Source", 1),
        ("Map", "Operator", "doubles", 2),
        ("Sum", "Operator", "Sum", 2),
        ("Sink: Print to Std. Out", "Data Sink", "Sink: Print to Std. Out", 2),
    ]
    assert [node.get("predecessors") for node in nodes] == [
        None,
        [{"id": nodes[0]["id"], "ship_strategy": "REBALANCE", "side": "second"}],
        [{"id": nodes[1]["id"], "ship_strategy": "HASH", "side": "second"}],
        [{"id": nodes[2]["id"], "ship_strategy": "FORWARD", "side": "second"}],
    ]


class WithLock(MapFunction):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def map(self, value: Any) -> Any:
        return value


class KeyWithLock(KeySelector):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def get_key(self, value: Any) -> Any:
        return value


def test_an_unpicklable_function_is_named_with_its_operator_and_the_reason(
    env: StreamExecutionEnvironment,
) -> None:
    env.from_collection([1]).map(WithLock()).name("locker").print()
    with pytest.raises(
        SerializationError,
        match=r"(?s)operator 'locker': the function of class WithLock cannot be pickled.*'_thread.lock'.*open\(\)",
    ):
        env.get_job_graph()


def test_an_unpicklable_closure_is_named_with_its_place(env: StreamExecutionEnvironment) -> None:
    lock = threading.Lock()
    env.from_collection([1]).filter(lambda value: lock.locked()).print()
    with pytest.raises(SerializationError, match=r"operator 'Filter': the function .*<lambda> \(.*test_job_graph"):
        env.get_job_graph()


def test_an_unpicklable_key_selector_is_named(env: StreamExecutionEnvironment) -> None:
    env.from_collection([1]).map(double).key_by(KeyWithLock()).map(double)
    with pytest.raises(SerializationError, match="operator 'Map': the key selector of class KeyWithLock"):
        env.get_job_graph()


def test_streams_cannot_be_used_inside_functions(env: StreamExecutionEnvironment) -> None:
    stream = env.from_collection([1])
    stream.map(lambda value: stream.get_name())
    with pytest.raises(SerializationError, match="a stream cannot be used inside a function"):
        env.get_job_graph()


def test_the_environment_cannot_be_used_inside_functions(env: StreamExecutionEnvironment) -> None:
    env.from_collection([1]).map(lambda value: env.get_parallelism())
    with pytest.raises(SerializationError, match="the environment cannot be used inside a function"):
        env.get_job_graph()
