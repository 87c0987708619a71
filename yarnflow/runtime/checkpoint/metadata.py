"""The file `_metadata`: what a completed checkpoint or savepoint consists of, as JSON with a checksum.

    {"yarnflow-checkpoint": 1, "checksum": "<sha256 of the rest>", "checkpoint": {...}}

A checkpoint exists once this file does: it is written last, and in one step. State that was small enough to travel
in the acknowledgements of tasks stands in it (base64); everything else is named by path.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from dataclasses import asdict, dataclass, replace
from typing import Any

from tenacity import before_sleep_log, retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from yarnflow import fs
from yarnflow.errors import (
    CheckpointCorruptedError,
    CheckpointError,
    FileMissingError,
    FileSystemError,
    PathIsDirectoryError,
    RestoreError,
)
from yarnflow.runtime.checkpoint.handles import OperatorState, StateBlock, StateFile, StateKind
from yarnflow.runtime.checkpoint.paths import METADATA, checkpoint_number

logger = logging.getLogger(__name__)

#: Version of the form; greater ones are refused.
FORMAT = 1
_FORMAT_KEY = "yarnflow-checkpoint"


@dataclass(frozen=True)
class OperatorCheckpoint:
    """One operator in a checkpoint, also one without state.

    Attributes:
        operator_id: 32 hex digits; by it state is found again.
        uid: as the program gave it, or None.
        name: as shown.
        vertex_id: the task that ran it, for people.
        parallelism: when the checkpoint was taken.
        max_parallelism: number of key groups.
        subtasks: subtask index -> what it stored; those without state are left out.
        ended: subtasks that had read all of their input.
    """

    operator_id: str
    uid: str | None
    name: str
    vertex_id: str
    parallelism: int
    max_parallelism: int
    subtasks: dict[int, OperatorState]
    ended: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of its state."""
        return sum(state.size for state in self.subtasks.values())

    @property
    def all_ended(self) -> bool:
        """Whether every subtask had read all of its input."""
        return len(self.ended) == self.parallelism

    @property
    def shown(self) -> str:
        """For messages: name, and uid or id."""
        return f"{self.name!r} (uid {self.uid!r})" if self.uid else f"{self.name!r} (id {self.operator_id})"


@dataclass(frozen=True)
class CompletedCheckpoint:
    """A checkpoint or savepoint that all tasks have acknowledged.

    Attributes:
        checkpoint_id: counts up over the life of a job, over restarts too.
        job_id: of the job that took it.
        timestamp: when it was triggered, ms since the epoch.
        savepoint: belongs to the user, who alone deletes it.
        operators: of the whole job.
        directory: URI of the directory that relative paths start from; "" when it lives in the JobManager alone.
    """

    checkpoint_id: int
    job_id: str
    timestamp: int
    savepoint: bool
    operators: tuple[OperatorCheckpoint, ...]
    directory: str = ""

    @property
    def size(self) -> int:
        """Bytes of all state."""
        return sum(operator.size for operator in self.operators)

    @property
    def shown(self) -> str:
        """For messages."""
        kind = "savepoint" if self.savepoint else "checkpoint"
        return f"{kind} {self.directory}" if self.directory else f"{kind} {self.checkpoint_id}"

    def operator(self, operator_id: str) -> OperatorCheckpoint | None:
        """The operator of that id."""
        return next((each for each in self.operators if each.operator_id == operator_id), None)


# -- files -----------------------------------------------------------------------------------------------


@retry(
    retry=retry_if_exception_type(FileSystemError),
    stop=stop_after_attempt(3),
    wait=wait_exponential(multiplier=0.1, max=1.0),
    before_sleep=before_sleep_log(logger, logging.WARNING),
    reraise=True,
)
def write_metadata(checkpoint: CompletedCheckpoint) -> str:
    """Write `_metadata` into the checkpoint's directory, complete or not at all; returns the directory's URI.

    Tried three times. Blocks. Raises FileSystemError."""
    system, directory = fs.get(checkpoint.directory)
    # A first try may have arrived although its answer did not: what is there then is the same.
    system.write_atomic(f"{directory}/{METADATA}", to_bytes(checkpoint), overwrite=True)
    return checkpoint.directory


def read_metadata(path: str) -> CompletedCheckpoint:
    """Read a checkpoint or savepoint. Blocks.

    Args:
        path: URI of its directory, or of the file `_metadata` in it.

    Raises:
        RestoreError: the file is missing; names it.
        CheckpointCorruptedError: it is damaged; names it.
        FileSystemError: the file system cannot be reached, or refuses.
    """
    system, name = fs.get(path)
    directory = name.rstrip("/") or "/"
    if directory.rpartition("/")[2] == METADATA:
        directory = directory.rpartition("/")[0]
    file = f"{directory}/{METADATA}"
    uri = system.uri(file)
    try:
        data = system.read_bytes(file)
    except (FileMissingError, PathIsDirectoryError) as error:
        raise RestoreError(
            f"there is no checkpoint or savepoint at {path}: the file {uri} is missing. Name the directory that "
            f"holds {METADATA}, such as .../chk-17 or .../savepoint-..., or a job's directory of checkpoints"
        ) from error
    return replace(from_bytes(data, uri), directory=system.uri(directory))


def find_checkpoint(path: str) -> tuple[CompletedCheckpoint, tuple[str, ...]]:
    """Read what `run -s path` names: a checkpoint or savepoint, or the newest readable one in a job's directory of
    checkpoints. Blocks.

    Returns it, and what was wrong with newer ones that were passed over. Raises as `read_metadata`.
    """
    system, directory = fs.get(path)
    status = system.status(directory)
    if status is None or not status.is_directory or system.exists(f"{directory.rstrip('/')}/{METADATA}"):
        return read_metadata(path), ()
    children = [child for child in system.list(directory) if child.is_directory]
    numbered = [(number, child) for child in children if (number := checkpoint_number(child.path)) is not None]
    passed_over: list[CheckpointError] = []
    for _, child in sorted(numbered, key=lambda pair: pair[0], reverse=True):
        try:
            return read_metadata(system.uri(child.path)), tuple(map(str, passed_over))
        except (CheckpointCorruptedError, RestoreError) as error:
            passed_over.append(error)
    if passed_over:
        raise passed_over[0]
    return read_metadata(path), ()


# -- JSON ------------------------------------------------------------------------------------------------


def to_bytes(checkpoint: CompletedCheckpoint) -> bytes:
    """The content of `_metadata`."""
    body = {
        "checkpoint-id": checkpoint.checkpoint_id,
        "kind": "savepoint" if checkpoint.savepoint else "checkpoint",
        "job-id": checkpoint.job_id,
        "timestamp": checkpoint.timestamp,
        "operators": [_operator_to_json(operator) for operator in checkpoint.operators],
    }
    document = {_FORMAT_KEY: FORMAT, "checksum": _checksum(body), "checkpoint": body}
    return json.dumps(document, sort_keys=True, indent=1).encode()


def from_bytes(data: bytes, uri: str) -> CompletedCheckpoint:
    """Read what `to_bytes` made. `uri`: named in errors. Raises CheckpointCorruptedError."""
    try:
        document = json.loads(data)
        version = document[_FORMAT_KEY]
        body = document["checkpoint"]
        intact = _checksum(body) == document["checksum"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointCorruptedError(
            f"the checkpoint metadata {uri} is damaged ({len(data)} bytes, {type(error).__name__}: {error}): use "
            "another checkpoint or savepoint",
            uri,
        ) from error
    if version != FORMAT:
        raise CheckpointCorruptedError(
            f"{uri} was written by another version of yarnflow: its form is {version!r}, and this version reads "
            f"{FORMAT}",
            uri,
        )
    if not intact:
        raise CheckpointCorruptedError(
            f"the checkpoint metadata {uri} is damaged: its content has another checksum than it says. Use "
            "another checkpoint or savepoint",
            uri,
        )
    try:
        return CompletedCheckpoint(
            checkpoint_id=int(body["checkpoint-id"]),
            job_id=str(body["job-id"]),
            timestamp=int(body["timestamp"]),
            savepoint=body["kind"] == "savepoint",
            operators=tuple(_operator_from_json(operator) for operator in body["operators"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointCorruptedError(
            f"{uri} is no metadata of a checkpoint: {type(error).__name__}: {error}", uri
        ) from error


def _checksum(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _operator_to_json(operator: OperatorCheckpoint) -> dict[str, Any]:
    return {
        "id": operator.operator_id,
        "uid": operator.uid,
        "name": operator.name,
        "vertex": operator.vertex_id,
        "parallelism": operator.parallelism,
        "max-parallelism": operator.max_parallelism,
        "ended": list(operator.ended),
        "subtasks": {
            str(index): {
                "blocks": [_block_to_json(block) for block in state.blocks],
                "files": [asdict(file) for file in state.files],
            }
            for index, state in operator.subtasks.items()
        },
    }


def _block_to_json(block: StateBlock) -> dict[str, Any]:
    document = asdict(block)
    document["kind"] = block.kind.value
    document["data"] = base64.b64encode(block.data).decode("ascii")
    return document


def _operator_from_json(document: dict[str, Any]) -> OperatorCheckpoint:
    return OperatorCheckpoint(
        operator_id=document["id"],
        uid=document["uid"],
        name=document["name"],
        vertex_id=document["vertex"],
        parallelism=int(document["parallelism"]),
        max_parallelism=int(document["max-parallelism"]),
        subtasks={
            int(index): OperatorState(
                document["id"],
                tuple(_block_from_json(block) for block in state["blocks"]),
                tuple(
                    StateFile(**{**file, "key_groups": tuple(file["key_groups"])}) for file in state["files"]
                ),
            )
            for index, state in document["subtasks"].items()
        },
        ended=tuple(document["ended"]),
    )


def _block_from_json(document: dict[str, Any]) -> StateBlock:
    groups = document["key_groups"]
    return StateBlock(
        **{
            **document,
            "kind": StateKind(document["kind"]),
            "key_groups": None if groups is None else (int(groups[0]), int(groups[1])),
            "data": base64.b64decode(document["data"], validate=True),
        }
    )
