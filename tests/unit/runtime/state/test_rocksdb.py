from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.runtime.state.rocksdb_world import (
    ALL,
    MAX_PARALLELISM,
    Restored,
    Storage,
    backend,
    contents,
    snapshot_of,
)
from yarnflow.common.time import Time
from yarnflow.common.types import Row
from yarnflow.errors import CheckpointCorruptedError, ProgramError
from yarnflow.functions.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from yarnflow.graph.key_groups import key_group, key_groups_of
from yarnflow.runtime.state.heap import HashMapStateBackend
from yarnflow.runtime.state.rocksdb.backend import RocksDBStateBackend

WINDOWS = [None, (0, 60), Row(start=0, end=60)]
KEYS = [*range(40), *map(str, range(40)), (1, "x"), 1.5, Row(a=1), None]


def fill(store: Any) -> dict[str, dict[Any, dict[Any, Any]]]:
    """Some of everything."""
    values, maps = store.table("values"), store.window_state(MapStateDescriptor("maps"))
    value = store.state(ValueStateDescriptor("plain"))
    for number, key in enumerate(KEYS):
        store.current_key = key
        value.update(number)
        for window in WINDOWS:
            values.of(window)[key] = [number, window]
            store.namespace = window
            maps.put_all({number: "a", "n": key})
    return {name: contents(store, name) for name in ("values", "maps", "plain")}


def stored(store: RocksDBStateBackend, storage: Storage, **details: Any) -> Any:
    return storage.upload(snapshot_of(store, **details))


# -- checkpoints ---------------------------------------------------------------------------------------------


def test_a_checkpoint_holds_what_was_there_at_the_barrier(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage")
    with backend(tmp_path) as store:
        expected = fill(store)
        snapshot = snapshot_of(store)
        store.table("values").of(None)["later"] = 1
        store.table("values").drop(WINDOWS[1])
        files = storage.upload(snapshot)
        assert store.table("values").of(None)["later"] == 1
    with backend(tmp_path) as other:
        other.restore(Restored(files=[files]))
        assert {name: contents(other, name) for name in expected} == expected
        other.current_key = 7
        assert other.state(ValueStateDescriptor("plain")).value() == 7


def test_tables_made_before_the_restore_show_what_was_restored(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage")
    with backend(tmp_path) as store:
        expected = fill(store)
        files = stored(store, storage)
    with backend(tmp_path) as other:
        new, plain, values = other.table("new"), other.state(ValueStateDescriptor("plain")), other.table("values")
        held = values.of(None)
        held_new = new.of("w")
        other.restore(Restored(files=[files]))
        assert dict(held.items()) == expected["values"][None]
        other.current_key = 3
        assert plain.value() == 3
        held_new["k"] = "v"
        assert contents(other, "new") == {"w": {"k": "v"}}
        assert {name: contents(other, name) for name in expected} == expected


@pytest.mark.parametrize("parallelism", [1, 2, 3])
@pytest.mark.parametrize("former", [1, 2])
def test_files_are_restored_at_any_parallelism(tmp_path: Path, former: int, parallelism: int) -> None:
    everything: dict[str, dict[Any, dict[Any, Any]]] = {}
    instances = []
    for index in range(former):
        groups = key_groups_of(index, former, MAX_PARALLELISM)
        storage = Storage(tmp_path / f"storage{index}", (groups[0], groups[-1]))
        with backend(tmp_path) as store:
            if index:
                store.table("only here").of(None)[0] = 1  # so that tables have other numbers
                store.table("only here").drop(None)
            fill(store)
            for name in ("values", "maps", "plain"):
                table = store.table(name)
                for window in table.namespaces():
                    for key in list(table.of(window)):
                        if key_group(key, MAX_PARALLELISM) not in groups:
                            del table.of(window)[key]
                merge(everything.setdefault(name, {}), contents(store, name))
            instances.append(stored(store, storage))
    found: dict[str, dict[Any, dict[Any, Any]]] = {}
    for index in range(parallelism):
        groups = key_groups_of(index, parallelism, MAX_PARALLELISM)
        with backend(tmp_path) as store:
            store.table("maps before")
            store.restore(Restored(files=instances, key_groups=groups))
            for name in everything:
                part = contents(store, name)
                assert all(key_group(key, MAX_PARALLELISM) in groups for keys in part.values() for key in keys)
                merge(found.setdefault(name, {}), part)
    assert found == everything
    assert len(everything["values"][None]) == len(KEYS)


def merge(into: dict[Any, dict[Any, Any]], part: dict[Any, dict[Any, Any]]) -> None:
    for window, entries in part.items():
        assert not into.get(window, {}).keys() & entries.keys()
        into.setdefault(window, {}).update(entries)


def test_a_damaged_or_missing_file_is_named(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage")
    with backend(tmp_path) as store:
        fill(store)
        files = stored(store, storage)
    largest = max(files, key=lambda item: item.size)
    data = bytearray(Path(largest.path).read_bytes())
    data[len(data) // 2] ^= 1
    Path(largest.path).write_bytes(data)
    with backend(tmp_path) as other, pytest.raises(CheckpointCorruptedError, match="damaged") as damaged:
        other.restore(Restored(files=[files]))
    assert damaged.value.path == largest.path
    os.unlink(largest.path)
    with backend(tmp_path) as other, pytest.raises(CheckpointCorruptedError, match="missing"):
        other.restore(Restored(files=[files], key_groups=range(3)))
    assert [path.name for path in tmp_path.iterdir()] == ["storage"]


def test_the_links_are_gone_after_release(tmp_path: Path) -> None:
    with backend(tmp_path) as store:
        fill(store)
        stored(store, Storage(tmp_path / "storage"))
        unused = snapshot_of(store, 2).files[0]
        unused.release()
        assert os.listdir(store.database.directory) == ["db"]
        store.table("values").of(None)["k"] = 1
        stored(store, Storage(tmp_path / "storage"), checkpoint_id=3)


# -- incremental ---------------------------------------------------------------------------------------------


def change(store: Any, entries: int) -> None:
    values = store.table("values").of(None)
    for _ in range(entries):
        values[random.randrange(20_000)] = os.urandom(50)


def test_incremental_checkpoints_store_the_change_not_the_state(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage")
    with backend(tmp_path, incremental=True) as store:
        change(store, 100_000)
        files = stored(store, storage, checkpoint_id=1)
        whole = storage.uploaded
        store.checkpoint_completed(1)
        for checkpoint in range(2, 5):
            storage.uploaded = 0
            change(store, 200)
            files = stored(store, storage, checkpoint_id=checkpoint)
            store.checkpoint_completed(checkpoint)
            assert storage.uploaded < whole / 20
        assert sum(item.size for item in files) > whole / 2
        expected = contents(store, "values")
    with backend(tmp_path) as other:
        other.restore(Restored(files=[files]))
        assert contents(other, "values") == expected


def test_full_checkpoints_share_nothing(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage")
    with backend(tmp_path) as store:
        change(store, 1000)
        first = stored(store, storage, checkpoint_id=1)
        store.checkpoint_completed(1)
        second = stored(store, storage, checkpoint_id=2)
    assert not {item.path for item in first} & {item.path for item in second}
    assert not any(item.shared for item in (*first, *second))


def test_files_of_checkpoints_that_were_not_completed_are_stored_again(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage")
    with backend(tmp_path, incremental=True) as store:
        change(store, 1000)
        aborted = shared_paths(stored(store, storage, checkpoint_id=1))
        second = shared_paths(stored(store, storage, checkpoint_id=2))
        assert not aborted & second
        store.checkpoint_completed(2)
        assert shared_paths(stored(store, storage, checkpoint_id=3)) == second


def test_only_files_that_every_checkpoint_under_way_has_are_used_again(tmp_path: Path) -> None:
    # When 2 completes, 1 goes, with every file that 2 does not use. 3 must not have counted on one of these.
    storage = Storage(tmp_path / "storage")
    with backend(tmp_path, incremental=True) as store:
        change(store, 1000)
        first = shared_paths(stored(store, storage, checkpoint_id=1))
        second = shared_paths(stored(store, storage, checkpoint_id=2))
        store.checkpoint_completed(1)
        third = shared_paths(stored(store, storage, checkpoint_id=3))
        assert not third & (first - second)


def shared_paths(files: Any) -> set[str]:
    return {item.path for item in files if item.shared}


# -- savepoints ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["rocksdb", "hashmap"])
@pytest.mark.parametrize("start", ["rocksdb", "hashmap"])
def test_savepoints_move_between_backends(tmp_path: Path, start: str, to: str) -> None:
    def make(kind: str) -> Any:
        return RocksDBStateBackend_at(tmp_path) if kind == "rocksdb" else HashMapStateBackend()

    source, target = make(start), make(to)
    try:
        expected = fill(source)
        snapshot = snapshot_of(source, savepoint=True)
        assert not snapshot.files
        target.restore(Restored(keyed=snapshot.keyed))
        for name, entries in expected.items():
            assert contents(target, name) == entries
            assert target.details(name) == source.details(name)
        target.current_key = 5
        assert target.state(ValueStateDescriptor("plain")).value() == 5
    finally:
        source.close()
        target.close()


def RocksDBStateBackend_at(folder: Path) -> RocksDBStateBackend:
    from tests.unit.runtime.state.rocksdb_world import settings as settings_of

    return RocksDBStateBackend(settings_of(folder), MAX_PARALLELISM)


def test_a_savepoint_is_read_while_the_database_is_written(tmp_path: Path) -> None:
    with backend(tmp_path, object_bytes=1, native_bytes=4 << 20) as store:
        values, maps = store.table("values").of(None), store.state(MapStateDescriptor("maps"))
        for key in range(30_000):
            values[key] = key
        for key in range(100):
            store.current_key = key
            maps.put_all(dict.fromkeys(range(20), key))
        snapshot = snapshot_of(store, savepoint=True)
        read: dict[str, list[Any]] = {}
        errors: list[BaseException] = []

        def reading() -> None:
            try:
                for part in snapshot.keyed:
                    assert part.database
                    assert part.freeze is not None
                    chunks: Callable[[], Any] | None = part.freeze()
                    assert chunks is not None
                    read[part.name] = list(chunks())
            except BaseException as error:
                errors.append(error)

        reader = threading.Thread(target=reading)
        reader.start()
        rounds = 0
        while reader.is_alive() or rounds < 3:
            rounds += 1
            for key in range(0, 60_000, 7):
                values[key] = -1
            store.table("maps").drop(None)
            stored(store, Storage(tmp_path / "storage"), checkpoint_id=rounds)
        reader.join()
        assert errors == []
        pairs = {k: v for chunk in read["values"] for k, v in zip(chunk.keys, chunk.values, strict=True)}
        assert pairs == {key: key for key in range(30_000)}
        found = {k: v for chunk in read["maps"] for k, v in zip(chunk.keys, chunk.values, strict=True)}
        assert found == {key: dict.fromkeys(range(20), key) for key in range(100)}


# -- handles -------------------------------------------------------------------------------------------------


def test_a_map_is_never_read_as_a_whole(tmp_path: Path) -> None:
    with backend(tmp_path, object_bytes=1) as store:
        state = store.state(MapStateDescriptor("maps"))
        store.current_key = "k"
        for number in range(5000):
            state.put(number, str(number))
        store._cache.store()
        assert state.get(17) == "17"
        assert state.contains(4999)
        mapping = store.table("maps").of(None)["k"]
        assert len(mapping.read) < 100
        state.remove(17)
        assert state.get(17) is None
        assert len(list(state.items())) == 4999
        state.clear()
        assert state.is_empty()


operations = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "remove", "clear", "items", "is_empty", "store", "get", "drop"]),
        st.sampled_from([None, "w"]),
        st.sampled_from([1, "k", Row(a=1)]),
        st.integers(0, 3),
        st.integers(),
    ),
    max_size=50,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(operations)
def test_map_states_are_like_those_in_memory(tmp_path: Path, steps: list[tuple[str, Any, Any, int, int]]) -> None:
    memory = HashMapStateBackend()
    with backend(tmp_path, object_bytes=1) as store:
        handles = [(each, each.window_state(MapStateDescriptor("m"))) for each in (memory, store)]
        for step, window, key, name, value in steps:
            results = []
            for each, state in handles:
                each.namespace, each.current_key = window, key
                if step == "put":
                    results.append(state.put(name, value))
                elif step == "store":
                    store._cache.store()
                elif step == "drop":
                    each.table("m").drop(window)
                elif step in ("clear", "is_empty"):
                    results.append(getattr(state, step)())
                elif step == "items":
                    results.append(sorted(state.items()))
                else:
                    results.append(getattr(state, step)(name))
            assert results[:1] == results[1:]
            assert contents(memory, "m") == contents(store, "m")


def test_lists_survive_the_database(tmp_path: Path) -> None:
    with backend(tmp_path, object_bytes=1) as store:
        state = store.state(ListStateDescriptor("l"))
        for number in range(2000):
            store.current_key = number % 100
            state.add(number)
        store.current_key = 5
        assert state.get() == list(range(5, 2000, 100))


@pytest.mark.parametrize("kind", [ValueStateDescriptor, MapStateDescriptor])
def test_values_expire_also_in_savepoints(tmp_path: Path, kind: Any) -> None:
    now = [1000]
    descriptor = kind("s")
    descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.milliseconds(100)).build())
    with backend(tmp_path, clock=lambda: now[0], object_bytes=1) as store:
        state = store.state(descriptor)

        def write(value: int) -> None:
            state.update(value) if kind is ValueStateDescriptor else state.put("n", value)

        def read() -> Any:
            return state.value() if kind is ValueStateDescriptor else state.get("n")

        store.current_key = "old"
        write(1)
        now[0] = 1050
        store.current_key = "new"
        write(2)
        now[0] = 1110
        kept = [key for part in snapshot_of(store, savepoint=True).keyed for c in part.chunks() for key in c.keys]
        assert kept == ["new"]
        assert read() == 2
        store.current_key = "old"
        assert read() is None


@pytest.mark.parametrize("kind", [ValueStateDescriptor, MapStateDescriptor, ListStateDescriptor])
def test_expired_values_go_without_being_asked_for(tmp_path: Path, kind: Any) -> None:
    now = [1000]
    descriptor = kind("s")
    descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.milliseconds(100)).build())
    with backend(tmp_path, clock=lambda: now[0]) as store:
        state = store.state(descriptor)
        for key in range(3000):
            store.current_key = key
            if key == 1500:
                now[0] = 1050
            if kind is ValueStateDescriptor:
                state.update(key)
            elif kind is MapStateDescriptor:
                state.put("n", key)
            else:
                state.add(key)
        now[0] = 1110
        for checkpoint in range(1, 3):
            stored(store, Storage(tmp_path / "storage"), checkpoint_id=checkpoint)
            store.checkpoint_completed(checkpoint)
        store._cache.store()
        assert len(list(store.database.scan(store.table("s").prefix))) == 1500
        assert sorted(contents(store, "s")[None]) == list(range(1500, 3000))


def test_databases_of_killed_processes_are_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from yarnflow.runtime.state.rocksdb.backend import RocksDBStateBackend\n"
        "from yarnflow.runtime.state.rocksdb.settings import RocksDBSettings\n"
        "store = RocksDBStateBackend(RocksDBSettings(local_directory=sys.argv[1]), 128)\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with backend(tmp_path):
            assert len(list(tmp_path.iterdir())) == 2
            with backend(tmp_path):
                assert len(list(tmp_path.iterdir())) == 3
        other.kill()
        other.wait()
        assert len(list(tmp_path.iterdir())) == 1
        with backend(tmp_path):
            assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_memory_is_bounded_with_ten_times_as_much_state(tmp_path: Path) -> None:
    mebibytes, values = 16, 160_000
    code = f"""
import os, random, sys
from yarnflow.runtime.state.rocksdb.backend import RocksDBStateBackend
from yarnflow.runtime.state.rocksdb.settings import RocksDBSettings

def memory():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

budget = {mebibytes} << 20
settings = RocksDBSettings(object_bytes=budget // 4, native_bytes=budget * 3 // 4, local_directory=sys.argv[1])
store = RocksDBStateBackend(settings, 128)
state = store.table("t").of(None)
before, most = memory(), 0
for key in range({values}):
    state[key] = (key, os.urandom(1000))
    if not key % 1000:
        most = max(most, memory())
for number in range(20_000):
    key = random.randrange({values})
    found, noise = state[key]
    assert found == key
    state[key] = (key, noise[::-1])
    if not number % 1000:
        most = max(most, memory())
assert sum(1 for _ in state.items()) == {values}
print(max(most, memory()) - before, store.database.size())
store.close()
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    memory, size = map(int, done.stdout.split())
    assert size > 10 * (mebibytes - 1) << 20
    assert memory < 80 << 20


def test_a_value_that_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    with backend(tmp_path) as store:
        values = store.table("t").of(None)
        with pytest.raises(ProgramError, match="pickle"):
            values["k"] = threading.Lock()


def test_what_a_snapshot_covers_is_said(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage")
    with backend(tmp_path) as store:
        fill(store)
        assert {item.key_groups for item in stored(store, storage)} == {ALL}
