"""Which cluster a command means.

In this order: `-t`/`execution.target`; `-m yarn-cluster` (per-job) or `-m host:port`; an application id (`-yid`,
`yarn.application.id`); the session noted in the properties file; otherwise this machine.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum

from yarnflow.config import Configuration
from yarnflow.config.execution import ExecutionOptions
from yarnflow.config.yarn import YarnOptions
from yarnflow.errors import ConfigurationError
from yarnflow.session import properties_file
from yarnflow.session.running import StandaloneCluster, YarnCluster
from yarnflow.yarn.hadoop_conf import conf_directory

logger = logging.getLogger(__name__)

#: Value of -m that asks for an application for this one job.
YARN_CLUSTER = "yarn-cluster"


class Target(Enum):
    """Where a program runs: the values of `execution.target`."""

    LOCAL = "local"
    REMOTE = "remote"
    YARN_SESSION = "yarn-session"
    YARN_PER_JOB = "yarn-per-job"
    YARN_APPLICATION = "yarn-application"


@dataclass(frozen=True)
class Destination:
    """A target with what is needed to reach it.

    Attributes:
        config: with what the properties file adds.
        address: of a standalone cluster's JobManager, "" for the configured one.
    """

    target: Target
    config: Configuration
    address: str = ""


def resolve(config: Configuration, jobmanager: str = "") -> Destination:
    """Decide where a program runs.

    Args:
        config: of the command, flags included.
        jobmanager: value of -m, "" without it.

    Raises:
        ConfigurationError: the flags contradict each other, or there is no session where one is asked for.
    """
    named = config[ExecutionOptions.TARGET]
    target = Target(named) if named else None
    if jobmanager == YARN_CLUSTER:
        if target not in (None, Target.YARN_PER_JOB):
            raise ConfigurationError(f"-m {YARN_CLUSTER} and -t {named} contradict each other: give one of them")
        return Destination(Target.YARN_PER_JOB, config)
    if jobmanager:
        if target not in (None, Target.REMOTE):
            raise ConfigurationError(f"-m {jobmanager} and -t {named} contradict each other: give one of them")
        return Destination(Target.REMOTE, config, jobmanager)
    if target is Target.YARN_SESSION:
        return Destination(target, _with_session(config, required=True))
    if target is not None:
        return Destination(target, config)
    config = _with_session(config, required=False)
    if config[YarnOptions.APPLICATION_ID]:
        return Destination(Target.YARN_SESSION, config)
    return Destination(Target.LOCAL, config)


def attach(config: Configuration, jobmanager: str = "") -> StandaloneCluster | YarnCluster:
    """The running cluster that a command like `list` means: as `resolve`, and a standalone cluster by default.

    Raises as `resolve` and as YarnCluster do.
    """
    destination = resolve(config, "" if jobmanager == YARN_CLUSTER else jobmanager)
    application_id = destination.config[YarnOptions.APPLICATION_ID]
    if jobmanager == YARN_CLUSTER and not application_id:
        raise ConfigurationError("name the application: -yid, or -Dyarn.application.id")
    if application_id and destination.target is not Target.REMOTE:
        return YarnCluster(application_id, destination.config)
    if destination.target in (Target.YARN_PER_JOB, Target.YARN_APPLICATION):
        raise ConfigurationError(
            f"-t {destination.target.value} needs the application: name it with -yid or -Dyarn.application.id"
        )
    return StandaloneCluster(destination.config, destination.address)


def _with_session(config: Configuration, required: bool) -> Configuration:
    """Add the application id from the properties file, unless one is given."""
    if config[YarnOptions.APPLICATION_ID]:
        return config
    note = properties_file.read(config)
    if note is None:
        if required:
            raise ConfigurationError(
                f"there is no YARN session: {properties_file.path(config)} does not exist. Start one with "
                "yarn-session.sh, or name one with -yid or -Dyarn.application.id"
            )
        return config
    logger.info("Found Yarn properties file under %s.", properties_file.path(config))
    weaker = Configuration(note.properties).merge(config)
    try:
        conf_directory(weaker)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{properties_file.path(config)} notes the session {note.application_id}, so YARN was chosen, but "
            f"{error}. To run on this machine instead, use -t local"
        ) from error
    return weaker.set(YarnOptions.APPLICATION_ID, note.application_id)
