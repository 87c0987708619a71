from __future__ import annotations

import pytest

from yarnflow.errors import ProtocolError
from yarnflow.runtime.jobmanager import collect_buffer
from yarnflow.runtime.jobmanager.collect_buffer import CollectBuffer
from yarnflow.runtime.rpc.messages import CollectedRows


def rows(sequence: int, execution: str = "e", size: int = 1) -> CollectedRows:
    return CollectedRows("job", "c", execution, sequence, bytes([sequence]) * size)


def test_pages_come_in_order_and_are_acknowledged_by_the_next_token():
    buffer = CollectBuffer()
    buffer.add(rows(0))
    buffer.add(rows(1))
    page = buffer.fetch(0, False)
    assert page.batches == (b"\0", b"\1")
    assert page.token == 1
    assert buffer.is_new(1)
    buffer.client_has_page()
    assert buffer.acknowledge() == [("e", 1)]
    assert buffer.acknowledge() == []


def test_the_same_token_repeats_the_page():
    buffer = CollectBuffer()
    buffer.add(rows(0))
    first = buffer.fetch(0, False)
    buffer.add(rows(1))
    assert buffer.fetch(0, False) == first


def test_an_empty_page_keeps_its_token():
    buffer = CollectBuffer()
    assert buffer.fetch(0, False) == buffer.fetch(0, False)
    buffer.add(rows(0))
    assert buffer.fetch(0, False).token == 1


@pytest.mark.parametrize("token", [-1, 2, 99])
def test_foreign_tokens_are_refused(token):
    buffer = CollectBuffer()
    buffer.add(rows(0))
    buffer.fetch(0, False)
    with pytest.raises(ProtocolError):
        buffer.fetch(token, False)


def test_pages_are_bounded_but_never_empty_for_a_large_message(monkeypatch):
    monkeypatch.setattr(collect_buffer, "PAGE_BYTES", 10)
    buffer = CollectBuffer()
    for sequence, size in enumerate((50, 6, 6)):
        buffer.add(rows(sequence, size=size))
    assert [len(b) for b in buffer.fetch(0, True).batches] == [50]
    page = buffer.fetch(1, True)
    assert len(page.batches) == 1
    assert not page.ended
    assert buffer.fetch(2, True).ended


def test_what_the_client_has_not_seen_of_a_restarted_task_is_forgotten():
    buffer = CollectBuffer()
    buffer.add(rows(0, "old"))
    buffer.add(rows(0, "other"))
    assert buffer.forget(["old"])
    assert len(buffer.fetch(0, False).batches) == 1


def test_what_it_has_seen_cannot_be_taken_back():
    buffer = CollectBuffer()
    buffer.add(rows(0, "old"))
    buffer.fetch(0, False)
    assert not buffer.forget(["old"])


# -- with checkpoints ------------------------------------------------------------------------------------


def tagged(sequence: int, checkpoint: int, execution: str = "e") -> CollectedRows:
    return CollectedRows("job", "c", execution, sequence, bytes([sequence]), checkpoint)


def test_a_restart_from_a_checkpoint_by_hand_takes_back_what_came_after_it():
    for fetched in (0, 1, 2):
        buffer = CollectBuffer()
        token = 0
        for sequence, checkpoint in enumerate((0, 4)):
            buffer.add(tagged(sequence, checkpoint))
            if sequence < fetched:
                token = buffer.fetch(token, False).token
        assert buffer.forget(["e"], 4) is (fetched < 2)
        assert buffer.fetch(token, False).batches == ((b"\0",) if fetched == 0 else ())


def test_records_wait_for_the_checkpoint_behind_them():
    buffer = CollectBuffer(checkpointed=True)
    for sequence, checkpoint in enumerate((0, 0, 1)):
        buffer.add(tagged(sequence, checkpoint))
    assert buffer.empty
    assert buffer.acknowledge() == [("e", 2)], "at once: the barrier waits behind them"
    buffer.release(1)
    assert buffer.fetch(0, False).batches == (b"\0", b"\1")
    buffer.release(2)
    assert buffer.fetch(1, False).batches == (b"\2",)


def test_records_of_a_complete_checkpoint_that_come_late_do_not_wait():
    buffer = CollectBuffer(checkpointed=True)
    buffer.release(3)
    buffer.add(tagged(0, 2))
    buffer.add(tagged(1, 3))
    assert buffer.fetch(0, False).batches == (b"\0",)


def test_a_restart_takes_back_what_was_held_and_nothing_else():
    buffer = CollectBuffer(checkpointed=True)
    buffer.add(tagged(0, 0))
    buffer.release(1)
    buffer.add(tagged(1, 1))
    buffer.add(tagged(5, 1, "other"))
    assert buffer.fetch(0, False).batches == (b"\0",)
    assert buffer.forget(["e"]), "the successors repeat nothing that the client has seen"
    buffer.add(tagged(0, 1, "e2"))
    buffer.release(2)
    assert buffer.fetch(1, False).batches == (b"\5", b"\0")


def test_the_end_of_the_job_releases_everything():
    buffer = CollectBuffer(checkpointed=True)
    buffer.add(tagged(0, 7))
    buffer.release(None)
    page = buffer.fetch(0, True)
    assert page.batches == (b"\0",)
    assert page.ended


def test_a_client_that_does_not_fetch_slows_workers_down(monkeypatch):
    monkeypatch.setattr(collect_buffer, "WAITING_BYTES", 10)
    buffer = CollectBuffer(checkpointed=True)
    buffer.add(CollectedRows("job", "c", "e", 0, bytes(20), 0))
    assert buffer.acknowledge() == [("e", 0)]
    buffer.release(1)
    buffer.add(tagged(1, 1))
    assert buffer.acknowledge() == []
    buffer.fetch(0, False)
    assert buffer.acknowledge() == [("e", 1)]


def test_workers_that_fill_the_buffer_wait_for_a_checkpoint_and_go_on_until_its_barrier(monkeypatch):
    monkeypatch.setattr(collect_buffer, "HELD_BYTES", 3)
    buffer = CollectBuffer(checkpointed=True)
    for sequence in range(3):
        buffer.add(tagged(sequence, 0))
    assert buffer.acknowledge() == [("e", 2)]
    buffer.add(tagged(3, 0))
    buffer.add(tagged(0, 0, "other"))
    assert buffer.acknowledge() == []
    assert buffer.acknowledge(under_way=1) == [("e", 3), ("other", 0)], "the barrier waits behind their records"
    buffer.add(tagged(4, 1))
    buffer.add(tagged(1, 0, "other"))
    assert buffer.acknowledge(under_way=1) == [("other", 1)], "it has passed the first"
    buffer.release(1)
    assert buffer.acknowledge() == [("e", 4)]
    assert len(buffer.fetch(0, False).batches) == 6
    buffer.release(2)
    assert len(buffer.fetch(1, False).batches) == 1


def test_what_is_taken_back_makes_room(monkeypatch):
    monkeypatch.setattr(collect_buffer, "HELD_BYTES", 1)
    buffer = CollectBuffer(checkpointed=True)
    for sequence in range(2):
        buffer.add(tagged(sequence, 0))
    assert buffer.acknowledge() == []
    assert buffer.forget(["e"])
    buffer.add(tagged(0, 0, "e2"))
    assert buffer.acknowledge() == [("e2", 0)]
