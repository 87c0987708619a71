"""The archive of yarnflow that containers run."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from yarnflow.session import library
from yarnflow.session.staging import sha256_of


def test_equal_code_makes_an_equal_archive(tmp_path: Path) -> None:
    library.build(tmp_path / "one.zip")
    library.build(tmp_path / "two.zip")
    assert sha256_of(tmp_path / "one.zip") == sha256_of(tmp_path / "two.zip")
    assert library.fingerprint() == library.fingerprint()


def test_the_archive_runs_without_compiling(tmp_path: Path) -> None:
    library.build(tmp_path / "library.zip")
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(tmp_path / "library.zip") as archive:
        archive.extractall(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    code = "import yarnflow.errors, yarnflow.config as c; print(yarnflow.__file__, c.__cached__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert str(folder) in done.stdout
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert after == before, "nothing was compiled"
