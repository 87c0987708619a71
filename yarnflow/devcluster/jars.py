"""Hadoop's jars: resolved by Maven once per user, shared by all devclusters.

The user's own Maven settings decide where they come from. The folder appears under its final name only when it
is complete, so an interrupted download is simply done again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from importlib import resources
from pathlib import Path

from yarnflow.devcluster import toolchain
from yarnflow.devcluster.locking import locked
from yarnflow.devcluster.settings import HADOOP_VERSION
from yarnflow.errors import DevClusterError

_RESOLVE_SECONDS = 1800
#: The jars take 91 MB here and as much again in Maven's own repository.
_NEEDED_BYTES = 400 * 1024 * 1024
_POM = "pom.xml"


def user_cache() -> Path:
    """Return the folder below which yarnflow keeps what can be made again (XDG_CACHE_HOME, else ~/.cache)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "yarnflow"


def ensure(progress: toolchain.Progress, java_home: Path) -> Path:
    """Return the folder with Hadoop's jars, after fetching them if this user has none yet.

    Raises:
        DevClusterError: no Maven, no space, or Maven failed (with the end of what it said).
    """
    pom = resources.files("yarnflow.devcluster").joinpath(_POM).read_text()
    lib = user_cache() / f"hadoop-{HADOOP_VERSION}" / "lib"
    if lib.is_dir():
        return lib
    lib.parent.mkdir(parents=True, exist_ok=True)
    with locked(lib.parent / "lock", _RESOLVE_SECONDS, "another process that fetches Hadoop's jars", progress):
        if not lib.is_dir():
            check_space(lib.parent, _NEEDED_BYTES)
            command = toolchain.maven(progress)
            with tempfile.TemporaryDirectory(dir=lib.parent, prefix="fetch-") as folder:
                Path(folder, _POM).write_text(pom)
                _copy_dependencies(command, Path(folder), java_home, progress)
                Path(folder, "lib").rename(lib)
    return lib


def check_space(folder: Path, needed: int) -> None:
    """Raise DevClusterError when fewer than `needed` bytes are free where `folder` is."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DevClusterError(
            f"only {free // 2**20} MB are free in {folder} and {needed // 2**20} MB are needed: "
            "make room, or choose another place with --dir (state) or XDG_CACHE_HOME (jars)"
        )


def _copy_dependencies(command: str, folder: Path, java_home: Path, progress: toolchain.Progress) -> None:
    progress(f"fetching Hadoop {HADOOP_VERSION} with Maven (about 180 jars, 91 MB, once per user)")
    started = time.monotonic()
    log = folder / "maven.log"
    line = [
        command,
        "--batch-mode",
        "--file",
        _POM,
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={folder / 'lib'}",
        f"-Dhadoop.version={HADOOP_VERSION}",
    ]
    try:
        with log.open("w") as output:
            done = subprocess.run(
                line,
                cwd=folder,
                env={**os.environ, "JAVA_HOME": str(java_home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_RESOLVE_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise DevClusterError(
            f"Maven did not fetch Hadoop's jars within {_RESOLVE_SECONDS} s: "
            "check the network and ~/.m2/settings.xml"
        ) from error
    if done.returncode != 0 or not any(folder.glob("lib/hadoop-common-*.jar")):
        lines = [text for text in log.read_text().splitlines() if "ERROR" in text]
        tail = "\n".join((lines or log.read_text().splitlines())[:8])
        raise DevClusterError(
            f"Maven could not fetch Hadoop's jars (exit {done.returncode}); it reads ~/.m2/settings.xml for "
            f"mirrors and proxies. It said:\n{tail}"
        )
    progress(f"Hadoop's jars are there ({time.monotonic() - started:.0f} s)")
