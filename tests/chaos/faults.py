"""What strikes slot workers while a job runs."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from yarnflow.runtime.minicluster import MiniCluster

KINDS = ("kill", "pause", "cut")


class Chaos:
    """Strikes a cluster's workers at random moments.

    Args:
        cluster: whose workers.
        seed: of all choices; printed, so that a failure can be looked at again.
        pause: seconds that a stopped worker sleeps at most.
    """

    def __init__(self, cluster: MiniCluster, seed: int, pause: float = 1.5) -> None:
        self._cluster = cluster
        self._chance = random.Random(seed)
        self._pause = pause
        self.struck: list[str] = []
        print(f"chaos with seed {seed}")

    def strike(self, rounds: int, running: Callable[[], bool], between: float = 1.0) -> None:
        """Do `rounds` faults, with random pauses of up to 2 * `between` seconds, as long as the job is running."""
        for _ in range(rounds):
            self._wait(self._chance.uniform(0.2, 2 * between))
            if not running():
                return
            pids = self._cluster.worker_pids()
            if pids:
                self._one(self._chance.choice(KINDS), self._chance.choice(pids))

    def _one(self, kind: str, pid: int) -> None:
        self.struck.append(kind)
        with suppress(ProcessLookupError):  # it has just ended by an earlier fault
            if kind == "kill":
                os.kill(pid, signal.SIGKILL)
            elif kind == "cut":
                if self._handles_cut(pid):
                    os.kill(pid, signal.SIGUSR1)
            else:
                os.kill(pid, signal.SIGSTOP)
                try:
                    self._wait(self._chance.uniform(0.1, self._pause))
                finally:
                    os.kill(pid, signal.SIGCONT)

    @staticmethod
    def _handles_cut(pid: int) -> bool:
        """Whether the worker has the handler already; without one the signal would kill it."""
        with suppress(OSError), open(f"/proc/{pid}/status") as status:
            for text in status:
                if text.startswith("SigCgt:"):
                    return bool(int(text.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1)
        return False

    @staticmethod
    def _wait(seconds: float) -> None:
        """Let the job work for a while; the moment is the point here, not a condition."""
        time.sleep(seconds)
