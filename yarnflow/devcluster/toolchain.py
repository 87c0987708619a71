"""Java and Maven: found on this machine, or installed from the distribution's packages when root may do so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from yarnflow.errors import DevClusterError

#: Java versions Hadoop 3.4 runs on. From 23 on, Java lacks what Hadoop's logins call (Subject.getSubject).
OLDEST_JAVA, NEWEST_JAVA = 11, 22
PREFERRED_JAVA = 17
#: Debian's and Ubuntu's packages, tried in this order: which of them exist depends on the release.
JAVA_PACKAGES = ("openjdk-17-jre-headless", "openjdk-21-jre-headless", "default-jre-headless")
MAVEN_PACKAGES = ("maven",)
_INSTALL_SECONDS = 900
_JVM_FOLDER = Path("/usr/lib/jvm")

Progress = Callable[[str], None]


def java_home(progress: Progress) -> Path:
    """Return the home of a Java runtime that Hadoop runs on: JAVA_HOME, the PATH's, an installed one, or apt's.

    Raises:
        DevClusterError: there is none and none can be installed; says what to do.
    """
    found = _find_java()
    if found is None:
        _install("Java", JAVA_PACKAGES, progress)
        found = _find_java()
    if found is None:
        raise DevClusterError(
            f"no Java {OLDEST_JAVA} to {NEWEST_JAVA} found after installing {JAVA_PACKAGES[0]}: "
            "set JAVA_HOME to a Java 17 runtime"
        )
    return found


def maven(progress: Progress) -> str:
    """Return the path of the `mvn` command, from the PATH or else installed by apt.

    Raises:
        DevClusterError: there is none and none can be installed; says what to do.
    """
    found = shutil.which("mvn")
    if found is None:
        _install("Maven", MAVEN_PACKAGES, progress)
        found = shutil.which("mvn")
    if found is None:
        raise DevClusterError("no `mvn` on the PATH after installing Maven: put it there")
    return found


def java_version(home: Path) -> int | None:
    """Return the major version of the runtime in `home`; None when there is no usable one."""
    if not os.access(home / "bin" / "java", os.X_OK):
        return None
    try:
        return parse_release((home / "release").read_text())
    except OSError:
        pass
    try:
        done = subprocess.run(
            [str(home / "bin" / "java"), "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version_output(done.stderr)


def parse_release(text: str) -> int | None:
    """Return the major version from the `release` file of a runtime.

    >>> parse_release('IMPLEMENTOR="Debian"\\nJAVA_VERSION="17.0.15"\\n')
    17
    """
    match = re.search(r'^JAVA_VERSION="([^"]+)"', text, re.MULTILINE)
    return None if match is None else _major(match[1])


def parse_version_output(text: str) -> int | None:
    """Return the major version from what `java -version` prints.

    >>> parse_version_output('openjdk version "1.8.0_412"')
    8
    """
    match = re.search(r'version "([^"]+)"', text)
    return None if match is None else _major(match[1])


def best(homes: Iterable[tuple[Path, int]]) -> Path | None:
    """Return the home to use among (home, major version): the preferred version, else the one next to it."""
    usable = [(home, version) for home, version in homes if OLDEST_JAVA <= version <= NEWEST_JAVA]
    return min(usable, key=lambda found: abs(found[1] - PREFERRED_JAVA), default=(None, 0))[0]


def _find_java() -> Path | None:
    named = os.environ.get("JAVA_HOME")
    if named:
        version = java_version(Path(named))
        if version is not None and OLDEST_JAVA <= version <= NEWEST_JAVA:
            return Path(named)
    candidates: list[Path] = []
    on_path = shutil.which("java")
    if on_path is not None:
        candidates.append(Path(on_path).resolve().parent.parent)
    if _JVM_FOLDER.is_dir():
        candidates += sorted({entry.resolve() for entry in _JVM_FOLDER.iterdir()})
    versions = [(home, java_version(home)) for home in candidates]
    return best((home, version) for home, version in versions if version is not None)


def _major(version: str) -> int | None:
    parts = re.findall(r"\d+", version)
    if not parts:
        return None
    # Up to Java 8 the version read 1.8.
    return int(parts[1]) if parts[0] == "1" and len(parts) > 1 else int(parts[0])


def _install(what: str, packages: tuple[str, ...], progress: Progress) -> None:
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        raise DevClusterError(
            f"the devcluster needs {what} and there is none on this machine: install it, for instance with "
            f"`sudo apt-get install {packages[0]}`"
            + (f", or set JAVA_HOME to a Java {PREFERRED_JAVA} runtime" if what == "Java" else "")
        )
    progress(f"installing {what} ({packages[0]}) with apt-get")
    done = _apt(apt, "install", *packages[:1])
    if done.returncode != 0:
        # A fresh container has no package lists; and the package may be called otherwise in this release.
        progress("updating apt's package lists")
        _apt(apt, "update")
        for package in packages:
            done = _apt(apt, "install", package)
            if done.returncode == 0:
                break
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise DevClusterError(f"apt-get could not install {what} ({', '.join(packages)}):\n{tail}")


def _apt(apt: str, verb: str, *packages: str) -> subprocess.CompletedProcess[str]:
    arguments = ["-y", "--no-install-recommends"] if verb == "install" else []
    try:
        return subprocess.run(
            [apt, "-q", verb, *arguments, *packages],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DevClusterError(
            f"`apt-get {verb} {' '.join(packages)}` did not end within {_INSTALL_SECONDS} s: run it yourself"
        ) from error
