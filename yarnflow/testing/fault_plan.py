"""When something shall fail: small, picklable, and the same in every process and attempt.

The plan remembers in a folder how often it has struck, so it works across restarts, worker processes and
TaskManagers that share the folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class FaultKind(Enum):
    """What happens."""

    #: an exception in user code
    RAISE = "raise"
    #: the worker process is killed (SIGKILL)
    KILL = "kill"


@dataclass(frozen=True)
class FaultPlan:
    """Fail after given numbers of records.

    >>> FaultPlan("/tmp/faults", after=(100, 50))  # doctest: +SKIP
    # the first attempt to read 100 records of a split fails, then the first to read 50, then none

    Attributes:
        directory: exists and is seen by every worker; empty at first.
        after: records of one split after which an attempt fails, one entry per failure.
        kind: how.
    """

    directory: str
    after: tuple[int, ...]
    kind: FaultKind = FaultKind.RAISE

    def next_fault(self, name: str) -> int | None:
        """Records after which the present attempt on `name` fails; None when it shall not."""
        struck = self.struck(name)
        return self.after[struck] if struck < len(self.after) else None

    def strike(self, name: str) -> bool:
        """Note that the next fault of `name` happens now. False when another attempt was quicker."""
        path = Path(self.directory) / f"{name}-{self.struck(name)}"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    def struck(self, name: str) -> int:
        """How often `name` has failed so far."""
        return sum((Path(self.directory) / f"{name}-{number}").exists() for number in range(len(self.after)))
