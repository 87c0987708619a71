"""What containers run: which environment a URI means, when it is packed again, and that a packed one works."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from yarnflow.config import Configuration
from yarnflow.errors import ConfigurationError
from yarnflow.runtime.taskmanager.artifacts import unpack
from yarnflow.session import python_environment
from yarnflow.session.python_environment import prepare
from yarnflow.session.staging import Staging, sha256_of
from yarnflow.yarn.hadoop_conf import HadoopConf

Say = Callable[[str], None]


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staging:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = Configuration({"yarn.staging-directory": f"file://{tmp_path}/staging"})
    return Staging(config, HadoopConf(tmp_path, {}))


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A small virtual environment with one package."""
    prefix = tmp_path / "env"
    venv.create(prefix, symlinks=True)
    packages = next(prefix.glob("lib/python*/site-packages"))
    (packages / "something.py").write_text("ANSWER = 42\n")
    (packages / "something-1.0.dist-info").mkdir()
    return prefix


def _told() -> tuple[list[str], Say]:
    lines: list[str] = []
    return lines, lines.append


def test_a_venv_is_packed_once_and_works_elsewhere(staging: Staging, environment: Path, tmp_path: Path) -> None:
    lines, say = _told()
    prepared = prepare(f"venv://{environment}", staging, say)
    assert any("Packing" in line for line in lines)
    file = prepared.files["environment"]
    assert file.archive
    assert file.shared
    archive = Path(file.source.removeprefix("file://"))
    assert archive.name == "environment.tar.gz"
    assert archive.parent.name == sha256_of(archive)

    unpacked = tmp_path / "container" / "environment"
    unpack(archive, unpacked)
    environment.rename(environment.with_name("gone"))
    answer = subprocess.run(
        [prepared.executable, "-c", "import something, sys; print(something.ANSWER, sys.prefix)"],
        cwd=unpacked.parent,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert answer.stdout.split() == ["42", str(unpacked)]


def test_an_unchanged_venv_is_not_packed_again(staging: Staging, environment: Path) -> None:
    first = prepare(f"venv://{environment}", staging, lambda line: None)
    lines, say = _told()
    assert prepare(f"venv://{environment}", staging, say) == first
    assert lines == []


def test_a_new_package_changes_the_fingerprint(environment: Path) -> None:
    before = python_environment.fingerprint(environment)
    packages = next(environment.glob("lib/python*/site-packages"))
    (packages / "__pycache__").mkdir()
    (packages / "something.py").touch()
    unchanged = packages / "a_package"
    assert python_environment.fingerprint(environment) != before, "a module was written"
    before = python_environment.fingerprint(environment)
    unchanged.mkdir()
    (packages / "other-2.0.dist-info").mkdir()
    assert python_environment.fingerprint(environment) != before


def test_packages_installed_in_place_are_refused(staging: Staging, environment: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    packages = next(environment.glob("lib/python*/site-packages"))
    (packages / "__editable__.theirs-1.0.pth").write_text(f"{elsewhere}\n")
    with pytest.raises(ConfigurationError, match=r"pip install -e.*elsewhere"):
        prepare(f"venv://{environment}", staging, lambda line: None)


def test_yarnflow_installed_in_place_is_left_out(staging: Staging, environment: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "yarnflow").mkdir(parents=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    (packages / "__editable__.yarnflow-0.1.0.pth").write_text(f"{checkout}\n")
    prepared = prepare(f"venv://{environment}", staging, lambda line: None)
    with tarfile.open(prepared.files["environment"].source.removeprefix("file://")) as packed:
        names = packed.getnames()
    assert not [name for name in names if "__editable__" in name]
    assert [name for name in names if name.endswith("something.py")]


def test_an_installed_python_travels_not_at_all(staging: Staging) -> None:
    prepared = prepare("python:///usr/bin/python3", staging, lambda line: None)
    assert prepared.executable == "/usr/bin/python3"
    assert prepared.files == {}


def test_a_ready_archive_is_uploaded_and_a_remote_one_used_as_it_is(staging: Staging, tmp_path: Path) -> None:
    archive = tmp_path / "mine.zip"
    archive.write_bytes(b"PK")
    local = prepare(str(archive), staging, lambda line: None).files["environment"]
    assert local.source.endswith("/environment.zip")
    assert Path(local.source.removeprefix("file://")).read_bytes() == b"PK"
    remote = prepare("hdfs:///envs/mine.tar.gz", staging, lambda line: None).files["environment"]
    assert remote.source == "hdfs:///envs/mine.tar.gz"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("venv:///nowhere", "no bin/python"),
        ("python://python3", "absolute path"),
        ("/tmp/env.rar", "nor an archive"),
        ("/nowhere/env.zip", "no file /nowhere/env.zip"),
    ],
)
def test_what_cannot_be_used_is_refused(staging: Staging, uri: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        prepare(uri, staging, lambda line: None)


def test_auto_is_the_environment_that_runs(
    staging: Staging, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(environment))
    assert "environment" in prepare("auto", staging, lambda line: None).files
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    prepared = prepare("auto", staging, lambda line: None)
    assert prepared.files == {}
    assert os.path.isabs(prepared.executable)
