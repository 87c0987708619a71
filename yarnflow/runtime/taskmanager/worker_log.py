"""Logging of a slot worker: one line per record on stderr, which the supervisor leads to the slot's file."""

from __future__ import annotations

import logging
import sys
from collections import deque

_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)-5s [%(task)s] %(name)s - %(message)s"

#: Log lines that are shown with a failure.
TAIL_RECORDS = 30


class WorkerLog(logging.Handler):
    """The worker's only handler: writes to stderr and remembers the last lines.

    Attributes:
        task: the task at work, shown in each line.
    """

    def __init__(self) -> None:
        super().__init__()
        self.task = "worker"
        self._tail: deque[str] = deque(maxlen=TAIL_RECORDS)
        self.setFormatter(logging.Formatter(_FORMAT, "%Y-%m-%d %H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        record.task = self.task
        try:
            line = self.format(record)
            self._tail.append(line)
            sys.stderr.write(line + "\n")
        except Exception:  # as the standard handlers do: logging must not end the program
            self.handleError(record)

    def tail(self) -> str:
        """The last lines."""
        return "\n".join(self._tail)

    def install(self, level: str) -> None:
        """Make this the handler of the root logger. `level` is a name of the logging module."""
        root = logging.getLogger()
        root.handlers[:] = [self]
        root.setLevel(level)
