"""Where the secret of a standalone cluster is: one file, the same on every host, that its owner alone can read.

Who knows it may run code on the cluster's hosts as the user that the processes run as. The JobManager makes
the file when there is none; for TaskManagers on other hosts it is copied there, as the configuration is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from yarnflow.config import Configuration
from yarnflow.config.loader import find_conf_dir
from yarnflow.config.security import ClusterSecretOptions
from yarnflow.errors import ConfigurationError
from yarnflow.runtime.rpc.secret import mint_secret, read_secret, write_secret


def secret_file(config: Configuration, config_dir: Path | None) -> Path:
    """The option's value, else `secret` beside the configuration file, else in ~/.yarnflow."""
    named = config[ClusterSecretOptions.FILE]
    if named:
        return Path(named).expanduser()
    return (find_conf_dir(config_dir) or Path.home() / ".yarnflow") / "secret"


def existing_secret(path: Path) -> bytes:
    """The secret in the file.

    Raises:
        ConfigurationError: there is no such file, somebody else could read it, or it is empty.
    """
    if not path.exists():
        raise ConfigurationError(
            f"there is no secret at {path}: `jobmanager.sh start` makes it; copy it from the JobManager's host, "
            f"or name another file with {ClusterSecretOptions.FILE.key}"
        )
    return read_secret(path)


def existing_or_new_secret(path: Path) -> bytes:
    """The secret in the file, which is made if it is missing.

    Raises ConfigurationError as `existing_secret` does, and when the file cannot be written.
    """
    if not path.exists():
        try:
            _create(path)
        except OSError as error:
            raise ConfigurationError(
                f"the secret cannot be written to {path}: {error.strerror}. Name another file with "
                f"{ClusterSecretOptions.FILE.key}"
            ) from error
    return read_secret(path)


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    incoming = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    write_secret(incoming, mint_secret())
    try:
        # A link and not a rename: of two that start at once, the first one's secret counts, and it is complete.
        with contextlib.suppress(FileExistsError):
            os.link(incoming, path)
    finally:
        incoming.unlink()
