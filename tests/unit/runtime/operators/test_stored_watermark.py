"""Where event time stands after a restart."""

from __future__ import annotations

from typing import Any

from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.stored_watermark import restored_watermark


class Restored:
    """Stands in for what a subtask gets back."""

    def __init__(self, subtask_index: int, rescaled: bool, *stored: tuple[int, int]) -> None:
        self.subtask_index = subtask_index
        self.rescaled = rescaled
        self.stored = stored

    def items(self, name: str, kind: Any) -> list[tuple[int, int]]:
        return list(self.stored)


def at(*arguments: Any) -> int:
    return restored_watermark(Restored(*arguments))  # type: ignore[arg-type]


def test_each_subtask_goes_on_where_it_was_when_barriers_overtook_records() -> None:
    """Else windows of a subtask that was ahead would fire again for late records."""
    assert at(1, False, (0, 50), (1, 100)) == 100
    assert at(0, False, (0, 50), (1, 100)) == 50


def test_at_another_parallelism_nothing_becomes_late() -> None:
    assert at(1, True, (0, 50), (1, 100)) == 50


def test_event_time_begins_anew_after_its_end_and_without_a_checkpoint() -> None:
    assert at(0, False, (0, MAX_WATERMARK)) == MIN_WATERMARK
    assert at(0, False) == MIN_WATERMARK
