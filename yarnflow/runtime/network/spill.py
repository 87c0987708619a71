"""A queue of encoded frames that keeps a bounded part in memory and the rest in a file.

It holds the results of blocking exchanges: written once from front to back, read once in the same order.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from typing import BinaryIO

from yarnflow.runtime.network.framing import HEADER, FrameKind


class MemoryBudget:
    """Bytes that all queues of one worker may keep in memory together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def reserve(self, size: int) -> bool:
        """Take `size` bytes if they are there."""
        if self.used + size > self.limit:
            return False
        self.used += size
        return True

    def release(self, size: int) -> None:
        """Give bytes back."""
        self.used -= size


class SpillingQueue:
    """First in, first out. Once the budget is used up, everything that follows goes to a file.

    Args:
        budget: shared by the queues of a worker.
        directory: where the file is made; it is unlinked at once, so a killed worker leaves nothing.
    """

    def __init__(self, budget: MemoryBudget, directory: str) -> None:
        self._budget = budget
        self._directory = directory
        self._memory: deque[tuple[FrameKind, int, bytes]] = deque()
        self._file: BinaryIO | None = None
        self._written = 0
        self._read = 0

    def __bool__(self) -> bool:
        return bool(self._memory) or self._read < self._written

    def append(self, kind: FrameKind, records: int, payload: bytes) -> None:
        """Add a frame at the end. Raises OSError when the disk is full."""
        if self._file is None and self._budget.reserve(len(payload)):
            self._memory.append((kind, records, payload))
            return
        if self._file is None:
            self._file = self._open()
        self._file.seek(self._written)
        self._file.write(HEADER.pack(0, kind, records, len(payload)))
        self._file.write(payload)
        self._written += HEADER.size + len(payload)

    def popleft(self) -> tuple[FrameKind, int, bytes]:
        """Remove the oldest frame. Raises IndexError when there is none."""
        if self._memory:
            kind, records, payload = self._memory.popleft()
            self._budget.release(len(payload))
            return kind, records, payload
        if self._file is None or self._read >= self._written:
            raise IndexError("the queue is empty")
        self._file.seek(self._read)
        _, code, records, length = HEADER.unpack(self._file.read(HEADER.size))
        payload = self._file.read(length)
        self._read += HEADER.size + length
        return FrameKind(code), records, payload

    def close(self) -> None:
        """Forget everything."""
        while self._memory:
            self._budget.release(len(self._memory.popleft()[2]))
        if self._file is not None:
            self._file.close()
            self._file = None
        self._read = self._written = 0

    def _open(self) -> BinaryIO:
        os.makedirs(self._directory, exist_ok=True)
        # Unbuffered reads and buffered writes alternate only at the switch from producing to consuming.
        return tempfile.TemporaryFile(dir=self._directory, prefix="partition-")
