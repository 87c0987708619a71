from __future__ import annotations

from yarnflow.runtime.rpc.messages import (
    CancelTask,
    DataAddress,
    DeployTask,
    FreeSlot,
    PrepareJob,
    ReserveSlot,
    SlotLost,
    SlotReserved,
    TaskDeployment,
    TaskFailure,
    TaskMetrics,
    TasksReport,
    TaskStateChanged,
    WorkerReady,
)
from yarnflow.runtime.states import ExecutionState
from yarnflow.runtime.taskmanager.supervisor_events import (
    Begin,
    FilesFailed,
    FilesReady,
    JobLayout,
    JobManagerLost,
    JobManagerSaid,
    PrepareFiles,
    ReleaseFiles,
    StartWorker,
    StopWorker,
    Tick,
    ToJobManager,
    ToWorker,
    WorkerEnded,
    WorkerSaid,
)
from yarnflow.runtime.taskmanager.supervisor_machine import SupervisorMachine, SupervisorSettings

ADDRESS = DataAddress("host", 1, "", "m")


class Harness:
    def __init__(self, slots: int = 1, **settings) -> None:
        self.now = 0.0
        self.machine = SupervisorMachine(SupervisorSettings(slots, "TaskManager tm @ host", **settings))
        self.effects = []
        self.send(Begin())

    def send(self, event):
        effects = self.machine.handle(event, self.now)
        self.machine.check()
        self.effects.extend(effects)
        return effects

    def of(self, kind):
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def told(self, kind):
        return [e.message for e in self.of(ToJobManager) if isinstance(e.message, kind)]

    def said_to_worker(self, kind):
        return [e.message for e in self.of(ToWorker) if isinstance(e.message, kind)]

    def forget(self):
        self.effects = []

    @property
    def generation(self) -> int:
        return self.machine._slots[0].generation

    def ready(self) -> None:
        self.send(WorkerSaid(0, self.generation, WorkerReady(ADDRESS, 1)))

    def order(self, message) -> None:
        self.send(JobManagerSaid(message))

    def reserve(self, allocation: str = "a1", job: str = "job") -> None:
        self.order(ReserveSlot(0, allocation, job, (), {}))

    def files(self, allocation: str = "a1", executable: str = "") -> None:
        self.send(FilesReady(0, allocation, JobLayout(("p",), "/work", executable)))

    def given(self) -> None:
        self.ready()
        self.reserve()
        self.files()

    def deploy(self, execution: str = "job_v_0_0") -> None:
        self.order(DeployTask("a1", TaskDeployment("job", "j", "v", "v", execution, 0, 1, 128, 0, b"code")))

    def worker_says(self, state: ExecutionState, failure: TaskFailure | None = None) -> None:
        self.send(WorkerSaid(0, self.generation, TaskStateChanged("job_v_0_0", state, failure)))

    def die(self, how: str = "was killed by signal 9 (out of memory?)") -> None:
        self.send(WorkerEnded(0, self.generation, how, "last words"))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.send(Tick())


def test_workers_start_before_any_job_comes():
    harness = Harness(slots=3)
    assert [effect.slot_index for effect in harness.of(StartWorker)] == [0, 1, 2]


def test_a_slot_is_given_when_worker_and_files_are_there_in_any_order():
    for steps in (("ready", "reserve", "files"), ("reserve", "ready", "files"), ("reserve", "files", "ready")):
        harness = Harness()
        for step in steps:
            assert not harness.told(SlotReserved)
            getattr(harness, step)()
        assert harness.told(SlotReserved) == [SlotReserved(0, "a1", ADDRESS)]
        (prepare,) = harness.said_to_worker(PrepareJob)
        assert prepare.working_directory == "/work"


def test_a_freed_slot_gets_a_fresh_process_after_a_moment():
    harness = Harness(spare_delay=0.3)
    harness.given()
    harness.forget()
    harness.order(FreeSlot(0, "a1"))
    assert harness.of(StopWorker)
    assert harness.of(ReleaseFiles) == [ReleaseFiles("job")]
    assert not harness.of(StartWorker)
    harness.wait(0.3)
    assert len(harness.of(StartWorker)) == 1


def test_a_reservation_does_not_wait_for_that_moment():
    harness = Harness()
    harness.given()
    harness.order(FreeSlot(0, "a1"))
    harness.forget()
    harness.reserve("a2")
    assert len(harness.of(StartWorker)) == 1


def test_a_worker_that_never_heard_of_the_job_is_kept():
    harness = Harness()
    harness.ready()
    harness.reserve()
    harness.order(FreeSlot(0, "a1"))
    assert not harness.of(StopWorker)


def test_freeing_an_old_allocation_does_nothing():
    harness = Harness()
    harness.given()
    harness.order(FreeSlot(0, "older"))
    assert not harness.of(StopWorker)


def test_a_dead_worker_loses_its_slot_with_how_and_the_log():
    harness = Harness()
    harness.given()
    harness.deploy()
    harness.die()
    (lost,) = harness.told(SlotLost)
    assert "killed by signal 9 (out of memory?)" in lost.failure.message
    assert lost.failure.log_tail == "last words"
    assert lost.failure.where == "TaskManager tm @ host, slot 0"
    harness.wait(1.0)
    assert len(harness.of(StartWorker)) == 2


def test_a_warm_worker_that_dies_is_replaced_quietly():
    harness = Harness()
    harness.ready()
    harness.die("exited with code 1")
    assert not harness.of(ToJobManager)
    harness.wait(1.0)
    assert len(harness.of(StartWorker)) == 2


def test_workers_that_do_not_come_up_are_started_ever_more_slowly():
    harness = Harness(restart_backoff=1.0)
    harness.die("exited with code 1")
    harness.wait(0.9)
    assert len(harness.of(StartWorker)) == 1
    harness.wait(0.1)
    assert len(harness.of(StartWorker)) == 2
    harness.die("exited with code 1")
    harness.wait(1.9)
    assert len(harness.of(StartWorker)) == 2
    harness.wait(0.1)
    assert len(harness.of(StartWorker)) == 3


def test_a_worker_that_cannot_start_loses_the_reserved_slot():
    harness = Harness()
    harness.reserve()
    harness.die("exited with code 1")
    (lost,) = harness.told(SlotLost)
    assert "could not be started" in lost.failure.message


def test_files_that_cannot_be_placed_lose_the_slot():
    harness = Harness()
    harness.ready()
    harness.reserve()
    harness.send(FilesFailed(0, "a1", TaskFailure("no such blob", "")))
    assert harness.told(SlotLost)[0].failure.message == "no such blob"


def test_news_about_files_of_an_old_reservation_is_ignored():
    harness = Harness()
    harness.ready()
    harness.reserve("a2")
    harness.files("a1")
    harness.send(FilesFailed(0, "a1", TaskFailure("x", "")))
    assert not harness.of(ToJobManager)


def test_another_interpreter_means_another_worker():
    harness = Harness()
    harness.ready()
    harness.reserve()
    harness.files(executable="/opt/python")
    assert [effect.executable for effect in harness.of(StartWorker)] == ["", "/opt/python"]
    assert not harness.told(SlotReserved)
    harness.ready()
    assert harness.told(SlotReserved)
    harness.order(FreeSlot(0, "a1"))
    harness.wait(1.0)
    assert [effect.executable for effect in harness.of(StartWorker)][-1] == ""


def test_words_of_an_older_worker_are_ignored():
    harness = Harness()
    harness.given()
    harness.order(FreeSlot(0, "a1"))
    harness.send(WorkerSaid(0, 1, TaskStateChanged("job_v_0_0", ExecutionState.FAILED)))
    harness.send(WorkerEnded(0, 1, "exited with code 0", ""))
    assert not harness.told(TaskStateChanged)
    assert not harness.told(SlotLost)


def test_tasks_are_deployed_and_their_reports_passed_on_with_the_place():
    harness = Harness()
    harness.given()
    harness.deploy()
    assert harness.said_to_worker(DeployTask)
    harness.worker_says(ExecutionState.RUNNING)
    harness.worker_says(ExecutionState.FAILED, TaskFailure("boom", "boom"))
    first, second = harness.told(TaskStateChanged)
    assert first.state is ExecutionState.RUNNING
    assert second.failure.where == "TaskManager tm @ host, slot 0"


def test_a_task_for_a_slot_that_is_gone_fails_at_once():
    harness = Harness()
    harness.deploy()
    (report,) = harness.told(TaskStateChanged)
    assert report.state is ExecutionState.FAILED


def test_metrics_of_running_tasks_go_with_the_heartbeat():
    harness = Harness()
    harness.given()
    harness.deploy()
    harness.send(WorkerSaid(0, 1, TasksReport({"job_v_0_0": TaskMetrics(7), "unknown": TaskMetrics(1)})))
    assert harness.machine.heartbeat(123).metrics == {"job_v_0_0": TaskMetrics(7)}
    harness.worker_says(ExecutionState.FINISHED)
    assert harness.machine.heartbeat(123).metrics == {}


def test_a_task_that_does_not_stop_in_time_is_killed_with_its_worker():
    harness = Harness(cancellation_timeout=10.0)
    harness.given()
    harness.deploy()
    harness.order(CancelTask("job_v_0_0"))
    harness.wait(9.9)
    assert not harness.of(StopWorker)
    harness.wait(0.1)
    assert harness.of(StopWorker)[0].at_once
    harness.wait(5.0)
    assert len(harness.of(StopWorker)) == 1
    harness.die()
    assert "task.cancellation.timeout" in harness.told(SlotLost)[0].failure.message


def test_a_task_that_stops_in_time_keeps_its_worker():
    harness = Harness(cancellation_timeout=10.0)
    harness.given()
    harness.deploy()
    harness.order(CancelTask("job_v_0_0"))
    harness.worker_says(ExecutionState.CANCELED)
    harness.wait(20.0)
    assert not harness.of(StopWorker)


def test_losing_the_jobmanager_stops_everything():
    harness = Harness()
    harness.given()
    harness.deploy()
    harness.send(JobManagerLost("connection reset"))
    assert harness.of(StopWorker)
    harness.deploy()
    assert harness.told(TaskStateChanged)[-1].state is ExecutionState.FAILED


def test_an_unknown_slot_is_refused():
    harness = Harness()
    harness.order(ReserveSlot(7, "a1", "job", (), {}))
    assert harness.told(SlotLost)[0].allocation_id == "a1"
    assert not harness.of(PrepareFiles)
