from __future__ import annotations

import json
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from yarnflow.cli import main as cli_main
from yarnflow.common.time import Time
from yarnflow.common.typeinfo import Types
from yarnflow.common.types import Row
from yarnflow.errors import CheckpointCorruptedError, CheckpointError, RestoreError
from yarnflow.functions.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from yarnflow.functions.windows.window import TimeWindow
from yarnflow.graph.key_groups import key_group, key_groups_of
from yarnflow.runtime.checkpoint.handles import CheckpointPlan, OperatorState, StateFile, StateKind
from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint, OperatorCheckpoint, write_metadata
from yarnflow.runtime.state.backend import KeyedStateBackend
from yarnflow.runtime.state.background import begin_write
from yarnflow.runtime.state.heap import HashMapStateBackend
from yarnflow.runtime.state.rocksdb.backend import RocksDBStateBackend
from yarnflow.runtime.state.rocksdb.settings import RocksDBSettings
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.state.timers import TimerQueue
from yarnflow.state_reader import open_savepoint, read_state

COUNTS = "c" * 32
GROUPS = 128


class Pair(NamedTuple):
    x: str
    y: Any


@dataclass
class Total:
    sum: int
    pair: Pair


def fill(backend: KeyedStateBackend, key: Any) -> None:
    backend.current_key = key
    backend.state(ValueStateDescriptor("count", Types.LONG())).update(key * 10)
    backend.state(ValueStateDescriptor("any")).update(OrderedDict(n=key))
    backend.state(ValueStateDescriptor("total")).update(Total(key, Pair("p", None)))
    backend.state(ValueStateDescriptor("mixed")).update(key if key % 2 else {key})
    backend.state(MapStateDescriptor("map", Types.STRING(), Types.INT())).put("x", key)
    backend.state(ListStateDescriptor("rows")).add(Row(a=key, b="x"))
    for descriptor, change in (
        (ValueStateDescriptor("old"), lambda state: state.update(key)),
        (ListStateDescriptor("olds"), lambda state: state.add(key)),
        (MapStateDescriptor("oldm"), lambda state: state.put(key, key)),
    ):
        descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.days(1)).build())
        change(backend.state(descriptor))
    backend.table("windows").of(TimeWindow(key, key + 5))["k"] = float(key)


@pytest.fixture
def savepoint(tmp_path: Path) -> str:
    directory = (tmp_path / "savepoint-1").as_uri()
    subtasks: dict[int, OperatorState] = {}
    for index in range(2):
        groups = key_groups_of(index, 2, GROUPS)
        snapshot = TaskSnapshot(3, True, GROUPS, (groups[0], groups[-1]))
        backend = HashMapStateBackend()
        timers = TimerQueue()
        for key in range(10):
            if key_group(key, GROUPS) in groups:
                fill(backend, key)
                timers.add(key * 1000, key, TimeWindow(0, 1))
        backend.snapshot(snapshot, COUNTS)
        timers.snapshot(snapshot, COUNTS, "timers")
        snapshot.add_list(COUNTS, "offsets", [f"{index}-{n}" for n in range(3)])
        snapshot.add_list(COUNTS, "rules", [("a", 1), ("b", 2)], StateKind.BROADCAST)
        write = begin_write(snapshot, directory, f"v-{index}", CheckpointPlan(True, True, "", 0, 0))
        write.wait()
        (subtasks[index],) = write.result().operators
    none = OperatorCheckpoint("0" * 32, None, "Map", "v", 2, GROUPS, {})
    files = OperatorState("f" * 32, (), (StateFile("CURRENT", "x", 1, 1, False, (0, 127)),))
    native = OperatorCheckpoint("f" * 32, None, "Rocks", "w", 1, GROUPS, {0: files})
    counts = OperatorCheckpoint(COUNTS, "counter", "Count", "v", 2, GROUPS, subtasks)
    other = replace(none, operator_id="1" * 32)
    write_metadata(CompletedCheckpoint(3, "a" * 32, 1000, True, (none, counts, native, other), directory))
    return directory


def sorted_rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(zip(*[column.to_pylist() for column in table.columns], strict=True), key=repr)


def test_what_a_savepoint_consists_of(savepoint: str) -> None:
    found = open_savepoint(savepoint)
    assert (found.path, found.checkpoint_id, found.job_id, found.timestamp) == (savepoint, 3, "a" * 32, 1000)
    assert found.savepoint
    assert [operator.name for operator in found.operators] == ["Map", "Count", "Rocks", "Map"]
    operator = found.operator("counter")
    assert operator is found.operator(COUNTS) is found.operator("Count")
    assert (operator.uid, operator.parallelism, operator.max_parallelism) == ("counter", 2, GROUPS)
    states = {state.name: state for state in operator.states}
    assert {name: (state.kind, state.keyed, state.rows) for name, state in states.items()} == {
        "count": ("value", True, 10),
        "any": ("value", True, 10),
        "mixed": ("value", True, 10),
        "total": ("value", True, 10),
        "map": ("map", True, 10),
        "rows": ("list", True, 10),
        "old": ("value", True, 10),
        "olds": ("list", True, 10),
        "oldm": ("map", True, 10),
        "windows": ("table", True, 10),
        "timers": ("timers", True, 10),
        "offsets": ("list", False, 6),
        "rules": ("broadcast", False, 2),
    }
    assert sum(state.size for state in operator.states) == operator.size
    assert found.size == operator.size + 1
    assert states["count"].declared == "Long"
    assert states["count"].types() == {"key": "int64", "value": "int64"}
    assert states["any"].types()["value"] == "pickled"
    assert states["timers"].types()["time"] == "int64"
    assert states["old"].time_to_live == 86_400_000
    assert states["count"].time_to_live is None


@pytest.mark.parametrize(
    ("state", "columns", "expected"),
    [
        ("count", ["key", "value"], [(n, n * 10) for n in range(10)]),
        ("any", ["key", "value"], [(n, {"n": n}) for n in range(10)]),
        ("total", ["key", "value"], [(n, {"sum": n, "pair": {"x": "p", "y": None}}) for n in range(10)]),
        ("map", ["key", "value"], [(n, [("x", n)]) for n in range(10)]),
        ("rows", ["key", "value"], [(n, [{"a": n, "b": "x"}]) for n in range(10)]),
        ("old", ["key", "value"], [(n, n) for n in range(10)]),
        ("olds", ["key", "value"], [(n, [n]) for n in range(10)]),
        ("oldm", ["key", "value"], [(n, [[n, n]]) for n in range(10)]),
        ("windows", ["key", "window", "value"], [("k", {"start": n, "end": n + 5}, float(n)) for n in range(10)]),
        ("timers", ["key", "window", "time"], [(n, {"start": 0, "end": 1}, n * 1000) for n in range(10)]),
        ("offsets", ["value"], [(f"{index}-{n}",) for index in range(2) for n in range(3)]),
        ("rules", ["key", "value"], [("a", 1), ("b", 2)]),
    ],
)
def test_states_are_read_as_tables(savepoint: str, state: str, columns: list[str], expected: list[Any]) -> None:
    table = read_state(savepoint, "counter", state)
    assert table.column_names == columns
    assert sorted_rows(table) == expected


def test_the_first_rows_alone_can_be_read(savepoint: str) -> None:
    state = open_savepoint(savepoint).operator("counter").state("map")
    whole = state.read()
    for rows in (1, 6, 9, 10, 11):
        assert state.read(rows=rows).to_pylist() == whole.slice(0, rows).to_pylist()


def test_inspect_shows_rows(savepoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(["savepoint", "inspect", "--rows", "3", savepoint, "counter", "count"]) == 0
    shown = capsys.readouterr().out
    assert "value state count: 3 of 10 rows" in shown
    assert "int64" in shown
    assert cli_main.run(["savepoint", "inspect", savepoint, "counter", "total", "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["rows"], len(document["first"])) == ("value", 10, 10)
    assert {"key": 7, "value": {"sum": 7, "pair": {"x": "p", "y": None}}} in document["first"]
    assert cli_main.run(["savepoint", "inspect", savepoint, "counter", "nothing"]) == 1
    assert "has no state 'nothing'" in capsys.readouterr().err


def test_values_without_an_arrow_type_are_pickles_or_text(savepoint: str) -> None:
    table = read_state(savepoint, "counter", "mixed")
    assert pa.types.is_large_binary(table.column("value").type)
    text = read_state(savepoint, "counter", "mixed", as_text=True)
    assert sorted_rows(text) == [(n, str(n) if n % 2 else f"{{{n}}}") for n in range(10)]


def test_what_is_not_there_is_said_with_what_is(savepoint: str) -> None:
    found = open_savepoint(savepoint)
    with pytest.raises(CheckpointError, match="has no operator 'x'; operators with state are 'counter'"):
        found.operator("x")
    with pytest.raises(CheckpointError, match=f"several operators named 'Map': .*{'0' * 32}, {'1' * 32}"):
        found.operator("Map")
    with pytest.raises(CheckpointError, match="'Count' has no state 'x'; it has 'count', 'any', 'total'"):
        read_state(savepoint, "counter", "x")
    with pytest.raises(CheckpointCorruptedError, match="savepoint-1/x is missing"):
        read_state(savepoint, "Rocks", "x")


def test_checkpoints_of_rocksdb_are_read_as_well(tmp_path: Path) -> None:
    directory = (tmp_path / "chk-1").as_uri()
    subtasks: dict[int, OperatorState] = {}
    for index in range(2):
        groups = key_groups_of(index, 2, GROUPS)
        snapshot = TaskSnapshot(1, False, GROUPS, (groups[0], groups[-1]))
        settings = RocksDBSettings(local_directory=str(tmp_path), incremental=True)
        backend = RocksDBStateBackend(settings, GROUPS)
        timers = TimerQueue()
        for key in range(10):
            if key_group(key, GROUPS) in groups:
                fill(backend, key)
                timers.add(key * 1000, key)
        backend.snapshot(snapshot, COUNTS)
        timers.snapshot(snapshot, COUNTS, "timers")
        plan = CheckpointPlan(True, True, (tmp_path / "shared").as_uri(), 0, 0)
        (subtasks[index],) = begin_write(snapshot, directory, f"v-{index}", plan).result().operators
        backend.close()
    counts = OperatorCheckpoint(COUNTS, "counter", "Count", "v", 2, GROUPS, subtasks)
    write_metadata(CompletedCheckpoint(1, "a" * 32, 1000, False, (counts,), directory))
    operator = open_savepoint(directory).operator("counter")
    assert [state.name for state in operator.states] == ["timers"]
    assert {state.name: (state.kind, state.rows) for state in operator.native_states()} == {
        "count": ("value", 10),
        "any": ("value", 10),
        "mixed": ("value", 10),
        "total": ("value", 10),
        "map": ("map", 10),
        "rows": ("list", 10),
        "old": ("value", 10),
        "olds": ("list", 10),
        "oldm": ("map", 10),
        "windows": ("table", 10),
    }
    expected: dict[str, list[Any]] = {
        "count": [(n, n * 10) for n in range(10)],
        "map": [(n, [("x", n)]) for n in range(10)],
        "olds": [(n, [n]) for n in range(10)],
        "windows": [("k", {"start": n, "end": n + 5}, float(n)) for n in range(10)],
        "timers": [(n, n * 1000) for n in range(10)],
    }
    for state, rows in expected.items():
        assert sorted_rows(read_state(directory, "counter", state)) == rows
    with pytest.raises(CheckpointError, match="'Count' has no state 'x'; it has 'timers', 'any', 'count'"):
        operator.state("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chk-1", "shared"]


def test_of_a_jobs_directory_of_checkpoints_the_newest_readable_one_is_read(
    savepoint: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = tmp_path / ("a" * 32)
    job.mkdir()
    Path(savepoint.removeprefix("file://")).rename(job / "chk-3")
    (job / "chk-4").mkdir()
    found = open_savepoint(str(job))
    assert found.path == (job / "chk-3").as_uri()
    assert read_state(str(job), "counter", "count").num_rows == 10
    assert "chk-4/_metadata is missing" in caplog.text


def test_what_is_missing_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match=r"no checkpoint or savepoint at .*nowhere.* is missing"):
        open_savepoint(str(tmp_path / "nowhere"))


def test_a_missing_file_is_named(savepoint: str, tmp_path: Path) -> None:
    file = tmp_path / "savepoint-1" / "v-0"
    file.unlink()
    state = open_savepoint(savepoint).operator("counter").state("count")
    for read in (state.read, state.types):
        with pytest.raises(CheckpointCorruptedError, match=f"{file.as_uri()} is missing"):
            read()


def test_classes_that_are_not_here_stay_pickled(tmp_path: Path) -> None:
    directory = (tmp_path / "savepoint").as_uri()
    module = tmp_path / "elsewhere.py"
    module.write_text("class Thing:\n    pass\n")
    code = f"""
import elsewhere
from yarnflow.runtime.checkpoint.handles import CheckpointPlan
from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint, OperatorCheckpoint, write_metadata
from yarnflow.runtime.state.background import begin_write
from yarnflow.runtime.state.snapshot import TaskSnapshot
snapshot = TaskSnapshot(1, True, 128, (0, 127))
snapshot.add_list({COUNTS!r}, "things", [elsewhere.Thing()])
write = begin_write(snapshot, {directory!r}, "v-0", CheckpointPlan(True, True, "", 100000, 0))
(state,) = write.result().operators
operator = OperatorCheckpoint({COUNTS!r}, None, "Things", "v", 1, 128, {{0: state}})
write_metadata(CompletedCheckpoint(1, "a" * 32, 0, True, (operator,), {directory!r}))
"""
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60, env={"PYTHONPATH": paths(tmp_path)}
    )
    (value,) = read_state(directory, "Things", "things").column("value").to_pylist()
    assert b"elsewhere" in value


def paths(folder: Path) -> str:
    return f"{folder}:{Path(__file__).resolve().parents[2]}"
