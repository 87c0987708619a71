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
