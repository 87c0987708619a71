"""Decides which jobs run, which ended ones are remembered, and when the cluster ends.

Events in, effects out; the shell is dispatcher.py, which keeps the job masters themselves.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum

from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.states import JobStatus


class ClusterEnd(Enum):
    """When a cluster ends by itself."""

    NEVER = "never"
    AFTER_JOB = "after the job"
    AFTER_RESULT = "after the client has fetched the job's result"


# -- events ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DispatcherEvent:
    """Base of what can happen to the set of jobs."""


@dataclass(frozen=True)
class JobSubmitted(DispatcherEvent):
    """A client submits a job."""

    job_id: str


@dataclass(frozen=True)
class JobTerminated(DispatcherEvent):
    """A job master is done."""

    job_id: str
    status: JobStatus
    diagnostics: str = ""


@dataclass(frozen=True)
class ResultDelivered(DispatcherEvent):
    """A client has got the result of an ended job."""

    job_id: str


@dataclass(frozen=True)
class ShutdownRequested(DispatcherEvent):
    """Somebody ends the cluster."""

    status: FinalStatus
    diagnostics: str = ""


@dataclass(frozen=True)
class Tick(DispatcherEvent):
    """Time has passed."""


# -- effects ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DispatcherEffect:
    """Base of what the shell shall do."""


@dataclass(frozen=True)
class StartJob(DispatcherEffect):
    """Give the job a job master."""

    job_id: str


@dataclass(frozen=True)
class RefuseJob(DispatcherEffect):
    """Tell the client why not."""

    job_id: str
    reason: str


@dataclass(frozen=True)
class CancelJob(DispatcherEffect):
    """The cluster ends: so must this job."""

    job_id: str


@dataclass(frozen=True)
class ForgetJob(DispatcherEffect):
    """Drop what is remembered of an ended job."""

    job_id: str


@dataclass(frozen=True)
class EndCluster(DispatcherEffect):
    """No job runs any more: stop everything."""

    status: FinalStatus
    diagnostics: str


class DispatcherMachine:
    """The set of jobs.

    Args:
        end: when the cluster ends by itself (per-job clusters).
        capacity: ended jobs that are remembered, None for all.
        expiration: seconds for which they are.
    """

    def __init__(self, end: ClusterEnd, capacity: int | None, expiration: float) -> None:
        self._end = end
        self._capacity = capacity
        self._expiration = expiration
        self.running: set[str] = set()
        #: Ended jobs with the time of their end, oldest first.
        self.ended: OrderedDict[str, float] = OrderedDict()
        self._final: tuple[FinalStatus, str] | None = None
        self._shutting_down = False
        self._announced = False

    def handle(self, event: DispatcherEvent, now: float) -> list[DispatcherEffect]:
        """Take one event and return what to do."""
        effects: list[DispatcherEffect] = []
        if isinstance(event, JobSubmitted):
            effects.append(self._submit(event.job_id))
        elif isinstance(event, JobTerminated) and event.job_id in self.running:
            self.running.discard(event.job_id)
            self.ended[event.job_id] = now
            if self._final is None:
                self._final = (_final_status(event.status), event.diagnostics)
            if self._end is ClusterEnd.AFTER_JOB and not self.running:
                self._shutting_down = True
        elif isinstance(event, ResultDelivered):
            if self._end is ClusterEnd.AFTER_RESULT and not self.running and event.job_id in self.ended:
                self._shutting_down = True
        elif isinstance(event, ShutdownRequested) and not self._shutting_down:
            self._shutting_down = True
            self._final = (event.status, event.diagnostics)
            effects.extend(CancelJob(job_id) for job_id in sorted(self.running))
        effects.extend(self._forget(now))
        if self._shutting_down and not self.running and not self._announced:
            self._announced = True
            status, diagnostics = self._final or (FinalStatus.SUCCEEDED, "")
            effects.append(EndCluster(status, diagnostics))
        return effects

    def _submit(self, job_id: str) -> DispatcherEffect:
        if self._shutting_down:
            return RefuseJob(job_id, f"job {job_id} was refused: the cluster is shutting down")
        if job_id in self.running or job_id in self.ended:
            return RefuseJob(job_id, f"job {job_id} was submitted before: every execution has its own id")
        if self._end is not ClusterEnd.NEVER and self.ended:
            return RefuseJob(job_id, f"job {job_id} was refused: this cluster was made for one job, which ended")
        self.running.add(job_id)
        return StartJob(job_id)

    def _forget(self, now: float) -> list[DispatcherEffect]:
        forgotten: list[DispatcherEffect] = []
        while self.ended:
            job_id, ended_at = next(iter(self.ended.items()))
            over = self._capacity is not None and len(self.ended) > self._capacity
            if not over and now - ended_at < self._expiration:
                break
            del self.ended[job_id]
            forgotten.append(ForgetJob(job_id))
        return forgotten

    def check(self) -> None:
        """Raise AssertionError when the state contradicts itself; tests call it after every event."""
        assert not self.running & set(self.ended)
        assert list(self.ended.values()) == sorted(self.ended.values())
        assert not (self._announced and self.running)


def _final_status(status: JobStatus) -> FinalStatus:
    return {
        JobStatus.FINISHED: FinalStatus.SUCCEEDED,
        JobStatus.CANCELED: FinalStatus.KILLED,
        JobStatus.FAILED: FinalStatus.FAILED,
    }[status]
