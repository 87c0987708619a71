"""Ties a process's life to its parent's, where the kernel can."""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux: prctl(2), PR_SET_PDEATHSIG).

    A worker also ends when its pipe closes, but one that is stuck in user code would not look. Elsewhere
    this does nothing."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # only needed here

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() == 1:
        # The parent ended before the call above could see it.
        os.kill(os.getpid(), signal.SIGKILL)
