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

#: Areas that are checked and that no code acts on yet. Whoever makes one work takes it out, and rewords its class.
NOT_ACTED_ON: tuple[type, ...] = (
    HighAvailabilityOptions,
    SecurityOptions,
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
