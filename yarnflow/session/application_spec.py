"""From the configuration to what is submitted: names, sizes, scripts, files of both kinds of containers."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from yarnflow import fs
from yarnflow.config import Configuration
from yarnflow.config.jobmanager import JobManagerOptions
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.config.yarn import ContainerOptions, YarnOptions
from yarnflow.errors import ConfigurationError
from yarnflow.session import yarn_config
from yarnflow.session.artifacts import zip_directory
from yarnflow.session.python_environment import PythonEnvironment
from yarnflow.yarn.application import AccessList, ApplicationSpecification, ContainerFile, ProcessSpecification
from yarnflow.yarn.layout import LIBRARY, RESERVED, STAGING_VARIABLE, TAG
from yarnflow.yarn.processes import script

#: Options for the `java` command alone (JDK 9 and later; older ones do not know the variable): skein's
#: ApplicationMaster does little, and starts faster without the optimising compiler. A user's own replace them.
_JAVA_TUNING = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"
#: Kept in any case: skein's web pages, which YARN's tracking URL shows, call methods of java.util's private
#: classes, which Java 17 forbids unless asked.
_JAVA_ACCESS = "--add-opens=java.base/java.util=ALL-UNNAMED"
_JAVA_VARIABLE = "JDK_JAVA_OPTIONS"
_ARCHIVES = (".zip", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class Parts:
    """What an application is made of, besides its configuration.

    Attributes:
        name: unless the configuration has one.
        environment: the containers' Python.
        library: the archive with yarnflow.
        master_files, worker_files: of this deployment.
        initial_workers: to be requested at once.
        staging: URI of the staging directory.
        scratch: folder for temporary files, kept until the application is submitted.
    """

    name: str
    environment: PythonEnvironment
    library: ContainerFile
    master_files: dict[str, ContainerFile]
    worker_files: dict[str, ContainerFile]
    initial_workers: int
    staging: str
    scratch: Path


def application_specification(config: Configuration, parts: Parts) -> ApplicationSpecification:
    """Put the specification together. Raises ConfigurationError for files that cannot be shipped."""
    common = {LIBRARY: parts.library, **parts.environment.files, **shipped(config, parts.scratch)}
    python = parts.environment.executable
    master_env = config.with_prefix(ContainerOptions.MASTER_ENV)
    master = ProcessSpecification(
        memory_mb=config[JobManagerOptions.PROCESS_MEMORY].mebibytes,
        vcores=config[YarnOptions.APP_MASTER_VCORES],
        script=script(python, "yarnflow.am.entrypoint", "jobmanager"),
        files={**common, **parts.master_files},
        env={
            STAGING_VARIABLE: parts.staging,
            **master_env,
            _JAVA_VARIABLE: f"{_JAVA_ACCESS} {master_env.get(_JAVA_VARIABLE, _JAVA_TUNING)}",
        },
    )
    worker = ProcessSpecification(
        memory_mb=config[TaskManagerOptions.PROCESS_MEMORY].mebibytes,
        vcores=yarn_config.worker_vcores(config),
        script=script(python, "yarnflow.container.entrypoint", "taskmanager"),
        files={**common, **parts.worker_files},
        env=config.with_prefix(ContainerOptions.TASK_MANAGER_ENV),
        node_label=config[YarnOptions.TASK_MANAGER_NODE_LABEL] or "",
    )
    type_tag = config[YarnOptions.APPLICATION_TYPE]
    return ApplicationSpecification(
        name=config[YarnOptions.APPLICATION_NAME] or parts.name,
        queue=config[YarnOptions.APPLICATION_QUEUE] or "",
        master=master,
        worker=worker,
        initial_workers=parts.initial_workers,
        max_attempts=config[YarnOptions.APPLICATION_ATTEMPTS] or 1,
        node_label=config[YarnOptions.APPLICATION_NODE_LABEL] or "",
        tags=frozenset((TAG, *config[YarnOptions.APPLICATION_TAGS], *([type_tag] if type_tag else []))),
        view=access_list(config[YarnOptions.VIEW_ACLS]),
        modify=access_list(config[YarnOptions.MODIFY_ACLS]),
    )


def shipped(config: Configuration, scratch: Path) -> dict[str, ContainerFile]:
    """`yarn.ship-files` and `yarn.ship-archives`, by name in the container's folder.

    A directory travels as an archive and is a directory of its name again.

    Raises ConfigurationError: one is not there, or two have the same name.
    """
    found: dict[str, ContainerFile] = {}
    for option, archives in ((YarnOptions.SHIP_FILES, False), (YarnOptions.SHIP_ARCHIVES, True)):
        for source in config[option]:
            name = posixpath.basename(fs.split_uri(source)[2].rstrip("/"))
            if not name:
                raise ConfigurationError(f"{option.key}: {source!r} names no file or directory")
            if name in RESERVED or name.startswith(".skein") or name in found:
                raise ConfigurationError(f"{option.key}: two files of a container would be named {name!r}")
            if archives and not name.endswith(_ARCHIVES):
                raise ConfigurationError(
                    f"{option.key}: {source!r} is no archive that YARN unpacks ({', '.join(_ARCHIVES)})"
                )
            found[name] = _shipped(source, name, archives, option.key, scratch)
    return found


def _shipped(source: str, name: str, archive: bool, key: str, scratch: Path) -> ContainerFile:
    scheme, _, path = fs.split_uri(source)
    if scheme != "file":
        return ContainerFile(source, archive=archive)
    local = Path(path)
    if local.is_dir():
        target = scratch / f"shipped-{name}.zip"
        zip_directory(local, target)
        return ContainerFile(str(target), archive=True)
    if not local.is_file():
        raise ConfigurationError(f"{key}: there is no file or directory {source!r}")
    return ContainerFile(str(local), archive=archive)


def access_list(text: str | None) -> AccessList | None:
    """Read Hadoop's "user1,user2 group1,group2"; "*" is everybody."""
    if not text:
        return None
    users, _, groups = text.partition(" ")
    return AccessList(_names(users), _names(groups))


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, re.split(r"[,\s]+", text)))
