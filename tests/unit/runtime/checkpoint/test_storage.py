"""Files of checkpoints: published savepoints hold everything, what is disposed is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.runtime.checkpoint.states import block, checkpoint, keyed_operator, sst
from yarnflow.errors import RestoreError
from yarnflow.runtime.checkpoint import storage
from yarnflow.runtime.checkpoint.assignment import files_of
from yarnflow.runtime.checkpoint.handles import OperatorState, StateKind
from yarnflow.runtime.checkpoint.metadata import OperatorCheckpoint, read_metadata
from yarnflow.runtime.checkpoint.paths import normalized, resolve


@pytest.fixture
def job(tmp_path):
    """A job's directory with files in chk-1, chk-2 and shared."""
    folder = tmp_path / "job"
    for name in ("chk-1/v-0", "chk-2/v-1", "shared/1.sst"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def operator(*paths, files=()):
    blocks = tuple(block(f"b{number}", StateKind.SPLIT, path=path) for number, path in enumerate(paths))
    return OperatorCheckpoint("o", None, "op", "v", 1, 128, {0: OperatorState("o", blocks, files)})


def content(found):
    paths = [resolve(found.directory, path).removeprefix("file://") for path in files_of(found.operators)]
    return sorted(Path(path).read_text() for path in paths)


def test_a_checkpoint_names_its_files_so_that_the_jobs_directory_can_be_moved(job):
    directory = normalized(str(job / "chk-2"))
    paths = ("v-1", normalized(str(job / "chk-1" / "v-0")))
    shared = (sst(normalized(str(job / "shared" / "1.sst")), (0, 127)),)
    published = storage.publish(checkpoint(operator(*paths, files=shared), directory=directory))
    assert files_of(published.operators) == {"v-1", "../chk-1/v-0", "../shared/1.sst"}
    shutil.move(str(job), str(job.parent / "moved"))
    found = read_metadata(str(job.parent / "moved" / "chk-2"))
    assert content(found) == ["chk-1/v-0", "chk-2/v-1", "shared/1.sst"]


def test_a_savepoint_holds_everything_and_can_be_moved(job, tmp_path):
    folder = tmp_path / "savepoints" / "savepoint-1"
    storage.make_directory(str(folder))
    (folder / "v-1").write_text("own")
    taken = checkpoint(
        operator("v-1", normalized(str(job / "chk-1" / "v-0"))), directory=normalized(str(folder))
    )
    storage.publish(type(taken)(**{**vars(taken), "savepoint": True}))
    shutil.rmtree(job)
    shutil.move(str(folder), str(tmp_path / "elsewhere"))
    found = read_metadata(str(tmp_path / "elsewhere"))
    assert found.savepoint
    assert content(found) == ["chk-1/v-0", "own"]


def test_deleting_what_is_not_there_is_fine(job):
    directories = [normalized(str(job / name)) for name in ("chk-1", "chk-9")]
    storage.delete(directories, [str(job / "shared" / "9.sst")])
    assert not (job / "chk-1").exists()
    assert (job / "chk-2").exists()


def test_dispose(tmp_path):
    folder = tmp_path / "savepoint-1"
    folder.mkdir()
    storage.publish(checkpoint(keyed_operator("k", 1), directory=normalized(str(folder))))
    storage.dispose(str(folder))
    assert not folder.exists()
    with pytest.raises(RestoreError, match="savepoint-1"):
        storage.dispose(str(folder))


def test_a_directory_that_is_no_savepoint_is_not_deleted(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(RestoreError, match="no checkpoint or savepoint"):
        storage.dispose(str(tmp_path))
    assert (tmp_path / "precious").exists()
