"""Glob patterns over any file system: `*`, `?`, `[..]`, `{a,b}` within a name, `**` over directories.

A pattern is walked component by component, so only directories that can match are listed.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING

from yarnflow.errors import FileMissingError

if TYPE_CHECKING:
    from yarnflow.fs.base import FileStatus, FileSystem

_MAGIC = re.compile(r"[*?\[{]")
_BRACES = re.compile(r"\{([^{}]*)\}")


def expand(files: FileSystem, pattern: str) -> list[FileStatus]:
    """What matches the pattern, sorted by path, each once."""
    found: dict[str, FileStatus] = {}
    for alternative in alternatives(pattern):
        parts = [part for part in alternative.split("/") if part]
        _walk(files, "", parts, found)
    return sorted(found.values())


def alternatives(pattern: str) -> list[str]:
    """The patterns without braces that one with braces stands for.

    >>> alternatives("/a{1,2}/b{,c}")
    ['/a1/b', '/a1/bc', '/a2/b', '/a2/bc']
    """
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    head, tail = pattern[: match.start()], pattern[match.end() :]
    return [each for choice in match[1].split(",") for each in alternatives(head + choice + tail)]


def _walk(files: FileSystem, base: str, parts: list[str], found: dict[str, FileStatus]) -> None:
    plain = 0
    while plain < len(parts) and not _MAGIC.search(parts[plain]):
        plain += 1
    base = "/".join([base, *parts[:plain]])
    parts = parts[plain:]
    if not parts:
        status = files.status(base or "/")
        if status is not None:
            found[status.path] = status
        return
    recursive = parts[0] == "**"
    try:
        entries = files.list(base or "/", recursive)
    except FileMissingError:
        return  # nothing there, so nothing matches
    if [entry.path for entry in entries] == [base]:
        return  # a file has nothing below it
    if recursive:
        _below(files, base, entries, parts[1:], found)
        return
    matches = re.compile(translate(parts[0])).match
    for entry in entries:
        if not matches(entry.name):
            continue
        if len(parts) == 1:
            found[entry.path] = entry
        elif entry.is_directory:
            _walk(files, entry.path, parts[1:], found)


def _below(
    files: FileSystem, base: str, entries: list[FileStatus], rest: list[str], found: dict[str, FileStatus]
) -> None:
    """`**` matched: try the rest of the pattern here and in every directory below."""
    if not rest:
        found.update((entry.path, entry) for entry in entries)
        return
    _walk(files, base, rest, found)
    for entry in entries:
        if entry.is_directory:
            _walk(files, entry.path, rest, found)
