"""Files to splits: which files are read, and in which parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yarnflow import fs
from yarnflow.functions.source import Split

#: No part of a file is made smaller than this to keep more subtasks busy.
MIN_SPLIT = 1024 * 1024

#: File name endings of compressed files, which only have a beginning.
COMPRESSED = (".gz", ".gzip", ".bz2", ".xz", ".deflate")


@dataclass(frozen=True)
class FileSplit(Split):
    """Part of a file.

    Which records belong to the part is the format's business; the rule of all formats is that each record
    belongs to exactly one part, wherever the cuts are.

    Attributes:
        uri: of the file.
        start: first byte.
        end: byte after the last; None for all that is there when it is read.
        skip: records of the part that have been read already, where `start` cannot tell.
    """

    uri: str
    start: int
    end: int | None
    skip: int = 0


@dataclass(frozen=True)
class _File:
    uri: str
    length: int
    block_size: int


def file_splits(paths: Sequence[str], parallelism: int, splittable: bool, whole_files: bool) -> list[FileSplit]:
    """Name the parts of all files below the paths, in the order of paths and names.

    Directories are searched recursively; names that start with a dot or an underscore are left out, as Flink
    does (DefaultFileFilter), unless they are one of the paths. Parts are as large as the file system's block
    size, or smaller when there would be fewer parts than subtasks.

    Args:
        paths: files and directories.
        parallelism: number of subtasks that read.
        splittable: whether the format can start within a file; compressed files never are.
        whole_files: one part per file with an open end, for directories that are being filled: the name of a part
            must not depend on how long its file is by now.

    Raises:
        FileMissingError: there is nothing at one of the paths.
    """
    files = [file for path in paths for file in _files(path)]
    if whole_files:
        return [FileSplit(file.uri, file.uri, 0, None) for file in files]
    share = -(-sum(file.length for file in files) // parallelism)
    found = []
    for file in files:
        if not file.length:
            continue
        size = file.length
        if splittable and not file.uri.endswith(COMPRESSED):
            size = max(MIN_SPLIT, min(file.block_size, share))
        # Cuts at equal distances: no tiny part at the end.
        parts = -(-file.length // size)
        cuts = [file.length * index // parts for index in range(parts + 1)]
        found += [
            FileSplit(f"{file.uri}:{cuts[index]}", file.uri, cuts[index], cuts[index + 1])
            for index in range(parts)
        ]
    return found


def _files(uri: str) -> list[_File]:
    system, path = fs.get(uri)
    top = system.existing(path)
    if not top.is_directory:
        return [_File(system.uri(top.path), top.length, system.block_size(top.path))]
    base = top.path.rstrip("/") + "/"
    found = [
        status
        for status in system.list(top.path, recursive=True)
        if not status.is_directory and not _hidden(status.path[len(base) :])
    ]
    if not found:
        return []
    # Files of one directory tree were nearly always written with one block size: ask once, not per file.
    block_size = system.block_size(found[0].path)
    return [_File(system.uri(status.path), status.length, block_size) for status in found]


def _hidden(relative: str) -> bool:
    return any(name.startswith((".", "_")) for name in relative.split("/"))
