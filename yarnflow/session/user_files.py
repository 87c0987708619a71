"""Where the client keeps what it remembers: below ~/.yarnflow, and what can be made again below ~/.cache."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

_APPLICATION_ID = re.compile(r"application_\d+_\d+")
#: Applications whose files are kept; the oldest go first.
_KEPT_APPLICATIONS = 50


def cache_directory() -> Path:
    """For what can be made again: packed environments, fingerprints."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "yarnflow"


def applications_directory() -> Path:
    """One folder for each application that this user deployed from this machine."""
    return Path(os.path.expanduser("~")) / ".yarnflow" / "applications"


class ApplicationFiles:
    """What is kept of one application: its certificate and where its JobManager was last seen.

    Args:
        application_id: as YARN gave it. Raises ValueError for anything else, since it becomes a folder's name.
    """

    def __init__(self, application_id: str) -> None:
        if not _APPLICATION_ID.fullmatch(application_id):
            raise ValueError(f"{application_id!r} is not the id of a YARN application")
        self.directory = applications_directory() / application_id

    def address(self) -> str | None:
        """URL of the JobManager's REST server when it was last looked up."""
        found = read_json(self.directory / "jobmanager.json")
        return str(found["url"]) if isinstance(found, dict) and "url" in found else None

    def remember_address(self, url: str) -> None:
        """Keep the URL for the next command. Failing to is no error: it can be looked up."""
        with contextlib.suppress(OSError):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_json(self.directory / "jobmanager.json", {"url": url})

    def forget(self) -> None:
        """The application has ended."""
        shutil.rmtree(self.directory, ignore_errors=True)


def forget_old_applications() -> None:
    """Drop what is kept of all but the newest applications."""
    with contextlib.suppress(OSError):
        folders = sorted(applications_directory().iterdir(), key=lambda path: path.stat().st_mtime)
        for folder in folders[:-_KEPT_APPLICATIONS]:
            shutil.rmtree(folder, ignore_errors=True)


def read_json(path: Path) -> Any:
    """The document at `path`; None when there is none or it is damaged (it is only a note)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_json(path: Path, document: Any) -> None:
    """Write a document so that readers see the old or the new one, never a part. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
