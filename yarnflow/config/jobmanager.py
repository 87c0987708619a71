"""Options of the JobManager and of its REST server."""

from __future__ import annotations

from datetime import timedelta

from yarnflow.config.option import Option
from yarnflow.config.values import PORT, PORTS, MemorySize


class JobManagerOptions:
    """The JobManager process."""

    RPC_ADDRESS = Option(
        "jobmanager.rpc.address",
        str,
        None,
        "Host under which TaskManagers reach the JobManager of a standalone cluster. YARN and high "
        "availability "
        "find it by themselves.",
        shown="localhost",
    )
    RPC_PORT = Option(
        "jobmanager.rpc.port",
        PORT,
        6123,
        "Port under which TaskManagers reach the JobManager of a standalone cluster.",
        shown="6123",
    )
    RPC_BIND_PORT = Option(
        "jobmanager.rpc.bind-port",
        PORT,
        None,
        "Port the JobManager binds to. Without it `jobmanager.rpc.port`.",
    )
    BIND_HOST = Option(
        "jobmanager.bind-host",
        str,
        None,
        "Address the JobManager binds to. Without it all interfaces; `localhost` is not applied on YARN.",
        shown="localhost",
    )
    # Flink has no default and demands one of three memory options; its configuration file says 1600m.
    PROCESS_MEMORY = Option(
        "jobmanager.memory.process.size",
        MemorySize,
        MemorySize.of_mebibytes(1600),
        "Memory of the JobManager; on YARN the size of its container. Flags: `-jm`, `-yjm`.",
        fallback=("jobmanager.memory.flink.size", "jobmanager.heap.size"),
        minimum=MemorySize.of_mebibytes(1),
        shown="1600m",
    )
    FAILOVER_STRATEGY = Option(
        "jobmanager.execution.failover-strategy",
        str,
        "region",
        "What restarts when a task fails: its pipelined `region`, or the `full` job.",
        choices=("region", "full"),
        shown="region",
    )
    ATTEMPTS_HISTORY_SIZE = Option(
        "jobmanager.execution.attempts-history-size",
        int,
        16,
        "Prior attempts of a task that are remembered.",
        fallback=("job-manager.max-attempts-history-size",),
        minimum=0,
    )
    EXCEPTION_HISTORY_SIZE = Option(
        "web.exception-history-size", int, 16, "Failures of a job that are remembered.", minimum=0
    )
    JOB_STORE_CAPACITY = Option(
        "jobstore.max-capacity",
        int,
        None,
        "Finished jobs that are remembered. Without it there is no limit.",
        minimum=0,
    )
    JOB_STORE_EXPIRATION_SECONDS = Option(
        "jobstore.expiration-time", int, 3600, "Seconds for which a finished job is remembered.", minimum=0
    )


class RestOptions:
    """The REST server of the JobManager, its dashboard, and the clients that talk to it."""

    ADDRESS = Option(
        "rest.address",
        str,
        None,
        "Host on which clients reach the REST server of a standalone cluster. Without it "
        "`jobmanager.rpc.address`.",
        fallback=("jobmanager.web.address",),
        shown="localhost",
    )
    PORT = Option(
        "rest.port",
        PORT,
        8081,
        "Port on which clients reach the REST server of a standalone cluster.",
        fallback=("jobmanager.web.port", "web.port"),
    )
    # Flink documents "8081" here; without a value it falls back to rest.port, and on YARN to any free port.
    BIND_PORT = Option(
        "rest.bind-port",
        PORTS,
        None,
        "Ports the server tries to bind to, in this order. Without it `rest.port`, and on YARN any free one.",
    )
    BIND_ADDRESS = Option(
        "rest.bind-address",
        str,
        None,
        "Address the server binds to. Without it all interfaces; `localhost` is not applied on YARN.",
        shown="localhost",
    )
    CONNECTION_TIMEOUT = Option(
        "rest.connection-timeout", timedelta, timedelta(seconds=15), "How long a client tries to connect."
    )
    RETRY_MAX_ATTEMPTS = Option(
        "rest.retry.max-attempts",
        int,
        20,
        "How often a client asks again after a failure that can pass.",
        minimum=0,
    )
    RETRY_DELAY = Option("rest.retry.delay", timedelta, timedelta(seconds=3), "Pause between these attempts.")
    SERVER_MAX_CONTENT_LENGTH = Option(
        "rest.server.max-content-length", int, 104_857_600, "Bytes a request may have.", minimum=1
    )
    SUBMIT_ENABLED = Option(
        "web.submit.enable", bool, True, "Whether jobs may be submitted through the REST API."
    )
    CANCEL_ENABLED = Option("web.cancel.enable", bool, True, "Whether the dashboard offers to cancel jobs.")
    REFRESH_INTERVAL = Option(
        "web.refresh-interval", timedelta, timedelta(seconds=3), "How often the dashboard renews its pages."
    )
