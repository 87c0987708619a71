"""The queue behind blocking exchanges."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yarnflow.runtime.network.framing import FrameKind
from yarnflow.runtime.network.spill import MemoryBudget, SpillingQueue


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50)), st.integers(0, 400))
def test_frames_come_back_in_order_wherever_they_were(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], limit: int
) -> None:
    budget = MemoryBudget(limit)
    queue = SpillingQueue(budget, str(tmp_path_factory.getbasetemp()))
    for number, payload in enumerate(payloads):
        queue.append(FrameKind.ROWS, number, payload)
    assert budget.used <= limit
    got = []
    while queue:
        got.append(queue.popleft())
    assert got == [(FrameKind.ROWS, number, payload) for number, payload in enumerate(payloads)]
    assert budget.used == 0
    with pytest.raises(IndexError):
        queue.popleft()
    queue.close()


def test_reading_and_writing_may_alternate(tmp_path: Path) -> None:
    queue = SpillingQueue(MemoryBudget(0), str(tmp_path))
    queue.append(FrameKind.ROWS, 1, b"a")
    queue.append(FrameKind.ROWS, 2, b"bb")
    assert queue.popleft() == (FrameKind.ROWS, 1, b"a")
    queue.append(FrameKind.ELEMENT, 0, b"ccc")
    assert queue.popleft() == (FrameKind.ROWS, 2, b"bb")
    assert queue.popleft() == (FrameKind.ELEMENT, 0, b"ccc")
    assert not queue
    queue.close()


def test_closing_gives_the_memory_back_and_leaves_no_file(tmp_path: Path) -> None:
    budget = MemoryBudget(10)
    queue = SpillingQueue(budget, str(tmp_path))
    queue.append(FrameKind.ROWS, 1, b"12345678")
    queue.append(FrameKind.ROWS, 1, b"12345678")
    queue.close()
    assert budget.used == 0
    assert list(tmp_path.iterdir()) == []
