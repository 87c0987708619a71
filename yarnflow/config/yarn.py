"""Options of applications on YARN."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from yarnflow.config.option import Option, OptionPrefix
from yarnflow.config.values import COMMA_LIST, LIST, PORTS


class YarnBackend(Enum):
    """How we speak to YARN."""

    SKEIN = "skein"
    NATIVE = "native"


class YarnOptions:
    """Applications on YARN: where they run, what they look like there, what travels with them."""

    APPLICATION_ID = Option(
        "yarn.application.id",
        str,
        None,
        "The running application to use. Flags: `-yid`; `-id` of yarn-session.sh.",
    )
    APPLICATION_NAME = Option(
        "yarn.application.name",
        str,
        None,
        "Name of the application. Without it what it is. Flags: `-nm`, `-ynm`.",
    )
    APPLICATION_QUEUE = Option(
        "yarn.application.queue",
        str,
        None,
        "Queue of the application. Without it YARN's own. Flags: `-qu`, `-yqu`.",
    )
    APPLICATION_TYPE = Option(
        "yarn.application.type", str, None, "Type YARN shows. Without it `Yarnflow`. Flags: `-at`, `-yat`."
    )
    APPLICATION_TAGS = Option("yarn.tags", COMMA_LIST, (), "Tags of the application.")
    APPLICATION_PRIORITY = Option(
        "yarn.application.priority",
        int,
        -1,
        "Priority of the application, higher first. -1 leaves it to YARN.",
        minimum=-1,
    )
    APPLICATION_NODE_LABEL = Option(
        "yarn.application.node-label", str, None, "Label of the nodes to run on. Flags: `-nl`, `-ynl`."
    )
    TASK_MANAGER_NODE_LABEL = Option(
        "yarn.taskmanager.node-label",
        str,
        None,
        "Label of the nodes TaskManagers run on. Without it that of the application.",
    )
    APPLICATION_ATTEMPTS = Option(
        "yarn.application-attempts",
        int,
        None,
        "How often YARN starts the JobManager at most; YARN has a limit of its own. Without it 1, and 2 with "
        "high availability.",
        minimum=1,
    )
    ATTEMPT_FAILURES_VALIDITY_INTERVAL = Option(
        "yarn.application-attempt-failures-validity-interval",
        int,
        10_000,
        "Milliseconds after which a failed attempt does not count any more. -1 counts all.",
        minimum=-1,
    )
    VIEW_ACLS = Option(
        "yarn.view.acls", str, None, "Who may view the application: `user1,user2 group1`, or `*`."
    )
    MODIFY_ACLS = Option(
        "yarn.modify.acls", str, None, "Who may modify the application: `user1,user2 group1`, or `*`."
    )
    APP_MASTER_VCORES = Option(
        "yarn.appmaster.vcores", int, 1, "Cores of the JobManager's container.", minimum=1
    )
    CONTAINERS_VCORES = Option(
        "yarn.containers.vcores",
        int,
        -1,
        "Cores of a TaskManager's container. -1 asks for one for each slot.",
        minimum=-1,
    )
    APPLICATION_MASTER_PORT = Option(
        "yarn.application-master.port", PORTS, (0,), "Ports of the JobManager on YARN, in the order tried."
    )
    HEARTBEAT_INTERVAL = Option(
        "yarn.heartbeat.interval",
        int,
        5,
        "Seconds between two heartbeats to YARN when nothing is pending.",
        minimum=1,
    )
    CONTAINER_REQUEST_INTERVAL = Option(
        "yarn.heartbeat.container-request-interval",
        timedelta,
        timedelta(milliseconds=500),
        "Time between two heartbeats to YARN while containers are being requested.",
        minimum=timedelta(milliseconds=1),
    )
    SHIP_FILES = Option(
        "yarn.ship-files", LIST, (), "Files and directories every container gets. Flags: `-t`, `-yt`."
    )
    SHIP_ARCHIVES = Option(
        "yarn.ship-archives", LIST, (), "Archives every container gets, unpacked: `.zip`, `.tar.gz`, `.tgz`."
    )
    # Flink waits for ever, with a message after 60 s; a client that gives up also kills what it submitted.
    DEPLOYMENT_TIMEOUT = Option(
        "yarn.deployment.timeout",
        timedelta,
        timedelta(minutes=10),
        "How long the client waits for the JobManager of a new application to run; then it kills the application. "
        "Most of it is time in a full queue.",
        minimum=timedelta(seconds=1),
    )
    FILE_REPLICATION = Option(
        "yarn.file-replication",
        int,
        -1,
        "Replication of the files that travel. -1 leaves it to the file system.",
        minimum=-1,
    )
    STAGING_DIRECTORY = Option(
        "yarn.staging-directory",
        str,
        None,
        "Where files are kept that travel to the containers. Without it the user's home directory in the "
        "cluster's "
        "file system.",
    )
    PROPERTIES_FILE_LOCATION = Option(
        "yarn.properties-file.location",
        str,
        None,
        "Directory of `.yarn-properties-<user>`, in which a session is noted so that the next `run` finds "
        "it. "
        "Without it the system's temporary directory.",
    )
    BACKEND = Option(
        "yarn.backend",
        YarnBackend,
        YarnBackend.SKEIN,
        "How to speak to YARN: through skein, or natively without Java.",
    )
    PYTHON_ENVIRONMENT = Option(
        "yarn.python-environment",
        str,
        "auto",
        "The Python of the containers: `venv:///path` and `conda://name` are packed and travel, "
        "`python:///usr/bin/python3` is installed on the nodes, any other path or URI is an archive that is "
        "ready. "
        "`auto` packs the virtual environment that runs the client.",
    )


class ContainerOptions:
    """Variables for the processes in containers."""

    MASTER_ENV = OptionPrefix(
        "containerized.master.env.", "NAME", "An environment variable of the JobManager's container."
    )
    TASK_MANAGER_ENV = OptionPrefix(
        "containerized.taskmanager.env.", "NAME", "An environment variable of the TaskManagers' containers."
    )
