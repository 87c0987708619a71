"""Puts the files of a job in place on this machine: fetched once by hash, unpacked once per job.

    <root>/blobs/<sha256>               as fetched; kept while the TaskManager runs
    <root>/requirements/<hash>/         what pip installed; kept likewise
    <root>/jobs/<job id>/               working directory: archives and plain files by their names
    <root>/jobs/<job id>/.python/<n>/   Python files, each on sys.path

Python files: a .py file becomes importable by its name; anything else must be a zip (a zipped folder, an egg,
a wheel), which is unpacked, so that extension modules and data files in it work. Archives are zip or tar
files, told apart by content. An archive named `REQUIREMENTS_PACKAGES` is a folder of packages that the
requirements are installed from, without network (PyFlink's second argument of set_python_requirements).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from yarnflow.config.configuration import Configuration
from yarnflow.config.core import PythonOptions
from yarnflow.errors import ClusterError, YarnflowError
from yarnflow.graph.job_graph import REQUIREMENTS_PACKAGES, Artifact, ArtifactKind
from yarnflow.runtime.taskmanager.supervisor_events import JobLayout

#: Seconds that pip may take.
PIP_TIMEOUT = 900.0

T = TypeVar("T")
Fetch = Callable[[str, Path], Awaitable[None]]


class ArtifactCache:
    """Files of jobs below `root`, a private folder of this TaskManager."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._jobs: dict[str, asyncio.Task[JobLayout]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def prepare(
        self, job_id: str, artifacts: tuple[Artifact, ...], config: Configuration, fetch: Fetch
    ) -> JobLayout:
        """Where the job's files are, after fetching and unpacking what is missing.

        Slots of one job share the work. Raises YarnflowError with what could not be done."""
        task = self._jobs.get(job_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._prepare(job_id, artifacts, config, fetch))
            self._jobs[job_id] = task
        try:
            # One slot that gives up must not cancel the work of the others.
            return await asyncio.shield(task)
        except YarnflowError:
            if self._jobs.get(job_id) is task:
                del self._jobs[job_id]
            raise

    def knows(self, job_id: str) -> bool:
        """Was `prepare` called for the job, and not `release` since?"""
        return job_id in self._jobs

    async def release(self, job_id: str) -> None:
        """No slot serves the job any more: its folder goes, fetched blobs stay."""
        task = self._jobs.pop(job_id, None)
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await _in_thread(shutil.rmtree, self._job_folder(job_id), True)

    def _job_folder(self, job_id: str) -> Path:
        return self._root / "jobs" / job_id

    async def _prepare(
        self, job_id: str, artifacts: tuple[Artifact, ...], config: Configuration, fetch: Fetch
    ) -> JobLayout:
        folder = self._job_folder(job_id)
        await _in_thread(shutil.rmtree, folder, True)
        await _in_thread(folder.mkdir, 0o700, True, True)
        python_path: list[str] = []
        for number, artifact in enumerate(artifacts):
            if artifact.kind is ArtifactKind.REQUIREMENTS:
                continue
            source = await self._fetched(artifact, fetch)
            try:
                if artifact.kind is ArtifactKind.PYTHON_FILE:
                    target = folder / ".python" / str(number)
                    await _in_thread(_place_python_file, source, target, artifact.name)
                    python_path.append(str(target))
                elif artifact.kind is ArtifactKind.ARCHIVE:
                    await _in_thread(unpack, source, folder / _safe_name(artifact))
                else:
                    await _in_thread(shutil.copy, source, folder / _safe_name(artifact))
            except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
                raise ClusterError(f"{artifact.name} of job {job_id} cannot be put in place: {error}") from error
        executable = _executable(config, folder)
        for artifact in artifacts:
            if artifact.kind is ArtifactKind.REQUIREMENTS:
                source = await self._fetched(artifact, fetch)
                packages = folder / REQUIREMENTS_PACKAGES
                installed = await self._install(
                    job_id, source, packages if packages.is_dir() else None, executable or sys.executable
                )
                python_path.append(str(installed))
        extra = config[PythonOptions.PYTHONPATH]
        if extra:
            python_path[:0] = extra.split(os.pathsep)
        return JobLayout(tuple(python_path), str(folder), executable)

    async def _fetched(self, artifact: Artifact, fetch: Fetch) -> Path:
        path = self._root / "blobs" / artifact.sha256
        async with self._locks.setdefault(artifact.sha256, asyncio.Lock()):
            if await _in_thread(path.is_file):
                return path
            await _in_thread(path.parent.mkdir, 0o700, True, True)
            incoming = path.with_suffix(".incoming")
            await fetch(artifact.sha256, incoming)
            found = await _in_thread(_sha256, incoming)
            if found != artifact.sha256:
                raise ClusterError(
                    f"{artifact.name} arrived damaged: its sha256 is {found}, not {artifact.sha256}"
                )
            await _in_thread(incoming.replace, path)
        return path

    async def _install(self, job_id: str, requirements: Path, packages: Path | None, python: str) -> Path:
        """Install requirements into a folder of their own, once per content and interpreter."""
        text = await _in_thread(requirements.read_bytes)
        key = hashlib.sha256(text + python.encode() + (str(packages) if packages else "").encode())
        target = self._root / "requirements" / key.hexdigest()
        async with self._locks.setdefault(target.name, asyncio.Lock()):
            if await _in_thread(target.is_dir):
                return target
            incoming = target.with_suffix(".incoming")
            command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            command += ["--no-input", "--target", str(incoming), "--requirement", str(requirements)]
            if packages is not None:
                command += ["--no-index", "--find-links", str(packages)]
            try:
                done = await _in_thread(_run, command)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise ClusterError(f"the requirements of job {job_id} cannot be installed: {error}") from error
            if done.returncode != 0:
                tail = "\n".join(done.stdout.splitlines()[-20:])
                raise ClusterError(f"the requirements of job {job_id} cannot be installed by {python}:\n{tail}")
            await _in_thread(incoming.mkdir, 0o700, True, True)
            await _in_thread(incoming.replace, target)
        return target


def unpack(source: Path, target: Path) -> None:
    """Unpack a zip or tar file into the folder `target`. Members that lead out of it are refused.

    Raises OSError, zipfile.BadZipFile or tarfile.TarError."""
    target.mkdir(parents=True, exist_ok=True)
    if zipfile.is_zipfile(source):
        _unpack_zip(source, target)
    elif tarfile.is_tarfile(source):
        _unpack_tar(source, target)
    else:
        raise OSError("it is neither a zip nor a tar file")


def _unpack_tar(source: Path, target: Path) -> None:
    """Member by member, since the check looks at the links that are there already. tarfile's own filters came only
    with Python 3.11.4 and 3.10.12, and the one that refuses more refuses the links to an interpreter that packed
    environments have."""
    root = os.path.realpath(target)

    def inside(name: str) -> bool:
        path = os.path.realpath(os.path.join(root, name))
        return path == root or path.startswith(root + os.sep)

    with tarfile.open(source) as archive:
        archive.extraction_filter = lambda member, path: member
        for member in archive:
            member.name = member.name.lstrip("/")
            # A symbolic link may lead anywhere, but nothing is written through it.
            parent = os.path.dirname(member.name) if member.issym() else member.name
            if not inside(parent) or (member.islnk() and not inside(member.linkname)):
                raise tarfile.TarError(f"its member {member.name!r} leads out of the folder")
            if member.isdev():
                raise tarfile.TarError(f"its member {member.name!r} is a device or a pipe")
            member.mode &= 0o755
            if member.isdir():
                member.mode |= 0o700
            archive.extract(member, root)


def _unpack_zip(source: Path, target: Path) -> None:
    root = os.path.realpath(target)
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            # extract() drops "..", drive letters and leading slashes: nothing lands outside.
            path = archive.extract(info, target)
            assert os.path.realpath(path).startswith(root)
            mode = stat.S_IMODE(info.external_attr >> 16)
            if mode and not info.is_dir():
                # zipfile forgets that bin/python was executable.
                os.chmod(path, mode | stat.S_IRUSR | stat.S_IWUSR)


def _place_python_file(source: Path, target: Path, name: str) -> None:
    target.mkdir(parents=True, exist_ok=True)
    if name.endswith(".py"):
        shutil.copy(source, target / os.path.basename(name))
    else:
        unpack(source, target)


def _safe_name(artifact: Artifact) -> str:
    if os.path.basename(artifact.name) != artifact.name or artifact.name in ("", ".", "..", ".python"):
        raise ClusterError(f"{artifact.name!r} is no name for a file in the working directory")
    return artifact.name


def _executable(config: Configuration, folder: Path) -> str:
    """The interpreter that the job asks for, "" when it is the one this process runs."""
    wanted = config[PythonOptions.EXECUTABLE]
    if not wanted:
        return ""
    in_archive = folder / wanted
    if not os.path.isabs(wanted) and in_archive.exists():
        return str(in_archive)
    found = shutil.which(wanted)
    if found is None:
        raise ClusterError(
            f"python.executable {wanted!r} is neither on this machine's PATH nor in one of the job's archives"
        )
    # The same file by another name is another environment (a venv is a link to its base interpreter).
    return "" if os.path.abspath(found) == os.path.abspath(sys.executable) else found


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=PIP_TIMEOUT,
        check=False,
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


async def _in_thread(function: Callable[..., T], *arguments: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)
