"""Records with several readers."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from yarnflow.common import Row, Types
from yarnflow.datastream import OutputTag, ProcessFunction, StreamExecutionEnvironment
from yarnflow.errors import ProgramError
from yarnflow.runtime.operators.isolation import own


@pytest.mark.parametrize("record", [1, "a", None, b"x", 2.5, (1, "a", None), ()])
def test_what_cannot_change_is_shared(record: Any) -> None:
    assert own(record) is record


@pytest.mark.parametrize("record", [[1], {"a": [1]}, ([1], 2), ((1, [2]),), Row(a=[1]), {1, 2}, bytearray(b"x")])
def test_what_can_change_is_copied_whole(record: Any) -> None:
    copied = own(record)
    assert copied == record
    assert copied is not record


def test_what_cannot_be_copied_is_named() -> None:
    with pytest.raises(ProgramError, match=r"_thread.*lock.*several readers.*cannot be copied"):
        own(threading.Lock())


def _change(record: list[Any]) -> list[Any]:
    record.append("changed")
    return record


class ToSide(ProcessFunction):
    """Everything to a side output."""

    def process_element(self, value: Any, ctx: Any) -> Any:
        yield OutputTag("side", Types.PICKLED_BYTE_ARRAY()), value


@pytest.mark.cluster
@pytest.mark.parametrize("shape", ["chain", "source", "broadcast", "side"])
def test_consumers_do_not_see_each_others_changes(shape: str) -> None:
    """The same answer wherever the consumers run."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(2)
    stream = env.from_collection([[0], [1]])
    if shape == "chain":
        stream = stream.map(list)
    elif shape == "broadcast":
        stream = stream.broadcast()
    elif shape == "side":
        stream = stream.process(ToSide()).get_side_output(OutputTag("side", Types.PICKLED_BYTE_ARRAY()))
    changed, plain, again = stream.map(_change), stream.map(list), stream.map(_change)
    with changed.union(plain, again).execute_and_collect() as results:
        found = sorted(map(str, results))
    times = 2 if shape == "broadcast" else 1
    one = ["[0, 'changed']"] * 2 + ["[0]"] + ["[1, 'changed']"] * 2 + ["[1]"]
    assert found == sorted(one * times)
