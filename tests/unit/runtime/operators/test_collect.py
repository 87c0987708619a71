"""Results on their way to the client."""

from __future__ import annotations

import pickle
from typing import Any

from tests.unit.runtime.operators.harness import operator_context
from yarnflow.functions.batch import RowBatch
from yarnflow.graph.operators import CollectSpec, Operator
from yarnflow.runtime.operators.collect import (
    FIRST_RECORDS,
    LATENCY,
    MESSAGE_BYTES,
    MESSAGE_RECORDS,
    WINDOW,
    CollectOperator,
)
from yarnflow.runtime.state.snapshot import TaskSnapshot


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[CollectOperator, list[Any], Clock]:
    sent: list[Any] = []
    context = operator_context(send=sent.append)
    clock = Clock()
    return CollectOperator(Operator("0" * 32, "Collect", CollectSpec("c")), context, clock), sent, clock


def test_a_slow_client_stops_the_operator_and_gets_everything_in_order() -> None:
    operator, sent, _ = make()
    written = 0
    while operator.has_room():
        operator.process_batch(RowBatch(list(range(written, written + 3000))), 0)
        written += 3000
    assert len(sent) == WINDOW
    assert written <= (WINDOW + 1) * MESSAGE_RECORDS + 3000
    operator.finish()
    assert not operator.drained()
    acknowledged = 0
    while not operator.drained():
        assert acknowledged < len(sent)
        operator.acknowledge(acknowledged)
        acknowledged += 1
    assert [message.sequence for message in sent] == list(range(len(sent)))
    assert [row for message in sent for row in pickle.loads(message.rows)] == list(range(written))


def test_few_records_leave_when_the_input_pauses_or_after_a_moment() -> None:
    operator, sent, clock = make()
    operator.process_batch(RowBatch([1]), 0)
    assert sent == []
    operator.flush()
    assert len(sent) == 1
    operator.process_batch(RowBatch([2]), 0)
    clock.now += LATENCY
    operator.process_batch(RowBatch([3]), 0)
    assert len(sent) == 2


def test_objects_of_the_users_program_travel() -> None:
    class Local:
        value = 5

    operator, sent, _ = make()
    operator.process_batch(RowBatch([Local()]), 0)
    operator.finish()
    assert pickle.loads(sent[0].rows)[0].value == 5


def test_large_records_do_not_pile_up_by_their_number() -> None:
    operator, sent, _ = make()
    written = 0
    while operator.has_room():
        operator.process_batch(RowBatch([bytes(MESSAGE_BYTES // 10)] * 5), 0)
        written += 5
    assert len(sent) == WINDOW
    assert written <= FIRST_RECORDS + WINDOW * 10 + 15
    operator.finish()
    for sequence in range(1000):
        operator.acknowledge(sequence)
    assert operator.drained()
    assert max(len(message.rows) for message in sent[1:]) <= 1.1 * MESSAGE_BYTES
    assert sum(len(pickle.loads(message.rows)) for message in sent) == written


def test_records_are_sent_before_the_barrier_that_follows_them() -> None:
    operator, sent, _ = make()
    while operator.has_room():  # nobody acknowledges anything
        operator.process_batch(RowBatch([1] * 3000), 0)
    operator.prepare_snapshot()
    assert operator.drained()
    snapshot = TaskSnapshot(7, False, 128, (0, 127))
    operator.snapshot(snapshot)
    assert snapshot.lists == []
    assert {message.checkpoint_id for message in sent} == {0}
    operator.acknowledge(len(sent) - 1)
    operator.process_batch(RowBatch([2]), 0)
    operator.flush()
    assert (pickle.loads(sent[-1].rows), sent[-1].checkpoint_id) == ([2], 7)
