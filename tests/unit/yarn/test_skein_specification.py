"""From our description of an application to skein's, and the settings for its ApplicationMaster."""

from __future__ import annotations

import stat
import zipfile
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from yarnflow.errors import ApplicationNotFoundError, ClusterError, ClusterUnreachableError
from yarnflow.yarn.application import AccessList, ApplicationSpecification, ContainerFile, ProcessSpecification
from yarnflow.yarn.skein import credentials as skein_credentials
from yarnflow.yarn.skein import skein
from yarnflow.yarn.skein.application import CALL_SECONDS, SkeinApplication, _bounded
from yarnflow.yarn.skein.credentials import Credentials
from yarnflow.yarn.skein.master_settings import write_jar, yarn_site
from yarnflow.yarn.skein.specification import to_skein

CREDENTIALS = Credentials(b"certificate", b"private key")


def specification(**changes: object) -> ApplicationSpecification:
    values: dict[str, object] = {
        "name": "session",
        "queue": "",
        "master": ProcessSpecification(1024, 1, "exec master", {"f": ContainerFile("hdfs:///f")}),
        "worker": ProcessSpecification(
            2048, 3, "exec worker", {"env": ContainerFile("hdfs:///e.zip", archive=True, shared=True)}, {"A": "b"}
        ),
        "initial_workers": 2,
        "max_attempts": 3,
        "tags": frozenset(("yarnflow",)),
    }
    return ApplicationSpecification(**{**values, **changes})  # type: ignore[arg-type]


def test_sizes_files_and_restarts() -> None:
    spec = to_skein(specification(), CREDENTIALS)
    service = spec.services["taskmanager"]
    assert (service.instances, service.max_restarts, service.allow_failures) == (2, 0, True)
    assert (service.resources.memory, service.resources.vcores, service.env) == (2048, 3, {"A": "b"})
    assert (str(service.files["env"].type), str(service.files["env"].visibility)) == ("ARCHIVE", "PRIVATE")
    assert (str(spec.master.files["f"].type), str(spec.master.files["f"].visibility)) == ("FILE", "APPLICATION")
    assert (spec.master.resources.memory, spec.max_attempts, spec.queue) == (1024, 3, "default")
    assert spec.tags == {"yarnflow"}
    assert not spec.acls.enable


def test_labels_queue_and_access() -> None:
    view, modify = AccessList(("*",)), AccessList(("a",), ("g",))
    spec = to_skein(specification(queue="root.q", node_label="ssd", view=view, modify=modify), CREDENTIALS)
    assert (spec.queue, spec.node_label, spec.services["taskmanager"].node_label) == ("root.q", "ssd", "ssd")
    assert (spec.acls.enable, spec.acls.view_users, spec.acls.ui_users) == (True, ["*"], ["*"])
    assert (spec.acls.modify_users, spec.acls.modify_groups) == (["a"], ["g"])


def test_credentials_stay_with_their_owner(tmp_path: Path) -> None:
    folder = tmp_path / "application_1_0001"
    assert skein_credentials.load(folder) is None
    skein_credentials.save(CREDENTIALS, folder)
    assert skein_credentials.load(folder) == CREDENTIALS
    assert "private" not in repr(CREDENTIALS)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_the_masters_settings_replace_only_the_expiry(tmp_path: Path) -> None:
    site = tmp_path / "yarn-site.xml"
    site.write_text(
        "<configuration><property><name>yarn.am.liveness-monitor.expiry-interval-ms</name><value>600000</value>"
        "</property><property><name>a</name><value>b</value></property></configuration>"
    )
    root = ElementTree.fromstring(yarn_site(site, timedelta(milliseconds=250)))
    found = [(entry.findtext("name"), entry.findtext("value")) for entry in root.iter("property")]
    assert found == [("a", "b"), ("yarn.am.liveness-monitor.expiry-interval-ms", "500")]
    write_jar(tmp_path / "x.jar", site, timedelta(0))
    with zipfile.ZipFile(tmp_path / "x.jar") as jar:
        assert b"<value>2</value>" in jar.read("yarn-site.xml")


class FakeClient:
    """A skein.ApplicationClient that fails as it is told."""

    id = "application_1_0001"

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.timeouts: list[float | None] = []

    def add_container(self, service: str) -> object:
        raise self.error

    def kill_container(self, name: str) -> None:
        raise self.error

    def _call(self, method: str, request: object, timeout: float | None = None) -> None:
        self.timeouts.append(timeout)


def test_skeins_errors_become_ours() -> None:
    exceptions = skein().exceptions
    for error, ours in [
        (exceptions.ConnectionError("x"), ClusterUnreachableError),
        (exceptions.TimeoutError("x"), ClusterUnreachableError),
        (exceptions.ApplicationNotRunningError("x"), ClusterUnreachableError),
        (exceptions.ApplicationError("x"), ApplicationNotFoundError),
        (ValueError("no such service"), ClusterError),
        (KeyError("x"), ClusterError),
    ]:
        with pytest.raises(ours):
            SkeinApplication(FakeClient(error)).add_worker()


def test_stopping_a_container_that_has_ended_is_no_error() -> None:
    SkeinApplication(FakeClient(ValueError("it is not running"))).kill_worker("taskmanager_1")


def test_every_call_has_a_time_limit() -> None:
    client = FakeClient(ValueError())
    _bounded(client)
    client._call("getContainers", None)
    client._call("kv", None, timeout=None)
    client._call("kv", None, timeout=3.0)
    assert client.timeouts == [CALL_SECONDS, CALL_SECONDS, 3.0]
