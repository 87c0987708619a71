"""State given to subtasks: at any parallelism, each key group comes back exactly once; errors name operators."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.runtime.checkpoint.states import block, checkpoint, keyed_operator, sst, vertex
from yarnflow.errors import RestoreError
from yarnflow.graph.job_graph import JobGraph
from yarnflow.graph.key_groups import key_groups_of
from yarnflow.runtime.checkpoint.assignment import files_of, fit_job, task_restore
from yarnflow.runtime.checkpoint.handles import EVENT_TIME, OperatorState, StateKind
from yarnflow.runtime.checkpoint.metadata import OperatorCheckpoint


def job(*vertices):
    return JobGraph("1" * 32, "new job", tuple(vertices), ())


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([12, 128, 131]))
def test_every_key_group_finds_its_block(before, after, max_parallelism):
    stored = checkpoint(keyed_operator("k", before, max_parallelism))
    for index in range(after):
        new = vertex("k", parallelism=after, max_parallelism=max_parallelism)
        restore = task_restore(stored, new, index).operators["k"]
        wanted = set(key_groups_of(index, after, max_parallelism))
        given_groups = [
            set(range(each.key_groups[0], each.key_groups[1] + 1))
            for state in restore.states.values()
            for each in state.blocks
            if each.kind is StateKind.KEYED
        ]
        assert wanted <= set().union(*given_groups)
        assert all(groups & wanted for groups in given_groups), "only what concerns the subtask is sent"
        assert sorted(restore.states) == list(range(before)), "split state goes to all, who take their share"
        assert restore.parallelism == before


def test_files_go_where_their_key_groups_are():
    states = {i: OperatorState("r", files=(sst(f"shared/{i}", (i * 64, i * 64 + 63)),)) for i in range(2)}
    stored = checkpoint(OperatorCheckpoint("r", None, "rocks", "v", 2, 128, states))
    restored = [task_restore(stored, vertex("r", parallelism=4), i).operators["r"].states for i in range(4)]
    assert [list(states) for states in restored] == [[0], [0], [1], [1]]
    assert files_of(stored.operators) == {"shared/0", "shared/1"}


def test_an_operator_that_the_checkpoint_does_not_know_starts_empty():
    restore = task_restore(checkpoint(keyed_operator("k", 1)), vertex("k", "new", parallelism=1), 0)
    assert list(restore.operators) == ["k"]
    assert restore.checkpoint_id == 7


def test_records_under_way_need_the_head_of_a_chain():
    stored = keyed_operator("k", 1)
    state = replace(stored.subtasks[0], blocks=(block("input-0", StateKind.CHANNEL),))
    unaligned = checkpoint(replace(stored, subtasks={0: state}))
    fit_job(job(vertex("k", "new", parallelism=1)), unaligned, False)
    with pytest.raises(RestoreError, match=r"on their way to .*op k.*, which is chained"):
        fit_job(job(vertex("new", "k", parallelism=1)), unaligned, False)


@pytest.mark.parametrize(("ended", "expected"), [((0, 1), True), ((0,), False)])
def test_a_task_has_ended_when_all_of_it_had(ended, expected):
    stored = checkpoint(replace(keyed_operator("k", 2), ended=ended))
    assert task_restore(stored, vertex("k", parallelism=3), 0).ended is expected
    assert task_restore(stored, vertex("k", "new", parallelism=3), 0).ended is False


def test_an_operator_that_ended_without_state_is_known_all_the_same():
    stored = checkpoint(OperatorCheckpoint("s", None, "source", "v", 2, 128, {}, ended=(0, 1)))
    restore = task_restore(stored, vertex("s", "new", parallelism=3), 0)
    assert restore.operators["s"].states == {}
    assert restore.ended is False


def test_a_watermark_strategy_may_leave_the_program():
    state = OperatorState("w", (block(EVENT_TIME, StateKind.UNION),))
    strategy = OperatorCheckpoint("w", None, "op w", "v", 1, 128, {0: state})
    fit_job(job(vertex("k", parallelism=1)), checkpoint(keyed_operator("k", 1), strategy), False)


def test_unclaimed_state_is_refused_with_names_and_a_way_out():
    stored = checkpoint(keyed_operator("k", 1), keyed_operator("gone", 1, uid="sessions"))
    with pytest.raises(RestoreError, match=r"'op gone' \(uid 'sessions'\).*-n"):
        fit_job(job(vertex("k", parallelism=1)), stored, False)
    assert fit_job(job(vertex("k", parallelism=1)), stored, True).vertices[0].parallelism == 1


def test_an_operator_without_state_may_go():
    stateless = OperatorCheckpoint("map", None, "map", "v", 1, 128, {})
    fit_job(job(vertex("k", parallelism=1)), checkpoint(keyed_operator("k", 1), stateless), False)


def test_a_savepoint_of_another_program_says_so():
    with pytest.raises(RestoreError, match="belongs to another program"):
        fit_job(job(vertex("a", parallelism=1)), checkpoint(keyed_operator("b", 1)), False)


def test_a_derived_maximum_parallelism_is_taken_over():
    stored = checkpoint(keyed_operator("k", 2, 100))
    assert fit_job(job(vertex("k", parallelism=3)), stored, False).vertices[0].max_parallelism == 100


@pytest.mark.parametrize(("parallelism", "maximum"), [(3, 64), (101, 256)])
def test_another_maximum_parallelism_is_refused(parallelism, maximum):
    stored = checkpoint(keyed_operator("k", 2, 100))
    with pytest.raises(RestoreError, match=r"maximum parallelism of 100 .*set_max_parallelism\(100\)"):
        fit_job(job(vertex("k", parallelism=parallelism, max_parallelism=maximum)), stored, False)


def test_without_keyed_state_the_maximum_parallelism_may_change():
    states = {0: OperatorState("s", (block(kind=StateKind.SPLIT),))}
    stored = checkpoint(OperatorCheckpoint("s", None, "source", "v", 1, 100, states))
    fitted = fit_job(job(vertex("s", parallelism=1, max_parallelism=64)), stored, False)
    assert fitted.vertices[0].max_parallelism == 64
