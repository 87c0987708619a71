"""Decides everything about a job's checkpoints: when they are taken, when they are complete, which are kept.

Events in, effects out; the shell is jobmanager/checkpoint_coordinator.py. A checkpoint goes

    PREPARING --directory made--> RUNNING --all acknowledged--> PUBLISHING --metadata stored--> complete

and is aborted from any of these: by a task that declines, a task that fails, the timeout, the storage, a
newer checkpoint that completes first. Tasks that are FINISHED count as done, with what they stored last.

Triggered are the running tasks whose producers have all FINISHED: sources, at first. When every unfinished task
has read its whole input, one more checkpoint is taken at once, which lets them finish (docs/streaming.md).
"""

from __future__ import annotations

from collections import OrderedDict

from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.checkpoint.assignment import task_restore
from yarnflow.runtime.checkpoint.coordinator_events import (
    CancelJob,
    CheckpointDone,
    CoordinatorEffect,
    CoordinatorEvent,
    Delete,
    DirectoryMade,
    FailJob,
    JobMoved,
    MakeDirectory,
    Note,
    Publish,
    Published,
    RestoreFailed,
    SendToTask,
    SnapshotRequested,
    StorageFailed,
    TaskMoved,
    WakeAt,
)
from yarnflow.runtime.checkpoint.handles import SubtaskState, TaskRestore
from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint
from yarnflow.runtime.checkpoint.paths import checkpoint_directory, job_directory
from yarnflow.runtime.checkpoint.pending import PendingCheckpoint, Phase, RequestOutcome, with_full_paths
from yarnflow.runtime.checkpoint.settings import CheckpointSettings
from yarnflow.runtime.checkpoint.statistics import (
    CheckpointRecord,
    CheckpointStatistics,
    CheckpointStatus,
    RestoredRecord,
    SubtaskRecord,
    TaskKey,
)
from yarnflow.runtime.checkpoint.store import CompletedCheckpointStore, kept_after
from yarnflow.runtime.checkpoint.tasks import TaskBook
from yarnflow.runtime.rpc.checkpoint_messages import (
    CheckpointAborted,
    CheckpointAcknowledged,
    CheckpointCompleted,
    CheckpointDeclined,
    InputEnded,
    StopMode,
    TriggerCheckpoint,
)
from yarnflow.runtime.states import ExecutionState, JobStatus

#: Longest pause before the last checkpoint of a job is tried again, in seconds.
_RETRY_SECONDS = 1.0
#: Time for tasks whose end a checkpoint covers to become FINISHED before the next one is taken, in seconds.
_SETTLE_SECONDS = 0.1
#: Outcomes of requests, and directories of aborted checkpoints, that are remembered.
_REMEMBERED = 256

Incoming = CoordinatorEvent | CheckpointAcknowledged | CheckpointDeclined | InputEnded


class CoordinatorMachine:
    """The checkpoints of one job. `handle` takes an event and the time and returns what to do.

    Args:
        restored: what the job starts from, fitted to it already (assignment.fit_job).

    Attributes:
        settings: how checkpoints are taken and kept.
        store: completed checkpoints.
        statistics: for views.
        pending: checkpoints under way, by id.
        requests: outcomes by request id.
    """

    def __init__(
        self, job: JobGraph, settings: CheckpointSettings, restored: CompletedCheckpoint | None = None
    ) -> None:
        self.job = job
        self.settings = settings
        directory = job_directory(settings.directory, job.job_id) if settings.directory else ""
        self.store = CompletedCheckpointStore(directory, settings.num_retained, restored)
        self.statistics = CheckpointStatistics(settings.history)
        self.pending: dict[int, PendingCheckpoint] = {}
        self.requests: OrderedDict[str, RequestOutcome] = OrderedDict()
        self.tasks = TaskBook(job)
        self._states: dict[TaskKey, SubtaskState] = {}
        self._status = JobStatus.CREATED
        self._next_id = 1 if restored is None else restored.checkpoint_id + 1
        self._aborted: OrderedDict[int, str] = OrderedDict()
        self._failures = 0
        self._last_end = float("-inf")
        #: When the next periodic checkpoint is due; None: count from when all tasks run.
        self._due: float | None = None
        self._not_before = float("-inf")
        #: The savepoint that ends the job, once it is complete.
        self._stopped: PendingCheckpoint | None = None
        self._wakes: set[float] = set()
        self._effects: list[CoordinatorEffect] = []
        self._now = 0.0

    # -- entry -------------------------------------------------------------------------------------------

    def handle(self, event: Incoming, now: float) -> list[CoordinatorEffect]:
        """Take one event. Late and unknown ones are harmless."""
        self._now = now
        self._effects = []
        self._wakes = {time for time in self._wakes if time > now}
        if isinstance(event, CheckpointAcknowledged):
            self._acknowledge(event)
        elif isinstance(event, CheckpointDeclined):
            self._decline(event)
        elif isinstance(event, InputEnded):
            if (key := self.tasks.key_of(event.execution_id)) is not None:
                self.tasks.all[key].input_ended = True
        elif isinstance(event, TaskMoved):
            self._move_task(event)
        elif isinstance(event, JobMoved):
            self._move_job(event.status)
        elif isinstance(event, DirectoryMade):
            self._trigger(event.checkpoint_id)
        elif isinstance(event, Published):
            self._complete(event.checkpoint)
        elif isinstance(event, StorageFailed):
            if event.checkpoint_id in self.pending:
                self._abort(self.pending[event.checkpoint_id], event.reason, counted=True)
        elif isinstance(event, SnapshotRequested):
            self._request(event)
        elif isinstance(event, RestoreFailed):
            self._give_up_restored(event)
        self._expire()
        self._take_periodic()
        return self._effects

    def restore(self, vertex_id: str, index: int) -> TaskRestore | None:
        """What the attempt starts from that is just being deployed; None when there is no checkpoint."""
        latest = self.store.latest
        if latest is None:
            return None
        key = (vertex_id, index)
        self.tasks.all[key].restored_from = latest.checkpoint_id
        return task_restore(latest, self.tasks.vertex(key), index)

    # -- tasks and job -----------------------------------------------------------------------------------

    def _move_task(self, event: TaskMoved) -> None:
        key = (event.vertex_id, event.index)
        self.tasks.move(key, event.execution_id, event.state)
        if event.state is ExecutionState.FINISHED:
            for pending in [each for each in self.pending.values() if key in each.waiting]:
                # Nothing is missing: for those behind it, its end stands for its barriers.
                del pending.waiting[key]
                pending.states[key] = self._final_state(key)
                if pending.phase is Phase.RUNNING:
                    self._send_triggers(pending)
                    self._publish_whole(pending)
                elif not pending.waiting:
                    self._abort(pending, "all tasks have finished", counted=False)
        elif event.state in (ExecutionState.CANCELING, ExecutionState.CANCELED, ExecutionState.FAILED):
            self._abort_all(f"{self.tasks.name(key)} became {event.state.value}")

    def _move_job(self, status: JobStatus) -> None:
        self._status = status
        latest = self.store.latest
        if status is JobStatus.RUNNING:
            if latest is not None:  # what is deployed now starts from it
                self.statistics.restored(
                    RestoredRecord(latest.checkpoint_id, self._now, latest.savepoint, latest.directory)
                )
            return
        self._abort_all(f"the job is {status.value}")
        self._due = None
        stopped, self._stopped = self._stopped, None
        if stopped is not None and stopped.request is not None:
            if status is JobStatus.FINISHED:
                self._answer(stopped.request, RequestOutcome(True, stopped.directory, stopped.checkpoint_id))
            else:
                text = (
                    f"the savepoint {stopped.directory} is complete, but the job became {status.value} before it "
                    "had stopped; if it restarts, it goes on from there"
                )
                self._answer(stopped.request, RequestOutcome(True, "", stopped.checkpoint_id, text))
        if status.terminal and not (self.store.retained and kept_after(status, self.settings.retention)):
            self._discard(*self.store.clear())
        elif status.terminal and self._aborted:
            # Tasks that were ending may have written there after the directories were deleted.
            self._effects.append(Delete(tuple(self._aborted.values())))

    def _abort_all(self, reason: str) -> None:
        for pending in list(self.pending.values()):
            self._abort(pending, reason, counted=False)

    # -- when --------------------------------------------------------------------------------------------

    def _take_periodic(self) -> None:
        interval = self.settings.interval
        if interval is None or self._stopping or not self._ready:
            return
        if self._due is None:
            self._due = self._now + interval
        unfinished = [task for _, task in self.tasks.running()]
        final = all(task.input_ended for task in unfinished)
        if final and all(task.covered for task in unfinished):
            return  # they are about to finish
        if sum(not pending.savepoint for pending in self.pending.values()) >= self.settings.max_concurrent:
            return
        due = self._not_before
        if not final:
            due = max(due, self._due, self._last_end + self.settings.min_pause)
        if due > self._now:
            self._wake(due)
            return
        self._due = self._now + interval
        self._begin(None)
        self._take_periodic()

    @property
    def _stopping(self) -> bool:
        asked = any(
            pending.stop is not StopMode.NO or (pending.request is not None and pending.request.cancel)
            for pending in self.pending.values()
        )
        return asked or self._stopped is not None

    @property
    def _ready(self) -> bool:
        return self.settings.possible and self._status is JobStatus.RUNNING and self.tasks.all_run

    def _expire(self) -> None:
        for pending in list(self.pending.values()):
            if pending.deadline <= self._now:
                missing = ", ".join(map(self.tasks.name, sorted(pending.waiting)[:5]))
                self._abort(
                    pending,
                    f"it took longer than {self.settings.timeout:g} s (execution.checkpointing.timeout)"
                    + (f"; {len(pending.waiting)} tasks have not answered: {missing}" if missing else ""),
                    counted=True,
                )

    def _wake(self, time: float) -> None:
        if time not in self._wakes:
            self._wakes.add(time)
            self._effects.append(WakeAt(time))

    # -- requests ----------------------------------------------------------------------------------------

    def _request(self, request: SnapshotRequested) -> None:
        if request.request_id in self.requests:
            return  # the client asks again because the answer was lost
        self._answer(request, RequestOutcome())
        refusal = ""
        if not self.settings.possible:
            refusal = "a batch job has neither checkpoints nor savepoints"
        elif self._stopping:
            refusal = "the job is being stopped with a savepoint already"
        elif not self._ready:
            states = ", ".join(sorted(state.value for state in self.tasks.states()))
            refusal = (
                f"not all tasks are running: the job is {self._status.value}, its tasks {states}. Try again later"
            )
        if refusal:
            self._answer(request, RequestOutcome(True, failure=refusal))
            return
        if request.stop is not StopMode.NO:
            for pending in list(self.pending.values()):
                self._abort(pending, "the job is being stopped with a savepoint", counted=False)
        self._begin(request)

    def _answer(self, request: SnapshotRequested | None, outcome: RequestOutcome) -> None:
        if request is not None:
            self.requests[request.request_id] = outcome
            while len(self.requests) > _REMEMBERED:
                self.requests.popitem(last=False)

    # -- taking one --------------------------------------------------------------------------------------

    def _begin(self, request: SnapshotRequested | None) -> None:
        number = self._next_id
        self._next_id += 1
        directory = ""
        if request is not None and request.savepoint:
            directory = request.directory
        elif self.settings.directory:
            directory = checkpoint_directory(self.settings.directory, self.job.job_id, number)
        waiting = {key: task.execution_id for key, task in self.tasks.running()}
        states = {key: self._final_state(key) for key in self.tasks.all if key not in waiting}
        pending = PendingCheckpoint(
            number,
            int(self._now * 1000),
            self._now + self.settings.timeout,
            directory,
            request,
            waiting,
            states,
        )
        self.pending[number] = pending
        counts = {vertex.vertex_id: vertex.parallelism for vertex in self.job.vertices}
        savepoint, unaligned = pending.savepoint, self.settings.unaligned and not pending.savepoint
        self.statistics.started(
            CheckpointRecord(number, CheckpointStatus.IN_PROGRESS, savepoint, unaligned, self._now, counts)
        )
        self._wake(pending.deadline)
        if directory:
            self._effects.append(MakeDirectory(number, directory))
        else:
            self._trigger(number)

    def _trigger(self, checkpoint_id: int) -> None:
        pending = self.pending.get(checkpoint_id)
        if pending is None or pending.phase is not Phase.PREPARING:
            return
        pending.phase = Phase.RUNNING
        self._send_triggers(pending)

    def _send_triggers(self, pending: PendingCheckpoint) -> None:
        for key, execution_id in pending.waiting.items():
            if execution_id not in pending.triggered and self.tasks.is_first(key):
                self._send(pending.trigger(execution_id, self.settings.unaligned))

    def _final_state(self, key: TaskKey) -> SubtaskState:
        """What a FINISHED task counts with. What it stored before its end is no part of that."""
        state = self._states.get(key)
        return state if state is not None and state.ended else SubtaskState(ended=True)

    def _acknowledge(self, message: CheckpointAcknowledged) -> None:
        pending = self.pending.get(message.checkpoint_id)
        key = self.tasks.key_of(message.execution_id)
        if pending is None:
            if directory := self._aborted.get(message.checkpoint_id, ""):
                # Written after the directory was deleted.
                self._effects.append(self.store.orphans(directory, [message.state]))
            return
        if key is None or pending.waiting.get(key) != message.execution_id:
            return
        del pending.waiting[key]
        pending.states[key] = message.state
        self.statistics.acknowledged(
            message.checkpoint_id, key, SubtaskRecord(self._now, message.times, message.state.ended)
        )
        self._publish_whole(pending)

    def _publish_whole(self, pending: PendingCheckpoint) -> None:
        if pending.waiting:
            return
        pending.phase = Phase.PUBLISHING
        checkpoint = pending.complete(self.job.job_id, self.job.vertices)
        if pending.directory:
            self._effects.append(Publish(checkpoint))
        else:
            self._complete(checkpoint)

    def _decline(self, message: CheckpointDeclined) -> None:
        pending = self.pending.get(message.checkpoint_id)
        key = self.tasks.key_of(message.execution_id)
        if pending is not None and key is not None and pending.waiting.get(key) == message.execution_id:
            reason = f"{self.tasks.name(key)}: {message.reason}"
            self._abort(pending, reason, not message.subsumed, message.retryable)

    # -- the end of one ----------------------------------------------------------------------------------

    def _complete(self, checkpoint: CompletedCheckpoint) -> None:
        number = checkpoint.checkpoint_id
        pending = self.pending.pop(number, None)
        if pending is None:
            return  # aborted while it was being written
        self._last_end = self._now
        self.statistics.completed(number, self._now, checkpoint.size, checkpoint.directory)
        if not pending.commits:
            for execution_id in pending.executions:
                # What sinks prepared for it belongs to the next checkpoint.
                self._send(CheckpointAborted(execution_id, number, "it is a savepoint, which commits nothing"))
            self._answer(pending.request, RequestOutcome(True, checkpoint.directory, number))
            if pending.request is not None and pending.request.cancel:
                self._effects.append(CancelJob())
            return
        self._failures = 0
        for key, state in pending.states.items():
            self._states[key] = with_full_paths(state, pending.directory)
            task = self.tasks.all[key]
            task.covered = state.ended
            if task.covered and task.state is ExecutionState.RUNNING:
                self._not_before = self._now + _SETTLE_SECONDS
        self._discard(*self.store.add(checkpoint))
        for older in [each for each in self.pending.values() if each.checkpoint_id < number]:
            if not older.savepoint:
                self._abort(older, f"checkpoint {number} completed first", counted=False)
        for execution_id in pending.executions:
            self._send(CheckpointCompleted(execution_id, number))
        self._effects.append(CheckpointDone(number))
        if pending.stop is StopMode.NO:
            self._answer(pending.request, RequestOutcome(True, checkpoint.directory, number))
        else:
            self._stopped = pending  # answered when the job has FINISHED

    def _abort(self, pending: PendingCheckpoint, reason: str, counted: bool, retryable: bool = True) -> None:
        number = pending.checkpoint_id
        del self.pending[number]
        self._last_end = self._now
        if counted:
            self._not_before = self._now + min(self.settings.interval or _RETRY_SECONDS, _RETRY_SECONDS)
        self.statistics.failed(number, self._now, reason)
        if pending.phase is not Phase.PREPARING:
            for execution_id in pending.executions:
                self._send(CheckpointAborted(execution_id, number, reason))
        if pending.directory:
            self._aborted[number] = pending.directory
            while len(self._aborted) > _REMEMBERED:
                self._aborted.popitem(last=False)
            self._effects.append(self.store.orphans(pending.directory, pending.states.values()))
        kind = "savepoint" if pending.savepoint else "checkpoint"
        self._answer(pending.request, RequestOutcome(True, "", number, f"the {kind} failed: {reason}"))
        if counted:
            self._effects.append(Note(f"{kind} {number} failed", reason))
        if pending.stop is StopMode.DRAIN and pending.phase is not Phase.PREPARING:
            # Event time is over for its tasks already: they cannot just go on.
            self._fail_job(f"the job was to be drained, but its savepoint failed: {reason}")
        elif counted and not pending.savepoint:
            self._failures += 1
            if self._failures > self.settings.tolerable_failures:
                count, self._failures = self._failures, 0
                self._fail_job(
                    f"{count} checkpoint{'s' if count > 1 else ''} failed in a row, and "
                    f"execution.checkpointing.tolerable-failed-checkpoints is {self.settings.tolerable_failures}; "
                    f"the last one ({number}): {reason}",
                    retryable,
                )

    def _fail_job(self, reason: str, retryable: bool = True) -> None:
        if self._status is JobStatus.RUNNING:
            self._due = None
            self._effects.append(FailJob(reason, retryable))

    def _discard(self, gone: list[CompletedCheckpoint], delete: Delete) -> None:
        for checkpoint in gone:
            if not checkpoint.savepoint:
                self.statistics.discarded(checkpoint.checkpoint_id)
        if delete.directories or delete.files:
            self._effects.append(delete)

    def _send(self, message: TriggerCheckpoint | CheckpointCompleted | CheckpointAborted) -> None:
        key = self.tasks.key_of(message.execution_id)
        if key is not None and self.tasks.all[key].state is ExecutionState.RUNNING:
            self._effects.append(SendToTask(message.execution_id, message))

    # -- restoring ---------------------------------------------------------------------------------------

    def _give_up_restored(self, event: RestoreFailed) -> None:
        key = self.tasks.key_of(event.execution_id)
        latest = self.store.latest
        if key is None or latest is None or self.tasks.all[key].restored_from != latest.checkpoint_id:
            return  # given up already: several tasks have noticed
        damaged = self.store.give_up_latest()
        self.statistics.discarded(damaged.checkpoint_id)
        before = self.store.latest
        if before is None:
            self._effects.append(
                FailJob(
                    f"the {damaged.shown} cannot be read, and no earlier one is retained "
                    f"(execution.checkpointing.num-retained: {self.settings.num_retained}): {event.reason}",
                    retryable=False,
                )
            )
        else:
            self._effects.append(
                Note(f"the {damaged.shown} cannot be read: going back to the {before.shown}", event.reason)
            )

    # -- invariants --------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise AssertionError when the state contradicts itself; tests call it after every event."""
        for number, pending in self.pending.items():
            assert number == pending.checkpoint_id < self._next_id
            assert not set(pending.waiting) & set(pending.states), "a task is done or it is not"
            assert set(pending.waiting) | set(pending.states) == set(self.tasks.all)
            assert bool(pending.waiting) == (pending.phase is not Phase.PUBLISHING)
            for key, execution_id in pending.waiting.items():
                assert self.tasks.all[key].execution_id == execution_id
                assert self.tasks.all[key].state is ExecutionState.RUNNING, "a task that left is waited for"
        periodic = [pending for pending in self.pending.values() if pending.request is None]
        assert len(periodic) <= self.settings.max_concurrent
        numbers = [checkpoint.checkpoint_id for checkpoint in self.store.retained]
        assert numbers == sorted(set(numbers))
        assert len(numbers) <= self.settings.num_retained
        if self._status is not JobStatus.RUNNING:
            assert not self.pending
