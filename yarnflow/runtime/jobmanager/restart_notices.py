"""Says in one line each why a job restarts: in the log, and to clients that wait for the job."""

from __future__ import annotations

from collections import deque

from yarnflow.runtime.jobmanager.views import ExceptionView

#: Restarts of one cause that are all told; then one in so many seconds is.
_ALL = 3
_SECONDS = 10.0
#: Notices that are kept for clients, and characters of one.
_KEPT = 20
_LIMIT = 500


class RestartNotices:
    """What was said of one job's restarts.

    Args:
        job_name: of the job.

    Attributes:
        recent: number of the restart, and the notice; oldest first.
    """

    def __init__(self, job_name: str) -> None:
        self._name = job_name
        self.recent: deque[tuple[int, str]] = deque(maxlen=_KEPT)
        self._seen = 0
        self._cause = ("", "")
        self._repeats = 0
        self._told_at = 0.0

    def look(self, count: int, restart_at: float | None, cause: ExceptionView, now: float) -> str | None:
        """What is to be said now, if anything.

        Args:
            count: restarts so far, with the one that is coming.
            restart_at: when that is, in seconds since the epoch; None: it has been.
            cause: the newest root cause.
            now: the time.
        """
        if count == self._seen or (cause.failure.secondary and restart_at is not None):
            return None  # of an echo, the failure behind it may still be reported
        self._seen = count
        kind = (cause.failure.operator_name or cause.vertex_name, cause.failure.message.partition(":")[0])
        self._repeats = self._repeats + 1 if kind == self._cause else 1
        self._cause = kind
        if self._repeats > _ALL and now - self._told_at < _SECONDS:
            return None
        self._told_at = now
        pause = "" if restart_at is None else f" in {max(0.0, restart_at - now):.1f} s"
        notice = f"restart {count} of job {self._name}{pause}: {_in_one_line(cause)}"
        self.recent.append((count, notice))
        return notice


def _in_one_line(cause: ExceptionView) -> str:
    """The operator, the record and the exception, without the traceback."""
    failure = cause.failure
    place = f"'{failure.operator_name or cause.vertex_name}'"
    # Its traceback begins with the operator and the record (taskmanager/failures.py).
    first, _, rest = failure.traceback.partition("\n")
    record = ""
    if rest and first.startswith("In operator ") and first.endswith(":"):
        record = first.removeprefix(f"In operator {place}").removesuffix(":")
        place = f"operator {place}"
    text = failure.message if len(failure.message) <= _LIMIT else f"{failure.message[:_LIMIT]}..."
    if cause.subtask_index < 0:
        return text
    return f"in {place} (subtask {cause.subtask_index + 1}){record}: {text}"
