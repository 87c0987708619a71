"""What streams accept for process functions, and what they build of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from yarnflow.common import Types
from yarnflow.datastream import (
    BroadcastProcessFunction,
    CoMapFunction,
    CoProcessFunction,
    DataStream,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    MapFunction,
    ProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from yarnflow.datastream.data_stream import BroadcastConnectedStream, BroadcastStream
from yarnflow.datastream.state import MapStateDescriptor, ValueStateDescriptor
from yarnflow.errors import ProgramError, SerializationError
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.operators import (
    BroadcastProcessSpec,
    CoMapSpec,
    CoProcessSpec,
    KeyedProcessSpec,
    MapSpec,
    ProcessSpec,
)

RULES = MapStateDescriptor("rules", Types.STRING(), Types.INT())


class Keyed(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        return None


class Plain(ProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        return None


class Co(CoProcessFunction):
    def process_element1(self, value: Any, ctx: Any) -> Any:
        return None

    process_element2 = process_element1


class KeyedCo(KeyedCoProcessFunction):
    def process_element1(self, value: Any, ctx: Any) -> Any:
        return None

    process_element2 = process_element1


class Broadcast(BroadcastProcessFunction[Any, Any, Any]):
    def process_element(self, value: Any, ctx: Any) -> Any:
        return None

    process_broadcast_element = process_element


class KeyedBroadcast(KeyedBroadcastProcessFunction[Any, Any, Any, Any]):
    def process_element(self, value: Any, ctx: Any) -> Any:
        return None

    process_broadcast_element = process_element


class PlainMap(MapFunction):
    def map(self, value: Any) -> Any:
        return value


class RichMap(PlainMap):
    def open(self, runtime_context: RuntimeContext) -> None:
        pass


class Shared(CoMapFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        pass

    def map1(self, value: Any) -> Any:
        return value

    map2 = map1


@pytest.fixture
def numbers() -> DataStream:
    return StreamExecutionEnvironment.get_execution_environment().from_collection([1, 2])


def spec_of(stream: DataStream) -> Any:
    return stream._operator("test").spec


def test_keyed_streams_process_with_and_without_state(numbers: DataStream) -> None:
    keyed = numbers.key_by(lambda n: n)
    assert isinstance(spec_of(keyed.process(Keyed())), KeyedProcessSpec)
    assert keyed.process(Keyed()).get_name() == "KEYED PROCESS"
    assert isinstance(spec_of(keyed.process(Plain())), ProcessSpec)
    assert isinstance(spec_of(keyed.map(RichMap())), KeyedProcessSpec)
    assert keyed.map(RichMap()).get_name() == "Map"
    for fused in (PlainMap(), lambda n: n):
        assert isinstance(spec_of(keyed.map(fused)), MapSpec)
    with pytest.raises(TypeError, match="needs a KeyedProcessFunction, not <"):
        keyed.process(Co())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Keyed is a KeyedProcessFunction and needs a keyed stream: call key_by"):
        numbers.process(Keyed())  # type: ignore[arg-type]


def test_a_list_of_types_declares_a_row(numbers: DataStream) -> None:
    types: Any = [Types.INT(), Types.STRING()]
    assert numbers.process(Plain(), types).get_type() == Types.ROW(types)


def test_connected_streams_are_keyed_when_both_are(numbers: DataStream) -> None:
    connected = numbers.connect(numbers)
    keyed = connected.key_by(lambda n: n, lambda n: -n)
    assert spec_of(connected.process(Co())).keys is None
    keys = spec_of(keyed.process(KeyedCo())).keys
    assert [key(1) for key in keys] == [1, -1]
    assert keyed.process(KeyedCo()).get_name() == "Keyed Co-Process"
    assert isinstance(spec_of(keyed.map(Shared())), CoProcessSpec)
    assert isinstance(spec_of(connected.map(Shared())), CoMapSpec)
    assert spec_of(numbers.key_by(lambda n: n).connect(numbers).process(Co())).keys is None
    with pytest.raises(ProgramError, match="KeyedCo is a KeyedCoProcessFunction and needs keyed streams"):
        connected.process(KeyedCo())
    with pytest.raises(TypeError, match="needs a CoProcessFunction or a KeyedCoProcessFunction"):
        connected.process(Plain())  # type: ignore[arg-type]


def test_broadcast_streams_reach_all_subtasks(numbers: DataStream) -> None:
    broadcast = numbers.broadcast(RULES, MapStateDescriptor("more"))
    assert isinstance(broadcast, BroadcastStream)
    assert [descriptor.name for descriptor in broadcast.broadcast_state_descriptors] == ["rules", "more"]
    connected = numbers.connect(broadcast)
    assert isinstance(connected, BroadcastConnectedStream)
    spec = spec_of(connected.process(Broadcast()))
    assert isinstance(spec, BroadcastProcessSpec)
    assert (spec.key, [descriptor.name for descriptor in spec.descriptors]) == (None, ["rules", "more"])
    keyed = numbers.key_by(lambda n: n).connect(broadcast)
    stream = keyed.process(KeyedBroadcast()).set_parallelism(2)
    assert spec_of(stream).key(3) == 3
    stream.print()
    edges = stream.get_execution_environment().get_job_graph().edges
    assert {edge.partitioning for edge in edges} >= {Partitioning.BROADCAST, Partitioning.HASH}
    with pytest.raises(TypeError, match=r"process\(\) of a keyed stream needs a KeyedBroadcastProcessFunction"):
        keyed.process(Broadcast())
    with pytest.raises(TypeError, match=r"process\(\) of a non-keyed stream needs a BroadcastProcessFunction"):
        connected.process(KeyedBroadcast())
    with pytest.raises(TypeError, match="needs a MapStateDescriptor"):
        numbers.broadcast(ValueStateDescriptor("value"))  # type: ignore[call-overload]
    with pytest.raises(ProgramError, match=r"broadcast\(\) after key_by"):
        numbers.key_by(lambda n: n).broadcast(RULES)


def test_what_cannot_be_pickled_is_named_as_the_program_knows_it(numbers: DataStream) -> None:
    function = RichMap()
    function.lock = threading.Lock()  # type: ignore[attr-defined]
    numbers.key_by(lambda n: n).map(function).print()
    with pytest.raises(SerializationError, match="'Map': the function of class RichMap cannot be pickled"):
        numbers.get_execution_environment().get_job_graph()
