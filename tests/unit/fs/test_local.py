from __future__ import annotations

import os
from pathlib import Path

import pytest

from yarnflow import fs
from yarnflow.errors import FileSystemError

files = fs.file_system("/")


def test_relative_paths_are_of_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found, path = fs.get("sub/a")
    found.write_atomic(path, b"1")
    assert (tmp_path / "sub" / "a").read_bytes() == b"1"
    assert found.list("sub")[0].path == str(tmp_path / "sub" / "a")


def test_links(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"123")
    os.symlink(tmp_path / "d" / "a", tmp_path / "to-file")
    os.symlink(tmp_path, tmp_path / "to-itself")
    os.symlink(tmp_path / "nothing", tmp_path / "to-nothing")
    found = files.list(str(tmp_path), recursive=True)
    assert [(each.path[len(str(tmp_path)) + 1 :], each.length) for each in found] == [
        ("d", 0),
        ("d/a", 3),
        ("to-file", 3),
        ("to-itself", 0),
    ]


def test_deleting_a_link_leaves_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"1")
    os.symlink(tmp_path / "d", tmp_path / "link")
    assert files.delete(str(tmp_path / "link"), recursive=True)
    assert (tmp_path / "d" / "a").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_says_so() -> None:
    with (
        pytest.raises(FileSystemError, match="No space left on device; free some space"),
        files.open_write("/dev/full", overwrite=True) as out,
    ):
        out.write(b"1")
