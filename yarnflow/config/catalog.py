"""All declarations together: what the loader knows and the documentation lists.

Flink's keys that are not declared stand in without_effect.py.
"""

from __future__ import annotations

from typing import Any

from yarnflow.config.availability import HighAvailabilityOptions
from yarnflow.config.checkpointing import CheckpointingOptions, StateBackendOptions
from yarnflow.config.cluster import HeartbeatOptions, ResourceManagerOptions
from yarnflow.config.core import ClientOptions, CoreOptions, PipelineOptions, PythonOptions
from yarnflow.config.execution import ExecutionOptions, RestartStrategyOptions
from yarnflow.config.jobmanager import JobManagerOptions, RestOptions
from yarnflow.config.option import Option, OptionPrefix
from yarnflow.config.program import ProgramOptions
from yarnflow.config.rocksdb import RocksDBOptions
from yarnflow.config.security import ClusterSecretOptions, SecurityOptions
from yarnflow.config.taskmanager import NetworkOptions, TaskManagerOptions
from yarnflow.config.yarn import ContainerOptions, YarnOptions

#: Title and class of each area, in the order of the configuration file and of the documentation.
AREAS: tuple[tuple[str, type], ...] = (
    ("Core", CoreOptions),
    ("JobManager", JobManagerOptions),
    ("TaskManager", TaskManagerOptions),
    ("Network", NetworkOptions),
    ("Slots and workers", ResourceManagerOptions),
    ("Heartbeats", HeartbeatOptions),
    ("REST and dashboard", RestOptions),
    ("Client", ClientOptions),
    ("Execution", ExecutionOptions),
    ("Restart strategies", RestartStrategyOptions),
    ("Pipeline", PipelineOptions),
    ("Program", ProgramOptions),
    ("Python", PythonOptions),
    ("YARN", YarnOptions),
    ("Containers", ContainerOptions),
    ("Checkpoints and savepoints", CheckpointingOptions),
    ("State backends", StateBackendOptions),
    ("State backend rocksdb", RocksDBOptions),
    ("High availability", HighAvailabilityOptions),
    ("Cluster secret", ClusterSecretOptions),
    ("Security", SecurityOptions),
)

def options_of(area: type) -> list[Option[Any] | OptionPrefix]:
    """The options an area declares, in the order they are written."""
    return [value for value in vars(area).values() if isinstance(value, Option | OptionPrefix)]


def declared_options() -> list[Option[Any]]:
    """Every option of every area."""
    return [option for _, area in AREAS for option in options_of(area) if isinstance(option, Option)]


def declared_prefixes() -> list[OptionPrefix]:
    """Every family of keys of every area."""
    return [option for _, area in AREAS for option in options_of(area) if isinstance(option, OptionPrefix)]


#: Options that are checked and that no code acts on yet. Whoever makes one work takes it out.
NOT_ACTED_ON: tuple[Option[Any], ...] = (
    *(
        option
        for area in (HighAvailabilityOptions, SecurityOptions)
        for option in options_of(area)
        if isinstance(option, Option)
    ),
    ClientOptions.HEARTBEAT_INTERVAL,
    ClientOptions.HEARTBEAT_TIMEOUT,
    ClientOptions.RETRY_PERIOD,
    CoreOptions.DEFAULT_FILESYSTEM,
    NetworkOptions.BUFFERS_PER_CHANNEL,
    NetworkOptions.FLOATING_BUFFERS_PER_GATE,
    NetworkOptions.REQUEST_BACKOFF_INITIAL,
    NetworkOptions.REQUEST_BACKOFF_MAX,
    ResourceManagerOptions.PREVIOUS_WORKER_RECOVERY_TIMEOUT,
    RestOptions.CANCEL_ENABLED,
    RestOptions.REFRESH_INTERVAL,
    RestOptions.RETRY_DELAY,
    RestOptions.RETRY_MAX_ATTEMPTS,
    RestOptions.SERVER_MAX_CONTENT_LENGTH,
    RestOptions.SUBMIT_ENABLED,
    TaskManagerOptions.CANCELLATION_INTERVAL,
    TaskManagerOptions.SLOT_TIMEOUT,
    YarnOptions.ATTEMPT_FAILURES_VALIDITY_INTERVAL,
    YarnOptions.BACKEND,
    YarnOptions.HEARTBEAT_INTERVAL,
)
