"""What the ApplicationMaster was deployed for: a job, a program, and how the application ends with it."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yarnflow.am import application, entrypoint, per_job
from yarnflow.config import Configuration
from yarnflow.errors import ClusterError
from yarnflow.graph.job_graph import JobGraph
from yarnflow.runtime.jobmanager.dispatcher_machine import ClusterEnd
from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.states import JobStatus
from yarnflow.yarn.deployment import Deployment, Mode
from yarnflow.yarn.environment import ContainerEnvironment

JOB = JobGraph("c" * 32, "count words", (), ())


class Dispatcher:
    """Knows jobs by their states, which each question moves on by one."""

    def __init__(self, **jobs: list[JobStatus]) -> None:
        self.states = jobs
        self.submitted: list[tuple[JobGraph, dict[str, bytes]]] = []
        self.ended: list[tuple[FinalStatus, str]] = []

    def _view(self, job_id: str) -> Any:
        states = self.states[job_id]
        return SimpleNamespace(job_id=job_id, name=job_id, status=states.pop(0) if len(states) > 1 else states[0])

    async def submit(self, job: JobGraph, blobs: dict[str, bytes]) -> str:
        self.submitted.append((job, blobs))
        return job.job_id

    async def jobs(self) -> list[Any]:
        return [self._view(job_id) for job_id in self.states]

    async def job(self, job_id: str) -> Any:
        return SimpleNamespace(overview=self._view(job_id))

    async def result(self, job_id: str) -> None:
        self.states[job_id] = self.states[job_id][-1:]

    async def shutdown(self, status: FinalStatus, diagnostics: str) -> None:
        self.ended.append((status, diagnostics))


def environment(tmp_path: Path) -> ContainerEnvironment:
    return ContainerEnvironment("a", "c", 1, "node", tmp_path, tmp_path, "", Configuration(), b"")


def test_the_job_in_the_folder_is_submitted(tmp_path: Path) -> None:
    dispatcher: Any = Dispatcher()
    with pytest.raises(ClusterError, match="the job that came with the application cannot be read"):
        asyncio.run(per_job.submit(tmp_path, dispatcher))
    folder = tmp_path / "yarnflow-job"
    (folder / "blobs").mkdir(parents=True)
    (folder / "graph.json").write_text(json.dumps(JOB.to_json()))
    (folder / "blobs" / ("0" * 64)).write_bytes(b"content")
    assert asyncio.run(per_job.submit(tmp_path, dispatcher)) == JOB.job_id
    assert dispatcher.submitted == [(JOB, {"0" * 64: b"content"})]


@pytest.mark.parametrize(
    ("status", "final"),
    [
        (JobStatus.FINISHED, FinalStatus.SUCCEEDED),
        (JobStatus.CANCELED, FinalStatus.KILLED),
        (JobStatus.FAILED, FinalStatus.FAILED),
    ],
)
def test_a_cluster_whose_client_went_away_ends_with_its_job(
    monkeypatch: pytest.MonkeyPatch, status: JobStatus, final: FinalStatus
) -> None:
    monkeypatch.setattr(per_job, "CLIENT_SECONDS", 0.0)
    monkeypatch.setattr(per_job, "_POLL_SECONDS", 0.0)
    dispatcher: Any = Dispatcher(j=[JobStatus.RUNNING, status])
    asyncio.run(per_job.end_without_client("j", dispatcher))
    assert dispatcher.ended == [(final, f"job j ended {status.value}; its client went away")]


def test_when_it_ends() -> None:
    master: Any = entrypoint.Master
    ends = [
        (Deployment(Mode.SESSION), ClusterEnd.NEVER),
        (Deployment(Mode.APPLICATION), ClusterEnd.NEVER),
        (Deployment(Mode.PER_JOB), ClusterEnd.AFTER_RESULT),
        (Deployment(Mode.PER_JOB, detached=True), ClusterEnd.AFTER_JOB),
    ]
    for deployment, end in ends:
        assert master(None, deployment, None)._end() is end


def test_what_runs_beside_the_jobmanager_ends_the_cluster_when_it_fails(tmp_path: Path) -> None:
    skein: Any = None
    master = entrypoint.Master(environment(tmp_path), Deployment(Mode.APPLICATION), skein)
    dispatcher: Any = Dispatcher()

    async def fail() -> None:
        raise OSError("no more processes")

    asyncio.run(master._or_end(fail(), dispatcher))
    assert dispatcher.ended == [(FinalStatus.FAILED, "OSError: no more processes")]


@pytest.mark.parametrize(
    ("text", "code", "status", "says"),
    [
        ('{"status": "SUCCEEDED", "message": ""}', 0, FinalStatus.SUCCEEDED, ""),
        ('{"status": "KILLED", "message": "cancelled"}', 1, FinalStatus.KILLED, "cancelled"),
        ("", 0, FinalStatus.SUCCEEDED, ""),
        ("{torn", 3, FinalStatus.FAILED, "ended with code 3: see program.log"),
        ("", -9, FinalStatus.FAILED, "ended by signal 9"),
    ],
)
def test_how_a_program_ended(tmp_path: Path, text: str, code: int, status: FinalStatus, says: str) -> None:
    result = tmp_path / "result.json"
    if text:
        result.write_text(text)
    found, diagnostics = application.outcome(result, code)
    assert found is status
    assert says in diagnostics


@pytest.mark.parametrize(
    ("main", "jobs", "status", "says"),
    [
        ("", {}, FinalStatus.SUCCEEDED, ""),
        ("raise SystemExit(3)", {}, FinalStatus.FAILED, "ended with code 3"),
        ("", {"j": [JobStatus.RUNNING, JobStatus.FINISHED]}, FinalStatus.SUCCEEDED, ""),
        ("", {"j": [JobStatus.RUNNING, JobStatus.FAILED]}, FinalStatus.FAILED, "job 'j' (j) ended FAILED"),
    ],
)
def test_an_application_ends_with_its_program_and_its_jobs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    main: str,
    jobs: dict[str, list[JobStatus]],
    status: FinalStatus,
    says: str,
) -> None:
    (tmp_path / "stand_in_main.py").write_text(f"import sys\nprint('to the log', file=sys.stderr)\n{main}\n")
    monkeypatch.setattr(application, "_MAIN", "stand_in_main")
    dispatcher: Any = Dispatcher(**jobs)
    asyncio.run(
        application.run(Deployment(Mode.APPLICATION), environment(tmp_path), "http://node:1", dispatcher)
    )
    ((found, diagnostics),) = dispatcher.ended
    assert found is status
    assert says in diagnostics
    assert "to the log" in (tmp_path / "program.log").read_text()


def test_a_program_that_does_not_end_is_killed_with_its_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stand_in_main.py").write_text(
        "import os, signal, pathlib\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path('pid.new').write_text(str(os.getpid()))\nos.rename('pid.new', 'pid')\nsignal.pause()\n"
    )
    monkeypatch.setattr(application, "_MAIN", "stand_in_main")
    monkeypatch.setattr(application, "_KILL_SECONDS", 0.05)
    dispatcher: Any = Dispatcher()

    async def check() -> None:
        deployment = Deployment(Mode.APPLICATION)
        task = asyncio.create_task(
            application.run(deployment, environment(tmp_path), "http://node:1", dispatcher)
        )

        async def started() -> None:
            while not (tmp_path / "pid").exists():  # noqa: ASYNC110 a file of another process has no event
                await asyncio.sleep(0.01)

        await asyncio.wait_for(started(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(check())
    assert dispatcher.ended == []
    pid = int((tmp_path / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_where_the_jobmanager_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostbyname", lambda name: {"me": "127.0.1.1", "node": "10.0.0.7"}[name])
    assert entrypoint.bind_address("node") == "10.0.0.7"
    assert entrypoint.bind_address("me") == "0.0.0.0", "its name leads to the loopback interface here only"

    def unknown(name: str) -> str:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(socket, "gethostbyname", unknown)
    assert entrypoint.bind_address("elsewhere") == "0.0.0.0"


def test_the_note_of_the_address(tmp_path: Path) -> None:
    staging = f"file://{tmp_path}"
    entrypoint.write_address(staging, "application_1_0001", "http://node:1")
    entrypoint.write_address(staging, "application_1_0001", "http://node:2")
    assert json.loads((tmp_path / "application_1_0001" / "jobmanager.json").read_text()) == {"url": "http://node:2"}
    entrypoint.remove_address(staging, "application_1_0001")
    entrypoint.remove_address(staging, "application_1_0001")
    assert list(tmp_path.iterdir()) == []
    entrypoint.write_address("", "application_1_0001", "http://node:1")
