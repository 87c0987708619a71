"""What a job ships: archives that are equal when their content is, and the files of each option."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from yarnflow.config import Configuration
from yarnflow.errors import ProgramMissingError
from yarnflow.graph.job_graph import ArtifactKind
from yarnflow.session.artifacts import ShippedFiles, zip_directory


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "lib"
    (made / "pkg" / "__pycache__").mkdir(parents=True)
    (made / "pkg" / "__init__.py").write_text("")
    (made / "pkg" / "__pycache__" / "x.pyc").write_text("")
    (made / "b.py").write_text("b = 1\n")
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o755)
    return made


def test_equal_content_gives_an_equal_archive(folder: Path, tmp_path: Path) -> None:
    zip_directory(folder, tmp_path / "1.zip")
    os.utime(folder / "b.py", (1, 1))
    zip_directory(folder, tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert names(tmp_path / "1.zip") == ["b.py", "run.sh", "pkg/__init__.py"]
    with zipfile.ZipFile(tmp_path / "1.zip") as opened:
        assert opened.getinfo("run.sh").external_attr >> 16 & 0o111
    (folder / "b.py").write_text("b = 2\n")
    zip_directory(folder, tmp_path / "3.zip")
    assert (tmp_path / "1.zip").read_bytes() != (tmp_path / "3.zip").read_bytes()


def test_links_are_followed_but_not_in_circles_and_what_is_no_file_stays(folder: Path, tmp_path: Path) -> None:
    (folder / "again").symlink_to(folder / "pkg")
    (folder / "pkg" / "back").symlink_to(folder)
    (folder / "nothing").symlink_to(folder / "gone")
    other = tmp_path / "other"
    other.mkdir()
    (other / "home").symlink_to(folder)
    (folder / "other").symlink_to(other)
    os.mkfifo(folder / "pipe")
    zip_directory(folder, tmp_path / "1.zip", "inside")
    assert sorted(names(tmp_path / "1.zip")) == [
        "inside/again/__init__.py",
        "inside/b.py",
        "inside/pkg/__init__.py",
        "inside/run.sh",
    ]


def test_every_option_becomes_artifacts(folder: Path, tmp_path: Path) -> None:
    module, requirements, data = (tmp_path / name for name in ("m.py", "requirements.txt", "data.zip"))
    for file in (module, requirements, data):
        file.write_text(file.name)
    config = Configuration(
        {
            "python.files": f"{module},{folder},{folder / 'pkg'}",
            "python.archives": f"{data}#target,{data}",
            "python.requirements": f"{requirements}#{folder}",
        }
    )
    with ShippedFiles(config) as shipped:
        assert [(artifact.name, artifact.kind) for artifact in shipped.artifacts] == [
            ("m.py", ArtifactKind.PYTHON_FILE),
            ("lib.zip", ArtifactKind.PYTHON_FILE),
            ("pkg.zip", ArtifactKind.PYTHON_FILE),
            ("target", ArtifactKind.ARCHIVE),
            ("data.zip", ArtifactKind.ARCHIVE),
            ("requirements-packages", ArtifactKind.ARCHIVE),
            ("requirements.txt", ArtifactKind.REQUIREMENTS),
        ]
        for artifact in shipped.artifacts:
            content = shipped.files[artifact.sha256].read_bytes()
            assert hashlib.sha256(content).hexdigest() == artifact.sha256
            assert artifact.size == len(content)
        package = shipped.files[shipped.artifacts[2].sha256]
        assert names(package) == ["pkg/__init__.py"], "a package goes in with its own name"
        temporary = package.parent
        assert temporary.exists()
    assert not temporary.exists()


@pytest.mark.parametrize("key", ["python.files", "python.archives", "python.requirements"])
def test_a_missing_file_names_its_option(key: str) -> None:
    with pytest.raises(ProgramMissingError, match=f"{key}: there is no file or directory '/nowhere'"):
        ShippedFiles(Configuration({key: "/nowhere"}))
