"""The devcluster that the YARN tests share: two NodeManagers, HDFS and ZooKeeper, for the whole test run."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.yarn.yarn_commands import SIZES, Commands, application_of
from yarnflow.devcluster import processes
from yarnflow.devcluster.cluster import DevCluster, fetch

#: Generous, since the first test also starts the cluster, and a machine may be busy.
_TEST_SECONDS = 300
_TAIL_LINES = 40
#: What YARN writes beside a container's own logs.
_NOT_TOLD = ("directory.info", "launch_container.sh", "prelaunch.out")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.yarn)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_TEST_SECONDS))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get Java and the jars before the first test's clock starts: on a new machine that takes minutes."""
    if session.config.option.collectonly or not any(item.get_closest_marker("yarn") for item in session.items):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    fetch(reporter.write_line if reporter is not None else print)


@pytest.fixture(scope="session")
def devcluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """One running devcluster for all tests: 2 nodes of 8 GB, ZooKeeper. Tests that break it use their own."""
    cluster = DevCluster(tmp_path_factory.mktemp("devcluster"), nodes=2, zookeeper=True)
    cluster.start(print)
    try:
        yield cluster
    finally:
        cluster.stop()
        left = processes.marked(cluster.directory)
        assert not left, f"stop left {left}"


@pytest.fixture
def devcluster_env(devcluster: DevCluster, monkeypatch: pytest.MonkeyPatch) -> DevCluster:
    """The shared devcluster, with this process' environment pointing at it."""
    for name, value in devcluster.env().items():
        monkeypatch.setenv(name, value)
    return devcluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    cluster = getattr(item, "funcargs", {}).get("devcluster")
    if report.failed and isinstance(cluster, DevCluster):
        report.sections.append(("YARN applications", describe_applications(cluster)))
    return report


def describe_applications(cluster: DevCluster, last: int = 3) -> str:
    """Say what became of the newest applications, with the end of the logs their containers left on disk."""
    url = f"{cluster.rm_web_address}/ws/v1/cluster/apps"
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            answer = json.load(response)
    except OSError as error:
        return f"{url} does not answer ({error}); the daemons' logs are in {cluster.directory / 'logs'}"
    apps = sorted((answer.get("apps") or {}).get("app") or [], key=lambda app: app["startedTime"])
    lines = []
    for app in apps[-last:]:
        lines.append(f"{app['id']} {app['name']!r}: {app['state']}, {app['finalStatus']}")
        lines.append(f"  {app.get('diagnostics', '').strip()}")
        for log in sorted(cluster.directory.glob(f"data/nodemanager-*/logs/{app['id']}/*/*")):
            if log.name in _NOT_TOLD or not log.is_file():
                continue
            tail = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
            if tail:
                lines += [f"  {log}:", *(f"    {line}" for line in tail)]
    return "\n".join(lines) or "none was submitted"


@pytest.fixture(scope="session")
def commands(devcluster: DevCluster, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """The command line, against the shared devcluster."""
    return Commands(devcluster, tmp_path_factory.mktemp("commands"))


@pytest.fixture(scope="session")
def yarn_session(commands: Commands) -> Iterator[str]:
    """Application id of a session that tests share, started detached and stopped by `echo stop`."""
    started = commands.run("session", "-d", *SIZES, "-nm", "shared session")
    application_id = application_of(started.stdout + started.stderr)
    try:
        yield application_id
    finally:
        commands.run("session", "-id", application_id, stdin="stop\n")
        assert commands.until_ended(application_id)["finalStatus"] == "SUCCEEDED"


@pytest.fixture
def nothing_left(commands: Commands) -> Iterator[None]:
    """Fails a test that leaves an application running."""
    before = commands.running()
    yield
    deadline = time.monotonic() + 30
    while commands.running() - before and time.monotonic() < deadline:
        time.sleep(0.2)
    left = commands.running() - before
    for application_id in left:
        commands.run("session", "-id", application_id, stdin="stop\n", code=None)
    assert not left, f"still running: {left}"
