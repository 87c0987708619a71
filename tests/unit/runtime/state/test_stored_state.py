from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.runtime.state.stored_state import GROUPS, OPERATOR, new_snapshot, restored, same, written
from yarnflow.errors import CheckpointCorruptedError
from yarnflow.functions.windows.window import TimeWindow
from yarnflow.graph.key_groups import key_group, key_groups_of
from yarnflow.runtime.checkpoint.handles import StateBlock, StateFile, StateKind
from yarnflow.runtime.state import reader
from yarnflow.runtime.state.heap import HashMapStateBackend
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import Chunk, KeyedPart
from yarnflow.runtime.state.timers import TimerQueue


def blocks_of(backend: HashMapStateBackend, index: int = 0, parallelism: int = 1) -> list[StateBlock]:
    snapshot = new_snapshot(index, parallelism)
    backend.snapshot(snapshot, OPERATOR)
    return written(snapshot)


def spread(entries: dict[Any, dict[Any, Any]], parallelism: int) -> list[HashMapStateBackend]:
    """Backends of subtasks, each with the keys of its groups."""
    backends = []
    for index in range(parallelism):
        backend = HashMapStateBackend()
        table = backend.table("t")
        groups = key_groups_of(index, parallelism, GROUPS)
        for namespace, pairs in entries.items():
            mine = {key: value for key, value in pairs.items() if key_group(key, GROUPS) in groups}
            if mine:
                table.of(namespace).update(mine)
        backends.append(backend)
    return backends


def together(backends: Iterable[HashMapStateBackend]) -> dict[Any, dict[Any, Any]]:
    merged: dict[Any, dict[Any, Any]] = {}
    for backend in backends:
        table = backend.table("t")
        for namespace in table.namespaces():
            for key, value in table.of(namespace).items():
                assert key not in merged.setdefault(namespace, {}), "in two subtasks"
                merged[namespace][key] = value
    return merged


keys = st.one_of(
    st.integers(),
    st.text(),
    st.booleans(),
    st.tuples(st.integers(), st.text()),
    st.binary(),
    st.floats(allow_nan=False),
)
tables = st.dictionaries(
    st.one_of(st.none(), st.builds(TimeWindow, st.integers(0, 50), st.integers(51, 99)), st.integers(0, 5)),
    st.one_of(
        st.dictionaries(st.integers(), st.integers(), min_size=1),
        st.dictionaries(st.text(), st.lists(st.integers()), min_size=1),
        st.dictionaries(keys, st.one_of(st.none(), st.integers(), st.text()), min_size=1),
    ),
    max_size=5,
)


@given(tables, st.integers(1, 4), st.integers(1, 4))
def test_tables_come_back_at_any_parallelism(entries: dict[Any, Any], before: int, after: int) -> None:
    stored = [blocks_of(backend, index, before) for index, backend in enumerate(spread(entries, before))]
    backends = []
    for index in range(after):
        backend = HashMapStateBackend()
        backend.restore(restored(stored, index, after))
        backends.append(backend)
        groups = key_groups_of(index, after, GROUPS)
        table = backend.table("t")
        assert all(key_group(key, GROUPS) in groups for space in table.namespaces() for key in table.of(space))
    merged = together(backends)
    assert merged == entries
    for namespace, pairs in merged.items():
        kept = {key: key for key in entries[namespace]}
        for key, value in pairs.items():
            assert same(key, kept[key])
            assert same(value, entries[namespace][key])


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([None, TimeWindow(0, 9)]))))
def test_timers_come_back_at_another_parallelism(timers: set[tuple[int, int, Any]]) -> None:
    queue = TimerQueue()
    for time, key, namespace in timers:
        queue.add(time, key, namespace)
    snapshot = new_snapshot()
    queue.snapshot(snapshot, OPERATOR, "timers")
    stored = written(snapshot)
    found = []
    for index in range(3):
        part = TimerQueue()
        part.restore(restored([stored], index, 3), "timers")
        found += list(part.due(9))
    assert sorted(found, key=repr) == sorted(timers, key=repr)


def part_of(pairs: list[tuple[Any, Any]], name: str = "t") -> KeyedPart:
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    return KeyedPart(
        OPERATOR, name, StateKind.KEYED, lambda: [Chunk(None, keys, values)], len(pairs), {"state": "x"}
    )


def entries_of(operator: RestoredOperator, name: str = "t") -> list[tuple[Any, Any]]:
    return [pair for chunk in operator.keyed(name) for pair in zip(chunk.keys, chunk.values, strict=True)]


def test_values_that_change_their_type_begin_another_block_a_few_times() -> None:
    values: list[Any] = []
    for start in range(0, 8000, 1000):
        values += range(1000) if start % 2000 else [str(n) for n in range(1000)]
    pairs = list(enumerate(values))
    snapshot = new_snapshot()
    snapshot.keyed.append(part_of(pairs))
    stored = written(snapshot)
    assert 1 < len(stored) <= 5
    assert sum(block.rows for block in stored) == len(pairs)
    assert same(entries_of(restored([stored])), pairs)


def test_batches_are_bounded_by_bytes() -> None:
    pairs = [(n, bytes(1 << 20)) for n in range(300)]
    snapshot = new_snapshot()
    snapshot.keyed.append(part_of(pairs))
    (block,) = written(snapshot)
    sizes = [len(rows.batch) for rows in reader.read_block(block, "")]
    assert sizes[0] > 16
    assert set(sizes[1:-1]) == {16}
    assert sum(sizes) == 300


def test_states_of_several_operators_lie_one_after_the_other(tmp_path: Path) -> None:
    snapshot = new_snapshot()
    snapshot.keyed.append(part_of([(1, "a")], "one"))
    snapshot.keyed.append(part_of([(2, "b")], "two"))
    snapshot.add_list(OPERATOR, "list", [1, 2])
    with open(tmp_path / "0-0", "wb") as stream:
        from yarnflow.runtime.state.writer import write_parts

        stream.write(b"before")
        blocks = [
            replace(block, path="0-0")
            for _, block in write_parts(snapshot.keyed, snapshot.lists, (0, 127), stream, offset=6)
        ]
    operator = restored([blocks], directory=tmp_path.as_uri())
    assert operator.keyed_names() == ["one", "two"]
    assert operator.list_names() == ["list"]
    assert entries_of(operator, "two") == [(2, "b")]
    assert operator.details("two") == {"state": "x"}
    assert operator.items("list") == [1, 2]
    assert operator.details("nothing") == {}


@pytest.mark.parametrize("whole", [1 << 20, 0])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-9], "is too short: state 't' has"),
        (lambda data: data[:300] + bytes([data[300] ^ 1]) + data[301:], "is damaged: the checksum of state 't'"),
        (None, "is missing, which holds state 't'"),
    ],
)
def test_a_damaged_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int, damage: Any, message: str
) -> None:
    monkeypatch.setattr(reader, "_WHOLE", whole)
    snapshot = new_snapshot()
    snapshot.keyed.append(part_of([(n, n) for n in range(100)]))
    (block,) = written(snapshot)
    file = tmp_path / "1-0"
    file.write_bytes(block.data)
    block = replace(block, data=b"", path="1-0")
    operator = restored([[block]], directory=tmp_path.as_uri())
    assert len(entries_of(operator)) == 100
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(CheckpointCorruptedError, match=message) as caught:
        entries_of(operator)
    assert caught.value.path == file.as_uri()
    assert file.as_uri() in str(caught.value)


def test_damaged_inline_state_is_noticed() -> None:
    snapshot = new_snapshot()
    snapshot.keyed.append(part_of([(1, 1)]))
    (block,) = written(snapshot)
    damaged = replace(block, data=bytes(len(block.data)))
    with pytest.raises(CheckpointCorruptedError, match="the metadata in memory is damaged"):
        entries_of(restored([[damaged]]))


def lists_of(kind: StateKind, *items: list[Any]) -> list[list[StateBlock]]:
    stored = []
    for subtask in items:
        snapshot = new_snapshot()
        snapshot.add_list(OPERATOR, "list", subtask, kind)
        stored.append(written(snapshot))
    return stored


def test_split_lists_stay_where_they_were_or_are_dealt_out() -> None:
    stored = lists_of(StateKind.SPLIT, [1, 2, 3], ["a"], [])
    assert [restored(stored, index, 3).items("list") for index in range(3)] == [[1, 2, 3], ["a"], []]
    assert [restored(stored, index, 2).items("list") for index in range(2)] == [[1, 3], [2, "a"]]
    assert restored(stored, 0, 1).items("list") == [1, 2, 3, "a"]


def test_every_subtask_gets_the_union() -> None:
    stored = lists_of(StateKind.UNION, [1, (2, 3)], [None])
    for parallelism in (1, 2, 3):
        for index in range(parallelism):
            assert restored(stored, index, parallelism).items("list", StateKind.UNION) == [1, (2, 3), None]


def test_every_subtask_gets_one_copy_of_broadcast_state() -> None:
    pairs = [("a", [1]), (2, None)]
    stored = lists_of(StateKind.BROADCAST, pairs, pairs)
    for parallelism in (1, 2, 3):
        for index in range(parallelism):
            assert restored(stored, index, parallelism).items("list", StateKind.BROADCAST) == pairs


def test_overtaken_records_go_back_to_their_subtask_or_to_everybody() -> None:
    stored = lists_of(StateKind.CHANNEL, [b"x"], [b"y"])
    assert restored(stored, 1, 2).items("list", StateKind.CHANNEL) == [b"y"]
    assert restored(stored, 2, 3).items("list", StateKind.CHANNEL) == [b"x", b"y"]


def test_nothing_restored_is_empty() -> None:
    operator = RestoredOperator(None, "", 0, 1, range(128))
    assert not operator.restored
    assert not operator.rescaled
    assert (
        operator.keyed_names() == operator.list_names() == list(operator.keyed("t")) == operator.items("t") == []
    )
    assert list(operator.files()) == []


def test_files_are_listed_by_former_subtask() -> None:
    from yarnflow.runtime.checkpoint.handles import OperatorRestore, OperatorState

    file = StateFile("CURRENT", "x", 1, 2, False, (0, 63))
    states = {1: OperatorState(OPERATOR, (), (file,)), 0: OperatorState(OPERATOR)}
    operator = RestoredOperator(OperatorRestore(2, states), "", 0, 2, range(64), 1, GROUPS)
    assert list(operator.files()) == [(1, (file,))]
