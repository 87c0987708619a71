"""The cluster's secret: minted at deployment, kept in a private file, never shown."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from yarnflow.errors import ConfigurationError


def mint_secret() -> bytes:
    """64 random hex digits."""
    return secrets.token_hex(32).encode("ascii")


def write_secret(path: Path, secret: bytes) -> None:
    """Write a new file that only its owner can read. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)


def read_secret(path: Path) -> bytes:
    """Read it back. Raises ConfigurationError when others can read the file too, or it is missing or empty."""
    try:
        mode = path.stat().st_mode & 0o777
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"the cluster's secret cannot be read: {error}") from error
    if mode & 0o077:
        raise ConfigurationError(f"{path} can be read by others (mode {mode:o}): run chmod 600 on it")
    if not secret:
        raise ConfigurationError(f"{path} is empty: it must hold the cluster's secret")
    return secret
