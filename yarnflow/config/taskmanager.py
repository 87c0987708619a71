"""Options of the TaskManager: its slots, its addresses and the exchange of data between workers."""

from __future__ import annotations

from datetime import timedelta

from yarnflow.config.option import Option
from yarnflow.config.values import PORT, PORTS, MemorySize


class TaskManagerOptions:
    """The TaskManager process and its slot workers."""

    NUM_TASK_SLOTS = Option(
        "taskmanager.numberOfTaskSlots",
        int,
        1,
        "Slots of one TaskManager. Each is a process of its own and keeps one core busy. Flags: `-s`, `-ys`.",
        minimum=1,
        shown="1",
    )
    # Flink has no default and demands one of three memory options; its configuration file says 1728m.
    PROCESS_MEMORY = Option(
        "taskmanager.memory.process.size",
        MemorySize,
        MemorySize.of_mebibytes(1728),
        "Memory of a TaskManager with all its slots; on YARN the size of its container. Flags: `-tm`, "
        "`-ytm`.",
        fallback=("taskmanager.memory.flink.size", "taskmanager.heap.size"),
        minimum=MemorySize.of_mebibytes(1),
        shown="1728m",
    )
    MANAGED_MEMORY = Option(
        "taskmanager.memory.managed.size",
        MemorySize,
        None,
        "Memory of a TaskManager that its slots share for state on disk (rocksdb). Without it a fraction.",
    )
    MANAGED_FRACTION = Option(
        "taskmanager.memory.managed.fraction",
        float,
        0.4,
        "That memory as a fraction of `taskmanager.memory.process.size`. Nothing is taken from it unless the "
        "rocksdb backend is used.",
        minimum=0.0,
    )
    HOST = Option(
        "taskmanager.host",
        str,
        None,
        "Host under which the JobManager and other TaskManagers reach this one. Without it the name or "
        "address "
        "of the interface that leads to the JobManager; `localhost` is not applied on YARN.",
        shown="localhost",
    )
    BIND_HOST = Option(
        "taskmanager.bind-host",
        str,
        None,
        "Address the TaskManager binds to. Without it all interfaces; `localhost` is not applied on YARN.",
        shown="localhost",
    )
    RPC_PORT = Option(
        "taskmanager.rpc.port", PORTS, (0,), "Ports for the JobManager's calls, in the order tried."
    )
    DATA_PORT = Option(
        "taskmanager.data.port",
        PORT,
        0,
        "Port for data from other TaskManagers; a slot worker takes the next free.",
    )
    HOST_BIND_POLICY = Option(
        "taskmanager.network.bind-policy",
        str,
        "ip",
        "What a TaskManager without `taskmanager.host` calls itself: its `name` or its `ip`.",
        choices=("name", "ip"),
    )
    REGISTRATION_TIMEOUT = Option(
        "taskmanager.registration.timeout",
        timedelta,
        timedelta(minutes=5),
        "A TaskManager that found no JobManager for so long ends.",
    )
    RESOURCE_ID = Option(
        "taskmanager.resource-id",
        str,
        None,
        "Id of a standalone TaskManager. Without it host, port and a random suffix; on YARN the container "
        "id.",
    )
    SLOT_TIMEOUT = Option(
        "taskmanager.slot.timeout",
        timedelta,
        timedelta(seconds=10),
        "A slot that was given to a job and got no task for so long is free again.",
    )
    CANCELLATION_INTERVAL = Option(
        "task.cancellation.interval",
        timedelta,
        timedelta(seconds=30),
        "Time between two attempts to interrupt a task that is being cancelled.",
    )
    CANCELLATION_TIMEOUT = Option(
        "task.cancellation.timeout",
        timedelta,
        timedelta(seconds=180),
        "A task that is still running so long after it was cancelled loses its slot worker. 0 waits for "
        "ever.",
    )
    SPARE_WORKERS = Option(
        "taskmanager.spare-workers",
        bool,
        True,
        "Whether each slot of a job that takes checkpoints has a second process waiting, so that a lost one is "
        "replaced at once. It takes about 60 MB of memory of its own. Yarnflow's own.",
    )


class NetworkOptions:
    """The exchange of data between slot workers."""

    BUFFERS_PER_CHANNEL = Option(
        "taskmanager.network.memory.buffers-per-channel",
        int,
        2,
        "Batches a sender may have under way on one channel before the receiver must have taken one (its "
        "credit).",
        minimum=1,
    )
    FLOATING_BUFFERS_PER_GATE = Option(
        "taskmanager.network.memory.floating-buffers-per-gate",
        int,
        8,
        "Further credit that the channels of one input share.",
        minimum=0,
    )
    REQUEST_BACKOFF_INITIAL = Option(
        "taskmanager.network.request-backoff.initial",
        timedelta,
        timedelta(milliseconds=100),
        "First pause before connecting again to a worker that did not answer.",
    )
    REQUEST_BACKOFF_MAX = Option(
        "taskmanager.network.request-backoff.max",
        timedelta,
        timedelta(seconds=10),
        "Longest such pause; after it the task fails.",
    )
