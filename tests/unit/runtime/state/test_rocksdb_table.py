from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.runtime.state.rocksdb_world import backend, snapshot_of
from yarnflow.runtime.state.rocksdb.cache import ObjectCache

keys = st.one_of(st.integers(0, 6), st.sampled_from(["a", 1.0, (1, "x"), None, frozenset([2])]))
namespaces = st.sampled_from([None, 1, (0, 60)])
operations = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "set", "get", "pop", "del", "clear", "store", "scan", "forget", "freeze"]),
        namespaces,
        keys,
        st.one_of(st.integers(), st.text(), st.lists(st.integers(), max_size=3)),
    ),
    max_size=60,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(operations)
def test_a_table_is_like_dicts(tmp_path: Path, steps: list[tuple[str, Any, Any, Any]]) -> None:
    model: dict[Any, dict[Any, Any]] = {}
    frozen = []
    # So little memory that values go to the database all the time.
    with backend(tmp_path, object_bytes=1) as store:
        table = store.table("t")
        for step, namespace, key, value in steps:
            space, expected = table.of(namespace), model.setdefault(namespace, {})
            if step == "set":
                space[key] = value
                expected[key] = value
            elif step == "get":
                assert space.get(key, "none") == expected.get(key, "none")
                assert (key in space) == (key in expected)
            elif step == "pop":
                assert space.pop(key, "none") == expected.pop(key, "none")
            elif step == "del":
                if key in expected:
                    del space[key], expected[key]
                else:
                    with pytest.raises(KeyError):
                        del space[key]
            elif step == "clear":
                table.drop(namespace)
                expected.clear()
            elif step == "store":
                cache_of(store).store()
            elif step == "forget":
                cache_of(store).store()
                for _ in range(6):
                    cache_of(store)._most_read = 0
                    cache_of(store)._trim()
            elif step == "freeze":
                frozen.append(store.database.freeze())
            else:
                assert dict(space.items()) == expected
            del space
            assert set(table.namespaces()) == {name for name, entries in model.items() if entries}
        for namespace, expected in model.items():
            space = table.of(namespace)
            assert dict(space) == expected
            assert list(space.values()) == [expected[key] for key in space]
            assert (len(space), bool(space)) == (len(expected), bool(expected))
        for picture in frozen:
            picture.release()


def cache_of(store: Any) -> ObjectCache:
    cache: ObjectCache = store._cache
    return cache


def test_a_namespace_has_one_mapping_while_it_is_held(tmp_path: Path) -> None:
    with backend(tmp_path, object_bytes=1) as store:
        table = store.table("t")
        held = table.of("window")
        for number in range(5000):
            table.of(number)["key"] = number
        held["key"] = 1
        assert table.of("window") is held
        assert table.of("window")["key"] == 1
        assert all(table.of(number)["key"] == number for number in range(5000))


def test_namespaces_that_were_never_stored_leave_nothing_in_the_database(tmp_path: Path) -> None:
    with backend(tmp_path) as store:
        table = store.table("t")
        for window in range(100):
            table.of(window).update(dict.fromkeys(range(50), window))
            table.drop(window)
        assert store.database.entries() == 0
        assert table.namespaces() == []


def test_large_namespaces_are_dropped_whole(tmp_path: Path) -> None:
    with backend(tmp_path) as store:
        table = store.table("t")
        for window in (1, 2):
            table.of(window).update(dict.fromkeys(range(3000), window))
        cache_of(store).store()
        table.drop(1)
        assert table.namespaces() == [2]
        assert len(table.of(1)) == 0
        assert len(table.of(2)) == 3000


def test_a_drop_while_a_checkpoint_is_made_waits_and_is_not_seen(tmp_path: Path) -> None:
    with backend(tmp_path) as store:
        table = store.table("t")
        for window in (1, 2):
            table.of(window)["k"] = window
        part = snapshot_of(store).files[0]
        table.drop(1)
        assert store.database.frozen
        assert table.namespaces() == [2]
        table.of(1)["other"] = "new"
        assert dict(table.of(1)) == {"other": "new"}
        cache_of(store).store()
        assert not store.database.frozen
        assert dict(table.of(1)) == {"other": "new"}
        part.release()


def test_memory_for_objects_is_bounded(tmp_path: Path) -> None:
    with backend(tmp_path, object_bytes=1 << 20) as store:
        table = store.table("t")
        values = table.of(None)
        for key in range(200_000):
            values[key] = values.get(key, 0) + 1
        cached = sum(len(mapping.written) + len(mapping.read) for mapping in (values,))
        assert cached < 10_000
        assert len(values) == 200_000


def test_large_values_are_kept_in_smaller_numbers(tmp_path: Path) -> None:
    with backend(tmp_path, object_bytes=8 << 20) as store:
        values = store.table("t").of(None)
        for key in range(4000):
            values[key] = b"x" * 10_000
        assert sum(map(len, (*values.written.values(), *values.read.values()))) < 16 << 20


def test_what_another_operator_uses_is_subtracted(tmp_path: Path) -> None:
    with backend(tmp_path, object_bytes=4 << 20) as one:
        alone = cache_of(one)._most_written
        with backend(tmp_path, object_bytes=4 << 20):
            cache_of(one).store()
            assert cache_of(one)._most_written < alone
        cache_of(one).store()
        assert cache_of(one)._most_written == alone


def test_closing_removes_the_folder(tmp_path: Path) -> None:
    with backend(tmp_path) as store:
        store.table("t").of(None)["k"] = 1
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
