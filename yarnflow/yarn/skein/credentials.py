"""The certificate of each application: whoever has it may talk to its ApplicationMaster.

skein shares one certificate, valid for a year, among all applications of a user. We mint one per application and
keep it, readable by the user alone, beside the application's id.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yarnflow.yarn.skein import skein


@dataclass(frozen=True)
class Credentials:
    """A certificate and its private key, as PEM."""

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)

    def to_skein(self) -> Any:
        """As skein wants it: a skein.Security."""
        return skein().Security(cert_bytes=self.certificate, key_bytes=self.key)


def mint() -> Credentials:
    """Make a new pair (some 0.1 s)."""
    with warnings.catch_warnings():
        # skein calls datetime.utcnow, which newer Pythons warn about.
        warnings.simplefilter("ignore")
        security = skein().Security.new_credentials()
    return Credentials(security.cert_bytes, security.key_bytes)


def save(credentials: Credentials, directory: Path) -> None:
    """Write the pair into `directory`, for this user's eyes only. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in (("skein.crt", credentials.certificate), ("skein.pem", credentials.key)):
        descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def load(directory: Path) -> Credentials | None:
    """Read what `save` wrote; None when there is none."""
    try:
        return Credentials((directory / "skein.crt").read_bytes(), (directory / "skein.pem").read_bytes())
    except FileNotFoundError:
        return None
