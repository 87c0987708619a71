"""The records that `execute_and_collect()` brings back."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from yarnflow.graph.executor import SubmittedJob

__all__ = ["CloseableIterator"]


class CloseableIterator(Iterator[Any]):
    """Yields records while the job runs. Use it in `with`, or read it to its end.

    `close()` before the end cancels the job. A failure of the job is raised by the iteration.
    """

    def __init__(self, job: SubmittedJob, collect_id: str) -> None:
        self._job = job
        self._batches = job.collect(collect_id)
        self._rows: Iterator[Any] = iter(())
        self._ended = False

    def __iter__(self) -> CloseableIterator:
        return self

    def __next__(self) -> Any:
        while True:
            for row in self._rows:
                return row
            if self._ended:
                raise StopIteration
            try:
                self._rows = iter(next(self._batches))
            except Exception:
                # StopIteration or a failure: either way the job is over, and close() has nothing to cancel.
                self._ended = True
                raise

    def next(self) -> Any:
        """The next record. Raises StopIteration after the last one."""
        return next(self)

    def close(self) -> None:
        """Cancel the job if it still runs, and yield nothing more."""
        self._rows = iter(())
        if not self._ended:
            self._ended = True
            self._job.cancel()

    def __enter__(self) -> CloseableIterator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
