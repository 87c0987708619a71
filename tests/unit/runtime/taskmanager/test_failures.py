"""What the user is told when a task fails: operator, record, own frames, and nothing of ours."""

from __future__ import annotations

import threading
from asyncio import CancelledError
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.runtime.taskmanager.slot import EVENTS, ListSink, ListSource, Slot, chain
from yarnflow.common.typeinfo import Types
from yarnflow.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from yarnflow.functions.accumulators import ListAccumulator
from yarnflow.functions.sink import Sink, SinkWriter, WriterContext
from yarnflow.functions.user_functions import MapFunction
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.operators import (
    ChainOutput,
    FilterSpec,
    FlatMapSpec,
    MapSpec,
    ProcessSpec,
    ReduceSpec,
    SinkSpec,
    SourceSpec,
    TimestampsSpec,
)
from yarnflow.runtime.rpc.messages import TaskFailure


def helper(value: Any) -> Any:
    """User code that the failing function calls."""
    return 1 // (value - 7)


def divide(value: Any, *context: Any) -> Any:
    """The failing function."""
    return [helper(value)]


def divide_later(value: Any) -> Any:
    """The failing function, as a generator."""
    yield value
    yield helper(value)


def _check(failure: TaskFailure, operator: str, record: str) -> None:
    assert failure.operator_name == operator
    assert failure.message == "ZeroDivisionError: integer division or modulo by zero"
    assert failure.traceback.startswith(f"In operator '{operator}', with the record {record}:\n")
    assert failure.traceback.rstrip().endswith(failure.message)
    assert "in helper" in failure.traceback
    assert "1 // (value - 7)" in failure.traceback
    assert "yarnflow/runtime" not in failure.traceback
    assert "<yarnflow chain>" not in failure.traceback
    assert failure.log_tail == "the log"
    assert failure.retryable


@pytest.mark.parametrize("times", [False, True])
@pytest.mark.parametrize(
    "spec",
    [
        MapSpec(divide),
        FlatMapSpec(divide),
        FlatMapSpec(divide_later),
        FilterSpec(divide),
        ProcessSpec(divide),
    ],
    ids=["map", "flat_map", "generator", "filter", "process"],
)
def test_a_fused_operator_is_named_with_its_record(slot: Slot, spec: Any, times: bool) -> None:
    failure = slot.failure(
        chain(
            SourceSpec(ListSource([1, 2], [6, 5], times=times)),
            MapSpec(lambda value: value + 1),
            spec,
            SinkSpec(ListSink()),
            names=["Source", "Plus one", "Divide", "Sink"],
        )
    )
    _check(failure, "Divide", "7")
    assert ("sink", "finish") not in EVENTS
    assert ("sink", "close") in EVENTS


def test_a_reduce_function_is_named_with_its_record(slot: Slot) -> None:
    failure = slot.failure(
        chain(
            SourceSpec(ListSource([1, 7])), ReduceSpec(lambda a, b: helper(b), lambda value: 0), names=["S", "R"]
        )
    )
    _check(failure, "R", "7")


def test_a_failing_key_selector_of_an_exchange_is_told(slot: Slot) -> None:
    task = _keyed(slot, lambda value: helper(value))
    failure = slot.last(task).failure
    assert failure is not None
    _check(failure, "Map", "7")


def test_an_unhashable_key_of_an_exchange_is_explained(slot: Slot) -> None:
    failure = slot.last(_keyed(slot, lambda value: [value])).failure
    assert failure is not None
    assert "unhashable type: 'list'" in failure.message
    assert "key selector behind 'Map'" in failure.message
    assert "the record was 7" in failure.message
    assert failure.traceback == f"In operator 'Map', with the record 7:\n{failure.message}\n"
    assert not failure.retryable


def _keyed(slot: Slot, key: Callable[[Any], Any]) -> Any:
    task = slot.deploy(
        chain(
            SourceSpec(ListSource([7])),
            MapSpec(lambda value: value),
            outputs=[ChainOutput(1, 0, Partitioning.HASH, key=key)],
            names=["Source", "Map"],
        ),
        outputs=[(0, Partitioning.HASH, ["a", "b"])],
    )
    while not task.state.terminal:
        task.step()
    return task


def test_a_sink_is_named(slot: Slot) -> None:
    class Full(Sink):
        def writer(self, context: WriterContext) -> SinkWriter:
            return FullWriter()

    class FullWriter(SinkWriter):
        def write(self, batch: Any) -> None:
            raise OSError(28, "No space left on device")

        def finish(self) -> None:
            pass

    failure = slot.failure(
        chain(
            SourceSpec(ListSource([1])), MapSpec(lambda value: value), SinkSpec(Full()), names=["S", "M", "Disk"]
        )
    )
    assert failure.operator_name == "Disk"
    assert failure.message == "OSError: [Errno 28] No space left on device"


def test_a_failing_open_is_named_by_its_frames(slot: Slot) -> None:
    class Broken(MapFunction):
        def open(self, runtime_context: Any) -> None:
            raise RuntimeError("no model")

        def map(self, value: Any) -> Any:
            return value

    failure = slot.failure(chain(SourceSpec(ListSource([1])), MapSpec(Broken()), names=["Source", "Model"]))
    assert failure.message == "RuntimeError: no model"
    assert "in open" in failure.traceback
    assert failure.operator_name == "Model"


def test_code_that_cannot_be_loaded_is_not_retried(slot: Slot) -> None:
    failure = slot.failure(b"cno_such_module_at_all\nthing\n.")
    assert "No module named 'no_such_module_at_all'" in failure.message
    assert not failure.retryable


def test_causes_are_shown_first_to_last(slot: Slot) -> None:
    def wrap(value: Any) -> Any:
        try:
            return helper(value)
        except ZeroDivisionError as error:
            raise ValueError("bad line") from error

    failure = slot.failure(chain(SourceSpec(ListSource([7])), MapSpec(wrap)))
    assert failure.message == "ValueError: bad line"
    cause, effect = failure.traceback.split("direct cause")
    assert "in helper" in cause
    assert "in wrap" in effect


def test_long_records_and_broken_reprs_are_cut_or_named(slot: Slot) -> None:
    class Secretive:
        def __repr__(self) -> str:
            raise KeyError("repr")

    def fail(value: Any) -> Any:
        raise ValueError(value)

    failure = slot.failure(chain(SourceSpec(ListSource(["x" * 100_000])), MapSpec(fail)))
    assert len(failure.message) <= 4000
    assert len(failure.traceback) < 50_000
    failure = slot.failure(
        chain(
            SourceSpec(ListSource([1])), MapSpec(lambda value: Secretive()), MapSpec(fail), names=["a", "b", "c"]
        )
    )
    assert "whose repr failed: KeyError" in failure.traceback
    assert failure.operator_name == "c"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("3"), GeneratorExit("3"), CancelledError("3")])
def test_whatever_user_code_raises_is_a_failure(slot: Slot, error: BaseException) -> None:
    def leave(value: Any) -> Any:
        raise error

    failure = slot.failure(chain(SourceSpec(ListSource([1])), MapSpec(leave), names=["Source", "Leave"]))
    assert failure.message == f"{type(error).__name__}: 3"
    assert failure.operator_name == "Leave"


def test_accumulators_that_cannot_be_pickled_fail_the_task(slot: Slot) -> None:
    class Holding(MapFunction):
        def open(self, runtime_context: Any) -> None:
            kept = ListAccumulator()
            kept.add(threading.Lock())
            runtime_context.add_accumulator("locks", kept)

        def map(self, value: Any) -> Any:
            return value

    failure = slot.failure(chain(SourceSpec(ListSource([1])), MapSpec(Holding())))
    assert "the accumulators (locks) cannot be sent to the client" in failure.message


def test_an_error_in_close_does_not_hide_the_failure(slot: Slot) -> None:
    class Broken(MapFunction):
        def map(self, value: Any) -> Any:
            return helper(value)

        def close(self) -> None:
            raise RuntimeError("close")

    failure = slot.failure(chain(SourceSpec(ListSource([7])), MapSpec(Broken())))
    assert failure.message.startswith("ZeroDivisionError")


@pytest.mark.parametrize("wrong", [None, 2.5, "now", 1 << 63])
def test_a_timestamp_that_is_none_names_its_record(slot: Slot, wrong: Any) -> None:
    class Times(TimestampAssigner):
        def extract_timestamp(self, value: int, record_timestamp: int) -> Any:
            return wrong if value == 3 else value

    strategy = WatermarkStrategy.no_watermarks().with_timestamp_assigner(Times())
    failure = slot.failure(
        chain(
            SourceSpec(ListSource([1, 3])), TimestampsSpec(strategy), SinkSpec(ListSink()), names=["a", "b", "c"]
        )
    )
    assert f"the timestamp assigner returned {wrong!r} for the record 3" in failure.message
    assert failure.operator_name == "b"


def test_results_that_cannot_be_iterated_are_explained(slot: Slot) -> None:
    failure = slot.failure(chain(SourceSpec(ListSource([5])), FlatMapSpec(lambda value: value), names=["S", "F"]))
    assert failure.message.startswith("TypeError: 'int' object is not iterable. The function of 'F' must yield")
    assert failure.traceback == f"In operator 'F', with the record 5:\n{failure.message}\n"
    assert not failure.retryable


def test_a_function_that_takes_other_arguments_is_told_without_our_frames(slot: Slot) -> None:
    failure = slot.failure(
        chain(SourceSpec(ListSource([5, 5])), ReduceSpec(lambda a: a, lambda value: 0), names=["S", "R"])
    )
    assert "takes 1 positional argument but 2 were given" in failure.message
    assert failure.traceback == f"In operator 'R', with the record 5:\n{failure.message}\n"


class NoTime(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return helper(value) and "late"  # type: ignore[return-value]


def test_an_assigner_is_named_with_its_record_and_why_it_failed(slot: Slot) -> None:
    spec = TimestampsSpec(WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(NoTime()))
    failure = slot.failure(chain(SourceSpec(ListSource([8, 7])), spec, names=["S", "Times"]))
    _check(failure, "Times", "7")
    failure = slot.failure(chain(SourceSpec(ListSource([8])), spec, names=["S", "Times"]))
    assert failure.traceback == f"In operator 'Times', with the record 8:\n{failure.message}\n"
    assert "returned 'late' for the record 8: a timestamp is an int" in failure.message
    assert not failure.retryable


def test_a_result_of_another_shape_than_declared_is_told(slot: Slot) -> None:
    job = chain(SourceSpec(ListSource([5])), MapSpec(lambda value: (value,)), names=["S", "Map"])
    operators = (job.operators[0], replace(job.operators[1], output_type=Types.TUPLE([Types.INT(), Types.INT()])))
    failure = slot.failure(replace(job, operators=operators))
    assert failure.operator_name == "Map"
    assert "the value (5,) does not fit the declared type TupleTypeInfo(Integer, Integer)" in failure.message
    assert "yarnflow" not in failure.traceback
    assert not failure.retryable
