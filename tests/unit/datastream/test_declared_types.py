"""What a declared output type does to records when a task runs: the shape that PyFlink would give them."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from yarnflow.common import Row, Types
from yarnflow.datastream import DataStream, OutputTag, ProcessFunction, StreamExecutionEnvironment
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.graph.operators import OperatorChain
from yarnflow.runtime.network.partition import Partition
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.taskmanager.chain import RunningChain

PERSON = Types.ROW_NAMED(["name", "age"], [Types.STRING(), Types.INT()])
PAIR = Types.TUPLE([Types.STRING(), Types.INT()])


class Recorder(Partition):
    """Stands where records leave the task."""

    def __init__(self) -> None:
        super().__init__(())
        self.rows: list[Any] = []

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, RowBatch)
        self.rows += batch.rows


@pytest.fixture
def numbers() -> DataStream:
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    return env.from_collection([1]).rebalance()


def run(stream: DataStream, rows: list[Any], times: list[int] | None = None) -> list[Any]:
    """Run the vertex that computes `stream` on rows and return what leaves it."""
    stream.rebalance().print()
    chain: Any = pickle.loads(stream.get_execution_environment().get_job_graph().vertices[1].code)
    assert isinstance(chain, OperatorChain)
    recorder: Any = Recorder()
    runtime = RuntimeContext("test", 1, 128, 0, 0)
    context = OperatorContext("0" * 32, "test", "e", 0, 1, 128, 0, {}, runtime, lambda message: None)
    running = RunningChain(chain, context, {output.edge_id: recorder for output in chain.outputs})
    running.open()
    running.process(RowBatch(rows, times), 0)
    running.finish()
    running.close()
    return list(recorder.rows)


@pytest.mark.parametrize("times", [None, [5]])
def test_map_results_become_rows_with_the_declared_names(numbers: DataStream, times: list[int] | None) -> None:
    stream = numbers.map(lambda n: ("a", n), PERSON).map(lambda row: (row.name, row["age"], type(row).__name__))
    assert run(stream, [1], times) == [("a", 1, "Row")]


def test_flat_map_results_become_tuples(numbers: DataStream) -> None:
    assert run(numbers.flat_map(lambda n: [["a", n], Row("b", n)], PAIR), [1]) == [("a", 1), ("b", 1)]


class Split(ProcessFunction):
    def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Any:
        yield ["a", value]
        yield OutputTag("side"), ["b", value]


def test_only_the_main_output_has_the_declared_type(numbers: DataStream) -> None:
    processed = numbers.process(Split(), PAIR)
    side = processed.get_side_output(OutputTag("side"))
    assert run(processed.union(side), [1]) == [("a", 1), ["b", 1]]


def test_a_result_of_another_shape_is_an_error(numbers: DataStream) -> None:
    with pytest.raises(TypeError, match=r"5 does not fit the declared type TupleTypeInfo\(String, Integer\)"):
        run(numbers.map(lambda n: n, PAIR), [5])


def test_long_chains_of_declared_types_run(numbers: DataStream) -> None:
    stream = numbers.map(lambda n: ("a", n), PAIR)
    for _ in range(30):
        stream = stream.map(lambda pair: [pair[0], pair[1] + 1], PAIR).filter(lambda pair: True)
    assert run(stream, [0]) == [("a", 30)]
