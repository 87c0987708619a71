from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from yarnflow.config.configuration import Configuration
from yarnflow.errors import ClusterError
from yarnflow.graph.job_graph import Artifact, ArtifactKind
from yarnflow.runtime.taskmanager.artifacts import ArtifactCache, unpack


class Blobs:
    """A blob store with a count of fetches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: list[str] = []

    def add(self, content: bytes, name: str, kind: ArtifactKind) -> Artifact:
        sha256 = hashlib.sha256(content).hexdigest()
        (self.folder / sha256).write_bytes(content)
        return Artifact(name, kind, sha256, len(content))

    async def fetch(self, sha256: str, target: Path) -> None:
        self.fetched.append(sha256)
        if not (self.folder / sha256).exists():
            raise ClusterError(f"no blob {sha256}")
        shutil.copy(self.folder / sha256, target)


@pytest.fixture
def blobs(tmp_path):
    (tmp_path / "blobs").mkdir()
    return Blobs(tmp_path / "blobs")


def prepare(tmp_path, blobs, artifacts, config=None, jobs=("job",)):
    async def main():
        cache = ArtifactCache(tmp_path / "root")
        return [await cache.prepare(job, tuple(artifacts), Configuration(config), blobs.fetch) for job in jobs]

    return asyncio.run(main())


def zipped(tmp_path, files: dict[str, str], modes: dict[str, int] | None = None) -> bytes:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (modes or {}).get(name, 0o644) << 16
            archive.writestr(info, text)
    return path.read_bytes()


def test_python_files_and_zipped_packages_become_importable(tmp_path, blobs):
    module = blobs.add(b"X = 1", "single.py", ArtifactKind.PYTHON_FILE)
    package = blobs.add(
        zipped(tmp_path, {"pkg/__init__.py": "", "pkg/mod.py": "Y = 2"}), "pkg.zip", ArtifactKind.PYTHON_FILE
    )
    (layout,) = prepare(tmp_path, blobs, [module, package])
    first, second = layout.python_path
    assert (Path(first) / "single.py").read_text() == "X = 1"
    assert (Path(second) / "pkg" / "mod.py").exists()


def test_archives_are_unpacked_under_their_name_with_executable_bits(tmp_path, blobs):
    archive = blobs.add(
        zipped(tmp_path, {"bin/tool": "#!", "data.txt": "d"}, {"bin/tool": 0o755}), "venv", ArtifactKind.ARCHIVE
    )
    (layout,) = prepare(tmp_path, blobs, [archive])
    folder = Path(layout.working_directory) / "venv"
    assert os.access(folder / "bin" / "tool", os.X_OK)
    assert not os.access(folder / "data.txt", os.X_OK)


def test_tar_archives_are_told_by_content(tmp_path):
    source = tmp_path / "x"
    with tarfile.open(source, "w:gz") as archive:
        (tmp_path / "inner.txt").write_text("i")
        archive.add(tmp_path / "inner.txt", "inner.txt")
    unpack(source, tmp_path / "out")
    assert (tmp_path / "out" / "inner.txt").exists()
    (tmp_path / "y").write_text("neither")
    with pytest.raises(OSError, match="neither a zip nor a tar"):
        unpack(tmp_path / "y", tmp_path / "out2")


def test_members_that_lead_out_of_the_folder_stay_in_or_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../escaped.txt", "x")
    unpack(tmp_path / "evil.zip", tmp_path / "deep" / "out")
    assert not (tmp_path / "deep" / "escaped.txt").exists()
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        (tmp_path / "f").write_text("x")
        archive.add(tmp_path / "f", "../escaped.txt")
    with pytest.raises(tarfile.TarError):
        unpack(tmp_path / "evil.tar", tmp_path / "deep" / "out2")
    assert not (tmp_path / "deep" / "escaped.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_in_archives_write_nowhere_else(tmp_path, kind):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("untouched")
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = kind, str(outside) if kind == tarfile.SYMTYPE else "../outside/secret"
        archive.addfile(link)
        through = tarfile.TarInfo("link/secret" if kind == tarfile.SYMTYPE else "link")
        archive.addfile(through)
    with pytest.raises(tarfile.TarError, match=r"leads out|device or a pipe"):
        unpack(tmp_path / "evil.tar", tmp_path / "out")
    assert (outside / "secret").read_text() == "untouched"


def test_links_to_an_interpreter_stay_and_folders_without_write_permission_are_filled(tmp_path):
    with tarfile.open(tmp_path / "env.tar", "w") as archive:
        folder = tarfile.TarInfo("bin")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o555
        archive.addfile(folder)
        link = tarfile.TarInfo("bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, "/usr/bin/python3"
        archive.addfile(link)
    unpack(tmp_path / "env.tar", tmp_path / "out")
    assert os.readlink(tmp_path / "out" / "bin" / "python") == "/usr/bin/python3"


def test_plain_files_lie_in_the_working_directory(tmp_path, blobs):
    plain = blobs.add(b"content", "lookup.csv", ArtifactKind.FILE)
    (layout,) = prepare(tmp_path, blobs, [plain])
    assert (Path(layout.working_directory) / "lookup.csv").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["../up", "a/b", "", "..", "/etc/passwd"])
def test_names_that_lead_elsewhere_are_refused(tmp_path, blobs, name):
    with pytest.raises(ClusterError, match="no name for a file"):
        prepare(tmp_path, blobs, [blobs.add(b"x", name, ArtifactKind.FILE)])


def test_a_blob_is_fetched_once_for_several_jobs(tmp_path, blobs):
    plain = blobs.add(b"content", "lookup.csv", ArtifactKind.FILE)
    prepare(tmp_path, blobs, [plain], jobs=("job1", "job2"))
    assert len(blobs.fetched) == 1


def test_a_damaged_blob_is_refused(tmp_path, blobs):
    plain = blobs.add(b"content", "lookup.csv", ArtifactKind.FILE)
    (blobs.folder / plain.sha256).write_bytes(b"other")
    with pytest.raises(ClusterError, match="damaged"):
        prepare(tmp_path, blobs, [plain])


def test_a_missing_blob_can_be_asked_for_again(tmp_path, blobs):
    plain = blobs.add(b"content", "lookup.csv", ArtifactKind.FILE)
    (blobs.folder / plain.sha256).rename(blobs.folder / "away")

    async def main():
        cache = ArtifactCache(tmp_path / "root")
        with pytest.raises(ClusterError):
            await cache.prepare("job", (plain,), Configuration(), blobs.fetch)
        (blobs.folder / "away").rename(blobs.folder / plain.sha256)
        await cache.prepare("job", (plain,), Configuration(), blobs.fetch)
        await cache.release("job")
        assert not (tmp_path / "root" / "jobs" / "job").exists()

    asyncio.run(main())


def test_an_interpreter_inside_an_archive(tmp_path, blobs):
    archive = blobs.add(
        zipped(tmp_path, {"bin/python": "#!"}, {"bin/python": 0o755}), "venv", ArtifactKind.ARCHIVE
    )
    (layout,) = prepare(tmp_path, blobs, [archive], {"python.executable": "venv/bin/python"})
    assert layout.executable == str(Path(layout.working_directory) / "venv/bin/python")


def test_interpreters_on_the_machine(tmp_path, blobs):
    assert prepare(tmp_path, blobs, [], {"python.executable": sys.executable})[0].executable == ""
    with pytest.raises(ClusterError, match="neither on this machine's PATH"):
        prepare(tmp_path, blobs, [], {"python.executable": "no-such-python"})


def test_requirements_that_cannot_be_installed_show_pips_words(tmp_path, blobs):
    requirements = blobs.add(b"./no-such-package-directory", "requirements.txt", ArtifactKind.REQUIREMENTS)
    with pytest.raises(ClusterError, match="requirements of job job cannot be installed"):
        prepare(tmp_path, blobs, [requirements])


def test_pythonpath_option_comes_first(tmp_path, blobs):
    module = blobs.add(b"X = 1", "single.py", ArtifactKind.PYTHON_FILE)
    (layout,) = prepare(tmp_path, blobs, [module], {"python.pythonpath": "/a:/b"})
    assert layout.python_path[:2] == ("/a", "/b")
