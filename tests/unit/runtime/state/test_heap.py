from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.runtime.state.stored_state import OPERATOR, new_snapshot
from yarnflow.functions.state import MapStateDescriptor, ValueStateDescriptor
from yarnflow.functions.windows.window import TimeWindow
from yarnflow.runtime.state.heap import HashMapStateBackend

ROOT = Path(__file__).resolve().parents[4]


def test_tables_are_dicts() -> None:
    backend = HashMapStateBackend()
    backend.current_key = "k"
    backend.state(ValueStateDescriptor("v")).update(1)
    backend.state(MapStateDescriptor("m")).put("x", 2)
    assert type(backend.table("v").of(None)) is dict
    assert backend.table("v").of(None) == {"k": 1}
    assert backend.table("m").of(None) == {"k": {"x": 2}}
    assert backend.table("v").of(TimeWindow(0, 1)) == {}
    backend.close()
    assert backend.table("v").of(None) == {}


def test_empty_tables_are_not_stored() -> None:
    backend = HashMapStateBackend()
    backend.table("empty").of(TimeWindow(0, 1))
    backend.table("full").of(TimeWindow(0, 1))["k"] = 1
    snapshot = new_snapshot()
    backend.snapshot(snapshot, OPERATOR)
    (part,) = snapshot.keyed
    assert (part.operator_id, part.name, part.entries, part.database) == (OPERATOR, "full", 1, False)
    assert list(part.chunks()) == [(TimeWindow(0, 1), ["k"], [1])]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_million_counters_take_less_than_250_mb() -> None:
    code = """
import os
from yarnflow.functions.state import ValueStateDescriptor
from yarnflow.runtime.state.heap import HashMapStateBackend
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
backend = HashMapStateBackend()
count = backend.state(ValueStateDescriptor("count"))
before = resident()
for key in range(1_000_000):
    backend.current_key = key
    count.update((count.value() or 0) + 1_000_000)
print((resident() - before) / 1e6)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, cwd=ROOT)
    assert 50 < float(done.stdout) < 250, done.stderr
