"""Which completed checkpoints are retained, and what may be deleted when one goes.

A file goes when no retained checkpoint names it any more. Only files below the job's own directory of checkpoints
are ever deleted: savepoints, and what the job was started from, belong to somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable

from yarnflow.config.checkpointing import CheckpointRetention
from yarnflow.runtime.checkpoint.assignment import files_of
from yarnflow.runtime.checkpoint.coordinator_events import Delete
from yarnflow.runtime.checkpoint.handles import SubtaskState
from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint
from yarnflow.runtime.checkpoint.paths import METADATA, below, resolve
from yarnflow.runtime.states import JobStatus

#: How a job may end for its checkpoints to stay. Flink's CheckpointProperties.
_KEPT: dict[CheckpointRetention, tuple[JobStatus, ...]] = {
    CheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS: (),
    CheckpointRetention.DELETE_ON_CANCELLATION: (JobStatus.FAILED,),
    CheckpointRetention.RETAIN_ON_CANCELLATION: (JobStatus.FAILED, JobStatus.CANCELED),
}


def kept_after(status: JobStatus, retention: CheckpointRetention) -> bool:
    """Whether checkpoints stay when their job has ended so."""
    return status in _KEPT[retention]


class CompletedCheckpointStore:
    """Checkpoints that the job can be restored from, oldest first.

    Args:
        directory: URI of the job's checkpoints; "" when there is none.
        capacity: how many are retained.
        restored: what the job was started from, if anything.
    """

    def __init__(self, directory: str, capacity: int, restored: CompletedCheckpoint | None) -> None:
        self._directory = directory
        self._capacity = capacity
        self.retained: list[CompletedCheckpoint] = [] if restored is None else [restored]
        #: Directories of deleted checkpoints in which retained ones still have files.
        self._remains: set[str] = set()

    @property
    def latest(self) -> CompletedCheckpoint | None:
        """The one to restore from."""
        return self.retained[-1] if self.retained else None

    def add(self, checkpoint: CompletedCheckpoint) -> tuple[list[CompletedCheckpoint], Delete]:
        """Retain one more; returns those that go for it, and what to delete."""
        position = sum(each.checkpoint_id < checkpoint.checkpoint_id for each in self.retained)
        self.retained.insert(position, checkpoint)
        gone = self.retained[: -self._capacity]
        del self.retained[: -self._capacity]
        return gone, self._delete(gone)

    def give_up_latest(self) -> CompletedCheckpoint:
        """Never restore from the newest again: it cannot be read. Its files stay, for whoever wants to know."""
        return self.retained.pop()

    def orphans(self, directory: str, states: Iterable[SubtaskState]) -> Delete:
        """What to delete of a checkpoint that will not complete: its directory, and shared files that only it
        names. Nobody will name them again: files are only reused from checkpoints that are complete."""
        files = {
            resolve(directory, file.path)
            for state in states
            for operator in state.operators
            for file in operator.files
            if file.shared
        }
        kept = set().union(*map(paths_of, self.retained))
        return Delete((directory,), tuple(sorted(path for path in files - kept if self._own(path))))

    def clear(self) -> tuple[list[CompletedCheckpoint], Delete]:
        """Retain nothing: the job has ended."""
        gone = list(self.retained)
        self.retained.clear()
        self._remains.clear()
        return gone, Delete((self._directory,)) if self._directory else Delete()

    def _delete(self, gone: Iterable[CompletedCheckpoint]) -> Delete:
        kept = set().union(*map(paths_of, self.retained))
        directories = set(self._remains)
        files: set[str] = set()
        for checkpoint in gone:
            files |= paths_of(checkpoint)
            if checkpoint.directory:
                files.add(f"{checkpoint.directory}/{METADATA}")
                directories.add(checkpoint.directory)
        directories = {each for each in directories if self._own(each)}
        self._remains = {each for each in directories if any(below(each, path) for path in kept)}
        whole = directories - self._remains
        single = {
            path
            for path in files - kept
            if self._own(path) and not any(below(directory, path) for directory in whole)
        }
        return Delete(tuple(sorted(whole)), tuple(sorted(single)))

    def _own(self, path: str) -> bool:
        return bool(self._directory) and below(self._directory, path)


def paths_of(checkpoint: CompletedCheckpoint) -> set[str]:
    """Full URIs of all files that a checkpoint names."""
    return {resolve(checkpoint.directory, path) for path in files_of(checkpoint.operators)}
