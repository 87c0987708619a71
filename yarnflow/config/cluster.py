"""Options of what keeps a cluster together: slots and the workers that bring them, heartbeats."""

from __future__ import annotations

from datetime import timedelta

from yarnflow.config.option import Option


class ResourceManagerOptions:
    """Who gets slots, and when TaskManagers are requested and released."""

    MAX_SLOT_NUM = Option(
        "slotmanager.number-of-slots.max",
        int,
        None,
        "Slots the cluster may have at most. Without it there is no limit; standalone clusters have what "
        "they are "
        "given.",
        minimum=1,
    )
    MIN_SLOT_NUM = Option(
        "slotmanager.number-of-slots.min",
        int,
        0,
        "Slots that are requested as the cluster starts and kept when idle.",
        minimum=0,
    )
    REDUNDANT_TASK_MANAGER_NUM = Option(
        "slotmanager.redundant-taskmanager-num",
        int,
        0,
        "Spare TaskManagers on YARN, so that a lost one is replaced without waiting for a container.",
        minimum=0,
    )
    SLOT_REQUEST_TIMEOUT = Option(
        "slot.request.timeout",
        timedelta,
        timedelta(minutes=5),
        "A job that did not get its slots within this time fails (and restarts, if its strategy says so).",
    )
    TASK_MANAGER_TIMEOUT = Option(
        "resourcemanager.taskmanager-timeout",
        timedelta,
        timedelta(seconds=30),
        "A TaskManager that was idle for so long is released.",
        fallback=("slotmanager.taskmanager-timeout",),
    )
    TASK_MANAGER_REGISTRATION_TIMEOUT = Option(
        "resourcemanager.taskmanager-registration.timeout",
        timedelta,
        timedelta(minutes=5),
        "A container whose TaskManager did not register within this time is given back and requested again.",
        fallback=("taskmanager.registration.timeout",),
    )
    START_WORKER_MAX_FAILURE_RATE = Option(
        "resourcemanager.start-worker.max-failure-rate",
        float,
        10.0,
        "TaskManagers that may fail to start within a minute before requests pause.",
        minimum=0.0,
    )
    START_WORKER_RETRY_INTERVAL = Option(
        "resourcemanager.start-worker.retry-interval",
        timedelta,
        timedelta(seconds=3),
        "Length of that pause.",
    )
    PREVIOUS_WORKER_RECOVERY_TIMEOUT = Option(
        "resourcemanager.previous-worker.recovery.timeout",
        timedelta,
        timedelta(0),
        "After a restart of the JobManager, how long it waits for TaskManagers of the attempt before, prior "
        "to "
        "requesting new ones.",
    )
    # Flink writes -1 for "not set".
    STANDALONE_START_UP_TIME = Option(
        "resourcemanager.standalone.start-up-time",
        timedelta,
        None,
        "For so long after its start a standalone cluster waits for TaskManagers before it says that there "
        "are too "
        "few slots. Without it `slot.request.timeout`.",
    )


class HeartbeatOptions:
    """How processes notice that another is gone, when no closed connection tells them at once."""

    INTERVAL = Option(
        "heartbeat.interval",
        timedelta,
        timedelta(seconds=10),
        "Time between two heartbeats.",
        minimum=timedelta(milliseconds=1),
    )
    TIMEOUT = Option(
        "heartbeat.timeout",
        timedelta,
        timedelta(seconds=50),
        "A process not heard of for so long is taken for dead.",
        minimum=timedelta(milliseconds=1),
    )
