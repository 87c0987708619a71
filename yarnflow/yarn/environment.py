"""What a container of ours was given by YARN and skein; nothing else reads these variables and files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yarnflow.config import Configuration
from yarnflow.errors import ConfigurationError
from yarnflow.yarn.layout import CONFIGURATION, SECRET, STAGING_VARIABLE

#: container_e17_1410901177871_0001_01_000005: the epoch is optional, the attempt is the last but one.
_CONTAINER_ID = re.compile(r"container_(?:e\d+_)?\d+_\d+_(\d+)_\d+")


@dataclass(frozen=True)
class ContainerEnvironment:
    """One container.

    Attributes:
        application_id: of YARN.
        container_id: of YARN; also the id of the TaskManager in it.
        attempt: of the ApplicationMaster, 1 for the first: YARN has no variable for it.
        host: name of the node, as YARN calls it.
        directory: the container's folder, with the localised files.
        log_directory: what is written here can be seen in YARN's web pages and logs.
        staging: URI of this user's staging directory.
        config: the cluster's configuration.
        secret: of the cluster.
    """

    application_id: str
    container_id: str
    attempt: int
    host: str
    directory: Path
    log_directory: Path
    staging: str
    config: Configuration = field(repr=False)
    secret: bytes = field(repr=False)

    @staticmethod
    def read(environ: Mapping[str, str] = os.environ, directory: Path | None = None) -> ContainerEnvironment:
        """Read variables and files.

        Args:
            environ: of the process.
            directory: the container's folder; the current one when None.

        Raises:
            ConfigurationError: this is no container of ours; names what is missing.
        """
        directory = Path.cwd() if directory is None else directory

        def variable(name: str) -> str:
            value = environ.get(name, "")
            if not value:
                raise ConfigurationError(
                    f"the variable {name} is not set: this process must be started by YARN, in a container"
                )
            return value

        def content(name: str) -> bytes:
            try:
                return (directory / name).read_bytes()
            except OSError as error:
                raise ConfigurationError(f"the container has no file {name}: {error.strerror}") from error

        container_id = variable("CONTAINER_ID")
        match = _CONTAINER_ID.fullmatch(container_id)
        if match is None:
            raise ConfigurationError(f"CONTAINER_ID is {container_id!r}, which is not the id of a container")
        return ContainerEnvironment(
            application_id=variable("SKEIN_APPLICATION_ID"),
            container_id=container_id,
            attempt=int(match[1]),
            host=variable("NM_HOST"),
            directory=directory,
            log_directory=Path(variable("LOG_DIRS").split(",")[0]),
            staging=environ.get(STAGING_VARIABLE, ""),
            config=Configuration(json.loads(content(CONFIGURATION))),
            secret=content(SECRET),
        )
