"""Wakes the loop of a worker from other threads."""

from __future__ import annotations

import os
import selectors
from contextlib import suppress


class Waker:
    """A pipe that the loop's selector watches. It stays open as long as the process: a thread may wake a loop that
    has just ended.

    Args:
        selector: of the loop; registered data is a callable that takes the event mask.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        selector.register(self._reader, selectors.EVENT_READ, self._drain)

    def wake(self) -> None:
        """Let the selector return now, or the next time it is asked. From any thread."""
        with suppress(BlockingIOError):  # the pipe is full of reasons to wake up
            os.write(self._writer, b"\0")

    def _drain(self, mask: int) -> None:
        os.read(self._reader, 4096)
