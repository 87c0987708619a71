"""What the JobManager does with files of checkpoints. All functions block: call them in a thread."""

from __future__ import annotations

import logging
import posixpath
import shutil
from collections.abc import Iterable
from dataclasses import replace

from yarnflow import fs
from yarnflow.errors import CheckpointError, FileSystemError
from yarnflow.runtime.checkpoint.assignment import files_of
from yarnflow.runtime.checkpoint.handles import OperatorState
from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint, read_metadata, write_metadata
from yarnflow.runtime.checkpoint.paths import below, resolve

logger = logging.getLogger(__name__)


def make_directory(directory: str) -> None:
    """Make the directory of a checkpoint. Raises FileSystemError."""
    system, path = fs.get(directory)
    system.mkdirs(path)


def publish(checkpoint: CompletedCheckpoint) -> CompletedCheckpoint:
    """Write the metadata; from then on the checkpoint exists. Returns it as it stands there.

    Files are named relative to the directory where that is possible. What a savepoint needs and lies elsewhere is
    copied into its directory, so that it can be moved as a whole. Raises FileSystemError.
    """
    paths = {path: _relative(checkpoint, path) for path in files_of(checkpoint.operators)}
    if checkpoint.savepoint:
        directory = checkpoint.directory
        outside = [path for path in paths if not below(directory, resolve(directory, path))]
        for number, path in enumerate(sorted(outside)):
            paths[path] = f"copied-{number}"
            _copy(resolve(directory, path), f"{directory}/{paths[path]}")
    published = replace(
        checkpoint,
        operators=tuple(
            replace(
                operator,
                subtasks={index: _renamed(state, paths) for index, state in operator.subtasks.items()},
            )
            for operator in checkpoint.operators
        ),
    )
    write_metadata(published)
    return published


def _relative(checkpoint: CompletedCheckpoint, path: str) -> str:
    uri = resolve(checkpoint.directory, path)
    parent = posixpath.dirname(checkpoint.directory)
    if below(checkpoint.directory, uri):
        return uri[len(checkpoint.directory) + 1 :]
    if below(parent, uri):
        return f"../{uri[len(parent) + 1 :]}"
    return path


def _renamed(state: OperatorState, paths: dict[str, str]) -> OperatorState:
    return replace(
        state,
        blocks=tuple(
            replace(block, path=paths[block.path]) if block.path else block for block in state.blocks
        ),
        files=tuple(replace(file, path=paths[file.path]) for file in state.files),
    )


def _copy(source: str, target: str) -> None:
    source_system, source_path = fs.get(source)
    target_system, target_path = fs.get(target)
    with (
        source_system.open_read(source_path) as reader,
        target_system.open_write(target_path, overwrite=True) as writer,
    ):
        shutil.copyfileobj(reader, writer, fs.base.CHUNK)


def delete(directories: Iterable[str], files: Iterable[str]) -> None:
    """Delete what no checkpoint needs. What cannot be deleted is logged and left."""
    for path, recursive in (*((each, True) for each in directories), *((each, False) for each in files)):
        try:
            system, name = fs.get(path)
            system.delete(name, recursive)
        except FileSystemError as error:
            logger.warning("%s could not be deleted and stays: %s", path, error)


def dispose(path: str) -> None:
    """Delete a savepoint, or a checkpoint that was retained: its directory with everything in it.

    Raises:
        RestoreError: there is none.
        CheckpointCorruptedError: its metadata is damaged.
        FileSystemError: it cannot be deleted.
        CheckpointError: the directory holds what no savepoint holds.
    """
    checkpoint = read_metadata(path)
    system, directory = fs.get(checkpoint.directory)
    if directory in ("", "/"):
        raise CheckpointError(f"{path} is the root of a file system and is not deleted")
    system.delete(directory, recursive=True)
