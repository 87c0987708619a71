"""Reading a process's own log folder for others: names, sizes, pieces. Nothing outside the folder is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from yarnflow.runtime.jobmanager.views import LogFile

#: Bytes of one piece, at most.
MAX_PIECE = 16 << 20


def list_log_files(folder: Path) -> tuple[LogFile, ...]:
    """Regular files directly in the folder, by name."""
    return tuple(
        LogFile(path.name, stat.st_size, stat.st_mtime)
        for path in sorted(_files(folder))
        if (stat := path.stat()) is not None
    )


def read_log_file(folder: Path, name: str, offset: int, length: int) -> bytes | None:
    """Up to `length` bytes from `offset` (negative: from the end); b"" at the end; None when the folder
    has no such file. `name` is a plain file name: anything that leads elsewhere is treated as missing."""
    if name not in {path.name for path in _files(folder)}:
        return None
    with (folder / name).open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size + offset) if offset < 0 else offset)
        return file.read(min(max(0, length), MAX_PIECE))


def tail(path: Path, lines: int = 30, limit: int = 8192, start: int = 0) -> str:
    """The last lines of a text file behind byte `start`, "" when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(start, file.seek(0, 2) - limit))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _files(folder: Path) -> Iterator[Path]:
    # Symbolic links are left out: they may lead out of the folder.
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
