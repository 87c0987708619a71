from __future__ import annotations

import os
import select
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests.unit.runtime.state.stored_state import GROUPS, OPERATOR, new_snapshot, plan, restored
from yarnflow.errors import CheckpointError, FileSystemError, UnstorableStateError
from yarnflow.fs.local import LocalFileSystem
from yarnflow.runtime.checkpoint.handles import StateFile, StateKind
from yarnflow.runtime.checkpoint.paths import resolve
from yarnflow.runtime.state import background, forked_writer, snapshot_target
from yarnflow.runtime.state.background import PendingWrite, WriteAbortedError, WrittenState, begin_write
from yarnflow.runtime.state.heap import HashMapStateBackend
from yarnflow.runtime.state.snapshot import Chunk, FilesPart, KeyedPart, TaskSnapshot
from yarnflow.runtime.state.timers import TimerQueue

DEADLINE = 60


def heap(entries: int, value: Callable[[int], Any] = lambda n: n) -> HashMapStateBackend:
    backend = HashMapStateBackend()
    backend.table("t").of(None).update((n, value(n)) for n in range(entries))
    return backend


def snapshot_of(backend: HashMapStateBackend) -> TaskSnapshot:
    snapshot = new_snapshot()
    backend.snapshot(snapshot, OPERATOR)
    return snapshot


def finished(write: PendingWrite) -> WrittenState:
    descriptor = write.fileno()
    if descriptor is not None:
        assert select.select([descriptor], [], [], DEADLINE)[0], "the write did not end"
    assert write.done()
    return write.result()


def entries_of(state: WrittenState, directory: str = "") -> dict[Any, Any]:
    (operator,) = state.operators
    found = HashMapStateBackend()
    found.restore(restored([operator.blocks], directory=directory))
    return found.table("t").of(None)


@pytest.fixture
def always_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AT_ONCE", 0)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Processes that were forked."""
    pids: list[int] = []
    fork = os.fork

    def recorded() -> int:
        pid = fork()
        if pid:
            pids.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", recorded)
    return pids


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_nothing_to_store_ends_at_once() -> None:
    write = begin_write(new_snapshot(), "", "0-0", plan())
    assert write.done()
    assert write.fileno() is None
    assert write.result() == WrittenState()


def test_small_state_travels_inline(tmp_path: Path, children: list[int]) -> None:
    write = begin_write(snapshot_of(heap(10)), tmp_path.as_uri(), "0-0", plan(inline=20_000))
    assert write.done()
    state = write.result()
    assert entries_of(state) == {n: n for n in range(10)}
    assert state.uploaded == state.operators[0].size
    assert children == list(tmp_path.iterdir()) == []


def test_state_above_the_threshold_is_written_to_a_file(tmp_path: Path, children: list[int]) -> None:
    backend = heap(1000)
    write = begin_write(snapshot_of(backend), tmp_path.as_uri(), "7-3", plan(inline=100))
    backend.table("t").of(None).clear()
    state = finished(write)
    assert [file.name for file in tmp_path.iterdir()] == ["7-3"]
    assert state.operators[0].blocks[0].path == "7-3"
    assert entries_of(state, tmp_path.as_uri()) == {n: n for n in range(1000)}
    assert children == []


def test_large_state_is_written_by_a_child_that_sees_no_later_change(tmp_path: Path, children: list[int]) -> None:
    backend = heap(50_000, lambda n: [n])
    table = backend.table("t").of(None)
    timers = TimerQueue()
    timers.add(5, "key")
    snapshot = snapshot_of(backend)
    timers.snapshot(snapshot, OPERATOR, "timers")
    snapshot.add_list(OPERATOR, "list", ["x"], StateKind.UNION)
    write = begin_write(snapshot, str(tmp_path / "chk-1"), "0-0", plan())
    for key in range(50_000):
        table[key].append("changed")
    timers.remove(5, "key")
    table.clear()
    state = finished(write)
    directory = str(tmp_path / "chk-1")
    assert entries_of(state, directory) == {n: [n] for n in range(50_000)}
    (operator,) = state.operators
    assert {(block.name, block.kind.value) for block in operator.blocks} == {
        ("t", "keyed"),
        ("timers", "timers"),
        ("list", "union"),
    }
    assert restored([operator.blocks], directory=directory).items("list", StateKind.UNION) == ["x"]
    assert state.uploaded == os.path.getsize(tmp_path / "chk-1" / "0-0") == operator.size
    assert len(children) == 1
    assert gone(children[0])


def test_state_that_takes_long_to_convert_is_left_to_a_child(
    tmp_path: Path, children: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "AT_ONCE_SECONDS", -1)
    state = finished(begin_write(snapshot_of(heap(10)), str(tmp_path), "0-0", plan()))
    assert entries_of(state, str(tmp_path)) == {n: n for n in range(10)}
    assert len(children) == 1


@pytest.mark.usefixtures("always_fork")
def test_a_child_can_write_what_travels_inline(children: list[int]) -> None:
    state = finished(begin_write(snapshot_of(heap(100)), "", "0-0", plan()))
    assert entries_of(state) == {n: n for n in range(100)}
    assert len(children) == 1


class Remote:
    """A file system that no child may write to."""

    def __init__(self) -> None:
        self._files = LocalFileSystem()
        self.process = os.getpid()

    def __getattr__(self, name: str) -> Any:
        assert os.getpid() == self.process, "used by a child"
        return getattr(self._files, name)


@pytest.mark.parametrize("entries", [1000, 50_000])
def test_a_thread_uploads_what_cannot_be_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    remote = Remote()
    monkeypatch.setattr(snapshot_target.fs, "get", lambda uri: (remote, uri.removeprefix("remote:/")))
    directory = f"remote:/{tmp_path}/chk-1"
    state = finished(begin_write(snapshot_of(heap(entries)), directory, "0-0", plan()))
    assert entries_of(state, directory) == {n: n for n in range(entries)}
    assert [file.name for file in (tmp_path / "chk-1").iterdir()] == ["0-0"]
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("entries", [1000, 50_000])
def test_without_a_directory_state_has_a_limit(entries: int) -> None:
    write = begin_write(snapshot_of(heap(entries)), "", "0-0", plan(maximum=1000))
    with pytest.raises(
        CheckpointError, match=r"the state of 0-0 has \d+ bytes, .* at most 1000 .*checkpointing\.dir"
    ):
        finished(write)


def test_copies_are_written_by_a_thread(tmp_path: Path, children: list[int]) -> None:
    snapshot = new_snapshot()
    keys, values = list(range(30_000)), list(range(30_000))

    def freeze() -> Callable[[], list[Chunk]]:
        copy = values.copy()
        return lambda: [Chunk(None, keys, copy)]

    part = KeyedPart(OPERATOR, "t", StateKind.KEYED, list, 30_000, {}, freeze)
    snapshot.keyed.append(part)
    write = begin_write(snapshot, str(tmp_path), "0-0", plan())
    values.clear()
    assert entries_of(finished(write), str(tmp_path)) == dict(zip(keys, keys, strict=True))
    assert children == []


@pytest.mark.parametrize("entries", [0, 10, 30_000])
def test_databases_are_read_by_a_thread(tmp_path: Path, entries: int) -> None:
    snapshot = snapshot_of(heap(entries))
    threads: list[threading.Thread] = []

    def read() -> Iterator[Chunk]:
        threads.append(threading.current_thread())
        yield Chunk(None, ["a"], [1])

    snapshot.keyed.append(KeyedPart("db", "d", StateKind.KEYED, read, 1, {}, lambda: read, database=True))
    state = finished(begin_write(snapshot, str(tmp_path), "0-0", plan()))
    blocks = {operator.operator_id: operator.blocks for operator in state.operators}
    (chunk,) = restored([blocks["db"]], directory=str(tmp_path)).keyed("d")
    assert chunk == (None, ["a"], [1])
    if entries:
        assert len(list(restored([blocks[OPERATOR]], directory=str(tmp_path)).keyed("t"))) > 0
    assert threads != []
    assert threading.current_thread() not in threads


# -- files of a backend ----------------------------------------------------------------------------------


class Database:
    """A FilesPart over local files."""

    def __init__(self, folder: Path, **files: bytes) -> None:
        self.folder = folder
        self.names = list(files)
        self.released: list[threading.Thread] = []
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)

    def upload(self, store: Callable[[str, str, bool], StateFile]) -> Sequence[StateFile]:
        return [store(str(self.folder / name), name, name.startswith("sst")) for name in self.names]

    def part(self) -> FilesPart:
        return FilesPart(OPERATOR, self.upload, lambda: self.released.append(threading.current_thread()))


def test_files_are_uploaded_and_shared_ones_lie_apart(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", CURRENT=b"abc", sst1=b"shared")
    snapshot = new_snapshot(1, 2)
    snapshot.files.append(database.part())
    directory, shared = (tmp_path / "job" / "chk-1").as_uri(), (tmp_path / "job" / "shared").as_uri()
    state = finished(begin_write(snapshot, directory, "0-1", plan(shared=shared)))
    (operator,) = state.operators
    current, sst = operator.files
    assert (current.name, current.size, current.checksum, current.shared) == (
        "CURRENT",
        3,
        zlib.crc32(b"abc"),
        False,
    )
    assert (sst.shared, sst.key_groups) == (True, (64, GROUPS - 1))
    assert sst.path.startswith("../shared/")
    system = LocalFileSystem()
    for file, data in ((current, b"abc"), (sst, b"shared")):
        assert system.read_bytes(resolve(directory, file.path).removeprefix("file://")) == data
    assert state.uploaded == 9
    assert database.released == [threading.current_thread()]


def test_files_need_a_directory(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", CURRENT=b"abc")
    snapshot = new_snapshot()
    snapshot.files.append(database.part())
    with pytest.raises(CheckpointError, match="lies in files, which need a directory"):
        finished(begin_write(snapshot, "", "0-0", plan()))
    assert database.released != []


def test_a_failed_upload_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", CURRENT=b"abc", sst1=b"shared")
    (tmp_path / "db" / "sst1").unlink()
    snapshot = snapshot_of(heap(50_000))
    snapshot.files.append(database.part())
    write = begin_write(snapshot, str(tmp_path / "chk-1"), "0-0", plan(shared=str(tmp_path / "shared")))
    with pytest.raises(CheckpointError, match="sst1"):
        finished(write)
    assert list((tmp_path / "chk-1").iterdir()) == []
    assert database.released == [threading.current_thread()]


# -- what can go wrong -----------------------------------------------------------------------------------


class FullDisk(LocalFileSystem):
    """A disk that is full after a few bytes."""

    def open_write(self, path: str, overwrite: bool = False) -> BinaryIO:
        stream = super().open_write(path, overwrite)
        with stream:
            stream.write(b"some bytes")
        raise FileSystemError(f"{path} cannot be written: No space left on device", path)


@pytest.mark.usefixtures("always_fork")
def test_a_full_disk_is_an_error_of_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked_writer, "LocalFileSystem", FullDisk)
    write = begin_write(snapshot_of(heap(100)), str(tmp_path), "0-0", plan())
    with pytest.raises(CheckpointError, match="No space left on device"):
        finished(write)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("entries", [1000, 50_000])
def test_a_directory_that_cannot_be_written_is_an_error_of_the_checkpoint(tmp_path: Path, entries: int) -> None:
    (tmp_path / "chk-1").write_text("a file")
    write = begin_write(snapshot_of(heap(entries)), str(tmp_path / "chk-1"), "0-0", plan())
    with pytest.raises(CheckpointError, match="chk-1"):
        finished(write)
    assert [file.name for file in tmp_path.iterdir()] == ["chk-1"]


@pytest.mark.parametrize("fork", [True, False])
def test_values_that_cannot_be_pickled_are_an_error_of_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fork: bool
) -> None:
    if fork:
        monkeypatch.setattr(background, "AT_ONCE", 0)
    write = begin_write(snapshot_of(heap(10, lambda n: (x for x in "ab"))), str(tmp_path), "0-0", plan())
    with pytest.raises(UnstorableStateError, match=r"state '.*': a value of type builtins\.generator"):
        finished(write)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("always_fork")
def test_a_fork_that_fails_is_an_error_of_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    with pytest.raises(CheckpointError, match="Resource temporarily unavailable"):
        finished(begin_write(snapshot_of(heap(10)), str(tmp_path), "0-0", plan()))
    assert list(tmp_path.iterdir()) == []


class Slow:
    """A value that takes forever to store."""

    def __reduce__(self) -> Any:
        threading.Event().wait()


@pytest.mark.usefixtures("always_fork")
def test_a_child_that_is_killed_is_an_error_of_the_checkpoint(tmp_path: Path, children: list[int]) -> None:
    write = begin_write(snapshot_of(heap(10, lambda n: Slow())), str(tmp_path), "0-0", plan())
    assert not write.done()
    os.kill(children[0], 9)
    with pytest.raises(CheckpointError, match=r"ended by signal 9.*enough memory"):
        finished(write)
    assert gone(children[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("always_fork")
def test_abort_kills_the_child_and_leaves_nothing(tmp_path: Path, children: list[int]) -> None:
    database = Database(tmp_path / "db", CURRENT=b"abc")
    snapshot = snapshot_of(heap(10, lambda n: Slow()))
    snapshot.files.append(database.part())
    write = begin_write(snapshot, str(tmp_path / "chk-1"), "0-0", plan())
    write.abort()
    with pytest.raises(WriteAbortedError):
        finished(write)
    assert gone(children[0])
    assert list((tmp_path / "chk-1").iterdir()) == []
    assert database.released == [threading.current_thread()]
    write.abort()


def test_abort_stops_a_thread_between_two_batches(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def read() -> Iterator[Chunk]:
        while True:
            yield Chunk(None, list(range(1000)), list(range(1000)))
            begun.set()
            go_on.wait(DEADLINE)

    snapshot = new_snapshot()
    snapshot.keyed.append(KeyedPart(OPERATOR, "t", StateKind.KEYED, read, 1, {}, lambda: read, database=True))
    write = begin_write(snapshot, str(tmp_path), "0-0", plan())
    assert begun.wait(DEADLINE)
    write.abort()
    go_on.set()
    with pytest.raises(WriteAbortedError):
        finished(write)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("always_fork")
def test_the_child_holds_no_connection_open(tmp_path: Path, children: list[int]) -> None:
    readable, writable = os.pipe()
    write = begin_write(snapshot_of(heap(10, lambda n: Slow())), str(tmp_path), "0-0", plan())
    # The child closes what it inherited once it runs, which the end of the pipe shows.
    os.close(writable)
    assert select.select([readable], [], [], DEADLINE)[0]
    assert os.read(readable, 1) == b""
    os.close(readable)
    assert not write.done()
    write.abort()
    with pytest.raises(WriteAbortedError):
        finished(write)
