"""The daemons' log files, and their end as error messages show it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from yarnflow.devcluster.settings import Site

_TAIL_LINES = 15
#: Frames of stack traces, and the frame around Hadoop's shutdown message.
_FRAME = re.compile(r"\s+(at |\.\.\. )|[/ ]\*{10}|SHUTDOWN_MSG")


def path(site: Site, role: str) -> Path:
    """Return the log file of a daemon (or of `format`)."""
    return site.logs / f"{role}.log"


def tail(site: Site, role: str) -> str:
    """Return the telling end of a daemon's log, with its path, for an error message."""
    log = path(site, role)
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"Its log cannot be read: {error}"
    shown = "\n".join(f"    {line}" for line in telling_lines(lines))
    return f"The end of {log}:\n{shown}"


def telling_lines(lines: Iterable[str], limit: int = _TAIL_LINES) -> list[str]:
    """Return the last lines without the frames of stack traces, which push the causes out of sight.

    >>> telling_lines(["ERROR no", "java.io.IOException: disk", "\\tat a.b(C.java:1)", "\\t... 3 more"])
    ['ERROR no', 'java.io.IOException: disk']
    """
    return [line for line in lines if not _FRAME.match(line)][-limit:]
