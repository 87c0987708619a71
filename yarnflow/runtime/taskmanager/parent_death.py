"""Ties a process's life to its parent's, where the kernel can."""

from __future__ import annotations

import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux: prctl(2), PR_SET_PDEATHSIG).

    A worker also ends when its pipe closes, but one that is stuck in user code would not look. A parent that
    ended before this call is noticed by the pipe. Elsewhere this does nothing.

    "Parent" is the thread that started this process: not for workers that a thread of the user's program
    starts, which may end before the program."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # only needed here

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
