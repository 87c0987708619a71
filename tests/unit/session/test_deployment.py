"""What an application is made of, and the wait for its JobManager: over a YARN that the test plays."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yarnflow import fs
from yarnflow.config import Configuration
from yarnflow.errors import (
    ClusterDeployError,
    ClusterError,
    ClusterUnreachableError,
    ConfigurationError,
    ProgramMissingError,
)
from yarnflow.graph.job_graph import JobGraph
from yarnflow.session import deployment as deployment_module
from yarnflow.session.application_mode import UserCode, _options
from yarnflow.session.application_spec import Parts, access_list, application_specification, shipped
from yarnflow.session.deployment import YarnClusterDescriptor, _write_job
from yarnflow.session.python_environment import PythonEnvironment
from yarnflow.session.staging import Staging
from yarnflow.session.user_files import ApplicationFiles, applications_directory, forget_old_applications
from yarnflow.yarn.application import AccessList, ApplicationReport, ApplicationState, ContainerFile
from yarnflow.yarn.deployment import Deployment, Mode
from yarnflow.yarn.hadoop_conf import HadoopConf
from yarnflow.yarn.layout import ADDRESS_FILE, SECRET, STAGING_VARIABLE
from yarnflow.yarn.skein.credentials import Credentials

APP = "application_1_0001"


# -- what is submitted -------------------------------------------------------------------------------------


def parts(tmp_path: Path) -> Parts:
    return Parts(
        name="default name",
        environment=PythonEnvironment("./environment/bin/python", {"environment": ContainerFile("hdfs:///e.zip")}),
        library=ContainerFile("hdfs:///l.zip"),
        master_files={"secret": ContainerFile("/s"), "job": ContainerFile("/j")},
        worker_files={"secret": ContainerFile("/s")},
        initial_workers=2,
        staging="hdfs:///user/alice/.yarnflow",
        scratch=tmp_path,
    )


def test_an_application_from_the_configuration(tmp_path: Path) -> None:
    config = Configuration(
        {
            "jobmanager.memory.process.size": "1g",
            "taskmanager.memory.process.size": "2g",
            "taskmanager.numberOfTaskSlots": "3",
            "yarn.application.name": "given",
            "yarn.application.queue": "q",
            "yarn.application.type": "T",
            "yarn.tags": "a,b",
            "yarn.application-attempts": "4",
            "yarn.view.acls": "* g",
            "containerized.master.env.A": "master",
            "containerized.taskmanager.env.A": "worker",
            "some.password": "hidden",
        }
    )
    spec = application_specification(config, parts(tmp_path))
    assert (spec.name, spec.queue, spec.max_attempts, spec.initial_workers) == ("given", "q", 4, 2)
    assert spec.tags == {"yarnflow", "a", "b", "T"}
    assert (spec.view, spec.modify) == (AccessList(("*",), ("g",)), None)
    assert (spec.master.memory_mb, spec.worker.memory_mb, spec.worker.vcores) == (1024, 2048, 3)
    assert set(spec.master.files) - set(spec.worker.files) == {"job"}
    assert (spec.master.env["A"], spec.worker.env) == ("master", {"A": "worker"})
    assert spec.master.env[STAGING_VARIABLE] == "hdfs:///user/alice/.yarnflow"
    assert "exec ./environment/bin/python -m yarnflow.am.entrypoint" in spec.master.script
    assert "exec ./environment/bin/python -m yarnflow.container.entrypoint" in spec.worker.script
    assert "hidden" not in repr(spec), "what others may see has no secret"
    assert application_specification(Configuration(), parts(tmp_path)).name == "default name"


def test_the_masters_java_lets_skeins_pages_work_whatever_the_user_tunes(tmp_path: Path) -> None:
    access = "--add-opens=java.base/java.util=ALL-UNNAMED"
    options = {"containerized.master.env.JDK_JAVA_OPTIONS": "-XX:+UseG1GC"}
    ours = application_specification(Configuration(), parts(tmp_path)).master.env["JDK_JAVA_OPTIONS"]
    theirs = application_specification(Configuration(options), parts(tmp_path)).master.env["JDK_JAVA_OPTIONS"]
    assert ours.startswith(f"{access} -XX:")
    # Java does not start with two garbage collectors: ours must be gone.
    assert theirs == f"{access} -XX:+UseG1GC"


def test_files_to_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    monkeypatch.chdir(folder)
    found = shipped(Configuration({"yarn.ship-files": f".;{folder}/a.txt;hdfs:///data/x.bin"}), tmp_path)
    assert found["lib"].archive
    assert zipfile.ZipFile(found["lib"].source).namelist() == ["a.txt"]
    assert found["a.txt"] == ContainerFile(str(folder / "a.txt"))
    assert found["x.bin"] == ContainerFile("hdfs:///data/x.bin")
    archives = shipped(Configuration({"yarn.ship-archives": "hdfs:///data/x.zip"}), tmp_path)
    assert archives == {"x.zip": ContainerFile("hdfs:///data/x.zip", archive=True)}


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("yarn.ship-files", "/nowhere", "there is no file or directory '/nowhere'"),
        ("yarn.ship-files", "hdfs:///a/x;hdfs:///b/x", "would be named 'x'"),
        ("yarn.ship-files", "hdfs:///a/yarnflow.secret", "would be named 'yarnflow.secret'"),
        ("yarn.ship-files", "hdfs:///a/.skein.pem", r"would be named '\.skein\.pem'"),
        ("yarn.ship-files", "hdfs:///", "names no file"),
        ("yarn.ship-archives", "hdfs:///a/x.rar", "is no archive that YARN unpacks"),
    ],
)
def test_files_that_cannot_be_shipped(tmp_path: Path, key: str, value: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{key}: .*{says}"):
        shipped(Configuration({key: value}), tmp_path)


def test_access_lists() -> None:
    assert access_list("") is None
    assert access_list("a,b g,h") == AccessList(("a", "b"), ("g", "h"))
    assert access_list(" g") == AccessList((), ("g",))


def test_a_job_travels_as_an_archive(tmp_path: Path) -> None:
    job = JobGraph("c" * 32, "n", (), ())
    (tmp_path / "f").write_text("content")
    _write_job(tmp_path / "job.zip", job, {"0" * 64: tmp_path / "f"})
    with zipfile.ZipFile(tmp_path / "job.zip") as archive:
        assert JobGraph.from_json(json.loads(archive.read("graph.json"))) == job
        assert archive.read(f"blobs/{'0' * 64}") == b"content"


def test_user_code_keeps_names_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.py").write_text(folder)
    with UserCode(tmp_path / "usrlib.zip") as code:
        assert code.empty
        config = Configuration(
            {
                "python.files": f"{tmp_path}/a/m.py,{tmp_path}/b/m.py,hdfs:///x.zip",
                "python.archives": f"{tmp_path}/b#data",
                "python.requirements": f"{tmp_path}/a/m.py#{tmp_path}/b",
            }
        )
        assert _options(config, code) == {
            "python.files": "usrlib/0/m.py,usrlib/1/m.py,hdfs:///x.zip",
            "python.archives": "usrlib/2/b#data",
            "python.requirements": "usrlib/3/m.py#usrlib/4/b",
        }
        with pytest.raises(ProgramMissingError, match="program: there is no file"):
            code.add("/nowhere.py", "program")
        assert not code.empty
    with zipfile.ZipFile(tmp_path / "usrlib.zip") as archive:
        assert archive.read("1/m.py") == b"b"
        assert archive.read("2/b/m.py") == b"b"


# -- what is remembered ------------------------------------------------------------------------------------


def test_the_staging_directory(tmp_path: Path) -> None:
    conf = HadoopConf(Path("/conf"), {"fs.defaultFS": "hdfs://nn:1/"})
    assert Staging(Configuration(), conf).root == "hdfs://nn:1/user/alice/.yarnflow"
    roots = {"/s/": "hdfs://nn:1/s", "s": "hdfs://nn:1/user/alice/s", "hdfs://other/s": "hdfs://other/s"}
    for given, root in roots.items():
        assert Staging(Configuration({"yarn.staging-directory": given}), conf).root == f"{root}/.yarnflow"


def local_staging(tmp_path: Path) -> Staging:
    conf = HadoopConf(tmp_path, {"fs.defaultFS": f"file://{tmp_path}/fs"})
    return Staging(Configuration({"yarn.staging-directory": f"file://{tmp_path}/s"}), conf)


def test_shared_files_are_built_and_uploaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = local_staging(tmp_path)
    built: list[str] = []

    def build(content: str) -> Callable[[Path], None]:
        def write(target: Path) -> None:
            built.append(content)
            target.write_text(content)

        return write

    uri = staging.share("library", "1", "x.zip", build("one"))
    files, path = fs.get(uri)
    changed = Path(path).stat().st_mtime_ns
    assert staging.share("library", "1", "x.zip", build("not built")) == uri
    other = staging.share("library", "2", "x.zip", build("two"))
    assert other != uri
    assert built == ["one", "two"]
    # Another command has uploaded the same between our look and our upload: its file stays as it is, since YARN
    # refuses files that change after a submission.
    with monkeypatch.context() as patch:
        patch.setattr(type(files), "status", lambda self, path: None)
        assert staging.share("library", "3", "x.zip", build("one")) == uri
    assert Path(path).stat().st_mtime_ns == changed
    Path(path).write_text("torn!")
    assert staging.share("library", "3", "x.zip", build("not built")) == uri
    assert Path(path).read_text() == "one"


def test_an_applications_note_and_its_end(tmp_path: Path) -> None:
    staging = local_staging(tmp_path)
    assert staging.jobmanager_url(APP) is None
    folder = tmp_path / "s" / ".yarnflow" / APP
    folder.mkdir(parents=True)
    (folder / ADDRESS_FILE).write_text('{"url": "http://node:1"}')
    submitted = tmp_path / "fs" / "user" / "alice" / ".skein" / APP
    submitted.mkdir(parents=True)
    (submitted / SECRET).write_text("secret")
    assert staging.jobmanager_url(APP) == "http://node:1"
    staging.forget(APP)
    staging.forget(APP)
    assert not folder.exists()
    assert not submitted.exists(), "the secret is among the files of a submission"


def test_what_the_client_keeps_of_applications() -> None:
    files = ApplicationFiles(APP)
    assert files.address() is None
    files.remember_address("http://node:1")
    assert files.address() == "http://node:1"
    assert stat.S_IMODE(files.directory.stat().st_mode) == 0o700
    (files.directory / "jobmanager.json").write_text("{torn")
    assert files.address() is None
    files.forget()
    assert not files.directory.exists()
    for number in range(60):
        ApplicationFiles(f"application_1_{number:04}").remember_address("x")
    forget_old_applications()
    assert len(list(applications_directory().iterdir())) == 50


# -- deployment --------------------------------------------------------------------------------------------


class FakeYarn:
    """A ResourceManager that goes through `states`: reports, or errors."""

    def __init__(self) -> None:
        self.states: list[Any] = []
        self.killed: list[str] = []

    def application(self, application_id: str) -> ApplicationReport:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, BaseException):
            raise state
        found: ApplicationReport = state
        return found

    def kill(self, application_id: str) -> None:
        self.killed.append(application_id)

    def queues(self) -> list[Any]:
        return []

    def maximum_allocation(self) -> None:
        return None

    largest_node = maximum_allocation

    def fetch(self, url: str, params: dict[str, str]) -> None:
        return None

    def close(self) -> None:
        """Nothing to close."""


def report(state: ApplicationState, address: str = "", diagnostics: str = "") -> ApplicationReport:
    return ApplicationReport(
        APP, "session", "alice", "default", state, "UNDEFINED", diagnostics, "", frozenset(), rpc_address=address
    )


class Clock:
    """Time passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeSubmitter:
    """Takes every specification."""

    def __init__(self, *_: object) -> None:
        self.secrets: list[tuple[int, int]] = []

    def submit(self, specification: Any, timeout: float, late: Any) -> tuple[str, Credentials]:
        secret = Path(specification.master.files[SECRET].source)
        self.secrets.append((secret.stat().st_mode & 0o777, len(secret.read_bytes())))
        return APP, Credentials(b"certificate", b"key")

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def yarn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeYarn:
    made = FakeYarn()
    monkeypatch.setattr(deployment_module, "ResourceManagerClient", lambda conf: made)
    monkeypatch.setattr(deployment_module, "Submitter", FakeSubmitter)
    monkeypatch.setattr(deployment_module, "time", Clock())
    monkeypatch.setattr(deployment_module, "_LOG_SECONDS", 0.0)
    monkeypatch.setattr(deployment_module.library, "build", lambda target: target.write_text("library"))
    for name in ("yarn-site.xml", "core-site.xml"):
        (tmp_path / name).write_text("<configuration/>")
    return made


@pytest.fixture
def masters(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The JobManager's URL by the address of skein's ApplicationMaster; "" while it has none."""
    urls: dict[str, str] = {}

    class Master:
        def __init__(self, address: str) -> None:
            self.address = address

        def lookup(self, key: str) -> str | None:
            if self.address not in urls:
                raise ClusterUnreachableError("no answer")
            return urls[self.address] or None

        def close(self) -> None:
            """Nothing to close."""

    monkeypatch.setattr(
        deployment_module.SkeinApplication, "connect", staticmethod(lambda address, *_: Master(address))
    )
    return urls


def deploy(tmp_path: Path, **options: str) -> Any:
    values = {
        "env.hadoop.conf.dir": str(tmp_path),
        "yarn.staging-directory": f"file://{tmp_path}/staging",
        "yarn.python-environment": "python:///usr/bin/python3",
        **{key.replace("__", "."): value for key, value in options.items()},
    }
    said: list[str] = []
    with YarnClusterDescriptor(Configuration(values), said.append) as descriptor:
        cluster = descriptor._deploy(Deployment(Mode.SESSION), "session", {})
        submitter: Any = descriptor._submitter
    assert submitter.secrets == [(0o600, 32)]
    assert said == [f"Submitted application {APP}"]
    return cluster


def test_a_deployment_returns_when_the_jobmanager_can_be_used(
    yarn: FakeYarn, masters: dict[str, str], tmp_path: Path
) -> None:
    masters["am:1"] = "http://node:1"
    yarn.states = [report(ApplicationState.ACCEPTED), report(ApplicationState.RUNNING, "am:1")]
    assert deploy(tmp_path).url == "http://node:1"
    assert yarn.killed == []
    assert ApplicationFiles(APP).address() == "http://node:1"


def test_the_next_attempt_and_a_resourcemanager_that_restarts_are_followed(
    yarn: FakeYarn, masters: dict[str, str], tmp_path: Path
) -> None:
    masters["am:2"] = "http://node:2"
    yarn.states = [
        report(ApplicationState.RUNNING, "am:1"),
        ClusterUnreachableError("failing over"),
        report(ApplicationState.ACCEPTED),
        report(ApplicationState.RUNNING, "am:2"),
    ]
    assert deploy(tmp_path).url == "http://node:2"


@pytest.mark.parametrize(
    ("states", "options", "error", "says"),
    [
        ([report(ApplicationState.FAILED, diagnostics="no disk")], {}, ClusterDeployError, "YARN says: no disk"),
        (
            [report(ApplicationState.ACCEPTED, diagnostics="queue is full")],
            {"yarn__deployment__timeout": "30 s"},
            ClusterDeployError,
            "has no JobManager after 30 s .*yarn.deployment.timeout.*: queue is full",
        ),
        ([ClusterUnreachableError("gone")], {"client__timeout": "20 s"}, ClusterUnreachableError, "gone"),
        ([KeyboardInterrupt("Ctrl-C")], {}, KeyboardInterrupt, "Ctrl-C"),
    ],
    ids=["ended", "time limit", "no answer", "interrupted"],
)
def test_whatever_goes_wrong_nothing_is_left(
    yarn: FakeYarn,
    masters: dict[str, str],
    tmp_path: Path,
    states: list[Any],
    options: dict[str, str],
    error: type[BaseException],
    says: str,
) -> None:
    yarn.states = states
    note = tmp_path / "staging" / ".yarnflow" / APP
    note.mkdir(parents=True)
    with pytest.raises(error, match=says):
        deploy(tmp_path, **options)
    assert yarn.killed == [APP]
    assert not ApplicationFiles(APP).directory.exists()
    assert not note.exists()


def test_an_application_that_cannot_be_killed_is_named(
    yarn: FakeYarn, masters: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(application_id: str) -> None:
        raise ClusterError("no answer")

    said: list[str] = []
    monkeypatch.setattr(yarn, "kill", refuse)
    values = {
        "env.hadoop.conf.dir": str(tmp_path),
        "yarn.staging-directory": f"file://{tmp_path}/staging",
        "yarn.python-environment": "python:///usr/bin/python3",
    }
    with YarnClusterDescriptor(Configuration(values), said.append) as descriptor:
        descriptor._kill(APP)
    assert said[-1] == f"{APP} may still run, since it cannot be killed: no answer"
