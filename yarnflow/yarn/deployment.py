"""What an application is for: written by the client, read by the JobManager in the ApplicationMaster."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path


class Mode(Enum):
    """The three ways to deploy, as Flink names them."""

    SESSION = "session"
    PER_JOB = "per-job"
    APPLICATION = "application"


#: What the folder layout.JOB has.
JOB_GRAPH = "graph.json"
JOB_BLOBS = "blobs"


@dataclass(frozen=True)
class Deployment:
    """One application.

    Attributes:
        detached: nobody waits for the job's result.
        initial_workers: TaskManagers that were requested at submission.
        program_file: in application mode, the program: a path in the container's folder or a URI.
        program_module: in application mode, the program's module instead.
        program_arguments: for the program.
        program_options: options of its job that name files, by their places in the container.
    """

    mode: Mode
    detached: bool = False
    initial_workers: int = 0
    program_file: str = ""
    program_module: str = ""
    program_arguments: tuple[str, ...] = ()
    program_options: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write as JSON. Raises OSError."""
        path.write_text(json.dumps({**asdict(self), "mode": self.mode.value}), encoding="utf-8")

    @staticmethod
    def read(path: Path) -> Deployment:
        """Read what `write` wrote. Raises OSError, ValueError or TypeError."""
        document = json.loads(path.read_text(encoding="utf-8"))
        document["mode"] = Mode(document["mode"])
        document["program_arguments"] = tuple(document["program_arguments"])
        return Deployment(**document)
