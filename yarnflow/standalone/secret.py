"""The secret of a standalone cluster: one file, the same on every host, that its owner alone can read.

Who knows it may run code on the cluster's hosts as the user that the processes run as. The JobManager makes
the file when there is none; for TaskManagers on other hosts it is copied there, as the configuration is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from yarnflow.config import Configuration
from yarnflow.config.loader import find_conf_dir
from yarnflow.config.security import ClusterSecretOptions
from yarnflow.errors import ConfigurationError

_BYTES = 32
#: Shorter ones could be guessed.
_MIN_CHARACTERS = 32


def secret_file(config: Configuration, config_dir: Path | None) -> Path:
    """Where the secret is: the option, else `secret` beside the configuration file, else in ~/.yarnflow."""
    named = config[ClusterSecretOptions.FILE]
    if named:
        return Path(named).expanduser()
    return (find_conf_dir(config_dir) or Path.home() / ".yarnflow") / "secret"


def read_secret(path: Path) -> bytes:
    """The secret in the file.

    Raises:
        ConfigurationError: there is no such file, somebody else could read it, or it holds no secret.
    """
    try:
        # Checks and content are of one open file: nobody can exchange it in between.
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(4096).strip()
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no secret at {path}: `jobmanager.sh start` makes it; copy it from the JobManager's host, "
            f"or name another file with {ClusterSecretOptions.FILE.key}"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"the secret at {path} cannot be read: {error.strerror}") from error
    if status.st_uid != os.geteuid():
        raise ConfigurationError(f"the secret at {path} belongs to another user: make it your own file")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigurationError(
            f"the secret at {path} can be read or changed by others (its mode is "
            f"{stat.S_IMODE(status.st_mode):04o}): run `chmod 600 {path}`, and if others use this machine, "
            "delete it and start the cluster anew"
        )
    if len(content) < _MIN_CHARACTERS:
        raise ConfigurationError(
            f"the file {path} holds no secret: it needs {_MIN_CHARACTERS} characters at least; delete it, and "
            "`jobmanager.sh start` makes a new one"
        )
    return content


def read_or_create_secret(path: Path) -> bytes:
    """The secret in the file, which is made if it is missing.

    Raises ConfigurationError as `read_secret` does, and when the file cannot be written.
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
    descriptor = os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
        # A link and not a rename: of two that start at once, the first one's secret counts, and it is complete.
        with contextlib.suppress(FileExistsError):
            os.link(incoming, path)
    finally:
        incoming.unlink()
