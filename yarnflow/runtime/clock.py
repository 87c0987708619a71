"""Time for shells: seconds since the epoch that never jump back.

The wall clock of the process's start plus what a monotonic clock counted since, so that restart delays
and timeouts survive a step of the wall clock, and timestamps can still be shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]

_START = time.time() - time.monotonic()


def system_clock() -> float:
    """Seconds since the epoch."""
    return _START + time.monotonic()
