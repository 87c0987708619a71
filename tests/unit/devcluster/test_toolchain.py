from __future__ import annotations

from pathlib import Path

import pytest

from yarnflow.devcluster import toolchain
from yarnflow.errors import DevClusterError


def make_java(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").write_text("#!/bin/sh\n")
    (folder / "bin" / "java").chmod(0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.8.0_412", 8), ("11.0.2", 11), ("17", 17), ("21-ea", 21), ("?", None)],
)
def test_java_versions_are_read_in_both_spellings(text: str, version: int | None) -> None:
    assert toolchain.parse_release(f'JAVA_VERSION="{text}"') == version
    assert toolchain.parse_version_output(f'openjdk version "{text}" 2025-04-15') == version


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [([8, 11, 17, 21], 17), ([11, 21], 21), ([8, 11], 11), ([8, 25], None), ([], None)],
)
def test_the_version_next_to_17_is_taken(versions: list[int], chosen: int | None) -> None:
    found = toolchain.best((Path(f"/java{version}"), version) for version in versions)
    assert found == (None if chosen is None else Path(f"/java{chosen}"))


def test_java_home_wins_if_it_is_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "_JVM_FOLDER", tmp_path / "jvm")
    monkeypatch.setenv("PATH", str(make_java(tmp_path / "jvm" / "a", "17.0.1") / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path / "named", "11.0.1")))
    assert toolchain.java_home(print) == tmp_path / "named"
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path / "old", "1.8.0_1")))
    assert toolchain.java_home(print) == tmp_path / "jvm" / "a"
    assert toolchain.java_version(tmp_path / "nowhere") is None


def test_without_java_and_without_root_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "_JVM_FOLDER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(DevClusterError, match="apt-get install openjdk-17-jre-headless"):
        toolchain.java_home(print)
    with pytest.raises(DevClusterError, match="apt-get install maven"):
        toolchain.maven(print)


def make_apt(folder: Path, body: str) -> None:
    (folder / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{body}\n')
    (folder / "apt-get").chmod(0o755)


def test_root_installs_it_updating_the_lists_only_when_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: str(path) if (path := tmp_path / name).exists() else None)
    make_apt(
        tmp_path,
        f'case "$*" in *update*) touch {tmp_path}/lists ;;'
        f" *) [ -e {tmp_path}/lists ] || exit 100; touch {tmp_path}/mvn ;; esac",
    )
    told: list[str] = []
    assert toolchain.maven(told.append) == str(tmp_path / "mvn")
    verbs = [line.split()[1] for line in (tmp_path / "calls").read_text().splitlines()]
    assert verbs == ["install", "update", "install"]
    assert told == ["installing Maven (maven) with apt-get", "updating apt's package lists"]


def test_an_install_that_fails_shows_what_apt_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: str(path) if (path := tmp_path / name).exists() else None)
    make_apt(tmp_path, 'echo "E: Unable to locate package" >&2; exit 100')
    with pytest.raises(DevClusterError, match="Unable to locate package"):
        toolchain.maven(print)
