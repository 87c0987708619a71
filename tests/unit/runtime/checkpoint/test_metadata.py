"""`_metadata`: round trip, damage, and which checkpoint of a directory is used."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.runtime.checkpoint.states import block, checkpoint, keyed_operator, sst
from yarnflow.errors import CheckpointCorruptedError, RestoreError
from yarnflow.runtime.checkpoint.handles import OperatorState, StateKind
from yarnflow.runtime.checkpoint.metadata import (
    METADATA,
    OperatorCheckpoint,
    find_checkpoint,
    from_bytes,
    read_metadata,
    to_bytes,
    write_metadata,
)
from yarnflow.runtime.checkpoint.paths import below, normalized, resolve


def example(directory=""):
    union = block(kind=StateKind.UNION, data=b"\x00\xff")
    rocks = OperatorCheckpoint(
        "r",
        "my uid",
        "ünïcode",
        "v",
        1,
        128,
        {0: OperatorState("r", (union,), (sst("../shared/1.sst", (0, 127)),))},
        (0,),
    )
    return checkpoint(rocks, keyed_operator("k", 3, in_files=True), directory=directory)


def test_what_is_written_is_read_again(tmp_path):
    written = example(normalized(str(tmp_path / "chk-7")))
    (tmp_path / "chk-7").mkdir()
    assert write_metadata(written) == written.directory
    assert read_metadata(str(tmp_path / "chk-7")) == written
    assert read_metadata(str(tmp_path / "chk-7" / METADATA)) == written
    assert read_metadata(f"file://{tmp_path}/chk-7/") == written


def test_a_checkpoint_that_was_moved_names_its_new_directory(tmp_path):
    written = example(normalized(str(tmp_path / "a")))
    (tmp_path / "a").mkdir()
    write_metadata(written)
    (tmp_path / "a").rename(tmp_path / "b")
    assert read_metadata(str(tmp_path / "b")).directory == normalized(str(tmp_path / "b"))


@given(st.data())
def test_every_changed_byte_is_noticed(data):
    content = bytearray(to_bytes(example()))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    if _reads_as(bytes(content), "file:///chk-7/_metadata") is None:
        with pytest.raises(CheckpointCorruptedError, match="file:///chk-7/_metadata"):
            from_bytes(bytes(content), "file:///chk-7/_metadata")
    else:
        # White space between JSON's tokens carries nothing.
        assert from_bytes(bytes(content), "x") == example()


def _reads_as(content, uri):
    try:
        return from_bytes(content, uri)
    except CheckpointCorruptedError:
        return None


@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_cut_file_is_damaged(length):
    with pytest.raises(CheckpointCorruptedError, match="damaged"):
        from_bytes(to_bytes(example())[:length], "x")


def test_another_version_says_so():
    document = json.loads(to_bytes(example()))
    document["yarnflow-checkpoint"] = 99
    with pytest.raises(CheckpointCorruptedError, match="another version"):
        from_bytes(json.dumps(document).encode(), "x")


def test_a_missing_checkpoint_names_the_file_that_was_looked_for(tmp_path):
    for read in (read_metadata, find_checkpoint):
        with pytest.raises(RestoreError, match=f"{tmp_path}/nowhere/_metadata is missing"):
            read(str(tmp_path / "nowhere"))


def test_the_error_survives_pickling():
    error = pickle.loads(pickle.dumps(CheckpointCorruptedError("x is damaged", "x")))
    assert (str(error), error.path) == ("x is damaged", "x")


def several(tmp_path, *numbers):
    for number in numbers:
        directory = tmp_path / "job" / f"chk-{number}"
        directory.mkdir(parents=True)
        write_metadata(replace(example(normalized(str(directory))), checkpoint_id=number))
    return str(tmp_path / "job")


def test_of_a_jobs_directory_the_newest_is_used(tmp_path):
    found, passed_over = find_checkpoint(several(tmp_path, 2, 10, 9))
    assert (found.checkpoint_id, passed_over) == (10, ())


def test_of_a_jobs_directory_the_newest_readable_one_is_used(tmp_path):
    path = several(tmp_path, 2, 9, 10)
    (tmp_path / "job" / "chk-10" / METADATA).write_bytes(b"garbage")
    (tmp_path / "job" / "chk-11").mkdir()
    found, passed_over = find_checkpoint(path)
    assert found.checkpoint_id == 9
    assert [text for text in passed_over if "chk-11" in text and "missing" in text]
    assert [text for text in passed_over if "chk-10" in text and "damaged" in text]


def test_a_named_checkpoint_is_used_and_no_other(tmp_path):
    path = several(tmp_path, 9, 10)
    (tmp_path / "job" / "chk-10" / METADATA).write_bytes(b"garbage")
    with pytest.raises(CheckpointCorruptedError, match="chk-10"):
        find_checkpoint(f"{path}/chk-10")


def test_paths_are_found_from_the_directory():
    assert resolve("hdfs://nn/c/j/chk-3", "v-0") == "hdfs://nn/c/j/chk-3/v-0"
    assert resolve("hdfs://nn/c/j/chk-3/", "../shared/1.sst") == "hdfs://nn/c/j/shared/1.sst"
    assert resolve("hdfs://nn/c/j/chk-3", "s3://b/x") == "s3://b/x"
    assert resolve("file:///c", "/x/y") == "/x/y"
    assert below("file:///c/j", "file:///c/j/chk-1/x")
    assert not below("file:///c/j", "file:///c/j2/x")
