from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from yarnflow.datastream import StreamExecutionEnvironment
from yarnflow.errors import ProgramError
from yarnflow.graph.operator_ids import operator_ids

ROOT = Path(__file__).resolve().parents[3]


def environment() -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)


def ids_by_name(env: StreamExecutionEnvironment) -> dict[str, str]:
    graph = env.get_stream_graph()
    return {graph.nodes[node].name: operator_id for node, operator_id in operator_ids(graph).items()}


def program(*, parallelism: int = 1, extra: bool = False, chained: bool = True) -> StreamExecutionEnvironment:
    env = environment()
    if not chained:
        env.disable_operator_chaining()
    source = env.from_collection([1, 2])
    mapped = source.map(lambda x: x).name("first").set_parallelism(parallelism)
    if extra:
        mapped.filter(bool).name("side").print().name("side out")
    mapped.map(lambda x: x + 1).name("second").uid("plus-one").key_by(lambda x: x).sum().name("total").print()
    return env


def test_ids_are_the_same_in_every_run() -> None:
    assert ids_by_name(program()) == ids_by_name(program())


def test_ids_do_not_depend_on_parallelism_names_or_what_comes_after() -> None:
    plain = ids_by_name(program())
    assert len(set(plain.values())) == len(plain)
    assert ids_by_name(program(chained=False)) == plain
    more = ids_by_name(program(extra=True))
    assert {name: more[name] for name in plain} == plain


def test_an_operator_with_uid_and_all_after_it_survive_changes_before_it() -> None:
    env = environment()
    stream = env.from_collection([1]).flat_map(lambda x: [x]).filter(bool)
    stream.map(lambda x: x + 1).name("second").uid("plus-one").key_by(lambda x: x).sum().name("total").print()
    before, after = ids_by_name(program()), ids_by_name(env)
    assert after["second"] == before["second"]
    assert after["total"] == before["total"]


def test_alike_operators_have_different_ids() -> None:
    env = environment()
    source = env.from_collection([1])
    for name in "abc":
        source.map(lambda x: x).name(name)
    ids = ids_by_name(env)
    assert len({ids[name] for name in "abc"}) == 3


def test_a_uid_hash_is_the_id() -> None:
    env = environment()
    env.from_collection([1]).map(lambda x: x).name("m").set_uid_hash("AB" * 16)
    assert ids_by_name(env)["m"] == "ab" * 16
    with pytest.raises(ProgramError, match="32 hex digits"):
        env.from_collection([1]).set_uid_hash("xyz")


def test_a_uid_hash_cannot_be_taken_twice() -> None:
    env = environment()
    env.from_collection([1]).set_uid_hash("ab" * 16).map(lambda x: x).set_uid_hash("ab" * 16)
    with pytest.raises(ProgramError, match="'Source: Collection Source' and 'Map' have the same uid hash"):
        env.get_job_graph()


def test_ids_are_the_same_in_every_process() -> None:
    code = """
from yarnflow.datastream import StreamExecutionEnvironment
env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(2)
stream = env.from_collection(["a"]).flat_map(str.split).name("x")
stream.union(stream.map(len)).key_by(lambda word: word).count().print()
stream.filter(bool).uid("f").print()
print([vertex.vertex_id for vertex in env.get_job_graph().vertices])
"""
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("0", "7")
    }
    assert len(answers) == 1
