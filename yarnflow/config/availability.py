"""Options of high availability."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from yarnflow.config.option import Option
from yarnflow.config.values import PORTS


class HighAvailabilityMode(Enum):
    """Who elects the leading JobManager and keeps what it must not forget."""

    NONE = "NONE"
    ZOOKEEPER = "ZOOKEEPER"


class HighAvailabilityOptions:
    """Surviving the loss of the JobManager. Read and checked; this version does not replace it."""

    MODE = Option(
        "high-availability.type",
        HighAvailabilityMode,
        HighAvailabilityMode.NONE,
        "Whether ZooKeeper elects the leader and keeps the pointers to jobs and checkpoints.",
        fallback=("high-availability",),
    )
    CLUSTER_ID = Option(
        "high-availability.cluster-id",
        str,
        "/default",
        "Tells clusters apart that share a ZooKeeper. On YARN it is the application id. Flags: `-z`, `-yz`.",
        fallback=("high-availability.zookeeper.path.namespace",),
    )
    STORAGE_DIR = Option(
        "high-availability.storageDir",
        str,
        None,
        "Directory, on a file system that every process reaches, of what is too large for ZooKeeper.",
        fallback=("high-availability.zookeeper.storageDir",),
    )
    JOB_MANAGER_PORTS = Option(
        "high-availability.jobmanager.port",
        PORTS,
        (0,),
        "Ports of the JobManager, instead of `jobmanager.rpc.port`.",
    )
    ZOOKEEPER_QUORUM = Option(
        "high-availability.zookeeper.quorum", str, None, "The ZooKeeper servers: `host1:2181,host2:2181`."
    )
    ZOOKEEPER_ROOT = Option(
        "high-availability.zookeeper.path.root",
        str,
        "/flink",
        "The node below which all clusters keep theirs.",
    )
    ZOOKEEPER_ACL = Option(
        "high-availability.zookeeper.client.acl",
        str,
        "open",
        "Who may read and write the nodes: everybody (`open`) or only their `creator`, which needs SASL.",
        choices=("open", "creator"),
    )
    ZOOKEEPER_SESSION_TIMEOUT = Option(
        "high-availability.zookeeper.client.session-timeout",
        timedelta,
        timedelta(seconds=60),
        "After so long without contact ZooKeeper takes a leader for gone.",
    )
    ZOOKEEPER_CONNECTION_TIMEOUT = Option(
        "high-availability.zookeeper.client.connection-timeout",
        timedelta,
        timedelta(seconds=15),
        "How long connecting may take.",
    )
    ZOOKEEPER_RETRY_WAIT = Option(
        "high-availability.zookeeper.client.retry-wait",
        timedelta,
        timedelta(seconds=5),
        "Pause between attempts.",
    )
    ZOOKEEPER_MAX_RETRIES = Option(
        "high-availability.zookeeper.client.max-retry-attempts",
        int,
        3,
        "Attempts before giving up.",
        minimum=0,
    )
