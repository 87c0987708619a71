"""Worker processes that wait for a slot to need them.

A job that takes checkpoints gets a spare for each of its slots once it is under way: recovery then waits neither
for a process to start nor for pyarrow to load, 0.3 s or more together. Other jobs have none, so that a slot
without state needs the memory of one process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from yarnflow.config.checkpointing import CheckpointingOptions
from yarnflow.config.configuration import Configuration
from yarnflow.config.core import PythonOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.runtime.taskmanager.worker_spawn import SpawnedWorker

logger = logging.getLogger(__name__)

#: Seconds from a slot's reservation to the start of its spare: the job's own start shall not be slowed down.
DELAY = 2.0


def wanted(config: Configuration) -> bool:
    """Whether a job of this configuration gets spares. One with an interpreter of its own could not use them."""
    return (
        config[TaskManagerOptions.SPARE_WORKERS]
        and CheckpointingOptions.INTERVAL in config
        and PythonOptions.EXECUTABLE not in config
    )


class SpareWorkers:
    """At most one spare per slot.

    Args:
        spawn: starts one for a slot, with everything loaded that restoring needs. May raise OSError.
        spares: there are some already, by slot.
    """

    def __init__(self, spawn: Callable[[int], SpawnedWorker], spares: dict[int, SpawnedWorker]) -> None:
        self._loop = asyncio.get_running_loop()
        self._spawn = spawn
        self._spares = spares
        self._planned: dict[int, asyncio.TimerHandle] = {}

    def plan(self, index: int) -> None:
        """The slot will want a spare."""
        if index not in self._planned:
            self._planned[index] = self._loop.call_later(DELAY, self._start, index)

    def take(self, index: int) -> SpawnedWorker | None:
        """The spare of a slot, now the caller's; None when there is none that lives."""
        spare = self._spares.pop(index, None)
        if spare is not None and spare.process.poll() is not None:
            spare.pipe.close()
            return None
        if spare is not None and spare.stderr.exists():
            # What the slot's last worker wrote meanwhile is not the spare's.
            return replace(spare, log_start=spare.stderr.stat().st_size)
        return spare

    def pids(self) -> list[int]:
        """Of the spares."""
        return [spare.process.pid for spare in self._spares.values()]

    def close(self) -> None:
        """End them all."""
        for timer in self._planned.values():
            timer.cancel()
        for spare in self._spares.values():
            spare.process.kill()
            spare.process.wait()
            spare.pipe.close()
        self._spares.clear()

    def _start(self, index: int) -> None:
        del self._planned[index]
        if index not in self._spares:
            try:
                self._spares[index] = self._spawn(index)
            except OSError as error:
                logger.warning("no spare worker for slot %d: %s", index, error)
