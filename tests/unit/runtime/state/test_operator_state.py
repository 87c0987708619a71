from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.runtime.state.stored_state import OPERATOR, new_snapshot, restored, written
from yarnflow.common.time import Time
from yarnflow.errors import ProgramError
from yarnflow.functions.state import ListStateDescriptor, MapStateDescriptor, StateTtlConfig
from yarnflow.runtime.checkpoint.handles import StateBlock
from yarnflow.runtime.state.operator_state import HeapOperatorStateStore


def stored(store: HeapOperatorStateStore, *own: Any) -> list[StateBlock]:
    snapshot = new_snapshot()
    store.snapshot(snapshot, OPERATOR)
    if own:
        snapshot.add_list(OPERATOR, "own", list(own))
    return written(snapshot)


def given_back(subtasks: list[list[StateBlock]], index: int = 0, parallelism: int = 1) -> HeapOperatorStateStore:
    return HeapOperatorStateStore(restored(subtasks, index, parallelism))


def test_a_list_state_is_a_list() -> None:
    state = HeapOperatorStateStore().get_list_state(ListStateDescriptor("l"))
    assert list(state.get()) == []
    state.add(1)
    state.add_all([2, 3])
    got = state.get()
    got.append(4)
    assert list(state) == [1, 2, 3]
    state.update((5,))
    assert state.get() == [5]
    state.clear()
    assert state.get() == []


def test_a_broadcast_state_is_a_map() -> None:
    state = HeapOperatorStateStore().get_broadcast_state(MapStateDescriptor("b"))
    assert state.is_empty()
    state.put("a", 1)
    state["b"] = 2
    state.put_all({"c": 3})
    assert (state.get("a"), state["b"], state.get("x"), "c" in state, state.contains("x")) == (
        1,
        2,
        None,
        True,
        False,
    )
    assert (state.items(), state.keys(), state.values()) == (
        [("a", 1), ("b", 2), ("c", 3)],
        ["a", "b", "c"],
        [1, 2, 3],
    )
    for key in state:
        if key != "c":
            del state[key]
    state.remove("never there")
    assert not state.is_empty()
    state.clear()
    assert state.is_empty()


def test_states_come_back_as_their_kind_says() -> None:
    blocks = []
    for index in range(2):
        store = HeapOperatorStateStore()
        store.get_list_state(ListStateDescriptor("split")).add_all([index, index + 10])
        store.get_union_list_state(ListStateDescriptor("union")).add(index)
        store.get_broadcast_state(MapStateDescriptor("rules")).put("rule", [1])
        blocks.append(stored(store))
    for index in range(3):
        store = given_back(blocks, index, 3)
        assert store.get_list_state(ListStateDescriptor("split")).get() == [[0, 11], [10], [1]][index]
        assert store.get_union_list_state(ListStateDescriptor("union")).get() == [0, 1]
        assert store.get_broadcast_state(MapStateDescriptor("rules")).items() == [("rule", [1])]
        assert store.get_list_state(ListStateDescriptor("new")).get() == []


def test_the_same_name_is_the_same_state() -> None:
    store = HeapOperatorStateStore()
    state = store.get_list_state(ListStateDescriptor("l"))
    state.add(1)
    assert store.get_list_state(ListStateDescriptor("l")) is state


KINDS: list[tuple[str, Callable[[HeapOperatorStateStore], Any]]] = [
    ("split", lambda store: store.get_list_state(ListStateDescriptor("x"))),
    ("union", lambda store: store.get_union_list_state(ListStateDescriptor("x"))),
    ("broadcast", lambda store: store.get_broadcast_state(MapStateDescriptor("x"))),
]


@pytest.mark.parametrize(("kind", "ask"), KINDS)
@pytest.mark.parametrize(("other", "ask_other"), KINDS)
def test_one_name_has_one_kind(
    kind: str, ask: Callable[[Any], Any], other: str, ask_other: Callable[[Any], Any]
) -> None:
    if kind == other:
        return
    store = HeapOperatorStateStore()
    state = ask(store)
    with pytest.raises(ProgramError, match=f"two states named 'x' in one operator, of kinds {kind} and {other}"):
        ask_other(store)
    if kind == "broadcast":
        state.put(1, 1)
    else:
        state.add(1)
    with pytest.raises(
        ProgramError, match=f"'x' was stored as a {kind} state, and the program now asks for a {other}"
    ):
        ask_other(given_back([stored(store)]))


def test_what_the_program_does_not_ask_for_is_kept_and_does_not_grow() -> None:
    store = HeapOperatorStateStore()
    store.get_list_state(ListStateDescriptor("split")).add_all([1, 2, 3])
    store.get_union_list_state(ListStateDescriptor("union")).add_all([1, 2, 3])
    store.get_broadcast_state(MapStateDescriptor("rules")).put("a", "b")
    blocks = [stored(store, "of the operator")]
    for parallelism in (2, 3, 1):
        blocks = [stored(given_back(blocks, index, parallelism)) for index in range(parallelism)]
    assert "own" not in {block.name for block in blocks[0]}
    store = given_back(blocks)
    assert sorted(store.get_list_state(ListStateDescriptor("split")).get()) == [1, 2, 3]
    assert sorted(store.get_union_list_state(ListStateDescriptor("union")).get()) == [1, 2, 3]
    assert store.get_broadcast_state(MapStateDescriptor("rules")).items() == [("a", "b")]


def test_operator_state_does_not_expire() -> None:
    descriptor = ListStateDescriptor("x")
    descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.seconds(1)).build())
    with pytest.raises(ProgramError, match="only keyed state can expire"):
        HeapOperatorStateStore().get_list_state(descriptor)
