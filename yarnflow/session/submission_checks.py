"""What can be known to fail before an application is submitted: queues, sizes, options YARN will not hear of."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from yarnflow.config import Configuration
from yarnflow.config.cluster import ResourceManagerOptions
from yarnflow.config.jobmanager import JobManagerOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.config.yarn import YarnOptions
from yarnflow.errors import ConfigurationError, ResourceError
from yarnflow.session import yarn_config
from yarnflow.yarn.rm_rest import Queue, ResourceManagerClient, Size

#: skein's JVM has a heap of 128 MB, and Python beside it needs some room.
_LEAST_MASTER_MB = 384
_LEAST_WORKER_MB = 256

#: Options that skein cannot pass on, and what we do instead.
_WITHOUT_EFFECT = {
    YarnOptions.APPLICATION_TYPE.key: "YARN shows the type skein; a tag with this text is set instead",
    YarnOptions.APPLICATION_PRIORITY.key: "skein submits with priority 0",
    YarnOptions.FILE_REPLICATION.key: "files travel with the file system's own replication",
}


def check(config: Configuration, yarn: ResourceManagerClient, say: Callable[[str], None]) -> None:
    """Raise what YARN would refuse later, or never grant.

    Raises:
        ConfigurationError: the queue does not exist or is stopped, or a size is too small to work.
        ResourceError: a container is larger than the scheduler's maximum.
        ClusterUnreachableError: the ResourceManager does not answer.
    """
    for key, reason in _WITHOUT_EFFECT.items():
        if key in config:
            say(f"{key} has no effect on YARN through skein: {reason}")
    check_queue(config[YarnOptions.APPLICATION_QUEUE] or "", yarn.queues())
    check_sizes(config, yarn.maximum_allocation(), yarn.largest_node())


def check_queue(name: str, queues: list[Queue]) -> None:
    """Raise ConfigurationError unless applications can be submitted to the queue.

    Args:
        name: "default", "root.default"; "" leaves the choice to YARN.
        queues: that exist; an empty list means that the scheduler has none.
    """
    if not name or not queues:
        return
    for queue in queues:
        if name in (queue.name, queue.path):
            if queue.state != "RUNNING":
                raise ConfigurationError(
                    f"the queue {name!r} is {queue.state} and takes no applications: choose another with -qu"
                )
            return
    names = [queue.name for queue in queues]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigurationError(
        f"there is no queue {name!r}: {hint}YARN has {', '.join(sorted(names))} "
        f"({YarnOptions.APPLICATION_QUEUE.key}, -qu)"
    )


def check_sizes(config: Configuration, maximum: Size | None, node: Size | None = None) -> None:
    """Raise unless containers of the configured sizes can be had and used.

    A session would be accepted all the same, and fail with its first request for a TaskManager: YARN refuses
    what is larger than the scheduler's maximum or than every node.

    Args:
        maximum: the scheduler's largest container; None when YARN does not tell.
        node: the most memory and cores of a node; None when no node runs yet.

    Raises:
        ConfigurationError: too small for what runs in it.
        ResourceError: too large for YARN.
    """
    asked = (
        (
            "JobManager",
            f"{JobManagerOptions.PROCESS_MEMORY.key} (-jm)",
            config[JobManagerOptions.PROCESS_MEMORY].mebibytes,
            YarnOptions.APP_MASTER_VCORES.key,
            config[YarnOptions.APP_MASTER_VCORES],
            _LEAST_MASTER_MB,
        ),
        (
            "TaskManager",
            f"{TaskManagerOptions.PROCESS_MEMORY.key} (-tm)",
            config[TaskManagerOptions.PROCESS_MEMORY].mebibytes,
            f"{TaskManagerOptions.NUM_TASK_SLOTS.key} (-s) or {YarnOptions.CONTAINERS_VCORES.key}",
            yarn_config.worker_vcores(config),
            _LEAST_WORKER_MB,
        ),
    )
    for who, memory_key, memory_mb, vcores_key, vcores, least in asked:
        if memory_mb < least:
            raise ConfigurationError(
                f"{memory_mb} MB are too little for a {who}: {memory_key} must be {least} MB at least"
            )
        if maximum is not None and memory_mb > maximum.memory_mb:
            raise ResourceError(
                f"a {who} of {memory_mb} MB can never run: the scheduler's largest container has "
                f"{maximum.memory_mb} MB. Lower {memory_key}, or raise yarn.scheduler.maximum-allocation-mb"
            )
        if maximum is not None and vcores > maximum.vcores:
            raise ResourceError(
                f"a {who} of {vcores} virtual cores can never run: the scheduler's largest container has "
                f"{maximum.vcores}. Lower {vcores_key}, or raise yarn.scheduler.maximum-allocation-vcores"
            )
        if node is not None and memory_mb > node.memory_mb:
            raise ResourceError(
                f"a {who} of {memory_mb} MB can never run: the largest node has {node.memory_mb} MB. "
                f"Lower {memory_key}"
            )


def minimum_slots(config: Configuration) -> int:
    """Slots that a session has from the start: slotmanager.number-of-slots.min."""
    return config[ResourceManagerOptions.MIN_SLOT_NUM]
