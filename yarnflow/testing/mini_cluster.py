"""Run programs on a MiniCluster of a chosen shape, for tests.

    @pytest.fixture
    def cluster():
        with mini_cluster(slots=2, taskmanagers=2, parallelism=4) as cluster:
            yield cluster

Inside, `env.execute()` runs there, whatever the program says about targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from yarnflow.config.configuration import Configuration
from yarnflow.config.core import CoreOptions
from yarnflow.config.execution import ExecutionOptions
from yarnflow.graph import executor
from yarnflow.session.local import LocalExecutor

if TYPE_CHECKING:
    from yarnflow.runtime.minicluster import MiniCluster


@contextmanager
def mini_cluster(
    config: Configuration | Mapping[str, str] | None = None,
    *,
    slots: int = 1,
    taskmanagers: int = 1,
    parallelism: int | None = None,
) -> Iterator[MiniCluster]:
    """A cluster that programs in the `with` block run on; it ends with the block, and so do their jobs.

    Args:
        config: of the cluster, and below the programs' own settings.
        slots: of each TaskManager; each slot is a process.
        taskmanagers: how many.
        parallelism: default of the programs; None for all slots.
    """
    # Workers that run programs of tests import this module, too, and need no JobManager.
    from yarnflow.runtime.minicluster import MiniCluster

    settings = Configuration(config)
    with MiniCluster(settings, slots, taskmanagers=taskmanagers) as cluster:
        launch = settings.clone()
        launch.set(ExecutionOptions.ATTACHED, True)
        launch.set(CoreOptions.DEFAULT_PARALLELISM, parallelism or slots * taskmanagers)
        executor.install(LocalExecutor(cluster), launch)
        try:
            yield cluster
        finally:
            executor.install(None)
