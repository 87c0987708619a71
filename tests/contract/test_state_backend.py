"""What every state backend must do: tables, handles, windows, time to live, restoring."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from yarnflow.common.time import Time
from yarnflow.common.typeinfo import Types
from yarnflow.common.types import Row
from yarnflow.errors import ProgramError
from yarnflow.functions.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from yarnflow.functions.user_functions import AggregateFunction, ReduceFunction
from yarnflow.functions.windows.window import TimeWindow
from yarnflow.graph.key_groups import key_group, key_groups_of
from yarnflow.runtime.checkpoint.handles import OperatorRestore, OperatorState, StateBlock
from yarnflow.runtime.state.backend import KeyedStateBackend
from yarnflow.runtime.state.heap import HashMapStateBackend
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.rocksdb.backend import RocksDBStateBackend
from yarnflow.runtime.state.rocksdb.settings import RocksDBSettings
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.state.writer import write_parts

OPERATOR = "0123456789abcdef0123456789abcdef"
GROUPS = 128


class Clock:
    """Processing time that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


def heap(folder: Path, clock: Clock) -> KeyedStateBackend:
    return HashMapStateBackend(clock)


def rocksdb(folder: Path, clock: Clock) -> KeyedStateBackend:
    return RocksDBStateBackend(RocksDBSettings(local_directory=str(folder)), GROUPS, clock)


def rocksdb_without_cache(folder: Path, clock: Clock) -> KeyedStateBackend:
    return RocksDBStateBackend(RocksDBSettings(local_directory=str(folder), object_bytes=1), GROUPS, clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[heap, rocksdb, rocksdb_without_cache], ids=lambda make: make.__name__)
def make(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> Iterator[Callable[[], KeyedStateBackend]]:
    made: list[KeyedStateBackend] = []

    def new() -> KeyedStateBackend:
        made.append(request.param(tmp_path, clock))
        return made[-1]

    yield new
    for backend in made:
        backend.close()


@pytest.fixture
def backend(make: Callable[[], KeyedStateBackend]) -> KeyedStateBackend:
    return make()


def saved(backend: KeyedStateBackend, key_groups: tuple[int, int] = (0, GROUPS - 1)) -> list[StateBlock]:
    """The blocks of a savepoint, inline."""
    snapshot = TaskSnapshot(1, True, GROUPS, key_groups)
    backend.snapshot(snapshot, OPERATOR)
    keyed = [part if part.freeze is None else replace(part, chunks=part.freeze()) for part in snapshot.keyed]
    stream = io.BytesIO()
    blocks = write_parts(keyed, [], key_groups, stream)
    data = stream.getvalue()
    return [replace(block, data=data[block.offset : block.offset + block.size]) for _, block in blocks]


def given_back(stored: list[list[StateBlock]], index: int = 0, parallelism: int = 1) -> RestoredOperator:
    states = {former: OperatorState(OPERATOR, tuple(blocks)) for former, blocks in enumerate(stored)}
    groups = key_groups_of(index, parallelism, GROUPS)
    return RestoredOperator(OperatorRestore(len(stored), states), "", index, parallelism, groups, 1, GROUPS)


KEYS = [
    None,
    0,
    -1,
    1 << 70,
    1.5,
    "",
    "ä",
    b"\0",
    (1, ("a", None)),
    Row(1, "x"),
    Row(a=1),
    True,
    frozenset({1, 2}),
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_any_key_finds_its_value(backend: KeyedStateBackend, key: Any) -> None:
    state = backend.state(ValueStateDescriptor("v"))
    backend.current_key = key
    assert state.value() is None
    state.update([key])
    backend.current_key = "another"
    assert state.value() is None
    backend.current_key = key
    assert state.value() == [key]
    state.update(None)
    assert state.value() is None


def test_equal_keys_are_one_key(backend: KeyedStateBackend) -> None:
    table = backend.table("t").of(None)
    table[1] = "one"
    assert table.get(1.0) == table.get(True) == "one"
    table[True] = "true"
    assert len(table) == 1


def test_a_table_is_a_mapping(backend: KeyedStateBackend) -> None:
    table = backend.table("t").of(None)
    assert backend.table("t").of(None) is table
    for number in range(100):
        table[number] = number * 2
    table[5] += 1
    del table[6]
    assert table.pop(7) == 14
    assert table.pop(7, None) is None
    assert table.get(6) is None
    assert 5 in table
    assert 6 not in table
    assert len(table) == 98
    assert dict(table.items()) == {n: n * 2 + (n == 5) for n in range(100) if n not in (6, 7)}
    with pytest.raises(KeyError):
        table[6]
    table.clear()
    assert list(table) == []


def test_namespaces_are_apart_and_can_be_dropped(backend: KeyedStateBackend) -> None:
    table = backend.table("t")
    windows = [TimeWindow(0, 10), TimeWindow(10, 20)]
    for number, window in enumerate(windows):
        table.of(window)["key"] = number
    table.of(None)["key"] = "global"
    assert set(table.namespaces()) == {*windows, None}
    for namespace in table.namespaces():
        table.drop(namespace)
    assert list(table.namespaces()) == []
    assert table.of(None).get("key") is table.of(windows[0]).get("key") is None
    table.drop("never there")


def test_the_mapping_of_no_namespace_survives_its_drop(backend: KeyedStateBackend) -> None:
    state = backend.state(ValueStateDescriptor("v"))
    backend.current_key = 1
    state.update("x")
    backend.table("v").drop(None)
    assert state.value() is None
    state.update("y")
    assert state.value() == "y"


def test_list_state(backend: KeyedStateBackend) -> None:
    state = backend.state(ListStateDescriptor("l", Types.INT()))
    backend.current_key = "a"
    assert list(state.get()) == []
    state.add(1)
    state.add_all([2, 3])
    assert list(state.get()) == list(state) == [1, 2, 3]
    for item in state.get():
        state.add(item * 10)
    assert list(state.get()) == [1, 2, 3, 10, 20, 30]
    backend.current_key = "b"
    state.add_all([])
    assert list(state.get()) == []
    backend.current_key = "a"
    state.update((7,))
    assert list(state.get()) == [7]
    got = list(state.get())
    got.append(8)
    assert list(state.get()) == [7]
    state.update([])
    assert list(state.get()) == []
    state.add(1)
    state.clear()
    assert list(state.get()) == []


def test_map_state(backend: KeyedStateBackend) -> None:
    state = backend.state(MapStateDescriptor("m", Types.STRING(), Types.INT()))
    backend.current_key = "a"
    assert state.is_empty()
    assert state.get("x") is None
    assert not state.contains("x")
    state.remove("x")
    state.put("x", 1)
    state["y"] = 2
    state.put_all({"z": None, "x": 0})
    assert not state.is_empty()
    assert sorted(state.items()) == [("x", 0), ("y", 2), ("z", None)]
    assert sorted(state.keys()) == sorted(state) == ["x", "y", "z"]
    assert set(state.values()) == {0, 2, None}
    assert (state["x"], "z" in state, "w" in state) == (0, True, False)
    for key in state:
        del state[key]
    assert state.is_empty()
    state.put_all({})
    assert state.is_empty()
    backend.current_key = "b"
    state.put(1, 1)
    state.clear()
    assert list(state.items()) == []


class Longest(ReduceFunction):
    def reduce(self, value1: str, value2: str) -> str:
        return max(value1, value2, key=len)


class Mean(AggregateFunction):
    def create_accumulator(self) -> list[int]:
        return [0, 0]

    def add(self, value: int, accumulator: list[int]) -> list[int]:
        accumulator[0] += value
        accumulator[1] += 1
        return accumulator

    def get_result(self, accumulator: list[int]) -> float:
        return accumulator[0] / accumulator[1]

    def merge(self, acc_a: list[int], acc_b: list[int]) -> list[int]:
        return [acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]]


def test_reducing_and_aggregating_state(backend: KeyedStateBackend) -> None:
    longest = backend.state(ReducingStateDescriptor("longest", Longest(), Types.STRING()))
    total = backend.state(ReducingStateDescriptor("total", lambda a, b: a + b))
    mean = backend.state(AggregatingStateDescriptor("mean", Mean()))
    for key in ("a", "b"):
        backend.current_key = key
        assert longest.get() is total.get() is mean.get() is None
        for word in ("x", "long", "no"):
            longest.add(key + word)
            total.add(len(word))
            mean.add(len(word))
    backend.current_key = "a"
    assert (longest.get(), total.get(), mean.get()) == ("along", 7, 7 / 3)
    for state in (longest, total, mean):
        state.clear()
        assert state.get() is None
    mean.add(4)
    mean.add(None)
    assert mean.get() is None
    backend.current_key = "b"
    assert (longest.get(), total.get(), mean.get()) == ("blong", 7, 7 / 3)


DESCRIPTORS: list[tuple[StateDescriptor, Callable[[Any], Any]]] = [
    (ValueStateDescriptor("s"), lambda state: state.value()),
    (ValueStateDescriptor("s"), lambda state: state.update(1)),
    (ValueStateDescriptor("s"), lambda state: state.update(None)),
    (ListStateDescriptor("s"), lambda state: state.get()),
    (ListStateDescriptor("s"), lambda state: state.add(1)),
    (MapStateDescriptor("s"), lambda state: state.put(1, 2)),
    (MapStateDescriptor("s"), lambda state: list(state.items())),
    (ReducingStateDescriptor("s", max), lambda state: state.add(1)),
    (AggregatingStateDescriptor("s", Mean()), lambda state: state.get()),
    (ValueStateDescriptor("s"), lambda state: state.clear()),
]


@pytest.mark.parametrize(("descriptor", "use"), DESCRIPTORS)
def test_state_outside_a_keyed_context_says_which(
    backend: KeyedStateBackend, descriptor: StateDescriptor, use: Callable[[Any], Any]
) -> None:
    state = backend.state(descriptor)
    with pytest.raises(ProgramError, match="state 's' was used while there is no current key"):
        use(state)
    backend.current_key = 1
    use(state)
    backend.current_key = backend.NO_KEY
    with pytest.raises(ProgramError, match="state 's' was used while there is no current key"):
        use(state)


def test_one_name_has_one_kind(backend: KeyedStateBackend) -> None:
    backend.current_key = 1
    backend.state(ValueStateDescriptor("x")).update(5)
    assert backend.state(ValueStateDescriptor("x")).value() == 5
    with pytest.raises(ProgramError, match="two states named 'x' in one operator, a value and a list state"):
        backend.state(ListStateDescriptor("x"))
    backend.table("internal")
    with pytest.raises(ProgramError, match="named 'internal' in one operator, a table and a map state"):
        backend.state(MapStateDescriptor("internal"))
    with pytest.raises(ProgramError, match="does not describe a state"):
        backend.state("x")  # type: ignore[arg-type]


def test_state_of_windows(backend: KeyedStateBackend) -> None:
    count = backend.window_state(ValueStateDescriptor("count"))
    seen = backend.window_state(MapStateDescriptor("seen"))
    total = backend.state(ValueStateDescriptor("total"))
    windows = [TimeWindow(0, 10), TimeWindow(10, 20)]
    for number, window in enumerate(windows):
        backend.namespace = window
        for key in ("a", "b"):
            backend.current_key = key
            assert count.value() is None
            count.update(number)
            seen.put(key, number)
            total.update((total.value() or 0) + 1)
    backend.current_key = "a"
    for number, window in enumerate(windows):
        backend.namespace = window
        assert (count.value(), list(seen.items()), total.value()) == (number, [("a", number)], 2)
    backend.table("count").drop(windows[1])
    backend.namespace = windows[1]
    assert count.value() is None
    assert seen.get("a") == 1


FULL: list[tuple[StateDescriptor, Callable[[Any, int], None], Callable[[Any], Any]]] = [
    (ValueStateDescriptor("v"), lambda state, n: state.update(n), lambda state: state.value()),
    (ListStateDescriptor("l"), lambda state, n: state.update([n, str(n)]), lambda state: list(state.get())),
    (
        MapStateDescriptor("m"),
        lambda state, n: state.put_all({n: 1, "x": n}),
        lambda state: sorted(state.items(), key=repr),
    ),
    (ReducingStateDescriptor("r", max), lambda state, n: state.add(n), lambda state: state.get()),
    (AggregatingStateDescriptor("a", Mean()), lambda state, n: state.add(n), lambda state: state.get()),
]


@pytest.mark.parametrize("before", [1, 2])
@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize("asked_first", [True, False])
def test_everything_comes_back_at_another_parallelism(
    make: Callable[[], KeyedStateBackend], before: int, after: int, asked_first: bool
) -> None:
    keys = [*range(100), *map(str, range(100)), (1, 2), None]
    stored = []
    for index in range(before):
        groups = key_groups_of(index, before, GROUPS)
        backend = make()
        for descriptor, write, _ in FULL:
            state = backend.state(descriptor)
            for number, key in enumerate(keys):
                if key_group(key, GROUPS) in groups:
                    backend.current_key = key
                    write(state, number)
        backend.table("own").of(TimeWindow(0, 5)).update({k: k for k in keys if key_group(k, GROUPS) in groups})
        stored.append(saved(backend, (groups[0], groups[-1])))
    found = 0
    for index in range(after):
        groups = key_groups_of(index, after, GROUPS)
        backend = make()
        states = [backend.state(descriptor) for descriptor, _, _ in FULL] if asked_first else []
        backend.restore(given_back(stored, index, after))
        states = states or [backend.state(descriptor) for descriptor, _, _ in FULL]
        for number, key in enumerate(keys):
            backend.current_key = key
            mine = key_group(key, GROUPS) in groups
            found += mine
            values = [read(state) for state, (_, _, read) in zip(states, FULL, strict=True)]
            expected = [
                number,
                [number, str(number)],
                sorted([(number, 1), ("x", number)], key=repr),
                number,
                number,
            ]
            assert values == (expected if mine else [None, [], [], None, None])
            assert backend.table("own").of(TimeWindow(0, 5)).get(key, "none") == (key if mine else "none")
    assert found == len(keys)


@pytest.mark.parametrize("asked_first", [True, False])
def test_restored_state_of_another_kind_is_refused(
    make: Callable[[], KeyedStateBackend], asked_first: bool
) -> None:
    first = make()
    first.current_key = 1
    first.state(ValueStateDescriptor("x")).update(1)
    stored, second = [saved(first)], make()
    if asked_first:
        second.state(ListStateDescriptor("x"))
        with pytest.raises(
            ProgramError, match="'x' was stored as a value state, and the program now describes a list"
        ):
            second.restore(given_back(stored))
    else:
        second.restore(given_back(stored))
        with pytest.raises(
            ProgramError, match="'x' was stored as a value state, and the program now describes a list"
        ):
            second.state(ListStateDescriptor("x"))


def test_state_that_is_not_asked_for_stays(make: Callable[[], KeyedStateBackend]) -> None:
    first = make()
    first.current_key = 1
    first.state(MapStateDescriptor("x")).put("a", 1)
    second = make()
    second.restore(given_back([saved(first)]))
    third = make()
    third.restore(given_back([saved(second)]))
    third.current_key = 1
    assert third.state(MapStateDescriptor("x")).get("a") == 1


# -- time to live ----------------------------------------------------------------------------------------


def expiring(descriptor: Any, seconds: int = 10, **settings: bool) -> Any:
    builder = StateTtlConfig.new_builder(Time.seconds(seconds))
    if settings.get("read"):
        builder.update_ttl_on_read_and_write()
    if settings.get("show"):
        builder.return_expired_if_not_cleaned_up()
    if not settings.get("clean", False):
        builder.disable_cleanup_in_background()
    descriptor.enable_time_to_live(builder.build())
    return descriptor


TTL: list[tuple[Callable[[], StateDescriptor], Callable[[Any], Any], Callable[[Any], Any], Any, Any]] = [
    (lambda: ValueStateDescriptor("s"), lambda s: s.update(1), lambda s: s.value(), 1, None),
    (lambda: ListStateDescriptor("s"), lambda s: s.update([1]), lambda s: list(s.get()), [1], []),
    (lambda: MapStateDescriptor("s"), lambda s: s.put("k", 1), lambda s: list(s.items()), [("k", 1)], []),
    (lambda: MapStateDescriptor("s"), lambda s: s.put("k", 1), lambda s: s.get("k"), 1, None),
    (lambda: ReducingStateDescriptor("s", max), lambda s: s.add(1), lambda s: s.get(), 1, None),
    (lambda: AggregatingStateDescriptor("s", Mean()), lambda s: s.add(1), lambda s: s.get(), 1, None),
]


@pytest.mark.parametrize(("new", "write", "read", "full", "empty"), TTL)
def test_values_expire(
    backend: KeyedStateBackend, clock: Clock, new: Any, write: Any, read: Any, full: Any, empty: Any
) -> None:
    state = backend.state(expiring(new()))
    backend.current_key = "k"
    write(state)
    clock.now += 9_999
    assert read(state) == full
    write(state)
    clock.now += 9_999
    assert read(state) == full
    clock.now += 1
    assert read(state) == empty
    clock.now -= 1
    assert read(state) == empty, "it was removed when it was met"


@pytest.mark.parametrize(("new", "write", "read", "full", "empty"), TTL)
def test_reads_can_prolong(
    backend: KeyedStateBackend, clock: Clock, new: Any, write: Any, read: Any, full: Any, empty: Any
) -> None:
    state = backend.state(expiring(new(), read=True))
    backend.current_key = "k"
    write(state)
    for _ in range(5):
        clock.now += 9_000
        assert read(state) == full
    clock.now += 10_000
    assert read(state) == empty


@pytest.mark.parametrize(("new", "write", "read", "full", "empty"), TTL)
def test_expired_values_can_be_shown_until_they_are_removed(
    backend: KeyedStateBackend, clock: Clock, new: Any, write: Any, read: Any, full: Any, empty: Any
) -> None:
    state = backend.state(expiring(new(), show=True))
    backend.current_key = "k"
    write(state)
    clock.now += 60_000
    assert read(state) == full
    assert read(state) == empty


def test_elements_and_entries_expire_one_by_one(backend: KeyedStateBackend, clock: Clock) -> None:
    items = backend.state(expiring(ListStateDescriptor("l")))
    entries = backend.state(expiring(MapStateDescriptor("m")))
    backend.current_key = 1
    for second in range(15):
        items.add(second)
        entries.put(second, second)
        clock.now += 1_000
    left = [6, 7, 8, 9, 10, 11, 12, 13, 14]
    assert list(items.get()) == left
    assert sorted(entries.keys()) == sorted(entries.values()) == left
    assert (entries.contains(5), entries.contains(6), entries.is_empty()) == (False, True, False)
    entries.remove(14)
    assert (entries.get(14), entries.get(13)) == (None, 13)
    clock.now += 60_000
    assert entries.is_empty()
    items.add("new")
    assert list(items.get()) == ["new"]
    items.clear()
    assert list(items.get()) == []


def test_reducing_and_aggregating_begin_anew_after_expiry(backend: KeyedStateBackend, clock: Clock) -> None:
    largest = backend.state(expiring(ReducingStateDescriptor("r", max)))
    mean = backend.state(expiring(AggregatingStateDescriptor("a", Mean())))
    backend.current_key = 1
    for state in (largest, mean):
        state.add(10)
    clock.now += 10_000
    for state in (largest, mean):
        state.add(4)
        assert state.get() == 4
    mean.add(None)
    assert mean.get() is None


def test_snapshots_leave_out_what_expired(make: Callable[[], KeyedStateBackend], clock: Clock) -> None:
    first = make()
    values = first.state(expiring(ValueStateDescriptor("v")))
    items = first.state(expiring(ListStateDescriptor("l")))
    entries = first.state(expiring(MapStateDescriptor("m")))
    for key in range(10):
        first.current_key = key
        values.update(key)
        items.add(key)
        entries.put(key, key)
        clock.now += 2_000
    stored = saved(first)
    assert {block.name: block.rows for block in stored} == {"v": 4, "l": 4, "m": 4}
    second = make()
    second.restore(given_back([stored]))
    values, items, entries = (
        second.state(expiring(descriptor))
        for descriptor in (ValueStateDescriptor("v"), ListStateDescriptor("l"), MapStateDescriptor("m"))
    )
    found = []
    for key in range(10):
        second.current_key = key
        if values.value() is not None:
            assert list(items.get()) == list(entries.values()) == [key]
            found.append(key)
    assert found == [6, 7, 8, 9]
    clock.now += 60_000
    second.current_key = 9
    assert values.value() is None
    with pytest.raises(
        ProgramError, match="'v' was stored with a time to live, and the program now describes it without"
    ):
        second.state(ValueStateDescriptor("v"))


def test_a_time_to_live_cannot_be_added_to_stored_values(make: Callable[[], KeyedStateBackend]) -> None:
    first = make()
    first.current_key = 1
    first.state(ValueStateDescriptor("v")).update(1)
    second = make()
    second.restore(given_back([saved(first)]))
    with pytest.raises(
        ProgramError, match="'v' was stored without a time to live, and the program now describes it with"
    ):
        second.state(expiring(ValueStateDescriptor("v")))


def test_expired_values_of_keys_that_never_come_again_are_removed(clock: Clock) -> None:
    backend = HashMapStateBackend(clock)
    states = [
        backend.state(expiring(descriptor, clean=True))
        for descriptor in (ValueStateDescriptor("v"), ListStateDescriptor("l"), MapStateDescriptor("m"))
    ]

    def touch(key: Any) -> None:
        backend.current_key = key
        states[0].update(key)
        states[1].add(key)
        states[2].put(key, key)

    for key in range(1000):
        touch(key)
    clock.now += 20_000
    for _ in range(250):
        touch("again")
    assert [len(backend.table(name).of(None)) for name in "vlm"] == [1, 1, 1]
