"""The configuration as it travels to YARN: sizes, and without what only holds on this machine."""

from __future__ import annotations

import math

from yarnflow.config import Configuration
from yarnflow.config.cluster import ResourceManagerOptions
from yarnflow.config.core import CoreOptions, PythonOptions
from yarnflow.config.jobmanager import JobManagerOptions, RestOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.config.yarn import YarnOptions

#: Addresses of standalone clusters. Their rendered defaults say localhost, which on YARN would be wrong.
_LOCAL_ADDRESSES = (
    JobManagerOptions.RPC_ADDRESS,
    JobManagerOptions.BIND_HOST,
    TaskManagerOptions.HOST,
    TaskManagerOptions.BIND_HOST,
    RestOptions.ADDRESS,
    RestOptions.BIND_ADDRESS,
)
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
#: Paths of this machine, which containers do not have; jobs ship their files themselves.
_CLIENT_ONLY = (
    PythonOptions.FILES,
    PythonOptions.REQUIREMENTS,
    PythonOptions.ARCHIVES,
    PythonOptions.CLIENT_EXECUTABLE,
    CoreOptions.HADOOP_CONF_DIR,
    CoreOptions.YARN_CONF_DIR,
    CoreOptions.JAVA_HOME,
    CoreOptions.LOG_DIR,
    CoreOptions.PID_DIR,
    CoreOptions.TMP_DIRS,
    YarnOptions.PROPERTIES_FILE_LOCATION,
)


def for_cluster(config: Configuration) -> Configuration:
    """What JobManager and TaskManagers get."""
    result = config.clone()
    for address in _LOCAL_ADDRESSES:
        if (config.get(address) or "") in _LOCAL_NAMES:
            _remove(result, address.key, *address.fallback)
    for option in _CLIENT_ONLY:
        _remove(result, option.key, *option.fallback)
    # rest.port is where a standalone cluster is; on YARN several JobManagers may share a node.
    _remove(result, RestOptions.PORT.key, *RestOptions.PORT.fallback)
    return result


def _remove(config: Configuration, *keys: str) -> None:
    for key in keys:
        config.remove_config(key)


def slots_per_worker(config: Configuration) -> int:
    """Slots of one TaskManager."""
    return config[TaskManagerOptions.NUM_TASK_SLOTS]


def workers_for(slots: int, config: Configuration) -> int:
    """TaskManagers that together have so many slots, within slotmanager.number-of-slots.max."""
    most = config[ResourceManagerOptions.MAX_SLOT_NUM]
    if most is not None:
        slots = min(slots, most)
    return math.ceil(slots / slots_per_worker(config))


def worker_vcores(config: Configuration) -> int:
    """Virtual cores of a TaskManager's container: one for each slot unless told otherwise."""
    vcores = config[YarnOptions.CONTAINERS_VCORES]
    return vcores if vcores > 0 else slots_per_worker(config)
