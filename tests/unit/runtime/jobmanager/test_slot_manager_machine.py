from __future__ import annotations

from yarnflow.runtime.jobmanager.slot_manager_events import (
    CancelRequest,
    Free,
    Grant,
    RefuseTaskManager,
    ReleaseWorker,
    RequestFailed,
    RequestWorker,
    Reserve,
    SlotFailed,
    SlotManagerEvent,
    SlotPrepared,
    SlotReturned,
    SlotsDeclared,
    TaskManagerLost,
    TaskManagerRegistered,
    TellResourcesMissing,
    TellSlotsGone,
    Tick,
    WorkerEnded,
    WorkerStarted,
)
from yarnflow.runtime.jobmanager.slot_manager_machine import (
    SlotManagerMachine,
    SlotManagerSettings,
)
from yarnflow.runtime.rpc.messages import DataAddress, RegisterTaskManager, TaskFailure

ADDRESS = DataAddress("host", 1, "", "m")


class Harness:
    def __init__(self, **settings) -> None:
        self.now = 0.0
        self.machine = SlotManagerMachine(SlotManagerSettings(**{"has_driver": False, **settings}))
        self.effects = []

    def send(self, event: SlotManagerEvent) -> list:
        effects = self.machine.handle(event, self.now)
        self.machine.check()
        self.effects.extend(effects)
        return effects

    def of(self, kind):
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def take(self, kind):
        found = self.of(kind)
        self.effects = [effect for effect in self.effects if not isinstance(effect, kind)]
        return found

    def register(self, name: str, slots: int = 1) -> None:
        self.send(TaskManagerRegistered(RegisterTaskManager(name, "host", 1, slots, 0, 1, "")))

    def need(self, count: int, job: str = "job") -> None:
        self.send(SlotsDeclared(job, f"name of {job}", count))

    def prepare_all(self) -> None:
        for reserve in self.take(Reserve):
            message = reserve.message
            self.send(SlotPrepared(reserve.taskmanager_id, message.slot_index, message.allocation_id, ADDRESS))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.send(Tick())

    def start_requested(self, slots: int = 1) -> list[str]:
        names = []
        for request in self.take(RequestWorker):
            name = f"worker-for-{request.request_id}"
            self.send(WorkerStarted(request.request_id, name))
            self.register(name, slots)
            names.append(name)
        return names


# -- assigning -------------------------------------------------------------------------------------------


def test_free_slots_are_reserved_then_granted_when_prepared():
    harness = Harness()
    harness.register("tm", 2)
    harness.need(2)
    assert len(harness.of(Reserve)) == 2
    assert not harness.of(Grant)
    harness.prepare_all()
    assert [grant.slot.slot_index for grant in harness.of(Grant)] == [0, 1]


def test_a_job_waits_for_taskmanagers_to_come():
    harness = Harness()
    harness.need(2)
    harness.register("a")
    harness.register("b")
    assert [reserve.taskmanager_id for reserve in harness.of(Reserve)] == ["a", "b"]


def test_a_job_is_packed_on_as_few_taskmanagers_as_possible():
    harness = Harness()
    for name in ("a", "b"):
        harness.register(name, 3)
    harness.need(1, "other")
    harness.need(2)
    assert [reserve.taskmanager_id for reserve in harness.of(Reserve)] == ["a", "a", "a"]


def test_returned_slots_serve_the_next_job():
    harness = Harness()
    harness.register("tm")
    harness.need(1)
    harness.prepare_all()
    harness.need(1, "next")
    (grant,) = harness.take(Grant)
    harness.need(0)
    harness.send(SlotReturned(grant.slot.allocation_id))
    assert harness.of(Free)
    harness.prepare_all()
    assert [grant.job_id for grant in harness.of(Grant)] == ["next"]


def test_pending_slots_of_a_job_that_ended_are_freed_at_once():
    harness = Harness()
    harness.register("tm")
    harness.need(1)
    (reserve,) = harness.of(Reserve)
    harness.need(0)
    assert [free.allocation_id for free in harness.of(Free)] == [reserve.message.allocation_id]
    harness.send(SlotPrepared("tm", 0, reserve.message.allocation_id, ADDRESS))
    assert not harness.of(Grant)


def test_a_lost_slot_is_told_and_replaced():
    harness = Harness()
    harness.register("tm", 1)
    harness.need(1)
    harness.prepare_all()
    (grant,) = harness.take(Grant)
    harness.send(SlotFailed("tm", grant.slot.allocation_id, TaskFailure("killed", "")))
    (gone,) = harness.of(TellSlotsGone)
    assert gone.allocation_ids == (grant.slot.allocation_id,)
    harness.prepare_all()
    assert len(harness.of(Grant)) == 1


def test_a_lost_taskmanager_loses_all_its_slots_in_one_event_per_job():
    harness = Harness()
    harness.register("tm", 3)
    harness.need(2)
    harness.need(1, "other")
    harness.prepare_all()
    harness.send(TaskManagerLost("tm", "connection reset"))
    gone = {effect.job_id: effect for effect in harness.of(TellSlotsGone)}
    assert len(gone["job"].allocation_ids) == 2
    assert "connection reset" in gone["other"].failure.message
    assert not harness.machine.taskmanagers


def test_duplicate_registration_loses_what_ran_before():
    harness = Harness()
    harness.register("tm")
    harness.need(1)
    harness.prepare_all()
    harness.register("tm")
    assert len(harness.of(TellSlotsGone)) == 1
    assert len(harness.of(Reserve)) == 1


def test_messages_about_unknown_slots_are_harmless():
    harness = Harness()
    harness.send(SlotPrepared("nobody", 0, "x", ADDRESS))
    harness.send(SlotFailed("nobody", "x", TaskFailure("", "")))
    harness.send(SlotReturned("x"))
    harness.send(TaskManagerLost("nobody", ""))
    harness.send(WorkerEnded("nobody", ""))
    harness.send(RequestFailed("nothing", ""))


# -- missing resources -----------------------------------------------------------------------------------


def test_a_standalone_cluster_says_what_is_missing_after_the_timeout():
    harness = Harness(request_timeout=10.0)
    harness.register("tm")
    harness.need(3)
    harness.wait(9.9)
    assert not harness.of(TellResourcesMissing)
    harness.wait(0.1)
    (told,) = harness.of(TellResourcesMissing)
    assert "needs 3 slots, 1 of the cluster's 1" in told.explanation
    assert "taskmanager.numberOfTaskSlots" in told.explanation


def test_declaring_again_starts_the_timeout_anew():
    harness = Harness(request_timeout=10.0)
    harness.need(1)
    harness.wait(9.0)
    harness.need(1)
    harness.wait(9.0)
    assert not harness.of(TellResourcesMissing)
    harness.wait(1.0)
    assert len(harness.of(TellResourcesMissing)) == 1


def test_more_than_the_maximum_is_refused_at_once():
    harness = Harness(has_driver=True, max_slots=2)
    harness.need(3)
    (told,) = harness.of(TellResourcesMissing)
    assert "2 slots at most" in told.explanation
    assert not harness.of(RequestWorker)


# -- workers ---------------------------------------------------------------------------------------------


def test_missing_slots_become_workers():
    harness = Harness(has_driver=True, slots_per_worker=2)
    harness.need(3)
    assert len(harness.of(RequestWorker)) == 2
    harness.start_requested(2)
    assert len(harness.of(Reserve)) == 3
    assert harness.machine.pending_workers == 0


def test_no_more_workers_than_the_maximum_allows():
    harness = Harness(has_driver=True, max_slots=2)
    harness.need(2)
    harness.need(2, "other")
    assert len(harness.of(RequestWorker)) == 2


def test_requests_that_are_not_needed_any_more_are_cancelled():
    harness = Harness(has_driver=True)
    harness.need(2)
    harness.need(0)
    assert len(harness.of(CancelRequest)) == 2
    assert harness.machine.pending_workers == 0


def test_prerequested_workers_count_as_coming():
    harness = Harness(has_driver=True, prerequested_workers=2)
    harness.need(2)
    assert not harness.of(RequestWorker)
    harness.send(WorkerStarted(None, "c1"))
    harness.register("c1")
    harness.register("c2")
    harness.send(WorkerStarted(None, "c2"))
    assert harness.machine.pending_workers == 0
    assert len(harness.of(Reserve)) == 2


def test_prerequested_workers_that_never_come_are_requested():
    harness = Harness(has_driver=True, prerequested_workers=1, registration_timeout=60.0)
    harness.need(1)
    harness.wait(60.0)
    assert len(harness.of(RequestWorker)) == 1


def test_a_worker_that_ends_before_it_registers_is_requested_again():
    harness = Harness(has_driver=True)
    harness.need(1)
    (request,) = harness.take(RequestWorker)
    harness.send(WorkerStarted(request.request_id, "w"))
    harness.send(WorkerEnded("w", "exit code 1 on node7"))
    assert len(harness.of(RequestWorker)) == 1
    harness.wait(400.0)
    assert "exit code 1 on node7" in harness.of(TellResourcesMissing)[0].explanation


def test_a_worker_that_does_not_register_in_time_is_released_and_replaced():
    harness = Harness(has_driver=True, registration_timeout=10.0)
    harness.need(1)
    (request,) = harness.take(RequestWorker)
    harness.send(WorkerStarted(request.request_id, "w"))
    harness.wait(10.0)
    assert [effect.worker_id for effect in harness.of(ReleaseWorker)] == ["w"]
    assert len(harness.of(RequestWorker)) == 1
    harness.register("w")
    assert len(harness.of(RefuseTaskManager)) == 1


def test_requests_pause_when_too_many_workers_fail():
    harness = Harness(has_driver=True, max_start_failures=2, retry_interval=3.0)
    harness.need(1)
    for _ in range(2):
        (request,) = harness.take(RequestWorker)
        harness.send(WorkerStarted(request.request_id, request.request_id))
        harness.send(WorkerEnded(request.request_id, "no"))
    assert not harness.of(RequestWorker)
    harness.wait(3.0)
    assert len(harness.of(RequestWorker)) == 1


def test_an_impossible_request_fails_the_jobs_that_wait():
    harness = Harness(has_driver=True)
    harness.need(1)
    (request,) = harness.take(RequestWorker)
    harness.send(RequestFailed(request.request_id, "4096 MB is above the scheduler's maximum of 2048 MB"))
    assert "above the scheduler's maximum" in harness.of(TellResourcesMissing)[0].explanation
    assert not harness.of(RequestWorker), "it is not asked for again until the job declares its need again"
    harness.need(1)
    assert len(harness.of(RequestWorker)) == 1


def test_a_lost_worker_is_released_refused_and_replaced():
    harness = Harness(has_driver=True)
    harness.need(1)
    (name,) = harness.start_requested()
    harness.prepare_all()
    harness.send(TaskManagerLost(name, "heartbeat"))
    assert [effect.worker_id for effect in harness.of(ReleaseWorker)] == [name]
    assert len(harness.of(RequestWorker)) == 1
    harness.register(name)
    assert len(harness.of(RefuseTaskManager)) == 1


def test_an_ended_container_loses_its_taskmanager():
    harness = Harness(has_driver=True)
    harness.need(1)
    (name,) = harness.start_requested()
    harness.send(WorkerEnded(name, "preempted"))
    assert "preempted" in harness.of(TellSlotsGone)[0].failure.message
    assert len(harness.of(RequestWorker)) == 1


def test_idle_workers_are_released_and_busy_ones_are_not():
    harness = Harness(has_driver=True, idle_timeout=30.0)
    harness.need(1, "long")
    harness.need(1)
    harness.start_requested()
    harness.prepare_all()
    grants = {grant.job_id: grant.slot for grant in harness.take(Grant)}
    harness.need(0)
    harness.send(SlotReturned(grants["job"].allocation_id))
    harness.wait(29.9)
    assert not harness.of(ReleaseWorker)
    harness.wait(0.1)
    assert [effect.worker_id for effect in harness.of(ReleaseWorker)] == [grants["job"].taskmanager_id]


def test_taskmanagers_that_came_by_themselves_are_never_released():
    harness = Harness(has_driver=True, idle_timeout=30.0)
    harness.register("standalone")
    harness.wait(1000.0)
    assert not harness.of(ReleaseWorker)


def test_a_floor_of_slots_is_requested_and_kept():
    harness = Harness(has_driver=True, min_slots=2, idle_timeout=30.0)
    harness.send(Tick())
    harness.start_requested()
    harness.wait(31.0)
    assert not harness.of(ReleaseWorker)
    assert len(harness.machine.taskmanagers) == 2


def test_redundant_workers_stand_ready_while_a_job_runs():
    harness = Harness(has_driver=True, redundant_workers=1, idle_timeout=30.0)
    harness.need(1)
    assert len(harness.of(RequestWorker)) == 2
    harness.start_requested()
    harness.wait(31.0)
    assert not harness.of(ReleaseWorker)
